"""Plans that stay near the last one, say what changed, and try things at a stated price."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tandem.contracts.errors import InvalidInput
from tandem.flows.allocate import simulated_problem
from tandem.matching.allocation.plan import allocate, paid
from tandem.matching.allocation.replan import changes, explore, replan
from tandem.simulate.alliance import SimulatedAlliance, simulate_alliance


@pytest.fixture(scope="module")
def market() -> SimulatedAlliance:
    return simulate_alliance(120, 120, seed=3)


def test_what_a_pair_pays_is_its_value_less_its_gain(market):
    a = simulated_problem(market)
    plan = allocate(a, solver="highs")
    total = sum(paid(a, plan).values())
    assert total == pytest.approx(a.value - plan.gain, abs=1e-6)


def test_a_switching_cost_keeps_the_plan_where_little_moved(market):
    a = simulated_problem(market)
    before = allocate(a, solver="highs").chosen
    rng = np.random.default_rng(1)
    moved = replace(a, value=a.value * np.exp(rng.normal(0, 0.05, len(a.value))))
    free = allocate(moved, solver="highs")
    calm = replan(moved, before, float(np.median(a.value)) / 2, solver="highs")
    assert calm.holds
    assert (calm.chosen != before).sum() < 0.7 * (free.chosen != before).sum()
    assert moved.objective(calm.chosen) > 0.97 * moved.objective(free.chosen)
    # No cost is the plain plan.
    assert (replan(moved, before, 0.0, solver="highs").chosen == free.chosen).all()


def test_every_change_has_a_reason(market):
    a = simulated_problem(market)
    before = allocate(a, solver="highs").chosen
    gone = int(np.flatnonzero(before)[0])
    value = a.value.copy()
    value[gone] = -1e6  # now no plan wants it
    after = allocate(replace(a, value=value), solver="highs")
    told = changes(replace(a, value=value), before, after)
    assert {c.pair for c in told} == set(np.flatnonzero(before != after.chosen).tolist())
    reason = next(c for c in told if c.pair == gone)
    assert not reason.came_in
    assert "-1,000,000.00" in reason.reason or "left over" in reason.reason


@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
def test_exploration_keeps_every_limit_and_its_budget(market, share):
    a = simulated_problem(market)
    tried = explore(a, market.spread, share, solver="highs")
    assert tried.holds
    spent = np.bincount(
        a.pair_merchant[tried.explored],
        weights=a.cost[tried.explored],
        minlength=len(a.budgets),
    )
    assert (spent <= share * a.budgets).all()
    assert tried.explored.any() == (share > 0)
    plain = allocate(a, solver="highs").objective
    assert tried.price == pytest.approx(plain - a.objective(tried.chosen))
    if share == 0:
        assert tried.price == 0


def test_exploration_reaches_creators_without_history(market):
    a = replace(simulated_problem(market), risk_share=1.0, creator_floor=0)
    tried = explore(a, market.spread * 3, 0.5, solver="highs")
    new = market.new_creators[a.creator]
    assert new[tried.explored].mean() > new[tried.chosen & ~tried.explored].mean()


def test_arrays_that_do_not_fit_are_refused(market):
    a = simulated_problem(market)
    with pytest.raises(InvalidInput, match="previous"):
        replan(a, np.zeros(3, bool), 1.0)
    with pytest.raises(InvalidInput, match="spread"):
        explore(a, market.spread, 1.5)
