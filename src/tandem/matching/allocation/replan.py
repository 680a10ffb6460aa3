"""Planning again: staying near the last plan, and trying what is uncertain at a stated price."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tandem.contracts.errors import InvalidInput
from tandem.matching.allocation.draft import Draft
from tandem.matching.allocation.plan import Plan, allocate, certificate, paid
from tandem.matching.allocation.problem import Allocation, Bools, Floats
from tandem.matching.allocation.relaxation import Solver


@dataclass(frozen=True, slots=True)
class Change:
    """A pair that came in or went out, and the constraint whose price speaks most about it."""

    pair: int
    came_in: bool
    reason: str


def replan(
    a: Allocation,
    previous: Bools,
    switching_cost: float,
    *,
    solver: Solver | None = None,
    seconds: float = 600.0,
) -> Plan:
    """A plan in which a pair of the `previous` one is worth `switching_cost` more.

    A pair is exchanged only for what is better by more than that. Objective, bound and gap count
    the switching cost, the plan's value does not.
    """
    if previous.shape != a.value.shape or switching_cost < 0:
        raise InvalidInput(
            "does not fit the pairs, or the cost is negative",
            field="previous",
            remedy="give one flag for each pair, and a cost from 0",
        )
    kept = replace(a, value=a.value + switching_cost * previous)
    plan = allocate(kept, solver=solver, seconds=seconds)
    return replace(plan, value=float(a.value[plan.chosen].sum()))


def changes(a: Allocation, before: Bools, after: Plan) -> tuple[Change, ...]:
    """What differs from the plan before, each with its reason in words."""
    prices = paid(a, after)
    names = list(prices)
    table = np.array([prices[name] for name in names])
    found = []
    for e in np.flatnonzero(before != after.chosen).tolist():
        if after.chosen[e]:
            lowest = int(table[:, e].argmin())
            reason = (
                f"counts for the {names[lowest]}"
                if table[lowest, e] < 0
                else f"worth {after.gain[e]:,.2f} more than all that it uses"
            )
        else:
            dearest = int(table[:, e].argmax())
            reason = (
                f"its {names[dearest]} are worth {table[dearest, e]:,.2f} to others, and it "
                f"brings {a.value[e]:,.2f}"
                if table[dearest, e] > 0
                else "left over when whole pairs were put together"
            )
        found.append(Change(e, bool(after.chosen[e]), reason))
    return tuple(found)


@dataclass(frozen=True)
class Exploration:
    """A plan part of which tries what is uncertain.

    plan: the whole; its prices, bound and gap are those of planning by expected value. explored:
    (E,) pairs chosen for what could be learned from them. price: objective given up against the
    plan without exploration.
    """

    plan: Plan
    explored: Bools
    price: float

    @property
    def chosen(self) -> Bools:
        return self.plan.chosen

    @property
    def objective(self) -> float:
        return self.plan.objective

    @property
    def holds(self) -> bool:
        return self.plan.holds


def explore(
    a: Allocation,
    spread: Floats,
    share: float,
    *,
    seed: int = 7,
    solver: Solver | None = None,
    seconds: float = 600.0,
) -> Exploration:
    """Spend up to `share` of every budget on pairs drawn by Thompson sampling.

    spread: (E,) standard deviation of each value. The rest of the budgets is planned by expected
    value; what slots and places that leaves goes to pairs in the order of one draw from each
    value's normal distribution for its cost. Every limit is that of the whole plan.
    """
    if spread.shape != a.value.shape or (spread < 0).any() or not 0 <= share <= 1:
        raise InvalidInput(
            "does not fit the pairs, or is out of bounds",
            field="spread",
            remedy="give one spread from 0 for each pair, and a share from 0 to 1",
        )
    reserved = np.floor(a.budgets * share).astype(np.int64)
    alone = allocate(a, solver=solver, seconds=seconds)
    kept = replace(a, budgets=a.budgets - reserved)
    first = allocate(kept, solver=solver, seconds=seconds).chosen
    drawn = np.random.default_rng(seed).normal(a.value, spread)
    draft = Draft(a)
    draft.put(first)
    promising = np.flatnonzero(drawn > 0)
    order = promising[np.argsort(-(drawn / np.maximum(a.cost, 1))[promising], kind="stable")]
    explored = draft.spend(order, reserved)
    chosen = draft.chosen()
    plan = replace(
        alone,
        chosen=chosen,
        objective=a.objective(chosen),
        value=float(a.value[chosen].sum()),
        checks=certificate(a, chosen),
    )
    return Exploration(plan, explored, alone.objective - plan.objective)
