"""A model registry in memory: three models, one of which may be promoted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from tandem.contracts.artefact import PromotedKind, Stage
from tandem.contracts.errors import Conflict, NotFound
from tandem.contracts.registry import (
    Artefact,
    Decision,
    Gate,
    RegisteredModel,
    Served,
    Trace,
)

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
METRICS = {"nDCG@10": {"mean": 0.7, "low": 0.6, "high": 0.8}}
OTHERS = ("g000002-20260215T120000", "g000001-20260115T120000")
LINEAGE = {
    "model": "linear",
    "trained_at": AT.isoformat(),
    "metrics": METRICS,
    "judgments": "test",
    "queries": 40,
    "data_fingerprint": "ab" * 32,
}


class SmallRegistry:
    def __init__(self) -> None:
        self.stages: dict[PromotedKind, dict[str, Stage]] = {
            "models": {
                "g000003-20260301T120000": "candidate",
                "g000002-20260201T120000": "live",
                "g000001-20260101T120000": "retired",
            },
            "recommenders": {OTHERS[0]: "candidate", OTHERS[1]: "live"},
        }
        self.decisions: list[Decision] = []

    def artefacts(self, *kinds: PromotedKind) -> tuple[Artefact, ...]:
        return tuple(
            self.artefact(kind, generation)
            for kind in kinds or tuple(self.stages)
            for generation in self.stages.get(kind, ())
        )

    def artefact(self, kind: PromotedKind, generation: str) -> Artefact:
        stages = self.stages.get(kind, {})
        if generation not in stages:
            raise NotFound(f"no generation '{generation}'", remedy="choose another")
        made = (kind, generation)
        return Artefact(
            kind=kind,
            generation=generation,
            stage=stages[generation],
            lineage=LINEAGE if kind == "models" else {"sessions": 40},
            decisions=tuple(d for d in self.decisions if (d.kind, d.generation) == made),
        )

    def promote(
        self,
        kind: PromotedKind,
        generation: str,
        *,
        who: str,
        why: str,
        override: Sequence[str] = (),
        approved_by: str | None = None,
    ) -> Decision:
        if self.artefact(kind, generation).stage == "live":
            raise Conflict(f"{generation} is live already", remedy="choose another")
        slow = Gate(name="latency", passed=False, says="twice as slow")
        says = f"approved by {approved_by}" if approved_by else "nobody has approved that yet"
        privacy = Gate(name="privacy", passed=bool(approved_by), says=says)
        better = Gate(name="quality", passed=True, says="better")
        gates = (better, slow) if kind == "models" else (privacy,)
        passed = all(g.passed or g.name in override for g in gates)
        return self._decided(kind, generation, "live" if passed else "candidate", who, why, gates)

    def shadow(
        self, kind: PromotedKind, generation: str, *, share: float, who: str, why: str
    ) -> Decision:
        return self._decided(kind, generation, "shadow", who, why)

    def canary(
        self,
        kind: PromotedKind,
        generation: str,
        *,
        share: float,
        who: str,
        why: str,
        override: Sequence[str] = (),
        approved_by: str | None = None,
    ) -> Decision:
        return self._decided(kind, generation, "canary", who, why)

    def withdraw(self, kind: PromotedKind, name: str, *, who: str, why: str) -> Decision:
        if self.artefact(kind, name).stage not in ("shadow", "canary"):
            raise NotFound(f"'{name}' is neither", remedy="choose another")
        return self._decided(kind, name, "candidate", who, why)

    def roll_back(self, kind: PromotedKind, to: str | None, *, who: str, why: str) -> Decision:
        oldest = min(self.stages.get(kind, {"": None}))
        return self._decided(kind, to or oldest, "live", who, why)

    def card(self, kind: PromotedKind, generation: str) -> str:
        return f"<!doctype html><title>{self.artefact(kind, generation).generation}</title>"

    def _decided(
        self,
        kind: PromotedKind,
        generation: str,
        stage: Stage,
        who: str,
        why: str,
        gates: tuple[Gate, ...] = (),
    ) -> Decision:
        self.artefact(kind, generation)
        stages = self.stages[kind]
        if stage == "live":
            for other, now in stages.items():
                stages[other] = "retired" if now == "live" else now
        stages[generation] = stage
        said = {"who": who, "why": why, "gates": gates, "kind": kind}
        number = len(self.decisions) + 1
        decision = Decision(number=number, at=AT, generation=generation, stage=stage, **said)
        self.decisions.append(decision)
        return decision

    def trace(self, query_id: str) -> Trace:
        if query_id != "known":
            raise NotFound(f"no served result '{query_id}'", remedy="check the id")
        served = Served(
            query_id=query_id,
            at=AT,
            ranker="ltr",
            index_generation="g000001-20260101T120000",
            model_generation="g000002-20260201T120000",
            policy=None,
            page=1,
            products=("P001", "P002"),
            scores=(2.0, 1.0),
            total=2,
            milliseconds=4.2,
        )
        model = RegisteredModel.of(self.artefact("models", "g000002-20260201T120000"))
        return Trace(served=served, index={"products": 60}, model=model, rules_unchanged=True)
