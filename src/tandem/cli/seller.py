"""`tandem seller`: what merchants ask about their listings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from tandem.cli.console import DEFAULT_WORKSPACE, JsonOption, WorkspaceOption, out, print_json
from tandem.contracts.errors import InvalidInput
from tandem.contracts.listing import Edit, ListingQuality, Standing
from tandem.contracts.search_performance import SearchPerformance

if TYPE_CHECKING:
    from tandem.flows.seller_desk import SellerDesk

SHOWN = 40

seller_app = typer.Typer(no_args_is_help=True, help="Answers for merchants about their listings.")
MerchantArgument = Annotated[str, typer.Argument(help="The merchant, as its products name it.")]
PeriodOption = Annotated[
    str | None, typer.Option(help="Month as 2026-03; default: the last recorded one that is over.")
]


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
    merchant: MerchantArgument,
    period: Annotated[
        str | None, typer.Option(help="Month as 2026-03; default: the last that was recorded.")
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """What shoppers search for, what of it comes to a merchant, and where it could be more.

    Counts are of at least 50 people. A month's report is made once and stays as it is.

    Example: `tandem seller queries Acme --period 2026-03 -w shop`
    """
    from tandem.flows.workspace import open_workspace
    from tandem.governance.audit import os_actor

    with open_workspace(workspace) as shop:
        report = shop.search_performance(merchant, period, actor=os_actor())
    if json_:
        print_json(report.model_dump(mode="json"))
    else:
        _show_queries(report)


@seller_app.command("indicators")
def indicators(
    merchant: MerchantArgument,
    period: PeriodOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """GMV, orders, conversion, search share, creator GMV and returns of a month beside targets.

    Counts are of at least 50 people. – is not known, which is not zero.

    Example: `tandem seller indicators Acme --period 2026-03 -w shop`
    """
    with _desk(workspace) as desk:
        found = desk.indicators(merchant, period, actor=_actor())
    if json_:
        print_json(found.model_dump(mode="json"))
        return
    _say_simulated(found.simulated)
    table = Table(box=None, pad_edge=False)
    for name in (found.period, "value", "month before", "target"):
        table.add_column(name, justify="left" if name == found.period else "right")
    for i in found.indicators:
        shown = [_value(v, i.unit, found.currency) for v in (i.value, i.before, i.target)]
        table.add_row(i.name, *shown)
    out.print(table)
    if not found.over:
        out.print("[dim]This month is not over: figures come when it is.[/]")
        return
    withheld = sum(found.withheld.values())
    out.print(
        f"[dim]{withheld:,} figures are withheld: of fewer than {found.k} people, or they "
        "would give somebody away.[/]"
    )


@seller_app.command("movement")
def movement(
    merchant: MerchantArgument,
    period: PeriodOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """What moved sales since the month before: traffic, conversion and basket, adding up exactly.

    Example: `tandem seller movement Acme --period 2026-04 -w shop`
    """
    with _desk(workspace) as desk:
        found = desk.movement(merchant, period, actor=_actor())
    if json_:
        print_json(found.model_dump(mode="json"))
        return
    _say_simulated(found.simulated)
    out.print(
        f"GMV {found.gmv_before:,} in {found.before}, {found.gmv:,} in {found.period}: "
        f"{found.change:+,} {found.currency}"
    )
    for title, rows in (("channel", found.by_channel), ("product", found.by_product)):
        table = Table(box=None, pad_edge=False)
        for name in (title, "change", "traffic", "conversion", "basket", "untracked"):
            table.add_column(name, justify="left" if name == title else "right")
        for row in rows[:SHOWN]:
            amounts = (row.amount, row.traffic, row.conversion, row.basket, row.untracked)
            table.add_row(escape(row.title), *(f"{a:+,}" for a in amounts))
        out.print(table)


@seller_app.command("forecast")
def forecast(
    merchant: MerchantArgument,
    days: Annotated[int, typer.Option(help="How many days ahead.")] = 28,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """Sales to come, by day and in all, with an interval measured on earlier forecasts. By week
    where too few days may be told.

    Example: `tandem seller forecast Acme --days 28 -w shop`
    """
    with _desk(workspace) as desk:
        found = desk.outlook(merchant, days, actor=_actor())
    if json_:
        print_json(found.model_dump(mode="json"))
        return
    _say_simulated(found.simulated)
    for day in found.days:
        out.print(f"{day.day}  {day.mean:>12,.2f}  [dim]{day.low:,.2f} to {day.high:,.2f}[/]")
    out.print(
        f"[bold]In all {found.total:,.2f} {found.currency}[/], {found.level:.0%} of the time "
        f"between {found.total_low:,.2f} and {found.total_high:,.2f}; by {found.step}, measured on "
        f"{found.origins} earlier forecasts"
    )


@seller_app.command("assortment")
def assortment(
    merchant: MerchantArgument,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """Prices beside comparable products of others; images and attributes that are missing.

    Example: `tandem seller assortment Acme -w shop`
    """
    with _desk(workspace) as desk:
        found = desk.assortment(merchant)
    if json_:
        print_json(found.model_dump(mode="json"))
        return
    _say_simulated(found.simulated)
    out.print(
        f"{found.count:,} products: {found.with_image:.0%} with an image, {found.with_price:.0%} "
        "with a price"
    )
    table = Table(box=None, pad_edge=False)
    for name in ("product", "price", "others’ median", "cheaper ones", "missing"):
        table.add_column(name, justify="left" if name in ("product", "missing") else "right")
    for shelf in found.products[:SHOWN]:
        c = shelf.comparable
        table.add_row(
            escape(shelf.title),
            f"{shelf.price:,.2f} {shelf.currency}" if shelf.price is not None else "–",
            f"{c.median:,.2f}" if c else "–",
            f"{c.position:.0%}" if c else "–",
            escape(", ".join(shelf.missing)),
        )
    out.print(table)


@seller_app.command("target")
def target(
    merchant: MerchantArgument,
    indicator: Annotated[str, typer.Argument(help="gmv, orders, conversion, search_share, …")],
    value: Annotated[
        float | None, typer.Argument(help="Money in major units; shares as 0.05; none: no target.")
    ] = None,
    *,
    period: Annotated[str, typer.Option(help="Month, as 2026-03; it may be still to come.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """Set what a merchant aims at in one month, or take it back by naming no value.

    Example: `tandem seller target Acme gmv 25000 --period 2026-04 -w shop`
    """
    from pydantic import ValidationError

    from tandem.contracts.seller import Target

    try:
        wanted = Target.model_validate(
            {"merchant": merchant, "indicator": indicator, "value": value, "period": period}
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise InvalidInput(
            first["msg"], field=str(first["loc"][0]), remedy="correct it; see the help"
        ) from None
    with _desk(workspace) as desk:
        kept = desk.set_target(wanted)
    if json_:
        print_json(kept.model_dump(mode="json"))
    else:
        value_ = "no target" if kept.value is None else f"{kept.value:,}"
        out.print(f"{kept.indicator} of {kept.period}: {value_}")


@contextmanager
def _desk(workspace: Path) -> Iterator[SellerDesk]:
    from tandem.flows.seller_desk import SellerDesk
    from tandem.flows.workspace import open_workspace

    with open_workspace(workspace) as shop:
        yield SellerDesk(shop)


def _actor() -> str:
    from tandem.governance.audit import os_actor

    return os_actor()


def _say_simulated(simulated: bool) -> None:
    if simulated:
        out.print("[black on yellow] SIMULATED [/] These shoppers and products are not real.")


def _value(value: float | None, unit: str, currency: str) -> str:
    if value is None:
        return "–"
    if unit == "share":
        return f"{value:.1%}"
    return f"{value:,.2f} {currency}" if unit == "money" else f"{value:,.0f}"


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
            "[green]rising[/]" if q.rising else words.get(q.chance or "", ""),
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
