"""Simulated clicks on real or simulated judgments: shoppers whose bias and noise are known.

The usual semi-synthetic protocol (Joachims, Swaminathan & Schnabel, WSDM 2017): queries, products
and relevance are real, the shoppers are not. A shopper looks at place k with chance
(1 / k)^severity, independently of all else, and clicks what was looked at with chance
noise + (1 - noise) (2^rel - 1) / 7. Shoppers who trust the order click more readily on top: with
trust t, noise at place k is 1 - (1 - noise) (1 - t / k). What nobody judged counts as irrelevant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tandem.contracts.clicks import ClickLog, Floats, PairClicks, totals
from tandem.contracts.judgment import JudgmentList

SHOWN = 20


@dataclass(frozen=True)
class ClickBehaviour:
    """How shoppers look and click.

    shown: places of a page. severity: of the position bias; 0 is none. noise: chance of a click on
    an irrelevant product that was looked at. trust: what stands first is clicked by so many more of
    those who look, relevant or not, and by fewer further down. swapped: share of lists in which
    the first product changes places with another, drawn by lot.
    """

    shown: int = SHOWN
    severity: float = 1.0
    noise: float = 0.1
    swapped: float = 0.1
    trust: float = 0.0

    @property
    def examination(self) -> Floats:
        """(shown,) chance that a place is looked at."""
        return np.arange(1, self.shown + 1, dtype=np.float64) ** -self.severity

    def chance(self, gain: Floats) -> Floats:
        """(n,) chance of a click on products of these gains (0 to 1), by place from the first."""
        places = np.arange(1, gain.size + 1)
        noise = 1 - (1 - self.noise) * (1 - self.trust / places)
        return self.examination[: gain.size] * (noise + (1 - noise) * gain)


@dataclass(frozen=True)
class SimulatedClicks:
    """log: all lists. swaps: those alone in which the lot was drawn. first: by query, the product
    that ranked first in them before the lot."""

    log: ClickLog
    swaps: ClickLog
    first: Mapping[str, str]


def simulated_clicks(
    rankers: Sequence[Mapping[str, Sequence[str]]],
    judgments: JudgmentList,
    sessions: int,
    seed: int,
    behaviour: ClickBehaviour | None = None,
    *,
    pairs: bool = False,
) -> SimulatedClicks:
    """Let `sessions` shoppers search once each, for queries drawn evenly.

    rankers: rankings by query of the rankers that were live, each for an equal share of the
    sessions; the lot is drawn on the lists of the first. pairs: with `ClickLog.pairs`.
    """
    how = behaviour or ClickBehaviour()
    rng = np.random.default_rng(seed)
    queries = tuple(q for q in judgments.queries if all(q in r for r in rankers))
    number: dict[str, int] = {}
    counts = rng.multinomial(sessions, np.full(len(queries), 1 / len(queries)))
    plain, drawn = _Sums(pairs), _Sums(False)
    first = {}
    for q, (query, asked) in enumerate(zip(queries, counts.tolist(), strict=True)):
        by_lot = int(rng.binomial(asked, how.swapped))
        shares = rng.multinomial(asked - by_lot, np.full(len(rankers), 1 / len(rankers)))
        lists = []
        for ranking in rankers:
            shown = list(ranking[query])[: how.shown]
            products = np.array([number.setdefault(p, len(number)) for p in shown], np.int64)
            relevance = np.array([judgments.by_query[query].get(p, 0) for p in shown])
            lists.append((products, (np.exp2(relevance) - 1) / 7))
        for (products, gain), n in zip(lists, shares.tolist(), strict=True):
            plain.add(q, products, _clicks(rng, gain, how, n))
        products, gain = lists[0]
        if not products.size:
            continue
        first[query] = ranker_first = next(iter(rankers[0][query]))
        number[ranker_first]  # it is among the numbered ones
        for place, n in enumerate(
            rng.multinomial(by_lot, np.full(products.size, 1 / products.size))
        ):
            order = np.arange(products.size)
            order[[0, place]] = order[[place, 0]]
            clicks = _clicks(rng, gain[order], how, int(n))
            plain.add(q, products[order], clicks)
            drawn.add(q, products[order], clicks)
    ids = tuple(number)
    return SimulatedClicks(plain.log(queries, ids), drawn.log(queries, ids), first)


def _clicks(rng: np.random.Generator, gain: Floats, how: ClickBehaviour, n: int) -> np.ndarray:
    """(n, places) whether each of n shoppers clicked."""
    return rng.random((n, gain.size)) < how.chance(gain)


class _Sums:
    """Lists added up to rows of a `ClickLog`."""

    def __init__(self, pairs: bool) -> None:
        self._pairs = pairs
        self._rows: list[np.ndarray] = []
        self._pair_rows: list[np.ndarray] = []
        self._lists = 0

    def add(self, query: int, products: np.ndarray, clicks: np.ndarray) -> None:
        n = len(clicks)
        if not n:
            return
        self._lists += n
        places = np.arange(products.size)
        self._rows.append(
            np.stack(
                [
                    np.full(places.size, query),
                    products,
                    places,
                    np.full(places.size, n),
                    clicks.sum(0),
                ]
            )
        )
        if self._pairs:
            clicked = clicks.astype(np.float32)
            won = clicked.T @ (1 - clicked)
            one, two = np.nonzero(won)
            self._pair_rows.append(
                np.stack(
                    [
                        np.full(one.size, query),
                        products[one],
                        products[two],
                        one,
                        two,
                        won[one, two],
                    ]
                )
            )

    def log(self, queries: tuple[str, ...], products: tuple[str, ...]) -> ClickLog:
        rows = np.concatenate(self._rows, 1) if self._rows else np.empty((5, 0))
        keys, at = np.unique(rows[:3].astype(np.int64), axis=1, return_inverse=True)
        at = at.reshape(-1)
        found = None
        if self._pairs and self._pair_rows:
            table = np.concatenate(self._pair_rows, 1)
            which, where = np.unique(table[:5].astype(np.int64), axis=1, return_inverse=True)
            query, winner, loser, one, two = which
            count = totals(where.reshape(-1), table[5])
            found = PairClicks(query, winner, loser, one, two, count)
        query, product, place = keys
        return ClickLog(
            queries,
            products,
            query,
            product,
            place,
            totals(at, rows[3], keys.shape[1]),
            totals(at, rows[4], keys.shape[1]),
            self._lists,
            found,
            simulated=True,
        )
