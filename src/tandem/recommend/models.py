"""Recommenders without a neural network, behind one interface.

A recommender learns from sessions in order of time and scores items for the beginning of a new
session. Scores are sparse, (n, items) in compressed rows: an item without a score is no candidate.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tandem.recommend.sessions import Ints, Sessions

Sparse = Any
"""A scipy.sparse CSR matrix; scipy ships no types."""
Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

CHUNK = 1000  # beginnings scored at once; bounds memory
PERIOD = 170_000  # sessions over which recency is counted: about the length of the training data


class Recommender(ABC):
    """Learns from sessions, recommends the next item."""

    name: str

    @abstractmethod
    def fit(self, sessions: Sessions) -> None:
        """Learn. Sessions come in order of time."""

    @abstractmethod
    def scores(self, prefixes: Sessions) -> Sparse:
        """(len(prefixes), items) scores above 0 of candidates."""

    def recommend(
        self, prefixes: Sessions, k: int, allowed: Mask | None = None
    ) -> tuple[Ints, Floats]:
        """(n, k) items, best first, -1 where there are fewer, and their scores. allowed: (items,)
        which may be recommended (in stock, say); all, without it."""
        if len(prefixes) <= CHUNK:
            return top(self.scores(prefixes), k, allowed)
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as workers:
            parts = list(
                workers.map(lambda part: top(self.scores(part), k, allowed), chunks(prefixes))
            )
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def chunks(prefixes: Sessions) -> Iterator[Sessions]:
    for start in range(0, len(prefixes), CHUNK):
        yield prefixes[start : start + CHUNK]


def top(scores: Sparse, k: int, allowed: Mask | None = None) -> tuple[Ints, Floats]:
    """The k best of every row, ties by item; -1 and 0 where there are fewer. allowed: (items,)
    which count."""
    n = scores.shape[0]
    items = np.full((n, k), -1, np.int64)
    values = np.zeros((n, k), np.float32)
    for row in range(n):
        span = slice(scores.indptr[row], scores.indptr[row + 1])
        found, score = scores.indices[span], scores.data[span]
        if allowed is not None:
            kept = allowed[found]
            found, score = found[kept], score[kept]
        if score.size > k:
            floor = np.partition(score, score.size - k)[score.size - k]
            kept = np.flatnonzero(score >= floor)
            found, score = found[kept], score[kept]
        order = np.lexsort((found, -score))[:k]
        items[row, : order.size], values[row, : order.size] = found[order], score[order]
    return items, values


def unit(vectors: NDArray[Any]) -> Floats:
    """Vectors made 1 long; one of zeros stays so."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-12), np.float32)


def weighted(prefixes: Sessions, weights: NDArray[Any]) -> Sparse:
    """(n, items): each click's weight, added up by item."""
    from scipy.sparse import csr_matrix

    shape = (len(prefixes), prefixes.size)
    matrix = csr_matrix((weights.astype(np.float32), (prefixes.owner, prefixes.items)), shape)
    matrix.sum_duplicates()
    return matrix


def _scaled(rows: NDArray[Any], matrix: Sparse, columns: NDArray[Any]) -> Sparse:
    from scipy.sparse import diags

    left, right = diags(rows.astype(np.float32)), diags(columns.astype(np.float32))
    return (left @ matrix @ right).tocsr()


@dataclass
class Popularity(Recommender):
    """What was clicked most in the last `window` sessions, whatever the session at hand."""

    window: int = 16_000
    listed: int = 200
    name: str = "popularity"

    def fit(self, sessions: Sessions) -> None:
        recent = sessions[max(0, len(sessions) - self.window) :].counts()
        self._best = np.argsort(-recent, kind="stable")[: self.listed]
        self._counts = recent[self._best]

    def scores(self, prefixes: Sessions) -> Sparse:
        from scipy.sparse import csr_matrix

        n, best = len(prefixes), self._best[self._counts > 0]
        counts = self._counts[self._counts > 0]
        starts = np.arange(n + 1) * best.size
        return csr_matrix(
            (np.tile(counts, n).astype(np.float32), np.tile(best, n), starts), (n, prefixes.size)
        )


@dataclass
class ItemKNN(Recommender):
    """Items clicked in the same sessions as those of this one: cosine over sessions, damped for
    rare items (Linden, Smith & York 2003; Davidson et al. 2010).

    decay: how fast clicks further back lose weight; None counts the last click only.
    """

    damping: float = 20.0
    decay: float | None = None
    name: str = "item-knn"

    def fit(self, sessions: Sessions) -> None:
        clicked = weighted(sessions, np.ones(sessions.items.size))
        clicked.data[:] = 1
        norm = 1 / np.sqrt(sessions.counts() + self.damping)
        self.similarity = _scaled(norm, (clicked.T @ clicked).tocsr(), norm)

    def scores(self, prefixes: Sessions) -> Sparse:
        return (_looking_back(prefixes, self.decay) @ self.similarity).tocsr()


def _looking_back(prefixes: Sessions, decay: float | None) -> Sparse:
    back = prefixes.from_end
    weights = (back == 0) * 1.0 if decay is None else np.exp(-decay * back)
    matrix = weighted(prefixes, weights)
    matrix.eliminate_zeros()
    return matrix


@dataclass
class Transitions(Recommender):
    """Which items follow which, by distance within the session: linear, as the sequential part of
    SLIST (Choi et al., WWW 2021) and sequential rules (Ludewig & Jannach 2018).

    forward, backward: weight of what came after and before. spread: how fast distance loses
    weight. recency: how fast old sessions do. reach: the largest distance. rows, columns: powers
    that take out how frequent an item is. decay: as in `ItemKNN`.
    """

    forward: float = 1.0
    backward: float = 0.5
    spread: float = 0.3
    recency: float = 1.5
    reach: int = 20
    rows: float = 0.7
    columns: float = 0.2
    decay: float | None = 0.5
    name: str = "transitions"

    def fit(self, sessions: Sessions) -> None:
        from scipy.sparse import csr_matrix

        age = np.exp(-self.recency * (len(sessions) - 1 - sessions.owner) / PERIOD)
        sources, targets, weights = [], [], []
        for distance in range(1, self.reach + 1):
            at = np.flatnonzero(sessions.owner[distance:] == sessions.owner[:-distance])
            before, after = sessions.items[at], sessions.items[at + distance]
            weight = age[at] * np.exp(-(distance - 1) * self.spread)
            for one, other, share in (
                (before, after, self.forward),
                (after, before, self.backward),
            ):
                if share:
                    sources.append(one)
                    targets.append(other)
                    weights.append(share * weight)
        values = np.concatenate(weights).astype(np.float32)
        places = (np.concatenate(sources), np.concatenate(targets))
        matrix = csr_matrix((values, places), (sessions.size, sessions.size))
        out = np.asarray(matrix.sum(1)).ravel() + 1
        into = np.asarray(matrix.sum(0)).ravel() + 1
        self.matrix = _scaled(out**-self.rows, matrix, into**-self.columns)

    def scores(self, prefixes: Sessions) -> Sparse:
        return (_looking_back(prefixes, self.decay) @ self.matrix).tocsr()

    def further(self, scores: Sparse, k: int) -> Sparse:
        """Scores of a second step: what follows the k best of a first one."""
        from scipy.sparse import csr_matrix

        items, values = top(scores, k)
        known = items >= 0
        rows = np.repeat(np.arange(len(items)), known.sum(1))
        first = csr_matrix((values[known], (rows, items[known])), scores.shape)
        return (first @ self.matrix).tocsr()


@dataclass(frozen=True)
class Remembered:
    """Sessions to compare others with; each is a `RememberedSession` of the data map.

    places: (sessions, items) the mean place of an item within the session, from 1. counts:
    (items,) clicks of each.
    """

    places: Sparse
    counts: Ints

    @classmethod
    def of(cls, sessions: Sessions) -> Remembered:
        places = weighted(sessions, sessions.place + 1.0)
        places.data /= weighted(sessions, np.ones(sessions.items.size)).data
        return cls(places, sessions.counts())

    def __len__(self) -> int:
        return int(self.places.shape[0])

    @cached_property
    def sizes(self) -> Ints:
        """(sessions,) different items of each."""
        sizes: Ints = np.diff(self.places.indptr)
        return sizes

    @cached_property
    def places_by_item(self) -> Sparse:
        return self.places.T.tocsr()

    @cached_property
    def by_item(self) -> Sparse:
        """(items, sessions) 1 where it was clicked."""
        clicked = self.places_by_item.copy()
        clicked.data = np.ones_like(clicked.data)
        return clicked


@dataclass
class SessionKNN(Recommender):
    """Sessions like this one, and what was clicked in them near what they share: STAN (Garg et
    al., SIGIR 2019), after VS-kNN (Ludewig & Jannach 2018).

    back: how fast clicks further back in this session lose weight. rarity: power of an item's idf
    in comparing sessions. length: power that takes out how long the other session is. recency: how
    fast old sessions lose weight. neighbours: sessions kept. sharpness: power of the similarity.
    nearness: how fast items far from the shared ones lose weight. before: weight of what came
    before the shared ones. popularity: power that takes out how frequent an item is.
    """

    back: float = 0.5
    rarity: float = 0.5
    length: float = 0.3
    recency: float = 1.5
    neighbours: int = 500
    sharpness: float = 1.0
    nearness: float = 0.1
    before: float = 0.8
    popularity: float = 0.3
    name: str = "session-knn"

    def fit(self, sessions: Sessions) -> None:
        self.use(Remembered.of(sessions))

    def use(self, known: Remembered) -> None:
        """Compare with these sessions from now on; several can share them."""
        self._known = known
        self._idf = np.log(len(known) / (known.counts + 1.0))
        age = (len(known) - 1 - np.arange(len(known))) / PERIOD
        sizes = np.maximum(known.sizes, 1).astype(float)
        self._worth = (sizes**-self.length * np.exp(-self.recency * age)).astype(np.float32)
        self._damping = ((known.counts + 1.0) ** -self.popularity).astype(np.float32)

    def scores(self, prefixes: Sessions) -> Sparse:
        return self.search(prefixes)[0]

    def search(self, prefixes: Sessions) -> tuple[Sparse, Ints]:
        """Scores, and (n,) how many similar sessions there were."""
        from scipy.sparse import csr_matrix

        weights = np.exp(-self.back * prefixes.from_end)
        weights *= np.maximum(self._idf[prefixes.items], 1e-3) ** self.rarity
        asked = weighted(prefixes, weights)
        total = np.maximum(np.asarray(asked.sum(1)).ravel(), 1e-9)
        asked.data /= np.repeat(total, np.diff(asked.indptr)).astype(np.float32)
        known = self._known
        shared = (asked @ known.by_item).tocsr()
        where = (asked @ known.places_by_item).tocsr()
        shared.sort_indices()
        where.sort_indices()
        where.data /= shared.data  # the mean place of what is shared, in the other session
        shared.data *= self._worth[shared.indices]
        shared.data **= self.sharpness
        kept, similar = _nearest(shared, self.neighbours)
        rows = np.repeat(np.arange(len(prefixes)), similar)
        others, similarity, place = shared.indices[kept], shared.data[kept], where.data[kept]
        sizes = known.sizes[others]
        begins = known.places.indptr[others].astype(np.int64)
        at = np.repeat(begins - np.cumsum(sizes) + sizes, sizes) + np.arange(int(sizes.sum()))
        distance = known.places.data[at] - np.repeat(place, sizes)
        value = np.repeat(similarity, sizes) * np.exp(-self.nearness * np.abs(distance))
        value = value * np.where(distance > 0, 1, self.before)
        items = known.places.indices[at]
        found = csr_matrix(
            ((value * self._damping[items]).astype(np.float32), (np.repeat(rows, sizes), items)),
            (len(prefixes), prefixes.size),
        )
        found.sum_duplicates()
        return found, similar


def _nearest(shared: Sparse, k: int) -> tuple[Ints, Ints]:
    """Entries of the k largest of every row, and how many there are by row."""
    kept = []
    for low, high in zip(shared.indptr[:-1].tolist(), shared.indptr[1:].tolist(), strict=True):
        if high - low > k:
            kept.append(low + np.argpartition(-shared.data[low:high], k)[:k])
        else:
            kept.append(np.arange(low, high))
    counts = np.array([part.size for part in kept], np.int64)
    return np.concatenate(kept or [np.empty(0, np.int64)]).astype(np.int64), counts
