"""Recommenders of the next basket, behind one interface.

They learn from baskets in order of time and score every item for people with their histories. A
person without one (cold) gets what sells now, and so does every place that a recommender's own
knowledge cannot fill.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.errors import MissingExtra
from tandem.recommend.baskets import Baskets, Sparse
from tandem.recommend.sessions import Ints

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
PEOPLE_AT_ONCE = 256  # bounds memory: people × items scores
BEHIND = np.float32(1e-6)  # weight of what sells now, beside anything a recommender knows


class BasketRecommender(ABC):
    """Learns from baskets, recommends what a person buys next. reads_content: whether it makes use
    of what `describe` tells."""

    name: str
    reads_content: ClassVar[bool] = False
    content: Floats | None = None

    def describe(self, content: Floats) -> None:
        """Told, before `fit`: (items, d) vectors of the items' texts, rows of 0 without a text."""
        self.content = content

    @abstractmethod
    def fit(self, baskets: Baskets, now: float) -> None:
        """Learn from baskets of before `now` (a day)."""

    @abstractmethod
    def scores(self, histories: Baskets, now: float) -> Floats:
        """(people, items); larger is better."""

    def recommend(
        self, histories: Baskets, now: float, k: int, allowed: Mask | None = None
    ) -> Ints:
        """(people, k) items, best first, -1 where there are fewer. allowed: (items,) which may be
        recommended (in stock, say); all, without it."""
        parts = [
            best(self.scores(histories.of(some), now), k, allowed)
            for some in np.array_split(
                np.arange(histories.people), max(1, -(-histories.people // PEOPLE_AT_ONCE))
            )
        ]
        return np.concatenate(parts)


def best(scores: Floats, k: int, allowed: Mask | None = None) -> Ints:
    """(n, k) places of the k largest of every row, ties by place. allowed: (places,) which count;
    -1 where there are fewer."""
    k = min(k, scores.shape[1])
    if allowed is not None:
        scores = np.where(allowed, scores, -np.inf)
    chosen = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    chosen.sort(axis=1)
    values = np.take_along_axis(scores, chosen, 1)
    order = np.argsort(-values, axis=1, kind="stable")
    places = np.take_along_axis(chosen, order, 1).astype(np.int64)
    return np.where(np.isneginf(np.take_along_axis(values, order, 1)), -1, places)


def ahead(own: Floats, selling: Floats) -> Floats:
    """A recommender's own scores, each row's largest made 1, and what sells now behind them."""
    largest = np.abs(own).max(axis=1, keepdims=True)
    return np.asarray(own / np.maximum(largest, 1e-30) + BEHIND * selling, np.float32)


def selling(baskets: Baskets, now: float, half_life: float) -> Floats:
    """(items,) baskets with the item, old ones counting less; the largest is 1."""
    weights = baskets.aged(now, half_life)[baskets.contents.owner]
    counts = np.bincount(baskets.contents.items, weights, minlength=baskets.size)
    return np.asarray(counts / max(float(counts.max(initial=0)), 1e-30), np.float32)


@dataclass
class SellingNow(BasketRecommender):
    """What sells now, whoever asks. half_life: days after which a basket counts half."""

    half_life: float = 14.0
    name: str = "popularity"

    def fit(self, baskets: Baskets, now: float) -> None:
        self.selling = selling(baskets, now, self.half_life)

    def scores(self, histories: Baskets, now: float) -> Floats:
        return np.broadcast_to(self.selling, (histories.people, self.selling.size))


@dataclass
class PersonalFrequency(SellingNow):
    """What this person buys often, old baskets counting less: the baseline that next-basket models
    have to beat (Li et al., TOIS 2023). recency: the half-life of a person's basket, in days."""

    recency: float = 180.0
    name: str = "personal-frequency"

    def scores(self, histories: Baskets, now: float) -> Floats:
        own = histories.table(histories.aged(now, self.recency)).toarray()
        return ahead(own, self.selling)


@dataclass
class BasketItemKNN(SellingNow):
    """What is bought in the same baskets as what this person buys: cosine, damped for rare items
    (Linden, Smith & York 2003). Guests' baskets teach too."""

    damping: float = 10.0
    recency: float = 180.0
    itself: bool = True
    name: str = "item-knn"

    def fit(self, baskets: Baskets, now: float) -> None:
        super().fit(baskets, now)
        self.similarity = together(baskets, self.damping)
        if not self.itself:
            self.similarity.setdiag(0)

    def scores(self, histories: Baskets, now: float) -> Floats:
        bought = histories.table(histories.aged(now, self.recency))
        return ahead((bought @ self.similarity).toarray(), self.selling)


def together(baskets: Baskets, damping: float) -> Sparse:
    """(items, items) cosine of the baskets that items are in, damped for rare items."""
    from scipy.sparse import csr_matrix, diags

    contents = baskets.contents
    places = (contents.owner, contents.items)
    held = csr_matrix(
        (np.ones(contents.items.size, np.float32), places), (len(baskets), baskets.size)
    )
    norm = diags((1 / np.sqrt(contents.counts() + damping)).astype(np.float32))
    return (norm @ (held.T @ held) @ norm).tocsr()


@dataclass
class Ease(SellingNow):
    """EASE^R (Steck, WWW 2019): the linear model of items on each other with a zero diagonal that
    fits what people bought best, in closed form.

    ridge: L2 penalty. recency: half-life of a basket, in days. items: only the most bought are
    modelled, since the inverse is dense; the others come behind, by what sells now.
    """

    ridge: float = 50.0
    recency: float = 180.0
    items: int = 6_000
    name: str = "ease"

    def fit(self, baskets: Baskets, now: float) -> None:
        from scipy.linalg.lapack import spotrf, spotri

        super().fit(baskets, now)
        bought = baskets.table()
        bought.data[:] = 1
        counts = np.asarray(bought.sum(0)).ravel()
        self.modelled = np.sort(np.argsort(-counts, kind="stable")[: self.items])
        seen = bought[:, self.modelled]
        gram = np.asfortranarray((seen.T @ seen).toarray(), np.float32)
        gram[np.diag_indices_from(gram)] += self.ridge
        # Cholesky, then the inverse out of the factor: a third of the work of solving for it. The
        # matrix is positive definite by the ridge. Only the lower triangle is written.
        factor, _ = spotrf(gram, lower=1, overwrite_a=1, clean=1)
        inverse, _ = spotri(factor, lower=1, overwrite_c=1)
        inverse = inverse + np.tril(inverse, -1).T
        # Row after row in memory: a history picks rows.
        self.weights: Floats = np.ascontiguousarray(-inverse / np.diag(inverse))
        self.weights[np.diag_indices_from(self.weights)] = 0

    def scores(self, histories: Baskets, now: float) -> Floats:
        bought = histories.table(histories.aged(now, self.recency))[:, self.modelled]
        own = np.zeros((histories.people, histories.size), np.float32)
        own[:, self.modelled] = bought @ self.weights
        return ahead(own, self.selling)


@dataclass
class PeopleKNN(SellingNow):
    """What people with a similar history buy, beside one's own: TIFU-kNN (Hu et al., SIGIR 2020)
    with days in place of groups of baskets.

    recency: half-life of a basket, in days. neighbours: people asked. own: weight of the person's
    own history.
    """

    recency: float = 90.0
    neighbours: int = 300
    own: float = 0.4
    name: str = "user-knn"

    def fit(self, baskets: Baskets, now: float) -> None:
        super().fit(baskets, now)
        self._known = _unit(baskets.table(baskets.aged(now, self.recency)))
        self._theirs = self._known.T.tocsr()

    def scores(self, histories: Baskets, now: float) -> Floats:
        mine = _unit(histories.table(histories.aged(now, self.recency)))
        alike = (mine @ self._theirs).toarray()
        # A known person is her own nearest neighbour, which `own` already says.
        alike[alike > 1 - 1e-5] = 0
        if self.neighbours < alike.shape[1]:
            floor = np.partition(alike, -self.neighbours, axis=1)[:, -self.neighbours, None]
            alike[alike < floor] = 0
        alike /= np.maximum(alike.sum(1, keepdims=True), 1e-30)
        near = np.asarray(self._known.T @ alike.T).T
        return ahead(self.own * mine.toarray() + (1 - self.own) * near, self.selling)


def _unit(table: Sparse) -> Sparse:
    from scipy.sparse import diags

    norm = np.sqrt(np.asarray(table.multiply(table).sum(1)).ravel())
    return (diags((1 / np.maximum(norm, 1e-30)).astype(np.float32)) @ table).tocsr()


@dataclass
class ImplicitALS(SellingNow):
    """Matrix factorisation of implicit feedback by alternating least squares (Hu, Koren & Volinsky,
    ICDM 2008), by the library `implicit`. People's factors are worked out from their histories, so
    nobody needs to be known.

    factors, ridge, rounds: of the factorisation. confidence: weight of a purchase. recency:
    half-life of a basket, in days.
    """

    factors: int = 96
    ridge: float = 1.0
    rounds: int = 15
    confidence: float = 10.0
    recency: float = 180.0
    seed: int = 1
    name: str = "ials"

    def fit(self, baskets: Baskets, now: float) -> None:
        try:
            from implicit.cpu.als import AlternatingLeastSquares
            from threadpoolctl import threadpool_limits
        except ImportError:
            raise MissingExtra(
                "iALS needs the library implicit", remedy="pip install 'tandem-commerce[als]'"
            ) from None
        super().fit(baskets, now)
        with threadpool_limits(
            1, "blas"
        ):  # the library's own threads and BLAS's get in each other's way
            self._model: Any = AlternatingLeastSquares(
                factors=self.factors,
                regularization=self.ridge,
                alpha=self.confidence,
                iterations=self.rounds,
                num_threads=1,
                random_state=self.seed,
            )
            self._model.fit(baskets.table(baskets.aged(now, self.recency)), show_progress=False)

    def scores(self, histories: Baskets, now: float) -> Floats:
        bought = histories.table(histories.aged(now, self.recency))
        # A person without a history gets factors of 0, and so no scores of her own.
        people = self._model.recalculate_user(np.arange(histories.people), bought)
        return ahead(np.asarray(people @ self._model.item_factors.T), self.selling)
