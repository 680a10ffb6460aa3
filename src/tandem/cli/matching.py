"""`tandem match`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer
from rich.markup import escape
from rich.table import Table

from tandem.cli.console import (
    DEFAULT_WORKSPACE,
    JsonOption,
    WorkspaceOption,
    out,
    print_json,
    progress_bars,
)
from tandem.contracts.errors import InvalidInput
from tandem.contracts.matching import Estimate, Expectation

if TYPE_CHECKING:
    from tandem.matching.allocation.plan import Plan

SHOWN = 20  # changes of a plan that are printed

match_app = typer.Typer(no_args_is_help=True, help="Match creators, products and brands.")


@match_app.callback()
def match() -> None:
    """Match creators, products and brands."""


@match_app.command("creators")
def creators_command(
    product: Annotated[str | None, typer.Option(help="Id of a product.")] = None,
    merchant: Annotated[str | None, typer.Option(help="Instead: all products of one.")] = None,
    k: Annotated[int, typer.Option(min=1, max=100, help="How many.")] = 10,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """Print the creators who suit a product or a brand, with what to expect and why.

    Examples: `tandem match creators --product SP-1 -w shop` ·
    `tandem match creators --merchant Acme -w shop`
    """
    from tandem.contracts.matching import CreatorMatches
    from tandem.flows.matching import find_matches
    from tandem.storage.layout import Layout

    found = find_matches(
        Layout.open(workspace), product=product, merchant=merchant, creator=None, k=k
    )
    assert isinstance(found, CreatorMatches)
    if json_:
        print_json(found.model_dump(mode="json"))
        return
    _labelled(found.simulated)
    table = Table("creator", "product", "clicks", "orders", "GMV", "because", box=None)
    for match in found.matches:
        table.add_row(
            escape(match.creator.handle),
            escape(match.product_id),
            *_cells(match.one_piece),
            escape(". ".join(match.reasons)),
        )
    out.print(table)


@match_app.command("products")
def products_command(
    creator: Annotated[str, typer.Option(help="Id of a creator.")],
    k: Annotated[int, typer.Option(min=1, max=100, help="How many.")] = 10,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """Print the products that suit a creator, with expected earnings and why.

    Example: `tandem match products --creator mia -w shop`
    """
    from tandem.contracts.matching import ProductMatches
    from tandem.flows.matching import find_matches
    from tandem.storage.layout import Layout

    found = find_matches(Layout.open(workspace), product=None, merchant=None, creator=creator, k=k)
    assert isinstance(found, ProductMatches)
    if json_:
        print_json(found.model_dump(mode="json"))
        return
    _labelled(found.simulated)
    table = Table("product", "merchant", "clicks", "orders", "GMV", "because", box=None)
    for match in found.matches:
        table.add_row(
            escape(f"{match.product_id} {match.title[:40]}"),
            escape(match.merchant or ""),
            *_cells(match.one_piece),
            escape(". ".join(match.reasons)),
        )
    out.print(table)


def _labelled(simulated: bool) -> None:
    if simulated:
        out.print("[black on yellow] SIMULATED [/] These creators and videos are not real.")


def _cells(one: Expectation) -> tuple[str, str, str]:
    def cell(e: Estimate | None, digits: int) -> str:
        if e is None:
            return "no price"
        return f"{e.expected:,.{digits}f} [dim]{e.low:,.0f}–{e.high:,.0f}[/]"

    return cell(one.clicks, 0), cell(one.orders, 1), cell(one.gmv, 0)


@match_app.command("evaluate")
def evaluate_command(
    test: Annotated[
        Path | None,
        typer.Option(help="CSV with brand, creator, label: collaborations of unseen brands."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of the known collaborations and profiles; default: found."),
    ] = None,
    cross_validate: Annotated[
        bool, typer.Option("--cross-validate", help="Hold out known brands, part by part, instead.")
    ] = False,
    folds: Annotated[int, typer.Option(min=2, max=10, help="Parts of --cross-validate.")] = 4,
    systems: Annotated[
        str | None, typer.Option(help="Systems to compare, by comma; default: all.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Same data, same seed: same figures.")] = 7,
    json_: JsonOption = False,
) -> None:
    """Compare matching systems on brands that they have never seen, with intervals.

    Examples: `tandem match evaluate --test test.csv --json` ·
    `tandem match evaluate --cross-validate --systems cosine_topics,ltr`
    """
    from tandem.flows.match import MEASURES, evaluate_file
    from tandem.flows.match import cross_validate as validate
    from tandem.matching.systems import SYSTEMS

    if (test is None) is not cross_validate:
        raise InvalidInput(
            "give either a test file or --cross-validate",
            field="test",
            remedy="tandem match evaluate --test FILE.csv, or --cross-validate",
        )
    named = tuple(dict.fromkeys(s.strip() for s in (systems or "").split(",") if s.strip()))
    chosen = named or SYSTEMS
    with progress_bars(quiet=json_) as bars:
        if test is not None:
            result = evaluate_file(test, data, chosen, seed=seed, progress=bars)
        else:
            result = validate(data, chosen, folds=folds, seed=seed, progress=bars)
    if json_:
        print_json(result.to_json())
        return
    table = Table(box=None)
    table.add_column("system", no_wrap=True)
    for name in MEASURES:
        table.add_column(name, justify="right")
    for system, measures in result.systems.items():
        digits = {name: 1 if name == "MedR" else 3 for name in MEASURES}
        cells = [
            f"{i.mean:.{digits[m]}f} [dim]{i.low:.{digits[m]}f}–{i.high:.{digits[m]}f}[/]"
            for m, i in measures.items()
        ]
        table.add_row(system, *cells)
    out.print(table)
    out.print(
        f"[dim]{result.brands} unseen brands, {result.candidates:,.0f} candidates each; "
        f"{result.protocol}. 95% intervals over brands; MedR: less is better.[/]"
    )


@match_app.command("allocate")
def allocate_command(
    folder: Annotated[
        Path | None,
        typer.Argument(help="Folder with pairs.csv, creators.csv, products.csv, merchants.csv."),
    ] = None,
    simulated: Annotated[
        int | None,
        typer.Option(min=10, help="Instead: this many simulated creators and products."),
    ] = None,
    plan_file: Annotated[
        Path | None, typer.Option("--plan", help="Write the chosen pairs here, as CSV.")
    ] = None,
    previous: Annotated[
        Path | None, typer.Option(help="The plan before, as --plan wrote it: stay near it.")
    ] = None,
    switching_cost: Annotated[
        float, typer.Option(min=0, help="Value that exchanging a pair of --previous has to win.")
    ] = 0.0,
    results: Annotated[
        Path | None,
        typer.Option(help="What pieces brought so far (creator, product, value): learn from it."),
    ] = None,
    outcome_noise: Annotated[
        float,
        typer.Option(min=0.01, help="Of --results: spread of what a piece brings, in values."),
    ] = 0.5,
    explore: Annotated[
        float,
        typer.Option(min=0, max=1, help="Share of every budget that tries what is uncertain."),
    ] = 0.0,
    creator_floor: Annotated[
        int, typer.Option(min=0, help="Collaborations for small creators at least.")
    ] = 0,
    merchant_floor: Annotated[
        int, typer.Option(min=0, help="Collaborations for small merchants at least.")
    ] = 0,
    risk_share: Annotated[
        float, typer.Option(min=0, max=1, help="Share of a budget for risky pairs at most.")
    ] = 1.0,
    shortfall_price: Annotated[
        float | None,
        typer.Option(min=0, help="Value of a collaboration that a floor lacks; default: median."),
    ] = None,
    solver: Annotated[
        str | None, typer.Option(help="pdlp (OR-Tools) or highs (SciPy); default: by size.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=1, help="Limit of the solver pdlp.")] = 600.0,
    seed: Annotated[int, typer.Option(help="Of --simulated and --explore.")] = 7,
    json_: JsonOption = False,
) -> None:
    """Plan collaborations: the best pairs under budgets, slots, floors and exclusivity.

    Prints the plan's certificate: that every limit holds, and how far it is from the best one.
    With --results values are first brought up to date, with --explore a share of every budget
    tries what is uncertain; both need the column `spread` in pairs.csv.
    Examples: `tandem match allocate market --plan plan.csv` ·
    `tandem match allocate market --results results.csv --previous plan.csv --explore 0.1` ·
    `tandem match allocate --simulated 1000`
    """
    from tandem.flows import allocate as flow

    if (folder is None) is (simulated is None):
        raise InvalidInput(
            "give either a folder or --simulated",
            field="folder",
            remedy="tandem match allocate FOLDER, or --simulated 1000",
        )
    known_solver = _solver(solver)
    if folder is None:
        assert simulated is not None
        for name, given in {"results": results, "previous": previous, "explore": explore}.items():
            if given:
                raise InvalidInput(
                    "is for files",
                    field=name,
                    remedy="`tandem match rounds` learns and explores in a simulated market",
                )
        plan, compared = flow.compare_on_simulated_truth(
            simulated, simulated, seed=seed, solver=known_solver, seconds=seconds
        )
        extra = {"compared": {name: asdict(c) for name, c in compared.items()}, "changed": []}
        if json_:
            print_json({**plan.to_json(), "simulated": True, **extra})
            return
        out.print("[bold yellow]SIMULATED[/] market with known truth")
        _print_plan(plan)
        for name, r in compared.items():
            out.print(
                f"{name}: {r.pairs:,} pairs, truly worth {r.true:,.0f}, gap {r.gap:.1%}, small "
                f"creators {r.small_creators:.0%}, small merchants {r.small_merchants:.0%}, "
                f"{r.missing} missing"
            )
        return

    market = flow.read_market(
        folder,
        risk_share=risk_share,
        creator_floor=creator_floor,
        merchant_floor=merchant_floor,
        shortfall_price=shortfall_price,
    )
    told: dict[str, Any] = {"simulated": False, "compared": {}, "changed": []}
    if results is not None:
        found = flow.read_results(market, results)
        market = flow.learned(market, found, noise=outcome_noise)
        told["results"] = {"learned_from": len(found.pair), "elsewhere": found.elsewhere}
    before = flow.read_plan(market, previous) if previous is not None else None
    explored = None
    if explore:
        tried = flow.explore_market(
            market,
            explore,
            previous=before,
            switching_cost=switching_cost,
            seed=seed,
            solver=known_solver,
            seconds=seconds,
        )
        plan, explored = tried.plan, tried.explored
        told["exploration"] = {"pairs": int(explored.sum()), "price": tried.price}
    else:
        plan = flow.allocate_market(
            market,
            previous=before,
            switching_cost=switching_cost,
            solver=known_solver,
            seconds=seconds,
        )
    if plan_file is not None:
        flow.write_plan(market, plan, plan_file, explored)
    changed = []
    if previous is not None and before is not None:
        changed = flow.changed(market, before, plan, flow.gone_from(market, previous))
    unmet, sides = flow.unmet(market, plan), flow.fairness(market, plan)
    if json_:
        told["changed"] = [asdict(c) for c in changed]
        told["missing"] = [asdict(m) for m in unmet]
        told["fairness"] = {name: asdict(side) for name, side in sides.items()}
        print_json({**plan.to_json(), **told})
        return
    if "results" in told:
        out.print(f"learned from {told['results']['learned_from']:,} results", end="")
        left = told["results"]["elsewhere"]
        out.print(f"; {left:,} are of pairs that are not in pairs.csv" if left else "")
    _print_plan(plan)
    for m in unmet[:SHOWN]:
        of = m.constraint if m.merchant is None else f"target of {m.merchant}"
        out.print(f"{of}: {m.got} of {m.asked}. {m.reason}", markup=False, soft_wrap=True)
    for name, side in sides.items():
        out.print(
            f"{name}: {side.without:.0%} of those with candidates get none; small ones "
            f"({side.small:,}) have {side.candidates:.0%} of the candidates, {side.chosen:.0%} of "
            f"the collaborations and {side.value:.0%} of the value."
        )
    if "exploration" in told:
        out.print(
            f"{told['exploration']['pairs']:,} pairs try what is uncertain; that is expected to "
            f"cost {told['exploration']['price']:,.0f} now."
        )
    for c in changed[:SHOWN]:
        sign = "+" if c.came_in else "-"
        out.print(f"{sign} {c.creator} {c.product}: {c.reason}", markup=False, soft_wrap=True)
    if len(changed) > SHOWN:
        out.print(f"and {len(changed) - SHOWN:,} more changes; --json lists all")


@match_app.command("rounds")
def rounds_command(
    size: Annotated[int, typer.Argument(min=10, help="Simulated creators and products.")] = 300,
    periods: Annotated[int, typer.Option(min=2, help="Periods, with the same budgets.")] = 6,
    explore: Annotated[
        float, typer.Option(min=0, max=1, help="Share of every budget that explores.")
    ] = 0.1,
    solver: Annotated[
        str | None, typer.Option(help="pdlp (OR-Tools) or highs (SciPy); default: by size.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=1, help="Limit of the solver pdlp.")] = 600.0,
    seed: Annotated[int, typer.Option()] = 7,
    json_: JsonOption = False,
) -> None:
    """Simulated: what planning again as results arrive brings, without and with exploration.

    Example: `tandem match rounds 300 --periods 6 --explore 0.1`
    """
    from tandem.flows.allocate import compare_over_rounds

    with progress_bars(json_) as progress:
        seasons = compare_over_rounds(
            size,
            size,
            rounds=periods,
            share=explore,
            seed=seed,
            solver=_solver(solver),
            seconds=seconds,
            progress=progress,
        )
    if json_:
        print_json({"simulated": True, "ways": {name: asdict(s) for name, s in seasons.items()}})
        return
    out.print("[bold yellow]SIMULATED[/] market: true worth of the pairs planned, by period")
    table = Table(box=None)
    table.add_column("planned")
    for period in range(periods):
        table.add_column(str(period + 1), justify="right")
    for column in ("sum", "pairs tried"):
        table.add_column(column, justify="right")
    for name, season in seasons.items():
        values = [*season.true, sum(season.true)]
        table.add_row(name, *(f"{v:,.0f}" for v in values), f"{season.tried:,}")
    out.print(table)


def _solver(name: str | None) -> Literal["pdlp", "highs"] | None:
    if name not in (None, "pdlp", "highs"):
        raise InvalidInput(f"no solver '{name}'", field="solver", remedy="use pdlp or highs")
    return cast(Literal["pdlp", "highs"] | None, name)


def _print_plan(plan: Plan) -> None:
    """The certificate: every kind of limit, and the gap to the bound."""
    from tandem.matching.allocation.problem import COVERING

    table = Table(box=None)
    for column in ("constraint", "rows", "broken", "with nothing left", "collaborations short"):
        table.add_column(column, justify="left" if column == "constraint" else "right")
    for check in plan.checks:
        broken = "" if check.constraint in COVERING else str(check.broken)
        table.add_row(
            check.constraint,
            f"{check.rows:,}",
            broken,
            f"{check.binding:,}",
            f"{check.shortfall:,}",
        )
    out.print(table)
    out.print(
        f"{int(plan.chosen.sum()):,} pairs worth {plan.value:,.0f}; at most {plan.gap:.2%} of the "
        f"bound {plan.bound:,.0f} is missing. Every limit {'holds' if plan.holds else 'BROKEN'}."
    )
