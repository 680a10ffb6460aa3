"""Plans hold every constraint, bounds hold for every plan, and small problems are solved to the
optimum that an exact solver finds."""

from __future__ import annotations

import itertools
from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from tandem.contracts.errors import InvalidInput
from tandem.flows.allocate import (
    allocate_market,
    changed,
    compare_on_simulated_truth,
    explore_market,
    gone_from,
    read_market,
    read_plan,
    simulated_problem,
    write_plan,
)
from tandem.matching.allocation.draft import Draft
from tandem.matching.allocation.missing import missing
from tandem.matching.allocation.plan import allocate, certificate
from tandem.matching.allocation.problem import PACKING, Allocation, rows
from tandem.matching.allocation.relaxation import bounded
from tandem.matching.allocation.rivals import greedy, greedy_by_cost, independent
from tandem.simulate.alliance import simulate_alliance


def problem(seed: int, pairs: int = 10, price: float = 3.0) -> Allocation:
    """A small problem in which every kind of constraint can bind."""
    rng = np.random.default_rng(seed)
    creators, products, merchants = 4, 4, 2
    both = rng.permutation(creators * products)[:pairs]
    return Allocation(
        creator=both // products,
        product=both % products,
        merchant=np.array([0, 0, 1, 1]),
        value=rng.uniform(1, 10, pairs).round(2),
        cost=rng.integers(1, 60, pairs),
        slots=rng.integers(1, 3, creators),
        budgets=rng.integers(30, 120, merchants),
        places=rng.integers(1, 3, products),
        exclusive=rng.integers(-1, 3, pairs),
        risky=rng.random(pairs) < 0.4,
        targets=rng.integers(0, 3, merchants),
        small_creators=np.array([True, False, False, True]),
        small_merchants=np.array([False, True]),
        risk_share=0.5,
        creator_floor=int(rng.integers(0, 3)),
        merchant_floor=int(rng.integers(0, 3)),
        shortfall_price=price,
    )


def holds(a: Allocation, chosen: np.ndarray) -> bool:
    """Every packing constraint by plain loops, apart from the code under test."""
    pairs = np.flatnonzero(chosen)
    merchant = [int(a.merchant[a.product[e]]) for e in pairs]
    for c in range(len(a.slots)):
        if sum(a.creator[e] == c for e in pairs) > a.slots[c]:
            return False
    for p in range(len(a.places)):
        if sum(a.product[e] == p for e in pairs) > a.places[p]:
            return False
    for m in range(len(a.budgets)):
        own = [e for e, of in zip(pairs, merchant, strict=True) if of == m]
        if sum(a.cost[e] for e in own) > a.budgets[m]:
            return False
        if sum(a.cost[e] for e in own if a.risky[e]) > a.risk_share * a.budgets[m]:
            return False
    groups = [a.exclusive[e] for e in pairs if a.exclusive[e] >= 0]
    return len(groups) == len(set(groups))


def optimum(a: Allocation) -> float:
    """By trying every plan."""
    best = -np.inf
    for bits in itertools.product([False, True], repeat=len(a.value)):
        chosen = np.array(bits)
        if holds(a, chosen):
            best = max(best, a.objective(chosen))
    return best


@pytest.mark.parametrize("solver", ["highs", "pdlp"])
@pytest.mark.parametrize("seed", range(4))
def test_small_problems_against_every_plan_there_is(seed, solver):
    if solver == "pdlp":
        pytest.importorskip("ortools")
    a = problem(seed)
    plan, best = allocate(a, solver=solver), optimum(a)
    assert plan.holds
    assert holds(a, plan.chosen)
    assert plan.objective <= best + 1e-9 <= plan.bound + 1e-6
    assert plan.objective >= 0.9 * best
    assert plan.objective == pytest.approx(a.objective(plan.chosen))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.floats(0, 20), st.data())
def test_any_prices_bound_every_plan(seed, scale, data):
    """Weak duality, whatever a solver says: the bound is never below a plan that holds."""
    a = problem(seed, 12)
    r = rows(a)
    rng = np.random.default_rng(data.draw(st.integers(0, 10_000)))
    prices = bounded(
        a,
        r,
        rng.normal(0, scale, len(r.limit)),
        rng.normal(0, scale, len(r.floor)),
        np.zeros(len(a.value)),
    )
    draft = Draft(a)
    draft.fill(rng.permutation(len(a.value)))
    draft.swap(rng.permutation(len(a.value)))
    chosen = draft.chosen()
    assert holds(a, chosen)
    assert a.objective(chosen) <= prices.bound + 1e-9


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_the_certificate_counts_right(seed):
    a = problem(seed, 12)
    chosen = np.random.default_rng(seed).random(len(a.value)) < 0.5
    checks = certificate(a, chosen)
    assert all(c.holds for c in checks if c.constraint in PACKING) == holds(a, chosen)
    merchant = a.merchant[a.product[chosen]]
    short = sum(max(int(t) - int((merchant == m).sum()), 0) for m, t in enumerate(a.targets))
    assert next(c.shortfall for c in checks if c.constraint == "targets") == short


def test_swaps_never_lose_and_never_break_anything():
    a = simulated_problem(simulate_alliance(60, 60, seed=3))
    rng = np.random.default_rng(1)
    draft = Draft(a)
    draft.fill(rng.permutation(len(a.value)))
    before = draft.chosen()
    swapped = draft.swap(np.argsort(-a.value))
    after = draft.chosen()
    assert swapped > 0
    assert a.objective(after) > a.objective(before)
    assert all(c.holds for c in certificate(a, after) if c.constraint in PACKING)


def test_on_simulated_truth_the_plan_beats_greedy_and_independent_ranking():
    market = simulate_alliance(300, 300, seed=11)
    a = simulated_problem(market)
    plan = allocate(a, solver="highs")
    assert plan.holds
    assert plan.gap < 0.05
    worth = {
        "plan": plan.chosen,
        "greedy": greedy(a),
        "by cost": greedy_by_cost(a),
        "independent": independent(a),
    }
    objective = {name: a.objective(chosen) for name, chosen in worth.items()}
    true = {name: market.true_gmv[chosen].sum() for name, chosen in worth.items()}
    for rival in ("greedy", "by cost", "independent"):
        assert objective["plan"] > objective[rival]
        assert true["plan"] > true[rival]
    assert sum(int(rows.sum()) for rows in a.shortfalls(plan.chosen).values()) == 0


def test_floors_are_kept_where_they_can_be_and_told_where_not():
    a = problem(5, 12)
    free = replace(a, targets=np.zeros(2, int), creator_floor=0, merchant_floor=0)
    impossible = replace(free, merchant_floor=100, shortfall_price=1.0)
    plan = allocate(impossible, solver="highs")
    floor = next(c for c in plan.checks if c.constraint == "merchant floor")
    assert plan.holds
    assert floor.shortfall >= 92
    assert plan.objective == pytest.approx(plan.value - floor.shortfall)
    wanting = allocate(replace(free, merchant_floor=2, shortfall_price=1e3), solver="highs")
    assert next(c for c in wanting.checks if c.constraint == "merchant floor").shortfall == 0


def test_limits_that_rule_a_target_out_together_are_not_called_a_matter_of_worth():
    """The budget pays for the first two pairs, which are of one creator; the slots are enough for
    one of them and the third, which costs too much."""
    a = Allocation(
        creator=np.array([0, 0, 1]),
        product=np.array([0, 1, 0]),
        merchant=np.zeros(2, int),
        value=np.full(3, 5.0),
        cost=np.array([1, 1, 100]),
        slots=np.array([1, 1]),
        budgets=np.array([10]),
        places=np.array([9, 9]),
        exclusive=np.full(3, -1),
        risky=np.zeros(3, bool),
        targets=np.array([2]),
        small_creators=np.zeros(2, bool),
        small_merchants=np.zeros(1, bool),
        shortfall_price=1000.0,
    )
    [found] = missing(a, allocate(a, solver="highs").chosen)
    assert (found.asked, found.got, found.possible) == (2, 1, 2)
    assert "several together" in found.reason


def test_nothing_to_choose_from_is_an_empty_plan():
    a = problem(1)
    none = np.zeros(0, int)
    empty = replace(
        a,
        creator=none,
        product=none,
        value=np.zeros(0),
        cost=none,
        exclusive=none,
        risky=np.zeros(0, bool),
        targets=np.zeros(2, int),
        creator_floor=0,
        merchant_floor=0,
    )
    plan = allocate(empty)
    assert (plan.objective, plan.bound, plan.gap) == (0, 0, 0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cost", np.full(10, -1)),
        ("product", np.full(10, 9)),
        ("value", np.full(10, np.nan)),
        ("slots", np.array([1, 2, 3, -1])),
        ("risk_share", 1.5),
    ],
)
def test_broken_problems_are_refused(field, value):
    with pytest.raises(InvalidInput, match=field):
        replace(problem(1), **{field: value})


FILES = {
    "pairs.csv": "creator,product,value,cost,exclusive,risky\n"
    "mia,p1,100,10.00,,false\nmia,p2,90,1.00,,false\neve,p1,80,1.00,x,true\neve,p2,10,1.00,x,true\n",
    "creators.csv": "creator,slots,small\nmia,1,false\neve,2,true\n",
    "products.csv": "product,merchant,places\np1,acme,1\np2,acme,1\n",
    "merchants.csv": "merchant,budget,target,small\nacme,5.00,1,true\n",
}


@pytest.fixture
def folder(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_market_from_files(folder):
    market = read_market(folder, creator_floor=1)
    plan = allocate_market(market)
    # mia cannot afford p1 within acme's budget: she takes p2 and eve p1.
    write_plan(market, plan, folder / "plan.csv")
    lines = (folder / "plan.csv").read_text().splitlines()
    assert sorted(line.rsplit(",", 1)[0] for line in lines[1:]) == [
        '"eve","p1","acme",80,1.00',
        '"mia","p2","acme",90,1.00',
    ]
    assert plan.gap == pytest.approx(0, abs=1e-9)

    before = read_plan(market, folder / "plan.csv")
    assert (before == plan.chosen).all()
    rows = FILES["pairs.csv"].replace("eve,p1,80", "eve,p1,1").replace("eve,p2,10", "eve,p2,95")
    (folder / "pairs.csv").write_text(rows)
    market = read_market(folder)
    moved = allocate_market(market)
    told = {(c.creator, c.product): c.came_in for c in changed(market, before, moved)}
    assert told == {("eve", "p1"): False, ("eve", "p2"): True, ("mia", "p2"): False}
    (folder / "plan.csv").write_text("creator,product\nzoe,p1\nmia,p2\n")
    gone = gone_from(market, folder / "plan.csv")
    assert gone == [("zoe", "p1")]
    assert changed(market, before, moved, gone)[0].reason == "it is no candidate any more"
    kept = allocate_market(market, previous=before, switching_cost=100)
    assert changed(market, before, kept) == []
    # What staying is worth is no part of the plan's value.
    market = replace(market, spread=np.zeros(4))
    tried = explore_market(market, 0.0, previous=before, switching_cost=100)
    assert tried.plan.value == kept.value == market.problem.value[kept.chosen].sum()


@pytest.mark.parametrize(
    ("file", "row", "says"),
    [
        ("pairs.csv", "noone,p1,1,1,,false\n", "noone"),
        ("pairs.csv", "mia,p1,1,1,,false\n", "twice"),
        ("pairs.csv", "mia,p3,x,1,,false\n", "pairs.csv"),
        ("pairs.csv", "eve,p2,1,-1,,false\n", "pairs.csv:6"),
        ("creators.csv", "mia,1,false\n", "creators.csv:4"),
        ("merchants.csv", "", "missing column"),
    ],
)
def test_broken_files_say_where(folder, file, row, says):
    path = folder / file
    path.write_text(path.read_text() + row if row else "merchant\n")
    with pytest.raises(InvalidInput, match=says):
        read_market(folder)


def test_in_a_simulated_market_all_ways_are_compared():
    plan, compared = compare_on_simulated_truth(100, 100, solver="highs")
    assert plan.holds
    assert set(compared) == {"allocation", "greedy", "greedy by cost", "independent ranking"}
    assert min(c.gap for c in compared.values()) == compared["allocation"].gap >= 0
