"""Experiments that run in a server: who gets which search configuration, and how they stand."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from tandem.contracts.artefact import Tried
from tandem.contracts.running import Change, Name, State
from tandem.contracts.search import Frozen
from tandem.contracts.slot import BanditSlot

BUCKETS = 10_000
"""Into so many buckets a layer cuts all units."""

CANARY_LAYER = "canary"
"""The layer of canaries. It comes first: who gets a canary is in no experiment on the same."""

Kind = Literal["experiment", "canary"]
CONFIGURED: Mapping[Tried, str] = {
    "models": "model",
    "configurations": "weights",
    "cross-encoders": "cross",
    "recommenders": "recommender",
    "personal": "personal",
    "feeds": "feed",
}
"""The field of a search configuration that names a generation of a kind."""

CLICK_RATE = ("click_rate=searches_clicked/searches",)


class SearchConfiguration(Frozen):
    """How searches are answered; what is None is as everybody has it.

    ranker: a system by name. model: generation of the learned ranker, instead of the live one;
    weights: of the tuned weights of bm25 and hybrid; cross: of the cross-encoder; personal: of what
    makes lists personal; recommender: of what recommends; feed: of what orders the feed. rewrite:
    whether spelling is corrected. rules: whether the shop's merchandising rules apply.
    """

    ranker: str | None = Field(default=None, max_length=64, examples=["ltr"])
    model: str | None = Field(default=None, max_length=64)
    weights: str | None = Field(default=None, max_length=64)
    cross: str | None = Field(default=None, max_length=64)
    personal: str | None = Field(default=None, max_length=64)
    recommender: str | None = Field(default=None, max_length=64)
    feed: str | None = Field(default=None, max_length=64)
    rewrite: bool | None = None
    rules: bool | None = None

    @property
    def touched(self) -> frozenset[str]:
        """What it sets: `ranking`, `reranking`, `personal`, `recommendations`, `feed`, `rewrite`,
        `rules`."""
        parts = {
            "ranking": (self.ranker, self.model, self.weights),
            "reranking": (self.cross,),
            "personal": (self.personal,),
            "recommendations": (self.recommender,),
            "feed": (self.feed,),
            "rewrite": (self.rewrite,),
            "rules": (self.rules,),
        }
        return frozenset(p for p, values in parts.items() if any(v is not None for v in values))

    @property
    def generations(self) -> dict[Tried, str]:
        """The generations that it sets, by kind."""
        named = {kind: getattr(self, name) for kind, name in CONFIGURED.items()}
        return {kind: generation for kind, generation in named.items() if generation is not None}


class Variant(Frozen):
    """weight: its share, in relation to the others'."""

    name: Name
    weight: float = Field(gt=0, le=1e6, allow_inf_nan=False)
    configuration: SearchConfiguration = SearchConfiguration()


class OnlineExperiment(Frozen):
    """Owns buckets [first, first + size) of its layer, of which the share `ramp` takes part.

    The first variant is the control. of: what a canary tries. success, guardrails: metrics, each a
    column of `COLUMNS` or NAME=COLUMN/COLUMN. planned: units of both arms, fixed before the first
    look.
    """

    name: Name
    kind: Kind = "experiment"
    of: Tried = "models"
    layer: Name = "search"
    first: int = Field(default=0, ge=0, lt=BUCKETS)
    size: int = Field(default=BUCKETS, ge=1, le=BUCKETS)
    ramp: float = Field(default=1.0, ge=0, le=1, allow_inf_nan=False)
    variants: tuple[Variant, ...] = Field(min_length=2, max_length=8)
    success: tuple[str, ...] = CLICK_RATE
    guardrails: tuple[str, ...] = ("orders",)
    planned: int = Field(default=10_000, ge=10, le=10**12)
    alpha: float = Field(default=0.05, gt=0, lt=1, allow_inf_nan=False)
    state: State = "running"
    started: datetime
    ended: datetime | None = None
    changes: tuple[Change, ...] = ()

    @model_validator(mode="after")
    def _sound(self) -> Self:
        names = [v.name for v in self.variants]
        if len(set(names)) < len(names):
            raise ValueError("two variants have the same name")
        if self.first + self.size > BUCKETS:
            raise ValueError(f"buckets end at {BUCKETS}")
        return self

    @property
    def control(self) -> str:
        return self.variants[0].name

    @property
    def tried(self) -> str | None:
        """The generation that a canary tries."""
        return self.variants[1].configuration.generations.get(self.of)

    @property
    def touched(self) -> frozenset[str]:
        return frozenset().union(*(v.configuration.touched for v in self.variants))


COLUMNS = ("searches", "searches_clicked", "clicks", "carts", "orders", "items", "revenue")
"""What is counted by unit from its first exposure on; `pre_…` the same in the four weeks before."""


class ShadowRun(Frozen):
    """A candidate that answers a share of the real requests beside the live one, unseen."""

    kind: Tried = "models"
    generation: str
    share: float = Field(gt=0, le=1)
    started: datetime


class Exploration(Frozen):
    """How the first places are shuffled to learn what lower ones are worth.

    method: `plackett_luce` draws the first `top` places anew, the product of rank r in proportion
    to r^-steepness; `swap` exchanges the first with one of the `top` first, each as likely.
    share: of searches. Products that a rule put somewhere stay, and so does such a list.
    """

    method: Literal["plackett_luce", "swap"] = "plackett_luce"
    top: int = Field(default=5, ge=2, le=6)
    steepness: float = Field(default=2.0, gt=0, le=10, allow_inf_nan=False)
    share: float = Field(default=0.05, gt=0, le=1, allow_inf_nan=False)


class ExperimentBook(Frozen):
    """All that a server is told about experiments. salt: of the assignment, made once.

    holdout: share of units that is in no experiment, ever. shadows: at most one of a kind.
    """

    salt: str
    holdout: float = Field(default=0.0, ge=0, lt=1)
    experiments: tuple[OnlineExperiment, ...] = ()
    shadows: tuple[ShadowRun, ...] = ()
    exploration: Exploration | None = None
    slots: tuple[BanditSlot, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _with_the_rankers_shadow(cls, values: Any) -> Any:
        """Books were once written with the shadow of rankers apart, as `shadow`."""
        if not isinstance(values, dict) or "shadow" not in values:
            return values
        rest = {name: value for name, value in values.items() if name != "shadow"}
        ranker = () if values["shadow"] is None else (values["shadow"],)
        return {**rest, "shadows": (*ranker, *rest.get("shadows", ()))}

    def running(self) -> tuple[OnlineExperiment, ...]:
        """Canaries first, then in order of their start."""
        found = [e for e in self.experiments if e.state == "running"]
        return tuple(sorted(found, key=lambda e: (e.kind != "canary", e.started, e.name)))

    def canary_of(self, kind: str) -> OnlineExperiment | None:
        """The running canary of a kind."""
        found = (e for e in self.running() if (e.kind, e.of) == ("canary", kind))
        return next(found, None)

    def shadow_of(self, kind: str) -> ShadowRun | None:
        return next((s for s in self.shadows if s.kind == kind), None)


class ArmHealth(Frozen):
    """exposed: units by variant, whom analytics may read; expected: by the planned shares.

    crossed: units that were exposed to two variants, and left out. p: of the sample ratio;
    mismatch: below 0.001. segments: (column, value, p) of where the fault shows.
    """

    exposed: dict[str, int]
    expected: dict[str, float]
    p: float
    mismatch: bool
    segments: tuple[tuple[str, str, float], ...] = ()
    crossed: int = 0


class ExperimentStanding(Frozen):
    """An experiment, whether it is sound, and what it shows so far.

    health: None before anybody was exposed. analyses: by treatment, as `tandem experiment analyse`
    tells them; left out where an arm is empty. verdict: of the first treatment.
    """

    experiment: OnlineExperiment
    health: ArmHealth | None = None
    verdict: str | None = None
    because: str | None = None
    analyses: dict[str, dict[str, Any]] = Field(default_factory=dict)
    simulated: bool = False


class ShadowRequest(Frozen):
    """One request that a shadow answered too, without words and without whose it was.

    overlap: share of the first ten that both show; same_first: the same product first.
    milliseconds of a whole search without facets; shadow_ms None where it failed.
    """

    at: datetime
    kind: Tried = "models"
    generation: str
    beside: str | None
    overlap: float | None
    same_first: bool | None
    live_ms: float
    shadow_ms: float | None
    simulated: bool = False


class ShadowStanding(Frozen):
    """What a shadow run has shown. Medians in milliseconds; the shadow's are taken in the
    background, while the server serves. None where there is nothing yet."""

    generation: str
    requests: int
    failed: int
    overlap: float | None
    identical: float | None
    same_first: float | None
    live_ms: float | None
    shadow_ms: float | None
