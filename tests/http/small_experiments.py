"""Experiments in memory, for the routes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from tandem.contracts.errors import Conflict, NotFound
from tandem.contracts.experiment import (
    ArmHealth,
    ExperimentStanding,
    OnlineExperiment,
    SearchConfiguration,
    Variant,
)
from tandem.contracts.running import Change

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
WORDS = OnlineExperiment(
    name="more-judgments",
    variants=(
        Variant(name="control", weight=1),
        Variant(name="words", weight=1, configuration=SearchConfiguration(ranker="bm25")),
    ),
    started=AT,
)


class SmallExperiments:
    def __init__(self) -> None:
        self.known: dict[str, OnlineExperiment] = {WORDS.name: WORDS}

    def standings(self, actor: str) -> list[ExperimentStanding]:
        return [self.standing(name, actor) for name in self.known]

    def standing(self, name: str, actor: str) -> ExperimentStanding:
        health = ArmHealth(
            exposed={"control": 50, "words": 52},
            expected={"control": 51.0, "words": 51.0},
            p=0.8,
            mismatch=False,
        )
        effect = {
            **{"role": "success", "better": "more", "difference": 0.02, "relative": 0.1},
            **{"relative_always_low": -0.1, "relative_always_high": 0.3},
        }
        return ExperimentStanding(
            experiment=self._found(name),
            health=health,
            analyses={"words": {"metrics": {"click_rate": effect}}},
            simulated=True,
        )

    def start(
        self, name: str, variants: Sequence[Variant], *, who: str, why: str, **values: object
    ) -> OnlineExperiment:
        if name in self.known:
            raise Conflict(f"there was an experiment '{name}'", remedy="choose another name")
        change = Change(at=AT, who=who, what="started", why=why)
        made = WORDS.model_copy(update={"name": name, "changes": (change,)})
        if len(self.known) < 20:
            self.known[name] = made
        return made

    def widen(self, name: str, ramp: float, who: str, why: str) -> OnlineExperiment:
        return self._found(name).model_copy(update={"ramp": ramp})

    def stop(self, name: str, who: str, why: str) -> OnlineExperiment:
        return self._found(name).model_copy(update={"state": "stopped", "ended": AT})

    def _found(self, name: str) -> OnlineExperiment:
        if name not in self.known:
            raise NotFound(f"no experiment '{name}'", remedy="choose another")
        return self.known[name]
