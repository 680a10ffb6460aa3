"""`tandem seller`: what merchants ask about their listings."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from tandem.cli.console import DEFAULT_WORKSPACE, JsonOption, WorkspaceOption, out, print_json
from tandem.contracts.listing import Edit, ListingQuality, Standing
from tandem.contracts.search_performance import SearchPerformance

SHOWN = 40

seller_app = typer.Typer(no_args_is_help=True, help="Answers for merchants about their listings.")


@seller_app.command("why")
def why(
    product_id: Annotated[str, typer.Argument(help="The product.")],
    query: Annotated[str, typer.Argument(help="What shoppers type.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    trying: Annotated[
        bool, typer.Option("--try/--no-try", help="Try changes of the listing by the real search.")
    ] = True,
    json_: JsonOption = False,
) -> None:
    """Why a product does not stand higher for a query, and what would move it.

    Each change is put through the shop's own search in a copy that no shopper sees.

    Example: `tandem seller why 77192161 "wireless mouse" -w shop`
    """
    from tandem.flows.workspace import open_workspace

    with open_workspace(workspace) as shop:
        standing = shop.standing(query, product_id, trying=trying)
    if json_:
        print_json(standing.model_dump(mode="json"))
    else:
        _show(standing)


@seller_app.command("queries")
def queries(
    merchant: Annotated[str, typer.Argument(help="The merchant, as its products name it.")],
    period: Annotated[
        str | None, typer.Option(help="Month as 2026-03; default: the last that is over.")
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """What shoppers search for, what of it comes to a merchant, and where it could be more.

    Counts are of at least 50 people. A month's report is made once and stays as it is.

    Example: `tandem seller queries Acme --period 2026-03 -w shop`
    """
    from datetime import UTC, datetime

    from tandem.flows.search_performance import last_month
    from tandem.flows.workspace import open_workspace
    from tandem.governance.audit import os_actor

    month = period or last_month(datetime.now(UTC))
    with open_workspace(workspace) as shop:
        report = shop.search_performance(merchant, month, actor=os_actor())
    if json_:
        print_json(report.model_dump(mode="json"))
    else:
        _show_queries(report)


def _show_queries(report: SearchPerformance) -> None:
    if report.simulated:
        out.print("[black on yellow] SIMULATED [/] These shoppers and products are not real.")
    table = Table(box=None, pad_edge=False)
    for name in ("query", "asked", "clicks", "own clicks", "share", "place", ""):
        table.add_column(name, justify="left" if name in ("query", "") else "right")
    words = {"opportunity": "[yellow]could stand higher[/]", "supply_gap": "[cyan]nobody has it[/]"}
    for q in report.queries[:SHOWN]:
        table.add_row(
            escape(q.query),
            f"{q.search_query_volume:,}",
            f"{q.market.clicks:,}",
            f"{q.own.clicks:,}" if q.own else "–",
            f"{q.click_share:.0%}" if q.click_share is not None else "–",
            str(q.place) if q.place else "–",
            words.get(q.chance or "", ""),
        )
    out.print(table)
    withheld = sum(report.withheld.values())
    out.print(
        f"[dim]{report.period}: {len(report.queries)} queries; {withheld:,} figures withheld, "
        f"since they are of fewer than {report.k} people or would give somebody away. – is not "
        "known, which is not zero.[/]"
    )


def _show(standing: Standing) -> None:
    if standing.simulated:
        out.print("[black on yellow] SIMULATED CATALOGUE [/] These products are not real.")
    out.print(f"[bold]{escape(standing.title)}[/]")
    out.print(escape(standing.summary))
    if standing.differences:
        out.print("\n[bold]What holds it back[/] [dim](effect on the ranker's score)[/]")
        for difference in standing.differences:
            out.print(f"  {difference.effect:+.3f}  {escape(difference.says)}")
    if standing.edits:
        out.print("\n[bold]What was tried[/]")
        table = Table(box=None, pad_edge=False)
        table.add_column("place", justify="right")
        table.add_column("change", overflow="fold", ratio=1)
        for edit in standing.edits:
            after = f"\n[dim]{escape(edit.after)}[/]" if edit.after else ""
            table.add_row(_place(edit), f"{escape(edit.says)}{after}")
        out.print(table)
    _show_quality(standing.quality)


def _place(edit: Edit) -> str:
    if edit.position is None:
        return "none"
    if edit.gain is None:
        return f"[green]{edit.position}[/]"
    colour = "green" if edit.gain > 0 else "red" if edit.gain < 0 else "dim"
    return f"[{colour}]{edit.position} ({edit.gain:+d})[/]"


def _show_quality(quality: ListingQuality) -> None:
    out.print(
        f"\n[bold]Listing quality {quality.score:.0f} of 100[/] "
        f"[dim]beside {quality.peers} {escape(quality.peers_are)}[/]"
    )
    for check in quality.checks:
        mark = "[green]✓[/]" if check.suggestion is None else "[yellow]•[/]"
        advice = f" — {escape(check.suggestion)}" if check.suggestion else ""
        out.print(f"  {mark} {check.name}: {escape(check.found)}{advice}")
