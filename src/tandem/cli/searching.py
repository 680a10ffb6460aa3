"""`tandem search`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from tandem.cli.console import DEFAULT_WORKSPACE, JsonOption, WorkspaceOption, out, print_json
from tandem.contracts.search import Filters, SearchRequest, SearchResponse, Sort


def search(
    query: Annotated[str, typer.Argument(help="What to search for.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    k: Annotated[int, typer.Option("-k", min=1, max=200, help="How many results.")] = 10,
    ranker: Annotated[
        str | None, typer.Option(help="bm25, dense, hybrid or ltr; default: the best there is.")
    ] = None,
    brand: Annotated[
        list[str] | None, typer.Option(help="Only this brand; repeat for more.")
    ] = None,
    category: Annotated[
        list[str] | None, typer.Option(help="Only below this category path ('A > B').")
    ] = None,
    sort: Annotated[Sort, typer.Option(help="Order of the results.")] = Sort.RELEVANCE,
    explain: Annotated[bool, typer.Option("--explain", help="Say why.")] = False,
    as_typed: Annotated[
        bool, typer.Option("--as-typed", help="No spelling correction or rewriting.")
    ] = False,
    json_: JsonOption = False,
) -> None:
    """Search the shop.

    Examples: `tandem search "bluetooth speaker" -k 5` · `tandem search "sony tv" --explain`
    """
    from tandem.flows.workspace import open_workspace

    request = SearchRequest(
        q=query,
        size=k,
        ranker=ranker,
        filters=Filters(brand=tuple(brand or ()), category=tuple(category or ())),
        sort=sort,
        explain=explain,
        rewrite=not as_typed,
    )
    with open_workspace(workspace) as shop:
        response = shop.search(request)
    if json_:
        print_json(response.model_dump(mode="json"))
    else:
        _show(response)


def _show(response: SearchResponse) -> None:
    if response.simulated:
        out.print("[black on yellow] SIMULATED CATALOGUE [/] These products are not real.")
    understanding = response.understanding
    if understanding.corrected:
        out.print(f"Showing results for [bold]{escape(understanding.corrected)}[/]")
    elif understanding.suggestion:
        out.print(f"Did you mean [bold]{escape(understanding.suggestion)}[/]?")
    if response.relaxed:
        out.print(f"[yellow]{escape(response.relaxed)}[/]")
    table = Table(box=None, pad_edge=False)
    table.add_column("#", justify="right", style="dim")
    table.add_column("product", overflow="fold", ratio=1)
    table.add_column("brand")
    table.add_column("price", justify="right")
    table.add_column("score", justify="right", style="dim")
    for hit in response.hits:
        price = hit.product.price
        table.add_row(
            str(hit.position),
            escape(hit.product.title),
            escape(hit.product.brand or ""),
            f"{price.amount:,.2f} {price.currency}" if price else "",
            f"{hit.score:.3f}",
        )
        if hit.explanation:
            table.add_row("", f"[dim]{escape(hit.explanation.sentence)}[/]", "", "", "")
    out.print(table)
    related = f" and {response.related:,} related" if response.related else ""
    out.print(
        f"[dim]{response.total:,} matches{related} · {response.ranker} · "
        f"{response.timings_ms['total']:.1f} ms[/]"
    )
