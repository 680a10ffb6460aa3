"""Slots in memory, for the routes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from tandem.contracts.errors import Conflict, NotFound
from tandem.contracts.slot import ArmStanding, BanditSlot, SlotArm, SlotStanding

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
BANNER = BanditSlot(
    name="front-banner",
    where="page",
    arms=(SlotArm(name="plain"), SlotArm(name="summer", value="/summer")),
    started=AT,
)


class SmallSlots:
    def __init__(self) -> None:
        self.known: dict[str, BanditSlot] = {BANNER.name: BANNER}

    def standings(self) -> list[SlotStanding]:
        return [self.standing(name) for name in self.known]

    def standing(self, name: str) -> SlotStanding:
        slot = self._found(name)
        rates = ((300, 30, 0.1, 0.07, 0.14, 0.8), (60, 12, 0.2, 0.12, 0.32, 0.2))
        arms = tuple(
            ArmStanding(
                arm=arm, showings=n, rewards=k, rate=rate, low=low, high=high, chance=chance
            )
            for arm, (n, k, rate, low, high, chance) in zip(slot.arms, rates, strict=False)
        )
        return SlotStanding(slot=slot, arms=arms, showings=360, explored=60, simulated=True)

    def start(
        self, name: str, where: str, arms: Sequence[SlotArm], *, who: str, **values: object
    ) -> BanditSlot:
        if name in self.known:
            raise Conflict(f"there was a slot '{name}'", remedy="choose another name")
        made = BANNER.model_copy(update={"name": name})
        if len(self.known) < 20:
            self.known[name] = made
        return made

    def stop(self, name: str, who: str, why: str) -> BanditSlot:
        found = self._found(name).model_copy(update={"state": "stopped", "ended": AT})
        self.known[name] = found
        return found

    def _found(self, name: str) -> BanditSlot:
        if name not in self.known:
            raise NotFound(f"no slot '{name}'", remedy="choose another")
        return self.known[name]
