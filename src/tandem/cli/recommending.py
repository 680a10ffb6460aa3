"""`tandem recommend`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from tandem.cli.console import JsonOption, out, print_json, progress_bars

recommend_app = typer.Typer(no_args_is_help=True, help="Recommend what comes next.")


@recommend_app.callback()
def recommend() -> None:
    """Recommend what comes next."""


@recommend_app.command("evaluate")
def evaluate_command(
    dataset: Annotated[str, typer.Option(help="Data set to learn from.")] = "diginetica",
    test: Annotated[
        Path | None,
        typer.Option(
            help="Parquet with prefix (list of item ids) and target; default: the last sessions of "
            "the data set are kept back."
        ),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of the data; default: found.")] = None,
    systems: Annotated[
        str | None, typer.Option(help="Recommenders to compare, by comma; default: all.")
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Compare recommenders on what shoppers clicked next, over all items.

    Examples: `tandem recommend evaluate --dataset diginetica --test pairs.parquet --json` ·
    `tandem recommend evaluate --systems item-knn,session-knn`
    """
    from tandem.flows.recommend import CUTOFF, evaluate_next_item
    from tandem.recommend.systems import SYSTEMS

    named = tuple(dict.fromkeys(s.strip() for s in (systems or "").split(",") if s.strip()))
    with progress_bars(quiet=json_) as bars:
        result = evaluate_next_item(dataset, test, data, named or tuple(SYSTEMS), bars)
    if json_:
        print_json(result.to_json())
        return
    table = Table(box=None)
    table.add_column("recommender", no_wrap=True)
    for title in (f"P@{CUTOFF} %", f"MRR@{CUTOFF} %", "learns in", "p99"):
        table.add_column(title, justify="right")
    for name, m in result.systems.items():
        table.add_row(
            name,
            f"{m.p:.1f} [dim]{m.p_low:.1f}–{m.p_high:.1f}[/]",
            f"{m.mrr:.1f} [dim]{m.mrr_low:.1f}–{m.mrr_high:.1f}[/]",
            f"{m.train_s:,.1f} s",
            f"{m.p99_ms:,.1f} ms",
        )
    out.print(table)
    out.print(
        f"[dim]{result.pairs:,} pairs, {escape(result.protocol)}; 95% intervals. "
        f"{result.unknown_targets:,} ask for an item that nobody had clicked before.[/]"
    )
