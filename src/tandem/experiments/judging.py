"""Which pair to judge next, so that few judgments tell two rankers apart.

The difference of two rankers' nDCG is a sum over the products that stand at different places in
their lists; a product weighs by how far apart. So the products to judge are those whose verdict is
expected to move that sum most (Carterette, Allan & Sitaraman, *Minimal test collections for
retrieval evaluation*, SIGIR 2006, for nDCG in place of average precision). What nobody has judged
yet counts by its expected gain, learned from the verdicts so far at like places.

Pairs drawn by lot are mixed in: judgments chosen for one comparison must not be taken for a sample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import erf, sqrt
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.errors import InvalidInput
from tandem.contracts.judgment import JudgmentList
from tandem.contracts.run import Run

DEPTH = 10
RANDOM_EVERY = 5  # one pair in so many is drawn by lot
TOLD_APART = 0.95
_GAINS = (np.exp2(np.arange(4)) - 1) / 7
_PRIOR = np.array([2.0, 1.0, 1.0, 1.0])  # verdicts of each relevance that every place starts with
Values = NDArray[np.float64]
Why = Literal["disagreement", "random"]


@dataclass(frozen=True, slots=True)
class ToJudge:
    """A pair to judge. worth: by how much its verdict is expected to move the mean difference of
    nDCG; places: from 1 by ranker, None where it is not among the first."""

    query: str
    product_id: str
    why: Why
    worth: float
    places: Mapping[str, int | None]


@dataclass(frozen=True, slots=True)
class Standing:
    """What the verdicts so far say. difference: expected nDCG of the second ranker minus the
    first's; deviation: of what is not judged yet; confidence: that the sign is right."""

    difference: float
    deviation: float
    confidence: float
    judged: int
    pool: int

    @property
    def told_apart(self) -> bool:
        return self.confidence >= TOLD_APART


class Pool:
    """All pairs among the first places of two rankers, with what is known of them."""

    def __init__(
        self, first: Run, second: Run, judgments: JudgmentList, *, depth: int = DEPTH
    ) -> None:
        """Queries: those that both have ranked. judgments: verdicts so far."""
        if first.system == second.system:
            raise InvalidInput(
                f"'{first.system}' beside itself", field="rankers", remedy="name two rankers"
            )
        self.names = (first.system, second.system)
        self.queries = tuple(q for q in first.rankings if q in second.rankings)
        rows: list[Any] = []
        for number, query in enumerate(self.queries):
            places = [
                {p.product_id: at for at, p in enumerate(run.rankings[query][:depth])}
                for run in (first, second)
            ]
            known = judgments.by_query.get(query, {})
            rows += [
                (
                    number,
                    id_,
                    places[0].get(id_, depth),
                    places[1].get(id_, depth),
                    known.get(id_, -1),
                )
                for id_ in dict.fromkeys((*places[0], *places[1]))
            ]
        self.depth = depth
        self.query = np.array([r[0] for r in rows], np.int64)
        self.products = tuple(r[1] for r in rows)
        self.places = np.array([r[2:4] for r in rows], np.int64).reshape(-1, 2)
        self.relevance = np.array([r[4] for r in rows], np.int64)
        discount = np.append(1 / np.log2(2 + np.arange(depth)), 0.0)
        self._best = self.places.min(1) if rows else np.empty(0, np.int64)
        self._lever = discount[self.places[:, 1]] - discount[self.places[:, 0]]
        self._discount = discount[:-1]

    def _beliefs(self) -> tuple[Values, Values]:
        """(pairs,) expected gain and its variance; none where a verdict is known."""
        counts = np.tile(_PRIOR, (self.depth, 1))
        judged = self.relevance >= 0
        np.add.at(counts, (self._best[judged], self.relevance[judged]), 1.0)
        # Neighbouring places lend each other half their verdicts: ten places, few verdicts.
        smooth = counts.copy()
        smooth[1:] += counts[:-1] / 2
        smooth[:-1] += counts[1:] / 2
        chance = smooth / smooth.sum(1, keepdims=True)
        mean = chance @ _GAINS
        variance = chance @ _GAINS**2 - mean**2
        gain = np.where(judged, _GAINS[np.maximum(self.relevance, 0)], mean[self._best])
        return gain, np.where(judged, 0.0, variance[self._best])

    def _levers(self, gain: Values) -> Values:
        """(pairs,) how much a unit of gain moves the mean difference of nDCG."""
        order = np.lexsort((-gain, self.query))
        starts = np.flatnonzero(np.r_[True, np.diff(self.query[order]) != 0])
        rank = np.arange(order.size) - np.repeat(starts, np.diff(np.r_[starts, order.size]))
        within = rank < self.depth
        ideal = np.bincount(
            self.query[order][within],
            gain[order][within] * self._discount[rank[within]],
            len(self.queries),
        )
        return np.asarray(self._lever / np.maximum(ideal, 0.1)[self.query] / len(self.queries))

    def standing(self) -> Standing:
        gain, variance = self._beliefs()
        lever = self._levers(gain)
        mean, deviation = float(lever @ gain), sqrt(float(lever**2 @ variance))
        z = abs(mean) / deviation if deviation > 0 else (np.inf if mean else 0.0)
        judged = int((self.relevance >= 0).sum())
        return Standing(mean, deviation, 0.5 * (1 + erf(z / sqrt(2))), judged, self.relevance.size)

    def worth(self) -> Values:
        """(pairs,) expected change of the difference by a verdict; 0 where there is one."""
        gain, variance = self._beliefs()
        return np.asarray(np.abs(self._levers(gain)) * np.sqrt(variance))

    def next(
        self, size: int, *, random_every: int = RANDOM_EVERY, seed: int = 7, skip: int = 0
    ) -> list[int]:
        """Positions of the next pairs: by worth, and every `random_every`-th by lot (0: none).

        skip: how many were handed out before, so that the lot falls where it would have."""
        rng = np.random.default_rng(seed)
        open_ = np.flatnonzero(self.relevance < 0)
        worth = self.worth()[open_]
        by_worth = open_[np.argsort(-worth, kind="stable")].tolist()
        by_lot = rng.permutation(open_).tolist()
        taken: dict[int, None] = {}
        turn = skip
        while len(taken) < min(size, open_.size):
            turn += 1
            source = by_lot if random_every and turn % random_every == 0 else by_worth
            while source and source[0] in taken:
                source.pop(0)
            if source:
                taken[source.pop(0)] = None
        return list(taken)

    def judge(self, position: int, relevance: int) -> None:
        self.relevance[position] = relevance


def judging_queue(
    first: Run,
    second: Run,
    judgments: JudgmentList,
    size: int = 20,
    *,
    depth: int = DEPTH,
    seed: int = 7,
) -> tuple[tuple[ToJudge, ...], Standing]:
    """The next pairs to judge, and what the verdicts so far say of the two rankers."""
    pool = Pool(first, second, judgments, depth=depth)
    standing = pool.standing()
    worth = pool.worth()
    pairs = []
    for turn, at in enumerate(pool.next(size, seed=seed, skip=standing.judged), 1):
        places = {
            name: None if place >= depth else int(place) + 1
            for name, place in zip(pool.names, pool.places[at].tolist(), strict=True)
        }
        by_lot = (standing.judged + turn) % RANDOM_EVERY == 0
        pairs.append(
            ToJudge(
                pool.queries[pool.query[at]],
                pool.products[at],
                "random" if by_lot else "disagreement",
                float(worth[at]),
                places,
            )
        )
    return tuple(pairs), standing


@dataclass(frozen=True, slots=True)
class Needed:
    """How many judgments it took until two rankers were told apart, and whether rightly. None:
    they were not, with the whole pool judged."""

    order: str
    judgments: int | None
    right: bool


def judgments_needed(
    first: Run,
    second: Run,
    truth: JudgmentList,
    *,
    order: Literal["queue", "random"],
    seed: int = 7,
    batch: int = 5,
    depth: int = DEPTH,
) -> Needed:
    """Hand out pairs in batches, look verdicts up in `truth` (unjudged: irrelevant), and stop when
    the confidence is reached twice running, so that no single verdict ends it."""
    pool = Pool(first, second, JudgmentList(), depth=depth)
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(pool.relevance.size).tolist()
    sure = 0
    done = 0
    right = _true_difference(pool, truth) > 0
    while done < pool.relevance.size:
        positions = (
            shuffled[done : done + batch]
            if order == "random"
            else pool.next(batch, seed=seed + done, skip=done)
        )
        for at in positions:
            query = pool.queries[pool.query[at]]
            pool.judge(at, truth.by_query.get(query, {}).get(pool.products[at], 0))
        done += len(positions)
        standing = pool.standing()
        sure = sure + 1 if standing.told_apart else 0
        if sure == 2:
            return Needed(order, done, (standing.difference > 0) == right)
    return Needed(order, None, False)


def _true_difference(pool: Pool, truth: JudgmentList) -> float:
    whole = np.array(
        [
            truth.by_query.get(pool.queries[q], {}).get(p, 0)
            for q, p in zip(pool.query.tolist(), pool.products, strict=True)
        ],
        np.int64,
    )
    before, pool.relevance = pool.relevance, whole
    try:
        return pool.standing().difference
    finally:
        pool.relevance = before


def needed(
    first: Run, second: Run, truth: JudgmentList, seeds: Sequence[int], depth: int = DEPTH
) -> dict[str, list[Needed]]:
    """Both orders over several seeds."""
    return {
        order: [
            judgments_needed(first, second, truth, order=order, seed=s, depth=depth) for s in seeds
        ]
        for order in ("queue", "random")
    }
