"""Rankers that need no training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tandem.contracts.candidates import Candidates
from tandem.contracts.errors import InvalidInput
from tandem.features.evidence import FIELD_WEIGHTS
from tandem.retrieval.pipeline import QueryContext, Stage


@dataclass(frozen=True)
class BM25F(Stage):
    """Reorders candidates by BM25F (Robertson & Zaragoza 2009): a word counts once over all
    fields. Engines add up BM25 by field, which counts a word again in every field that has it.

    boosts: weights of the text fields.
    """

    boosts: Mapping[str, float] = field(default_factory=lambda: FIELD_WEIGHTS)
    name: str = "bm25f"

    def run(self, context: QueryContext, candidates: Candidates | None) -> Candidates:
        if candidates is None:
            raise InvalidInput(
                "BM25F reorders candidates and has none", remedy="put a retriever before it"
            )
        if len(candidates) == 0:
            return candidates
        evidence = context.evidence(candidates, meaning=False)
        with context.timed("rank"):
            return candidates.rescored(evidence.weighted_bm25f(self.boosts))
