"""Candidates: products under consideration for one query, as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Candidates:
    """Products retrieved for one query, best first.

    numbers: (n,) int64 product numbers, unique; valid within one snapshot only.
    scores: (n,) float32, non-increasing.
    sources: per first-stage source (`lexical`, `dense`) an (n,) float32 array of that source's
        own score, NaN where the source did not return the product. Missing is not zero.
    """

    numbers: Numbers
    scores: Floats
    sources: Mapping[str, Floats] = field(default_factory=dict)

    @classmethod
    def empty(cls) -> Candidates:
        return cls(np.empty(0, np.int64), np.empty(0, np.float32))

    def __len__(self) -> int:
        return int(self.numbers.size)

    def head(self, k: int) -> Candidates:
        """The best `k`."""
        return self.at(slice(0, k))

    def at(self, rows: slice | NDArray[np.int64]) -> Candidates:
        """Those at the given positions, in that order."""
        return Candidates(
            self.numbers[rows], self.scores[rows], {s: v[rows] for s, v in self.sources.items()}
        )

    def rescored(self, scores: Floats) -> Candidates:
        """The same products ordered by new scores; ties keep today's order (stable)."""
        order = np.argsort(-scores, kind="stable")
        return Candidates(
            self.numbers[order],
            scores[order].astype(np.float32),
            {s: v[order] for s, v in self.sources.items()},
        )
