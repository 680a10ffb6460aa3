"""A simulated search with one known fault, three fixes for it, and shoppers: all truth is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Array = NDArray[np.float64]
Order = NDArray[np.int64]
Fix = Literal["helpful", "null", "harmful"]
FIXES: tuple[Fix, ...] = ("helpful", "null", "harmful")
KINDS = ("products", "brands", "synonyms", "model numbers")

NOTHING = 4  # the relevance of an empty place
# Chance of a click on a product that is looked at, by relevance 0 to 3, and of an order after it.
_ATTRACTION = np.array([0.05, 0.15, 0.35, 0.6, 0.0])
_ORDERS = np.array([0.02, 0.1, 0.25, 0.45, 0.0])


@dataclass(frozen=True, kw_only=True)
class Searches:
    """Q queries over P products each, answered in two ways.

    relevance (Q, P): 0 to 3, or NOTHING. old, new (Q, at least `places`): product indexes best
    first, before and after a fix. share (Q,): how often each query is asked; None: all alike.
    """

    relevance: NDArray[np.int64]
    old: Order
    new: Order
    share: Array | None = None
    places: int = 5

    @property
    def queries(self) -> int:
        return int(self.relevance.shape[0])

    def draw(self, n: int, rng: Generator) -> NDArray[np.int64]:
        """n queries as shoppers ask them."""
        if self.share is None:
            return rng.integers(0, self.queries, n)
        return rng.choice(self.queries, n, p=self.share / self.share.sum())

    def shown(self, order: Order) -> NDArray[np.int64]:
        """(Q, places) relevance of what is shown."""
        return np.take_along_axis(self.relevance, order, axis=1)[:, : self.places]

    def order_rate(self, order: Order) -> float:
        """True expected orders per search."""
        shown = self.shown(order)
        seen = 1 / np.arange(1, self.places + 1)
        orders = (seen * _ATTRACTION[shown] * _ORDERS[shown]).sum(axis=1)
        return float(np.average(orders, weights=self.share))

    @property
    def truth(self) -> float:
        """True difference of orders per search, new minus old."""
        return self.order_rate(self.new) - self.order_rate(self.old)

    def shop(
        self, order: Order, query: NDArray[np.int64], rng: Generator
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Clicks and orders (n, places) of one search each for queries (n,)."""
        return self.use(self.shown(order)[query], rng)

    def use(
        self, relevance: NDArray[np.int64], rng: Generator
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Clicks and orders (n, places) on lists of these relevances; looked at as 1 / place."""
        seen = (1 / np.arange(1, relevance.shape[1] + 1))[None, :]
        clicked = rng.random(relevance.shape) < seen * _ATTRACTION[relevance]
        ordered = clicked & (rng.random(relevance.shape) < _ORDERS[relevance])
        return clicked, ordered


@dataclass(frozen=True, kw_only=True)
class FaultySearch(Searches):
    """Queries of four kinds over 10 products each; the old order is random for one kind.

    kind (Q,): index into KINDS; faulty: the kind that is broken.
    """

    kind: NDArray[np.int64]
    faulty: int

    @classmethod
    def make(cls, fix: Fix, queries: int = 400, seed: int = 7) -> FaultySearch:
        """helpful: orders the faulty kind as well as the others. null: swaps its products of equal
        relevance. harmful: as helpful, but breaks all other kinds."""
        rng = np.random.default_rng(seed)
        relevance = rng.choice(4, size=(queries, 10), p=(0.45, 0.3, 0.15, 0.1))
        kind = rng.integers(0, len(KINDS), queries)
        faulty = 2
        good = np.argsort(-(relevance + rng.normal(0, 0.8, relevance.shape)), axis=1)
        shuffled = np.argsort(rng.random(relevance.shape), axis=1)
        again = np.argsort(rng.random(relevance.shape), axis=1)
        broken = (kind == faulty)[:, None]
        old = np.where(broken, shuffled, good)
        # Both sorted by relevance, one with chance among equals: places and who takes them.
        ranked = np.take_along_axis(relevance, old, axis=1)
        place = np.argsort(ranked, axis=1, kind="stable")
        product = np.argsort(relevance + rng.random(relevance.shape), axis=1)
        twins = np.empty_like(old)
        np.put_along_axis(twins, place, product, axis=1)
        new = {
            "helpful": good,
            "null": np.where(broken, twins, good),
            "harmful": np.where(broken, good, again),
        }[fix]
        return cls(relevance=relevance, kind=kind, faulty=faulty, old=old, new=new)
