"""A ranker that reads query and product together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tandem.contracts.candidates import Candidates, Floats
from tandem.contracts.errors import InvalidInput
from tandem.retrieval.encoders import product_text
from tandem.retrieval.pipeline import QueryContext, Stage

DEPTH = 50


class CrossEncoder(Protocol):
    """Says how relevant texts are to a query."""

    def score(self, query: str, texts: list[str]) -> Floats:
        """(len(texts),) float32; more is better. Safe for many threads."""
        ...


@dataclass(frozen=True)
class CrossRanker(Stage):
    """Reorders the best `depth` candidates by a cross-encoder; the others follow as they were."""

    encoder: CrossEncoder
    depth: int = DEPTH
    name: str = "cross"

    def run(self, context: QueryContext, candidates: Candidates | None) -> Candidates:
        if candidates is None:
            raise InvalidInput(
                "a cross-encoder reorders candidates and has none",
                remedy="put a retriever before it: hybrid >> cross",
            )
        if len(candidates) == 0:
            return candidates
        with context.timed("fetch"):
            head = context.snapshot.products(candidates.numbers[: self.depth])
        with context.timed("cross"):
            scores = self.encoder.score(context.understanding.text, [product_text(p) for p in head])
        return candidates.rescored(_continued(scores, len(candidates)))


def _continued(scores: Floats, total: int) -> Floats:
    """(total,) the scores, and falling ones below them all for what was not scored."""
    steps = np.arange(1, total - scores.size + 1, dtype=np.float32)
    return np.concatenate([scores, scores.min() - steps])
