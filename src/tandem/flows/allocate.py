"""Plans of collaborations: from files, or in a simulated market whose truth is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tandem.contracts.errors import InvalidInput
from tandem.flows.collaborate import csv_rows
from tandem.matching.allocation.learning import OUTCOME_NOISE, SHARED, Belief, learn
from tandem.matching.allocation.missing import missing
from tandem.matching.allocation.plan import Plan, allocate
from tandem.matching.allocation.problem import Allocation, Bools, Floats, Ints
from tandem.matching.allocation.relaxation import Solver
from tandem.matching.allocation.replan import Exploration, changes, explore, replan
from tandem.matching.allocation.rivals import greedy, greedy_by_cost, independent
from tandem.simulate.alliance import SimulatedAlliance, simulate_alliance
from tandem.storage.atomic import write_atomic

# file → (columns that it needs, columns that it may have), with their Arrow types
FILES = {
    "pairs.csv": (
        {"creator": "string", "product": "string", "value": "double", "cost": "double"},
        {"exclusive": "string", "risky": "bool", "spread": "double"},
    ),
    "creators.csv": ({"creator": "string", "slots": "int64"}, {"small": "bool"}),
    "products.csv": ({"product": "string", "merchant": "string"}, {"places": "int64"}),
    "merchants.csv": (
        {"merchant": "string", "budget": "double"},
        {"target": "int64", "small": "bool"},
    ),
}


@dataclass(frozen=True)
class Market:
    """An allocation problem with the names behind its numbers.

    spread: (E,) standard deviation of each value, if the file says it.
    """

    problem: Allocation
    creators: list[str]
    products: list[str]
    merchants: list[str]
    spread: Floats | None = None

    def uncertain(self) -> Floats:
        """`spread`. Raises InvalidInput without it."""
        if self.spread is None:
            raise InvalidInput(
                "missing column",
                file="pairs.csv",
                field="spread",
                remedy="give each pair's value a standard deviation, the column `spread`",
            )
        return self.spread


def read_market(
    folder: Path,
    *,
    risk_share: float = 1.0,
    creator_floor: int = 0,
    merchant_floor: int = 0,
    shortfall_price: float | None = None,
) -> Market:
    """The problem in the four `FILES` of `folder`.

    Money is in major units and kept in hundredths, costs rounded up and budgets down.
    shortfall_price: None takes the median value. Raises InvalidInput with file, line and field.
    """
    tables = {name: _read(folder / name) for name in FILES}
    names = {
        kind: _names(folder / f"{kind}s.csv", tables[f"{kind}s.csv"][kind])
        for kind in ("creator", "product", "merchant")
    }
    pairs, products = tables["pairs.csv"], tables["products.csv"]
    merchants, creators = tables["merchants.csv"], tables["creators.csv"]
    value = np.asarray(pairs["value"], np.float64)
    creator = _numbers(folder / "pairs.csv", "creator", pairs, names)
    product = _numbers(folder / "pairs.csv", "product", pairs, names)
    doubled = np.setdiff1d(
        np.arange(len(value)),
        np.unique(creator * len(names["product"]) + product, return_index=True)[1],
    )
    if len(doubled):
        raise InvalidInput(
            "this pair is there twice",
            file=str(folder / "pairs.csv"),
            line=int(doubled[0]) + 2,
            remedy="keep one row for each pair of creator and product",
        )
    problem = Allocation(
        creator=creator,
        product=product,
        merchant=_numbers(folder / "products.csv", "merchant", products, names),
        value=value,
        cost=np.ceil(np.asarray(pairs["cost"]) * 100 - 1e-6).astype(np.int64),
        slots=np.asarray(creators["slots"], np.int64),
        budgets=np.floor(np.asarray(merchants["budget"]) * 100 + 1e-6).astype(np.int64),
        places=_given(products, "places", 1),
        exclusive=_groups(pairs["exclusive"]) if "exclusive" in pairs else np.full(len(value), -1),
        risky=_flags(pairs, "risky"),
        targets=_given(merchants, "target", 0),
        small_creators=_flags(creators, "small"),
        small_merchants=_flags(merchants, "small"),
        risk_share=risk_share,
        creator_floor=creator_floor,
        merchant_floor=merchant_floor,
        shortfall_price=_price(value) if shortfall_price is None else shortfall_price,
    )
    return Market(
        problem,
        list(names["creator"]),
        list(names["product"]),
        list(names["merchant"]),
        np.asarray(pairs["spread"], np.float64) if "spread" in pairs else None,
    )


@dataclass(frozen=True)
class Results:
    """What pieces of content brought: (R,) pair and value. elsewhere: rows about no candidate."""

    pair: Ints
    brought: Floats
    elsewhere: int


def read_results(market: Market, path: Path) -> Results:
    """`creator`, `product`, `value` of each piece of content, in the unit of pairs.csv's values.

    A pair may have several pieces. Raises InvalidInput with file, line and field.
    """
    places = _places(market)
    pair, brought, elsewhere = [], [], 0
    for line, row in csv_rows(path, ("creator", "product", "value")):
        try:
            value = float(row["value"])
        except ValueError:
            value = float("nan")
        if not np.isfinite(value):
            raise InvalidInput(
                f"'{row['value']}' is not a number",
                file=str(path),
                line=line,
                field="value",
                remedy="say what the piece brought, 0 if nothing; leave out what is not known yet",
            )
        e = places.get((row["creator"], row["product"]))
        if e is None:
            elsewhere += 1
        else:
            pair.append(e)
            brought.append(value)
    return Results(np.array(pair, np.int64), np.array(brought, np.float64), elsewhere)


def learned(
    market: Market, results: Results, *, shared: float = SHARED, noise: float = OUTCOME_NOISE
) -> Market:
    """The market with values and spreads as `results` leave them (`tandem.matching.allocation.
    learning`)."""
    belief = learn(
        market.problem,
        market.uncertain(),
        results.pair,
        results.brought,
        shared=shared,
        noise=noise,
    )
    return replace(
        market, problem=replace(market.problem, value=belief.value), spread=belief.spread
    )


def write_plan(market: Market, plan: Plan, path: Path, explored: Bools | None = None) -> None:
    """The plan as CSV: creator, product, merchant, value, cost, and `gain` after all prices; with
    exploration also which pairs are `explored`."""
    a = market.problem
    lines = ["creator,product,merchant,value,cost,gain" + ("" if explored is None else ",explored")]
    for e in np.flatnonzero(plan.chosen).tolist():
        names = (
            market.creators[a.creator[e]],
            market.products[a.product[e]],
            market.merchants[a.pair_merchant[e]],
        )
        quoted = ",".join('"' + n.replace('"', '""') + '"' for n in names)
        line = f"{quoted},{a.value[e]:.12g},{a.cost[e] / 100:.2f},{plan.gain[e]:.4g}"
        lines.append(line if explored is None else f"{line},{str(bool(explored[e])).lower()}")
    write_atomic(path, ("\n".join(lines) + "\n").encode())


def read_plan(market: Market, path: Path) -> Bools:
    """Which pairs of the market a written plan holds; pairs that are no candidates are left out."""
    places = _places(market)
    chosen = np.zeros(len(market.problem.value), np.bool_)
    for _, row in csv_rows(path, ("creator", "product")):
        e = places.get((row["creator"], row["product"]))
        if e is not None:
            chosen[e] = True
    return chosen


def gone_from(market: Market, path: Path) -> list[tuple[str, str]]:
    """Pairs of a written plan that are no candidates any more."""
    places = _places(market)
    rows = csv_rows(path, ("creator", "product"))
    pairs = [(row["creator"], row["product"]) for _, row in rows]
    return [pair for pair in pairs if pair not in places]


def _places(market: Market) -> dict[tuple[str, str], int]:
    """Numbers of pairs by the names of their creator and product."""
    a = market.problem
    return {
        (market.creators[c], market.products[p]): e
        for e, (c, p) in enumerate(zip(a.creator.tolist(), a.product.tolist(), strict=True))
    }


def allocate_market(
    market: Market,
    *,
    previous: Bools | None = None,
    switching_cost: float = 0.0,
    solver: Solver | None = None,
    seconds: float = 600.0,
) -> Plan:
    """A plan; with a `previous` one, near it, as `replan` says."""
    if previous is not None:
        return replan(market.problem, previous, switching_cost, solver=solver, seconds=seconds)
    return allocate(market.problem, solver=solver, seconds=seconds)


def explore_market(
    market: Market,
    share: float,
    *,
    previous: Bools | None = None,
    switching_cost: float = 0.0,
    seed: int = 7,
    solver: Solver | None = None,
    seconds: float = 600.0,
) -> Exploration:
    """A plan that spends up to `share` of every budget on what is uncertain, as `explore` says."""
    spread, problem = market.uncertain(), market.problem
    if previous is not None:
        problem = replace(problem, value=problem.value + switching_cost * previous)
    found = explore(problem, spread, share, seed=seed, solver=solver, seconds=seconds)
    # As in `replan`: what staying is worth is in the objective, and no part of the plan's value.
    value = float(market.problem.value[found.chosen].sum())
    return replace(found, plan=replace(found.plan, value=value))


@dataclass(frozen=True)
class Unmet:
    """A target or floor that the plan does not reach, as `Missing`. merchant: whose target."""

    constraint: str
    merchant: str | None
    asked: int
    got: int
    possible: int
    reason: str


def unmet(market: Market, plan: Plan) -> list[Unmet]:
    return [
        Unmet(
            m.constraint,
            market.merchants[m.row] if m.constraint == "targets" else None,
            m.asked,
            m.got,
            m.possible,
            m.reason,
        )
        for m in missing(market.problem, plan.chosen)
    ]


@dataclass(frozen=True)
class Side:
    """How a plan treats one side of the market. small: how many of it the floors are for;
    candidates, chosen, value: their share of candidate pairs, of collaborations and of the value.
    without: of all that have a candidate pair, the share who get no collaboration."""

    small: int
    candidates: float
    chosen: float
    value: float
    without: float


def fairness(market: Market, plan: Plan) -> dict[str, Side]:
    """Of creators and of merchants."""
    a = market.problem
    sides = {
        "creators": (a.creator, a.small_creators),
        "merchants": (a.pair_merchant, a.small_merchants),
    }
    return {name: _side(a, plan.chosen, of, small) for name, (of, small) in sides.items()}


def _side(a: Allocation, chosen: Bools, of: Ints, small: Bools) -> Side:
    here = small[of]
    whole = float(a.value[chosen].sum())
    possible, taken = np.unique(of), np.unique(of[chosen])
    return Side(
        int(small.sum()),
        float(here.mean()) if len(of) else 0.0,
        float(here[chosen].mean()) if chosen.any() else 0.0,
        float(a.value[chosen & here].sum()) / whole if whole else 0.0,
        1 - len(taken) / len(possible) if len(possible) else 0.0,
    )


@dataclass(frozen=True)
class Changed:
    """A pair by name that came in or went out, and why."""

    creator: str
    product: str
    came_in: bool
    reason: str


def changed(
    market: Market, previous: Bools, plan: Plan, gone: Sequence[tuple[str, str]] = ()
) -> list[Changed]:
    """gone: pairs of the plan before that are no candidates any more, as `gone_from` names them."""
    return [
        *(Changed(*pair, False, "it is no candidate any more") for pair in gone),
        *_changed(market, previous, plan),
    ]


def _changed(market: Market, previous: Bools, plan: Plan) -> list[Changed]:
    a = market.problem
    return [
        Changed(
            market.creators[a.creator[c.pair]],
            market.products[a.product[c.pair]],
            c.came_in,
            c.reason,
        )
        for c in changes(a, previous, plan)
    ]


@dataclass(frozen=True)
class Compared:
    """One way to choose pairs in a simulated market.

    expected, true: what the chosen pairs are expected to bring, and would bring. gap: share of
    the bound on the objective that is missing. small_creators, small_merchants: their share of
    collaborations. missing: collaborations that floors and targets lack.
    """

    pairs: int
    expected: float
    true: float
    gap: float
    small_creators: float
    small_merchants: float
    missing: int


def compare_on_simulated_truth(
    creators: int,
    products: int,
    *,
    candidates: int = 20,
    seed: int = 7,
    solver: Solver | None = None,
    seconds: float = 600.0,
) -> tuple[Plan, dict[str, Compared]]:
    """The plan beside its rivals, all choosing by the same scores under the same limits."""
    market = simulate_alliance(creators, products, candidates, seed)
    a = simulated_problem(market)
    plan = allocate(a, solver=solver, seconds=seconds)
    chosen = {
        "allocation": plan.chosen,
        "greedy": greedy(a),
        "greedy by cost": greedy_by_cost(a),
        "independent ranking": independent(a),
    }
    return plan, {name: _compared(a, market, plan.bound, pairs) for name, pairs in chosen.items()}


@dataclass(frozen=True)
class Season:
    """One way to plan several periods in a simulated market.

    true: by period, what the chosen pairs would bring on average. tried: different pairs chosen.
    """

    true: tuple[float, ...]
    tried: int


def compare_over_rounds(
    creators: int,
    products: int,
    *,
    rounds: int,
    share: float,
    candidates: int = 20,
    seed: int = 7,
    solver: Solver | None = None,
    seconds: float = 600.0,
    progress: Callable[[str, int, int | None], None] = lambda *_: None,
) -> dict[str, Season]:
    """Planning once, and planning again as results arrive, without and with exploration.

    Every period has the same budgets, slots and places again. A piece brings its pair's true worth
    times log-normal noise of mean 1 (standard deviation `OUTCOME_NOISE`); half of what is wrong
    with a score is common to all pairs of the creator. `truth` plans by what nobody knows.
    """
    market = simulate_alliance(creators, products, candidates, seed, shared_error=SHARED)
    a = simulated_problem(market)
    # As a model would say it: in shares of the score, for the truth is not known.
    spread = market.score * (market.spread / market.true_gmv)
    sigma = float(np.sqrt(np.log1p(OUTCOME_NOISE**2)))
    ways = ("once", "learning", "learning and exploring")
    seasons: dict[str, Season] = {}
    steps, done = len(ways) * rounds + 1, 0
    for way in ways:
        noise = np.random.default_rng([seed, 2])
        belief = Belief(a.value, spread)
        pairs: list[Ints] = []
        brought: list[Floats] = []
        true: list[float] = []
        chosen: Bools | None = None
        for period in range(rounds):
            now = replace(a, value=belief.value)
            if way == "learning and exploring" and period < rounds - 1:
                chosen = explore(
                    now, belief.spread, share, seed=seed + period, solver=solver, seconds=seconds
                ).chosen
            elif chosen is None or way != "once":
                chosen = allocate(now, solver=solver, seconds=seconds).chosen
            true.append(float(market.true_gmv[chosen].sum()))
            # The same pair has the same luck in a period, whichever way came to choose it.
            luck = np.exp(noise.normal(0, sigma, len(chosen)) - sigma**2 / 2)
            pairs.append(np.flatnonzero(chosen))
            brought.append((market.true_gmv * luck)[chosen])
            if way != "once":
                belief = learn(a, spread, np.concatenate(pairs), np.concatenate(brought))
            done += 1
            progress("periods", done, steps)
        seasons[way] = Season(tuple(true), len(np.unique(np.concatenate(pairs))))
    best = allocate(replace(a, value=market.true_gmv), solver=solver, seconds=seconds).chosen
    progress("periods", steps, steps)
    seasons["truth"] = Season((float(market.true_gmv[best].sum()),) * rounds, int(best.sum()))
    return seasons


def simulated_problem(m: SimulatedAlliance) -> Allocation:
    """The allocation problem of a simulated market, by its scores.

    Every merchant with products should get a collaboration; a tenth of what is possible goes to
    creators with little history and a twentieth to small merchants at least; a quarter of a budget
    may go into creators with little history.
    """
    possible = int(min(m.slots.sum(), m.places.sum()))
    assortment = np.bincount(m.merchant, minlength=len(m.budgets))
    return Allocation(
        creator=m.creator,
        product=m.product,
        merchant=m.merchant,
        value=m.score,
        cost=m.cost,
        slots=m.slots,
        budgets=m.budgets,
        places=m.places,
        exclusive=m.exclusive,
        risky=m.new_creators[m.creator],
        targets=(assortment > 0).astype(np.int64),
        small_creators=m.new_creators,
        small_merchants=m.small_merchants,
        risk_share=0.25,
        creator_floor=possible // 10,
        merchant_floor=possible // 20,
        shortfall_price=_price(m.score),
    )


def _compared(a: Allocation, m: SimulatedAlliance, bound: float, chosen: Bools) -> Compared:
    count = max(int(chosen.sum()), 1)
    return Compared(
        int(chosen.sum()),
        float(a.value[chosen].sum()),
        float(m.true_gmv[chosen].sum()),
        (bound - a.objective(chosen)) / bound,
        float(a.small_creators[a.creator[chosen]].sum() / count),
        float(a.small_merchants[a.pair_merchant[chosen]].sum() / count),
        sum(int(rows.sum()) for rows in a.shortfalls(chosen).values()),
    )


def _price(value: Floats) -> float:
    return float(np.median(value)) if len(value) else 0.0


def _read(path: Path) -> dict[str, Any]:
    import pyarrow as pa
    from pyarrow import csv

    needed, allowed = FILES[path.name]
    types = {**needed, **allowed}
    try:
        table = csv.read_csv(
            path,
            convert_options=csv.ConvertOptions(
                column_types={name: pa.type_for_alias(kind) for name, kind in types.items()},
                null_values=[],
                strings_can_be_null=False,
            ),
        )
    except (OSError, pa.ArrowInvalid) as error:
        raise InvalidInput(
            f"cannot be read: {error}",
            file=str(path),
            remedy=f"give a CSV file with the columns {', '.join(needed)}",
        ) from None
    missing = [name for name in needed if name not in table.column_names]
    unknown = [name for name in table.column_names if name not in types]
    for names, message in ((missing, "missing column"), (unknown, "unknown column")):
        if names:
            raise InvalidInput(
                message,
                file=str(path),
                line=1,
                field=names[0],
                remedy=f"columns: {', '.join(needed)}; optional: {', '.join(allowed)}",
            )
    columns = {name: table[name].to_numpy() for name in table.column_names}
    for name, column in columns.items():
        if types[name] in ("double", "int64"):
            bad = np.flatnonzero(~(np.isfinite(column) & ((column >= 0) | (name == "value"))))
            if len(bad):
                raise InvalidInput(
                    f"{column[bad[0]]} is not a number of 0 or more",
                    file=str(path),
                    line=int(bad[0]) + 2,
                    field=name,
                    remedy="correct the row",
                )
    return columns


def _names(path: Path, column: Any) -> dict[str, int]:
    names = {str(name): number for number, name in enumerate(column)}
    if len(names) < len(column):
        seen: set[str] = set()
        for number, name in enumerate(column):
            if name in seen:
                raise InvalidInput(
                    f"'{name}' is there twice", file=str(path), line=number + 2, remedy="keep one"
                )
            seen.add(name)
    return names


def _numbers(
    path: Path, kind: str, table: dict[str, Any], names: dict[str, dict[str, int]]
) -> Ints:
    known = names[kind]
    numbers = np.array([known.get(name, -1) for name in table[kind]], np.int64)
    unknown = np.flatnonzero(numbers < 0)
    if len(unknown):
        raise InvalidInput(
            f"no {kind} '{table[kind][unknown[0]]}' in {kind}s.csv",
            file=str(path),
            line=int(unknown[0]) + 2,
            field=kind,
            remedy=f"add it to {kind}s.csv, or take the row out",
        )
    return numbers


def _groups(column: Any) -> Ints:
    """Numbers of exclusivity groups; an empty name is none."""
    known: dict[str, int] = {}
    return np.array(
        [known.setdefault(str(name), len(known)) if name else -1 for name in column], np.int64
    )


def _given(table: dict[str, Any], name: str, default: int) -> Ints:
    if name in table:
        return np.asarray(table[name], np.int64)
    return np.full(len(next(iter(table.values()))), default, np.int64)


def _flags(table: dict[str, Any], name: str) -> Bools:
    if name in table:
        return np.asarray(table[name], np.bool_)
    return np.zeros(len(next(iter(table.values()))), np.bool_)
