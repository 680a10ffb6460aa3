"""What a plan lacks of its targets and floors, and why: what each limit alone would let through."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tandem.matching.allocation.problem import Allocation, Bools, Ints

MOST = 100
"""Rows that are explained, those that lack most first."""
_ALONE = {
    "pairs": "there are no more candidate pairs",
    "slots": "its creators have no more slots",
    "places": "its products have no more places",
    "budgets": "the budget pays for no more, even of the cheapest",
    "risk": "no more may go into risky pairs",
    "exclusivity": "of each exclusive group only one may be chosen",
}


@dataclass(frozen=True, slots=True)
class Missing:
    """A target or floor that a plan does not reach. row: number of the merchant, for a target.

    possible: collaborations that no limit by itself rules out; fewer than asked for: no plan can
    reach it, and `reason` says which limit. Otherwise several limits together rule it out, or
    others bring more than it is worth.
    """

    constraint: str
    row: int
    asked: int
    got: int
    possible: int
    reason: str


def missing(a: Allocation, chosen: Bools) -> list[Missing]:
    """Every target and floor that is not reached, up to MOST, the ones that lack most first."""
    found: list[Missing] = []
    merchant = a.pair_merchant
    short = a.shortfalls(chosen)
    floors = {
        "creator floor": (a.small_creators[a.creator], a.creator_floor),
        "merchant floor": (a.small_merchants[merchant], a.merchant_floor),
    }
    for name, (counts, asked) in floors.items():
        if lacks := int(short[name][0]):
            found.append(_explained(a, name, 0, counts, asked, asked - lacks))
    lacking = np.flatnonzero(short["targets"])
    for m in lacking[np.argsort(-short["targets"][lacking], kind="stable")][:MOST].tolist():
        asked = int(a.targets[m])
        got = asked - int(short["targets"][m])
        found.append(_explained(a, "targets", m, merchant == m, asked, got))
    return found


def _explained(a: Allocation, name: str, row: int, counts: Bools, asked: int, got: int) -> Missing:
    alone = most_by_limit(a, np.flatnonzero(counts))
    tightest = min(alone, key=alone.__getitem__)
    possible = alone[tightest]
    reason = (
        f"at most {possible} of {asked} are possible: {_ALONE[tightest]}"
        if possible < asked
        else "no limit by itself rules it out: several together do, or other collaborations that "
        f"need the same bring more than {a.shortfall_price:,.2f} for each that is missing"
    )
    return Missing(name, row, asked, got, possible, reason)


def most_by_limit(a: Allocation, pairs: Ints) -> dict[str, int]:
    """How many of these pairs each limit would let through, were it the only one."""

    def capped(of: Ints, limit: Ints) -> int:
        used = np.bincount(of, minlength=len(limit))
        return int(np.minimum(used, limit).sum())

    def paid(some: Ints, limit: Ints) -> int:
        """The cheapest pairs of each merchant, as long as its limit pays for them."""
        merchant, cost = a.pair_merchant[some], a.cost[some]
        order = np.lexsort((cost, merchant))
        merchant, spent = merchant[order], np.cumsum(cost[order])
        first = np.r_[True, merchant[1:] != merchant[:-1]] if len(order) else np.zeros(0, bool)
        before = (spent - cost[order])[first]
        own = spent - np.repeat(before, np.diff(np.r_[np.flatnonzero(first), len(order)]))
        return int((own <= limit[merchant]).sum())

    risky = a.risky[pairs]
    group = a.exclusive[pairs]
    return {
        "pairs": len(pairs),
        "slots": capped(a.creator[pairs], a.slots),
        "places": capped(a.product[pairs], a.places),
        "budgets": paid(pairs, a.budgets),
        "risk": int((~risky).sum()) + paid(pairs[risky], a.risk_budgets),
        "exclusivity": int((group < 0).sum()) + len(np.unique(group[group >= 0])),
    }
