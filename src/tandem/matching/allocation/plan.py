"""Whole pairs from prices, and a certificate that the plan keeps its promises.

Pairs are taken in the order of the relaxation, as long as everything that they need is left
(price-guided rounding); swaps then use what is left over. The certificate is counted from the
problem, not from the solver's rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tandem.matching.allocation.draft import Draft
from tandem.matching.allocation.problem import COVERING, PACKING, Allocation, Bools, Floats, Ints
from tandem.matching.allocation.problem import rows as constraint_rows
from tandem.matching.allocation.relaxation import Prices, Solver, price

ROUNDS = 3
SMALL = 20_000  # pairs up to which HiGHS is as quick as the first-order solver


@dataclass(frozen=True, slots=True)
class Check:
    """One kind of constraint over all its rows. Amounts of budgets and risk are minor units.

    excess: most by which a row is broken (0: none is). binding: rows with nothing left.
    shortfall: collaborations missing for floors, summed.
    """

    constraint: str
    rows: int
    broken: int
    excess: int
    binding: int
    shortfall: int = 0

    @property
    def holds(self) -> bool:
        return self.broken == 0


@dataclass(frozen=True)
class Plan:
    """chosen: (E,). objective: value less shortfalls; bound: no plan has more.

    prices: (rows,) by constraint: what one more unit of a limit would be worth; for `budgets` and
    `risk` the whole budget is the unit. gain: (E,) value of a pair after prices.
    """

    chosen: Bools
    objective: float
    value: float
    bound: float
    prices: dict[str, Floats]
    gain: Floats
    checks: tuple[Check, ...]

    @property
    def gap(self) -> float:
        """Share of the bound that may be missing; 0 is proof that the plan is best."""
        if self.bound == self.objective:
            return 0.0
        return (self.bound - self.objective) / max(abs(self.bound), 1e-12)

    @property
    def holds(self) -> bool:
        return all(check.holds for check in self.checks if check.constraint in PACKING)

    def to_json(self) -> dict[str, Any]:
        return {
            "pairs": int(self.chosen.sum()),
            "objective": self.objective,
            "value": self.value,
            "bound": self.bound,
            "gap": self.gap,
            "holds": self.holds,
            "checks": [
                {name: getattr(check, name) for name in Check.__slots__} for check in self.checks
            ],
        }


def allocate(
    a: Allocation,
    *,
    solver: Solver | None = None,
    seconds: float = 600.0,
    tolerance: float = 1e-4,
) -> Plan:
    """A plan, its bound and its certificate.

    solver: None takes "highs" up to 20,000 pairs and "pdlp" beyond. seconds, tolerance: as in
    `relaxation.price`.
    """
    r = constraint_rows(a)
    prices = price(
        a, r, solver or ("highs" if len(a.value) <= SMALL else "pdlp"), seconds, tolerance
    )
    by_block = {
        name: (prices.packing if name in PACKING else prices.covering)[at]
        for name, at in r.blocks.items()
    }
    chosen = rounded(a, prices)
    return Plan(
        chosen,
        a.objective(chosen),
        float(a.value[chosen].sum()),
        prices.bound,
        by_block,
        prices.gain,
        certificate(a, chosen),
    )


def rounded(a: Allocation, prices: Prices) -> Bools:
    """Whole pairs: filled in the order of the relaxation, then improved by swaps."""
    # What the relaxation takes wholly comes first; where it is torn, its shares and then gain.
    order = np.lexsort((-prices.gain, -np.round(prices.share, 2)))
    draft = Draft(a)
    draft.fill(order)
    # A pair far below its price is in no plan near the bound.
    near = order[(prices.gain > -0.5 * np.abs(a.value))[order]]
    for _ in range(ROUNDS):
        swapped = draft.swap(near)
        draft.fill(order)
        if not swapped:
            break
    return draft.chosen()


def certificate(a: Allocation, chosen: Bools) -> tuple[Check, ...]:
    """Every constraint, counted anew from the chosen pairs in whole numbers."""
    creator, product = a.creator[chosen], a.product[chosen]
    merchant, cost = a.pair_merchant[chosen], a.cost[chosen]
    group, risky = a.exclusive[chosen], a.risky[chosen]
    groups = int(a.exclusive.max(initial=-1)) + 1

    def spent(of: Ints, amounts: Ints) -> Ints:
        total = np.zeros(len(a.budgets), np.int64)
        np.add.at(total, of, amounts)
        return total

    used = {
        "slots": (np.bincount(creator, minlength=len(a.slots)), a.slots),
        "budgets": (spent(merchant, cost), a.budgets),
        "places": (np.bincount(product, minlength=len(a.places)), a.places),
        "exclusivity": (np.bincount(group[group >= 0], minlength=groups), np.ones(groups, int)),
        "risk": (spent(merchant[risky], cost[risky]), a.risk_budgets),
    }
    checks = []
    for name in PACKING:
        use, limit = used[name]
        over = use - limit
        checks.append(
            Check(
                name,
                len(limit),
                int((over > 0).sum()),
                int(max(over.max(initial=0), 0)),
                int((over == 0).sum()),
            )
        )
    for name, missing in zip(COVERING, a.shortfalls(chosen).values(), strict=True):
        short = int(missing.sum())
        checks.append(Check(name, len(missing), int((missing > 0).sum()), 0, 0, short))
    return tuple(checks)


def paid(a: Allocation, plan: Plan) -> dict[str, Floats]:
    """(E,) by constraint: what a pair pays for the rows that it uses; floors pay it, below zero.

    The sum over constraints is value less gain: why a pair is in the plan, or what it lost to.
    """
    merchant = a.pair_merchant
    p = plan.prices
    grouped = a.exclusive >= 0
    exclusivity = np.zeros(len(a.value))
    exclusivity[grouped] = p["exclusivity"][a.exclusive[grouped]]
    return {
        "slots": p["slots"][a.creator],
        "budgets": p["budgets"][merchant] * a.cost / np.maximum(a.budgets, 1)[merchant],
        "places": p["places"][a.product],
        "exclusivity": exclusivity,
        "risk": np.where(
            a.risky, p["risk"][merchant] * a.cost / np.maximum(a.risk_budgets, 1)[merchant], 0.0
        ),
        "targets": -p["targets"][merchant],
        "creator floor": -p["creator floor"][0] * a.small_creators[a.creator],
        "merchant floor": -p["merchant floor"][0] * a.small_merchants[merchant],
    }
