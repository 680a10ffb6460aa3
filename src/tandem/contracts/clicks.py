"""What was shown and clicked, added up: all that learning from clicks needs to know.

No person and no session is in it. Every row says how often one product stood at one place of one
query's list, and how often it was clicked there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.errors import InvalidInput

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def totals(number: Ints, values: NDArray[Any], size: int = 0) -> Floats:
    """(size or more,) sums of the values that have each number."""
    return np.asarray(np.bincount(number, values, size), np.float64)


@dataclass(frozen=True)
class PairClicks:
    """How often one product was clicked and another, shown with it, was not.

    query, winner, loser: numbers as in `ClickLog`; winner_place, loser_place: from 0; count: how
    many lists. All (m,).
    """

    query: Ints
    winner: Ints
    loser: Ints
    winner_place: Ints
    loser_place: Ints
    count: Floats

    def rows(self, keep: NDArray[np.bool_]) -> PairClicks:
        return PairClicks(*(getattr(self, f.name)[keep] for f in fields(self)))


@dataclass(frozen=True)
class ClickLog:
    """Impressions and clicks by query, product and place.

    queries, products: texts and ids behind the numbers. query, product, place (from 0), shown,
    clicked: (m,), one row for each query, product and place that occurred; clicked <= shown.
    lists: how many result lists were added up. pairs: for pairwise learning, where they are needed.
    """

    queries: tuple[str, ...]
    products: tuple[str, ...]
    query: Ints
    product: Ints
    place: Ints
    shown: Floats
    clicked: Floats
    lists: int
    pairs: PairClicks | None = None
    simulated: bool = False

    def __post_init__(self) -> None:
        if (self.clicked > self.shown).any() or (self.place < 0).any():
            raise InvalidInput(
                "more clicks than impressions, or a place before the first",
                field="clicked",
                remedy="count a product that was clicked twice in one list once",
            )

    @cached_property
    def pair(self) -> Ints:
        """(m,) the number of each row's query and product, from 0 without gaps."""
        keys = self.query * max(len(self.products), 1) + self.product
        numbers: Ints = np.unique(keys, return_inverse=True)[1]
        return numbers

    @property
    def places(self) -> int:
        return int(self.place.max(initial=-1)) + 1

    @property
    def clicks(self) -> int:
        return int(self.clicked.sum())

    def of(self, queries: Sequence[str]) -> ClickLog:
        """The rows of some queries; numbers stay as they are."""
        wanted = set(queries)
        number = np.array([i for i, q in enumerate(self.queries) if q in wanted], np.int64)
        return self.rows(np.isin(self.query, number))

    def rows(self, keep: NDArray[np.bool_]) -> ClickLog:
        """Some rows, and the pairs of products that are both in them; numbers stay as they are."""
        names = ("query", "product", "place", "shown", "clicked")
        kept = replace(self, **{name: getattr(self, name)[keep] for name in names}, pairs=None)
        if self.pairs is None:
            return kept
        width = max(len(self.products), 1)
        left = np.unique(kept.query * width + kept.product)
        both = np.isin(self.pairs.query * width + self.pairs.winner, left)
        both &= np.isin(self.pairs.query * width + self.pairs.loser, left)
        return replace(kept, pairs=self.pairs.rows(both))
