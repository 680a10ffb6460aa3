"""A model registry in memory: three models, one of which may be promoted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from tandem.contracts.errors import Conflict, NotFound
from tandem.contracts.registry import (
    Artefact,
    Decision,
    Gate,
    PromotedKind,
    RegisteredModel,
    Served,
    Stage,
    Trace,
)

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
METRICS = {"nDCG@10": {"mean": 0.7, "low": 0.6, "high": 0.8}}
OTHERS = ("g000002-20260215T120000", "g000001-20260115T120000")
LINEAGE = {"judgments": "test", "queries": 40, "data_fingerprint": "ab" * 32}


class SmallRegistry:
    def __init__(self) -> None:
        self.stages: dict[str, Stage] = {
            "g000003-20260301T120000": "candidate",
            "g000002-20260201T120000": "live",
            "g000001-20260101T120000": "retired",
        }
        self.decisions: list[Decision] = []
        self.live_recommender = OTHERS[1]

    def models(self) -> tuple[RegisteredModel, ...]:
        return tuple(self.model(g) for g in self.stages)

    def model(self, generation: str) -> RegisteredModel:
        if generation not in self.stages:
            raise NotFound(f"no generation '{generation}'", remedy="choose another")
        return RegisteredModel(
            generation=generation,
            stage=self.stages[generation],
            model="linear",
            trained_at=AT.isoformat(),
            metrics=METRICS,
            lineage=LINEAGE,
            decisions=tuple(d for d in self.decisions if d.generation == generation),
        )

    def promote(
        self,
        generation: str,
        who: str,
        why: str,
        override: Sequence[str],
        approved_by: str | None = None,
    ) -> Decision:
        if self.model(generation).stage == "live":
            raise Conflict(f"{generation} is live already", remedy="choose another")
        slow = Gate(name="latency", passed=False, says="twice as slow")
        gates = (Gate(name="quality", passed=True, says="better"), slow)
        stage: Stage = "live" if "latency" in override else "candidate"
        return self._decided(generation, stage, who, why, gates)

    def shadow(self, generation: str, share: float, who: str, why: str) -> Decision:
        return self._decided(generation, "shadow", who, why)

    def canary(
        self,
        generation: str,
        share: float,
        who: str,
        why: str,
        override: Sequence[str],
        approved_by: str | None = None,
    ) -> Decision:
        return self._decided(generation, "canary", who, why)

    def withdraw(self, generation: str, who: str, why: str) -> Decision:
        if self.model(generation).stage not in ("shadow", "canary"):
            raise NotFound(f"'{generation}' is neither", remedy="choose another")
        return self._decided(generation, "candidate", who, why)

    def roll_back(self, to: str | None, who: str, why: str) -> Decision:
        return self._decided(to or "g000001-20260101T120000", "live", who, why)

    def _decided(
        self, generation: str, stage: Stage, who: str, why: str, gates: tuple[Gate, ...] = ()
    ) -> Decision:
        self.model(generation)
        if stage == "live":
            for other, now in self.stages.items():
                self.stages[other] = "retired" if now == "live" else now
            self.stages[generation] = "live"
        elif stage in ("shadow", "canary"):
            self.stages[generation] = stage
        decision = Decision(
            number=len(self.decisions) + 1,
            at=AT,
            generation=generation,
            stage=stage,
            who=who,
            why=why,
            gates=gates,
        )
        self.decisions.append(decision)
        return decision

    def artefacts(self) -> tuple[Artefact, ...]:
        return tuple(self._artefact("recommenders", g) for g in OTHERS)

    def promote_artefact(
        self,
        kind: PromotedKind,
        generation: str,
        who: str,
        why: str,
        override: Sequence[str],
        approved_by: str | None = None,
    ) -> Decision:
        stage: Stage = "live" if approved_by else "candidate"
        says = f"approved by {approved_by}" if approved_by else "nobody has approved that yet"
        gates = (Gate(name="privacy", passed=bool(approved_by), says=says),)
        if stage == "live":
            self.live_recommender = self._artefact(kind, generation).generation
        return self._of(kind, generation, stage, who, why, gates)

    def shadow_artefact(
        self, kind: PromotedKind, generation: str, share: float, who: str, why: str
    ) -> Decision:
        return self._of(kind, generation, "shadow", who, why)

    def canary_artefact(
        self,
        kind: PromotedKind,
        generation: str,
        share: float,
        who: str,
        why: str,
        override: Sequence[str],
        approved_by: str | None = None,
    ) -> Decision:
        return self._of(kind, generation, "canary", who, why)

    def withdraw_artefact(
        self, kind: PromotedKind, generation: str, who: str, why: str
    ) -> Decision:
        return self._of(kind, generation, "candidate", who, why)

    def roll_back_artefact(
        self, kind: PromotedKind, to: str | None, who: str, why: str
    ) -> Decision:
        self.live_recommender = self._artefact(kind, to or OTHERS[1]).generation
        return self._of(kind, self.live_recommender, "live", who, why)

    def artefact_card(self, kind: PromotedKind, generation: str) -> str:
        return f"<!doctype html><title>{self._artefact(kind, generation).generation}</title>"

    def _artefact(self, kind: PromotedKind, generation: str) -> Artefact:
        if kind != "recommenders" or generation not in OTHERS:
            raise NotFound(f"no generation '{generation}'", remedy="choose another")
        live = generation == self.live_recommender
        stage: Stage = "live" if live else "candidate" if generation == OTHERS[0] else "retired"
        lineage = {"trained_at": AT.isoformat(), "sessions": 40}
        return Artefact(kind=kind, generation=generation, stage=stage, lineage=lineage)

    def _of(
        self,
        kind: PromotedKind,
        generation: str,
        stage: Stage,
        who: str,
        why: str,
        gates: tuple[Gate, ...] = (),
    ) -> Decision:
        self._artefact(kind, generation)
        said = {"who": who, "why": why, "gates": gates, "kind": kind}
        return Decision(number=1, at=AT, generation=generation, stage=stage, **said)

    def card(self, generation: str) -> str:
        return f"<!doctype html><title>{self.model(generation).generation}</title>"

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
        model = self.model("g000002-20260201T120000")
        return Trace(served=served, index={"products": 60}, model=model, rules_unchanged=True)
