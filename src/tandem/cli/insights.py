"""`tandem insights …`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from tandem.cli.console import (
    DEFAULT_WORKSPACE,
    JsonOption,
    WorkspaceOption,
    err,
    out,
    print_json,
)

insights_app = typer.Typer(invoke_without_command=True)
EventsOption = Annotated[
    list[Path] | None,
    typer.Option("--events", help="Parquet files of stored events; default: the workspace's own."),
]
EngineOption = Annotated[
    str | None,
    typer.Option(
        "--engine", help="Where batch jobs run: duckdb or spark; default: as tandem.toml says."
    ),
]
_SIMULATED = "[black on yellow] SIMULATED [/] These shoppers and sales are not real."


@insights_app.callback(invoke_without_command=True)
def report(
    context: typer.Context,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    events: EventsOption = None,
    limit: Annotated[int, typer.Option(min=1, help="Findings to print.")] = 15,
    report_file: Annotated[
        Path | None, typer.Option("--out", help="Also write the report as Markdown, to this file.")
    ] = None,
    engine: EngineOption = None,
    json_: JsonOption = False,
) -> None:
    """Rank the failures of search by what they cost, from what shoppers did.

    Examples: `tandem insights -w shop` · `tandem insights -w shop --json` ·
    `tandem insights -w shop --out insights.md` · `tandem insights -w shop --engine spark`
    """
    if context.invoked_subcommand is not None:
        return
    from tandem.flows.insights import report_insights
    from tandem.storage.layout import Layout

    found = report_insights(Layout.open(workspace), events or (), engine=engine)
    document = found.to_json()
    if report_file is not None:
        from tandem.reports.insights import markdown_page
        from tandem.storage.atomic import write_atomic

        write_atomic(report_file, markdown_page(document).encode())
    if json_:
        document["findings"] = document["findings"][:limit]
        print_json(document)
        return
    _show(document, limit)


def _show(document: dict[str, Any], limit: int) -> None:
    if document["simulated"]:
        out.print(_SIMULATED)
    health = document["health"]
    out.print(
        f"[bold]{document['searches']:,}[/] searches in {document['sessions']:,} sessions"
        + (
            f": {health['zero_results']:.1%} without results, {health['reformulations']:.1%} second"
            f" tries, {health['abandoned']:.1%} abandoned, {health['added_to_cart']:.1%} to the"
            " cart."
            if document["searches"]
            else "."
        )
    )
    for alert in document["drift"]["alerts"]:
        because = f" Most of it: {'; '.join(alert['reasons'])}." if alert["reasons"] else ""
        colour = {True: "red", False: "green", None: "yellow"}[alert["worse"]]
        out.print(f"[{colour}]Changed[/] {escape(alert['says'])}.{escape(because)}")
    findings = document["findings"]
    if not findings:
        out.print(
            f"No failure found in {document['tests']:,} comparisons. What is rarer than 40 searches"
            " cannot be told from chance."
        )
        return
    currency = document["currency"] or ""
    for f in findings[:limit]:
        lost = f["lost_sales"]
        price = (
            "price unknown"
            if lost is None
            else f"price not certain ({lost['low']:,.0f} to {lost['high']:,.0f} {currency})"
            if lost["low"] <= 0
            else f"about {lost['estimate']:,.0f} {currency} lost "
            f"({lost['low']:,.0f} to {lost['high']:,.0f})"
        )
        out.print(f"\n[bold]{f['rank']}. {escape(f['title'])}[/]  [yellow]{price}[/]")
        out.print(escape(f["explanation"]))
        success = f["success"]
        out.print(
            f"{f['searches']:,} searches by {f['clients']:,} clients; {success['estimate']:.0%} of "
            f"the needs met ({success['low']:.0%} to {success['high']:.0%}), "
            f"{f['expected']:.0%} expected.",
            style="dim",
        )
        for session in f["examples"][:1]:
            steps = " → ".join(
                f"'{s['text']}' ({s['results']} results, {s['clicks']} clicks"
                + (f", {s['carts']} to the cart" if s["carts"] else "")
                + ")"
                for s in session
            )
            out.print(f"For example: {escape(steps)}", style="dim")
        out.print(f"Fix ({f['fix']['kind']}): {escape(f['fix']['summary'])}")
        out.print(f"Try it: tandem insights try {f['id']} -w {document['workspace']}", style="dim")
    rest = len(findings) - limit
    out.print(
        f"\n[dim]{len(findings)} findings{f', {rest} more with --limit' if rest > 0 else ''}; "
        f"{document['tests']:,} comparisons, at most {document['false_discovery_rate']:.0%} of the "
        "findings expected to be false.[/]"
    )


@insights_app.command("try")
def try_command(
    finding: Annotated[str, typer.Argument(help="Id of a finding.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    events: EventsOption = None,
    engine: EngineOption = None,
    json_: JsonOption = False,
) -> None:
    """Try the fix of a finding offline, on judgments and on what shoppers chose.

    Example: `tandem insights try misspelling-1a2b3c4d -w shop`
    """
    from tandem.flows.insights import try_fix
    from tandem.storage.layout import Layout

    trial = try_fix(Layout.open(workspace), finding, events or (), engine=engine)
    if json_:
        print_json(trial.to_json())
        return
    if trial.simulated:
        out.print(_SIMULATED)
    colour = {"helps": "green", "harms": "red"}.get(trial.verdict, "yellow")
    out.print(f"[bold {colour}]{trial.verdict.capitalize()}[/]. {escape(trial.reason)}")
    table = Table(box=None, pad_edge=False)
    for name in ("on", "measure", "queries", "before", "after", "difference (95 %)"):
        table.add_column(name, justify="left" if name in ("on", "measure") else "right")
    for m in trial.measures:
        table.add_row(
            m["on"],
            m["measure"],
            f"{m['queries']:,}",
            f"{m['before']:.3f}",
            f"{m['after']:.3f}",
            f"{m['difference']:+.3f} ({m['low']:+.3f} to {m['high']:+.3f})",
        )
    if trial.measures:
        out.print(table)


@insights_app.command("propose")
def propose_command(
    finding: Annotated[str, typer.Argument(help="Id of a finding.")],
    why: Annotated[str, typer.Option(help="Why, in a sentence; it is kept.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    events: EventsOption = None,
    engine: EngineOption = None,
    json_: JsonOption = False,
) -> None:
    """Keep the fix of a finding as a candidate of the registry; nothing goes live.

    Example: `tandem insights propose vocabulary_gap-1a2b3c4d --why "costs most" -w shop`
    """
    from tandem.flows.insights import propose_fix
    from tandem.storage.layout import Layout

    made = propose_fix(Layout.open(workspace), finding, events or (), why=why, engine=engine)
    if json_:
        print_json({"finding": finding, "kind": "rules", "generation": made, "stage": "candidate"})
        return
    out.print(f"Candidate {made}; promote it: tandem insights promote {made} -w {workspace}")


@insights_app.command("promote")
def promote_command(
    generation: Annotated[str, typer.Argument(help="Candidate generation of the rules.")],
    why: Annotated[str, typer.Option(help="Why, in a sentence; it is kept.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    test: Annotated[
        str | None,
        typer.Option(help="Name of its A/B test, as `experiment analyse -w` has kept it."),
    ] = None,
    approved_by: Annotated[
        str | None, typer.Option(help="Who approves what was learned from shoppers.")
    ] = None,
    override: Annotated[
        list[str] | None, typer.Option(help="Overrule a gate by name; repeatable.")
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Ask the gates, and put a proposed fix into the live search; the decision is kept either way.

    Exit code 1 when it is refused.

    Example: `tandem insights promote g000002-… --test "New word" --why "it sells" -w shop`
    """
    from tandem.flows.fixes import decision_json
    from tandem.flows.insights import promote_proposed
    from tandem.storage.layout import Layout

    decision = promote_proposed(
        Layout.open(workspace),
        generation,
        test,
        why=why,
        override=override or (),
        approved_by=approved_by,
    )
    if json_:
        print_json(decision_json(decision))
    else:
        for gate in decision.gates:
            said = {True: "passes", False: "does not pass", None: "cannot tell"}[gate.passed]
            out.print(f"{gate.name:<10} {said}: {gate.says}", markup=False)
        went = "is live" if decision.stage == "live" else decision.why
        out.print(f"{generation} {went}", markup=False)
    if decision.stage != "live":
        raise typer.Exit(1)


@insights_app.command("simulate")
def simulate_command(
    workspace: Annotated[Path, typer.Argument(help="Folder of the workspace to create.")],
    sessions: Annotated[int, typer.Option(min=1, help="Visits to simulate.")] = 20_000,
    products: Annotated[int, typer.Option(min=600, help="Products to simulate.")] = 6_000,
    days: Annotated[int, typer.Option(min=1, max=240, help="Days to spread them over.")] = 28,
    seed: Annotated[int, typer.Option(help="Same seed: same shop, same shoppers.")] = 0,
    broken: Annotated[
        list[str] | None,
        typer.Option(help="Break search: vocabulary_gap, device, …, or all. Repeatable."),
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Make a shop of simulated products and shoppers whose truth is known, to try insights on.

    Example: `tandem insights simulate broken-shop --broken all`
    """
    from tandem.flows.insights import simulate_shop

    made = simulate_shop(
        workspace, sessions, seed=seed, broken=broken or (), products=products, days=days
    )
    if json_:
        print_json(made.to_json())
        return
    out.print(_SIMULATED)
    out.print(f"[bold]{made.products:,}[/] products, [bold]{made.events:,}[/] events.")
    for b in made.broken:
        said = [b.category, b.language, b.device, b.filter, *b.words]
        out.print(f"  broken: {b.way} ({', '.join(s for s in said if s)})", markup=False)
    err.print(f"Next: tandem insights -w {workspace}", highlight=False)
