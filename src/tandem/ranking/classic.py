"""Rankers that need no training."""

from __future__ import annotations

from dataclasses import dataclass

from tandem.contracts.candidates import Candidates
from tandem.contracts.errors import InvalidInput
from tandem.retrieval.pipeline import QueryContext, Stage


@dataclass(frozen=True)
class BM25F(Stage):
    """Reorders candidates by BM25F (Robertson & Zaragoza 2009): a word counts once over all
    fields. Engines add up BM25 by field, which counts a word again in every field that has it."""

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
            return candidates.rescored(evidence.bm25f)
