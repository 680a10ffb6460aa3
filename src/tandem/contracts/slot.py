"""Slots: places of the shop where a bandit tries what earns most, within guardrails."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from tandem.contracts.running import Change, Name, State
from tandem.contracts.search import Frozen

Where = Literal["search", "feed", "page"]
"""`search`: which ranker answers. `feed`: the product in one place of the feed. `page`: whatever a
page asks for by the slot's name, a banner say."""
BanditKind = Literal["thompson", "linucb"]
RewardAction = Literal["click", "add_to_cart", "purchase"]
Value = Annotated[str, StringConstraints(min_length=1, max_length=512), AfterValidator(str.strip)]
Finite = Annotated[float, Field(allow_inf_nan=False)]

CONTEXT = ("constant", "phone", "words", "digits", "hour_sin", "hour_cos", "weekend")
"""What is noted of each showing, all of it of the moment and none of the person. words: of the
query, by six; digits: whether it has some; the hour and the weekend by the shop's clock (UTC)."""


class SlotArm(Frozen):
    """One thing that a slot may show. value: a ranker, a product, or what the page knows it by;
    None: what would be there without the slot. relevance: in the shop's own judgment."""

    name: Name
    value: Value | None = None
    relevance: Finite = 0.0


class SlotGuardrails(Frozen):
    """relevance: arms further below the first are never shown; None: no bound. budget: the most
    that the chance of anything but the first may be. harm: it stops for good when a 99% confidence
    sequence shows that the others earn so much less a showing; None: never. least: showings of
    either before that is asked."""

    relevance: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    budget: float = Field(default=0.2, gt=0, le=1, allow_inf_nan=False)
    harm: float | None = Field(default=0.0, ge=0, allow_inf_nan=False)
    least: int = Field(default=200, ge=20, le=10**7)


class BanditSlot(Frozen):
    """One slot. The first arm is what everybody gets without it, and what it falls back to.

    place: in the feed, from 1. window: minutes after a showing in which `reward` counts.
    """

    name: Name
    where: Where
    place: int | None = Field(default=None, ge=1, le=60)
    arms: tuple[SlotArm, ...] = Field(min_length=2, max_length=20)
    bandit: BanditKind = "thompson"
    reward: RewardAction = "click"
    window: int = Field(default=60, ge=1, le=7 * 24 * 60)
    guardrails: SlotGuardrails = SlotGuardrails()
    state: State = "running"
    started: datetime
    ended: datetime | None = None
    changes: tuple[Change, ...] = ()

    @model_validator(mode="after")
    def _sound(self) -> Self:
        for what, values in (
            ("name", [a.name for a in self.arms]),
            ("value", [a.value for a in self.arms]),
        ):
            if len(set(values)) < len(values):
                raise ValueError(f"two arms have the same {what}")
        if max(a.relevance for a in self.arms) > self.arms[0].relevance:
            raise ValueError("the first arm has to be the most relevant: it is what is fallen back")
        if (self.where == "feed") != (self.place is not None):
            raise ValueError("a slot in the feed needs a place, and no other has one")
        return self


class SlotShowing(Frozen):
    """One decision of a slot, without whom it was for. pscore: probability of `arm`, guardrails
    included; explored: whether it is not the first; object_id: the product shown in the feed;
    context: as `CONTEXT`; reward: 1 once it came."""

    query_id: str
    slot: str
    at: datetime
    arm: int
    pscore: float
    explored: bool
    object_id: str | None = None
    context: tuple[float, ...] = ()
    reward: float = 0.0


class ArmStanding(Frozen):
    """What an arm has shown. rate: rewards by showing, with Wilson's 95% interval, None before the
    first one; as a rate of a bandit it is told to explore, not to decide. chance: of being shown
    now, in an average context."""

    arm: SlotArm
    showings: int
    rewards: int
    rate: float | None
    low: float | None
    high: float | None
    chance: float


class SlotStanding(Frozen):
    """A slot and what it has shown. explored: showings of anything but the first arm. stopped: why
    it stopped by itself."""

    slot: BanditSlot
    arms: tuple[ArmStanding, ...]
    showings: int
    explored: int
    stopped: str | None = None
    simulated: bool = False


class SlotShown(Frozen):
    """What a page is to show. arm, value: of the slot. pscore: its probability; None where nothing
    is tried: everybody gets the first arm."""

    slot: str
    arm: str
    value: str | None
    pscore: float | None
    query_id: str
