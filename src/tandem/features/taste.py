"""What a visitor looked at, as ranking features read it: in this visit, and before.

Features of taste compare candidates with these products. They are computed by the same code where
a ranker learns and where it serves; where nothing is known of a visitor there is no taste, and no
feature of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.candidates import Floats, Numbers
from tandem.features.store import CATEGORY_SEPARATOR, Columns, FeatureStore

HALF = 5.0  # so many products later, one counts half


@dataclass(frozen=True)
class Looked:
    """Products looked at, oldest first, each once; arrays are (m,) and (m, d).

    vectors: None without an encoder. paths: category paths, empty where unknown.
    """

    numbers: Numbers
    columns: Columns
    vectors: Floats | None
    paths: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, store: FeatureStore, numbers: Numbers, vectors: Floats | None) -> Looked:
        columns = store.columns(numbers)
        paths = tuple(path_of(store, code) for code in columns.category.tolist())
        return cls(numbers, columns, vectors, paths)

    @cached_property
    def weights(self) -> Floats:
        """(m,) the newest weighs most; together 1."""
        weight = 0.5 ** (np.arange(self.numbers.size - 1, -1, -1) / HALF)
        return np.asarray(weight / weight.sum(), np.float32)

    @cached_property
    def centre(self) -> Floats | None:
        """(d,) weighted mean of the vectors."""
        return None if self.vectors is None else np.asarray(self.weights @ self.vectors)

    def share(self, kind: str, codes: NDArray[np.int32]) -> Floats:
        """(n,) weighted share of these products that have the same brand (or merchant) as each of
        `codes`; NaN where a code is unknown or none of them has one."""
        own = getattr(self.columns, kind)
        known = own >= 0
        if not known.any():
            return np.full(codes.size, np.nan, np.float32)
        weight = self.weights[known] / self.weights[known].sum()
        same = (codes[:, None] == own[known][None, :]) @ weight
        return np.where(codes >= 0, same, np.nan).astype(np.float32)

    def overlap(self, store: FeatureStore, codes: NDArray[np.int32]) -> Floats:
        """(n, m) how much of two category paths is common from the top, 0 … 1 (Dice); 0 where
        either is unknown."""
        distinct, place = np.unique(codes, return_inverse=True)
        table = np.zeros((distinct.size, len(self.paths)), np.float32)
        for row, code in enumerate(distinct.tolist()):
            path = path_of(store, code)
            if path:
                table[row] = [_common(path, other) for other in self.paths]
        return table[place]


@dataclass(frozen=True)
class Taste:
    """What is known of who asks. None where nothing is."""

    session: Looked | None = None
    before: Looked | None = None


def path_of(store: FeatureStore, code: int) -> tuple[str, ...]:
    """The category path behind a code; empty for none."""
    return tuple(store.names.category[code].split(CATEGORY_SEPARATOR)) if code >= 0 else ()


def _common(one: tuple[str, ...], other: tuple[str, ...]) -> float:
    if not other:
        return 0.0
    depth = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        depth += 1
    return 2 * depth / (len(one) + len(other))
