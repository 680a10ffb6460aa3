"""How one list is made of several rankings, and who gets the credit.

A ranking is a sequence of distinct product ids, best first. Every method is given its own random
numbers, so that a logged seed reproduces a list.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from tandem.contracts.errors import InvalidInput

Ranking = Sequence[str]


@dataclass(frozen=True)
class Interleaved:
    """shown: the list. credit: (rankers, places), what a click at a place is worth to a ranker."""

    shown: tuple[str, ...]
    credit: NDArray[np.float64]

    def score(self, used: Sequence[str], amounts: Sequence[float] | None = None) -> list[float]:
        """Credit of each ranker for the products clicked or bought; `amounts`: 1 each, or money.

        Raises InvalidInput for a product that was not shown.
        """
        at = {p: i for i, p in enumerate(self.shown)}
        total = np.zeros(self.credit.shape[0])
        for product, amount in zip(used, amounts or [1.0] * len(used), strict=True):
            if product not in at:
                raise InvalidInput(
                    f"'{product}' was not in the list", field="used", remedy="match by query_id"
                )
            total += amount * self.credit[:, at[product]]
        return [float(t) for t in total]


def team_draft(rankings: Sequence[Ranking], length: int, rng: Generator) -> Interleaved:
    """Rankers take turns, in an order drawn anew each round, and add their best product left.

    Radlinski, Kurup & Joachims, CIKM 2008; with more than two rankers team-draft multileaving
    (Schuth et al., CIKM 2014). A click is its team's.
    """
    _check(rankings, length)
    shown: list[str] = []
    team: list[int] = []
    seen: set[str] = set()
    nexts = [iter(r) for r in rankings]
    active = list(range(len(rankings)))
    while len(shown) < length and active:
        for ranker in rng.permutation(active):
            product = next((p for p in nexts[ranker] if p not in seen), None)
            if product is None:
                active.remove(int(ranker))
            elif len(shown) < length:
                shown.append(product)
                seen.add(product)
                team.append(int(ranker))
    credit = np.zeros((len(rankings), len(shown)))
    credit[team, np.arange(len(shown))] = 1.0
    return Interleaved(tuple(shown), credit)


def balanced(a: Ranking, b: Ranking, length: int, rng: Generator) -> Interleaved:
    """The first of both is drawn by coin; then the ranker that is behind adds its next product.

    Joachims, KDD 2002. Credit: 1 to every ranker among whose first k the product is, k being the
    depth to which either was read to fill the list.
    """
    _check((a, b), length)
    first = int(rng.integers(2))
    rankings = (a, b)
    depth = [0, 0]
    shown: list[str] = []
    while len(shown) < length:
        turn = first if depth[0] == depth[1] else int(depth[1] < depth[0])
        if depth[turn] >= len(rankings[turn]):
            turn = 1 - turn
            if depth[turn] >= len(rankings[turn]):
                break
        product = rankings[turn][depth[turn]]
        depth[turn] += 1
        if product not in shown:
            shown.append(product)
    k = min(max(depth), max(len(a), len(b)))
    credit = np.array([[float(p in r[:k]) for p in shown] for r in rankings])
    return Interleaved(tuple(shown), credit)


@dataclass(frozen=True)
class Optimised:
    """All lists that two rankings allow, and the chances with which they are to be shown."""

    lists: tuple[Interleaved, ...]
    chances: NDArray[np.float64]

    def draw(self, rng: Generator) -> Interleaved:
        return self.lists[int(rng.choice(len(self.lists), p=self.chances))]


def optimised(a: Ranking, b: Ranking, length: int) -> Optimised:
    """The most sensitive unbiased chances over all lists (Radlinski & Craswell, WSDM 2013).

    Every list takes at each place the best product left of either ranking. Credit is by inverse
    rank in each ranking. Unbiased: a shopper who clicks k places at random prefers neither, for
    each k. Sensitive: of two lists that are equally unbiased, the one in which either ranker can
    win. Solved as a linear program; at most 2^length lists, so keep `length` to 10 or less.
    Raises InvalidInput above that.
    """
    from scipy.optimize import linprog

    _check((a, b), length)
    if length > 10:
        raise InvalidInput(f"{length} places", field="length", remedy="give 10 or fewer")
    shown_lists: list[tuple[str, ...]] = [()]
    for _ in range(length):
        longer = {
            (*prefix, p)
            for prefix in shown_lists
            for r in (a, b)
            if (p := next((q for q in r if q not in prefix), None)) is not None
        }
        if not longer:
            break
        shown_lists = sorted(longer)
    worth = [{p: 1 / (i + 1) for i, p in enumerate(r)} for r in (a, b)]
    lists = tuple(
        Interleaved(s, np.array([[w.get(p, 0.0) for p in s] for w in worth])) for s in shown_lists
    )
    lead = np.array([li.credit[0] - li.credit[1] for li in lists])
    places = lead.shape[1]
    # Sensitivity: how evenly a random click (weighted as clicks fall, by 1 / place) is contested.
    seen = 1 / np.arange(1, places + 1)
    contested = np.abs(lead) @ seen - np.abs(lead @ seen)
    # Lists that cannot be balanced exactly (rankings of one product) get slack at a high price.
    constraints = np.vstack([lead[:, : k + 1].sum(axis=1) for k in range(places)])
    slack = np.hstack([np.eye(places), -np.eye(places)])
    solved = linprog(
        np.concatenate([-contested, np.full(2 * places, 1e3)]),
        A_eq=np.vstack(
            [
                np.hstack([constraints, slack]),
                np.concatenate([np.ones(len(lists)), np.zeros(2 * places)]),
            ]
        ),
        b_eq=np.concatenate([np.zeros(places), [1.0]]),
        bounds=(0, None),
        method="highs",
    )
    chances = np.clip(solved.x[: len(lists)], 0, None)
    return Optimised(lists, chances / chances.sum())


def _check(rankings: Sequence[Ranking], length: int) -> None:
    if len(rankings) < 2:
        raise InvalidInput("needs two rankings", field="rankings", remedy="give two or more")
    if length < 1:
        raise InvalidInput(f"{length} places", field="length", remedy="give 1 or more")
    for r in rankings:
        if len(set(r)) != len(r):
            raise InvalidInput(
                "a ranking names a product twice", field="rankings", remedy="leave repeats out"
            )
