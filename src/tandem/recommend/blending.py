"""The next basket by stacking: a ranker over the candidates and scores of simpler recommenders.

As in `stacking`, the ranker learns from what recommenders said who knew only what came before
(stacking by time; Wolpert 1992 for the idea): they are fitted on the baskets before a window, the
ranker learns from what people bought in it, and then they are fitted again on everything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tandem.recommend.baskets import Baskets, next_baskets
from tandem.recommend.next_basket import (
    BasketItemKNN,
    BasketRecommender,
    Ease,
    Floats,
    PeopleKNN,
    PersonalFrequency,
    SellingNow,
    best,
)
from tandem.recommend.sessions import Ints, Sessions
from tandem.recommend.stacking import TREES

NEVER = 9_999.0  # days since something that has not happened
AT_ONCE = 256


@dataclass(frozen=True)
class BasketCandidates:
    """(m,) row of the person, (m,) item, (m, f) features; rows ascend."""

    row: Ints
    item: Ints
    features: Floats


def _recommenders() -> list[BasketRecommender]:
    return [
        SellingNow(),
        SellingNow(half_life=90.0),
        PersonalFrequency(recency=45.0),
        PersonalFrequency(recency=1_000.0),
        BasketItemKNN(itself=False),
        PeopleKNN(),
        Ease(),
    ]


@dataclass
class BasketSources:
    """The recommenders behind the ranker, and facts about items and people."""

    recommenders: list[BasketRecommender] = field(default_factory=_recommenders)
    each: int = 50  # candidates that each brings

    def fit(self, baskets: Baskets, now: float) -> None:
        for source in self.recommenders:
            source.fit(baskets, now)
        bought = baskets.table()
        holders = np.bincount(bought.indices, minlength=baskets.size)
        often = np.bincount(bought.indices[bought.data > 1], minlength=baskets.size)
        first = np.full(baskets.size, now)
        owner = baskets.contents.owner
        np.minimum.at(first, baskets.contents.items, baskets.day[owner])
        counts = baskets.contents.counts()
        self._facts = np.column_stack(
            [np.log1p(counts), np.log1p(holders), often / (holders + 5.0), now - first]
        ).astype(np.float32)

    def candidates(self, histories: Baskets, now: float) -> BasketCandidates:
        """The best of every source and everything bought before, with features."""
        tables = [source.scores(histories, now) for source in self.recommenders]
        bought = histories.table().toarray()
        chosen = bought > 0
        for table in tables:
            np.put_along_axis(chosen, best(table, self.each), True, axis=1)
        row, item = np.nonzero(chosen)
        columns: list[NDArray[Any]] = []
        for table in tables:
            value = table[row, item]
            columns += [value, _rank(value, row)]
        columns += self._of_person(histories, now, bought, row, item)
        columns += list(self._facts[item].T)
        return BasketCandidates(row, item, np.column_stack(columns).astype(np.float32))

    @staticmethod
    def _of_person(
        histories: Baskets, now: float, bought: Floats, row: Ints, item: Ints
    ) -> list[NDArray[Any]]:
        """Times bought, days since first and last, how due it is; baskets, their size, days since
        the last, days between."""
        people, owner = histories.people, histories.contents.owner
        ago = now - histories.day
        keys = histories.person[owner] * histories.size + histories.contents.items
        last = np.full((people, histories.size), NEVER, np.float32)
        np.minimum.at(last.ravel(), keys, ago[owner].astype(np.float32))
        first = np.zeros((people, histories.size), np.float32)
        np.maximum.at(first.ravel(), keys, ago[owner].astype(np.float32))
        baskets = np.bincount(histories.person, minlength=people)
        lines = np.bincount(histories.person[owner], minlength=people)
        latest = np.full(people, NEVER)
        np.minimum.at(latest, histories.person, ago)
        earliest = np.zeros(people)
        np.maximum.at(earliest, histories.person, ago)
        times, since, begun = bought[row, item], last[row, item], first[row, item]
        gap = (begun - since) / np.maximum(times - 1, 1)
        pace = (earliest - latest) / np.maximum(baskets - 1, 1)
        return [
            times,
            times / np.maximum(baskets, 1)[row],
            since,
            begun,
            np.where(times > 1, since / np.maximum(gap, 1), -1),
            baskets[row],
            (lines / np.maximum(baskets, 1))[row],
            latest[row],
            pace[row],
        ]


def _rank(value: Floats, row: Ints) -> Ints:
    """(m,) place of each candidate among its person's by value, 0 for the largest."""
    order = np.lexsort((-value, row))
    rank = np.empty(row.size, np.int64)
    rank[order] = np.arange(row.size)
    return rank - np.searchsorted(row, row)


@dataclass
class Blended(BasketRecommender):
    """LightGBM (Ke et al. 2017) over `BasketSources`: which candidate is in the next basket?

    days, windows: length and number of the stretches of time whose baskets teach the ranker.
    """

    days: float = 28.0
    windows: int = 2
    seed: int = 1
    rounds: int = 150
    name: str = "blended"
    parameters: dict[str, Any] = field(default_factory=lambda: {**TREES, "min_data_in_leaf": 50})

    def fit(self, baskets: Baskets, now: float) -> None:
        import lightgbm

        features: list[Floats] = []
        bought: list[NDArray[np.int8]] = []
        for window in range(self.windows, 0, -1):
            then = now - window * self.days
            past = next_baskets(baskets, then, then + self.days)
            if not len(past.known) or not past.people.size:
                continue
            sources = BasketSources()
            sources.fit(past.known, then)
            for some in _parts(past.people.size):
                found = sources.candidates(past.known.of(past.people[some]), then)
                features.append(found.features)
                bought.append(_bought(found, past.targets[some]))
        self.sources = BasketSources()
        self.sources.fit(baskets, now)
        self._trees: Any = None
        if sum(part.sum() for part in bought):
            data = lightgbm.Dataset(np.concatenate(features), label=np.concatenate(bought))
            settings = {**self.parameters, "seed": self.seed, "num_threads": 1}
            self._trees = lightgbm.train(settings, data, self.rounds)

    def scores(self, histories: Baskets, now: float) -> Floats:
        found = self.sources.candidates(histories, now)
        scores = np.zeros((histories.people, histories.size), np.float32)
        if self._trees is None:  # too short a past to learn from: what the person buys often
            return self.sources.recommenders[2].scores(histories, now)
        scores[found.row, found.item] = self._trees.predict(found.features, num_threads=1)
        return scores


def _parts(n: int) -> list[slice]:
    return [slice(start, min(n, start + AT_ONCE)) for start in range(0, n, AT_ONCE)]


def _bought(found: BasketCandidates, targets: Sessions) -> NDArray[np.int8]:
    keys = targets.owner * targets.size + targets.items
    return np.isin(found.row * targets.size + found.item, keys).astype(np.int8)
