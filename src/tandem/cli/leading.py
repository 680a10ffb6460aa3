"""`tandem leaderboard`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from tandem.cli.console import JsonOption, out, print_json, progress_bars


def leaderboard_command(
    dataset: Annotated[
        str | None,
        typer.Option(help="Compare recommenders on diginetica, retail or complete_journey."),
    ] = None,
    workspace: Annotated[
        Path | None,
        typer.Option("--workspace", "-w", help="Compare rankers on this workspace's judgments."),
    ] = None,
    systems: Annotated[
        str | None, typer.Option(help="Methods to compare, by comma; default: all.")
    ] = None,
    test: Annotated[
        Path | None, typer.Option(help="What came next; as in: tandem recommend evaluate.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of the data; default: found.")] = None,
    json_: JsonOption = False,
) -> None:
    """Compare all methods: quality with intervals, time, memory and cost.

    Methods of installed packages take part (entry points). That of a workspace is kept in it, and
    the lab shows it. Examples:
    `tandem leaderboard --dataset retail` · `tandem leaderboard -w shop --json`
    """
    from tandem.flows.leaderboard import keep_leaderboard, leaderboard
    from tandem.storage.layout import Layout

    named = tuple(dict.fromkeys(s.strip() for s in (systems or "").split(",") if s.strip()))
    with progress_bars(quiet=json_) as bars:
        board = leaderboard(dataset, workspace, named, test, data, bars)
    if workspace is not None:
        keep_leaderboard(Layout.open(workspace), board)
    if json_:
        print_json(board.to_json())
        return
    names = list(dict.fromkeys(name for entry in board.entries for name in entry.measures))
    scale = 1 if board.task != "ranking" else 100
    table = Table(box=None)
    table.add_column("method", no_wrap=True)
    for title in (*(f"{n} %" for n in names), "learns in", "p99", "CPU", "memory"):
        table.add_column(title, justify="right")
    for entry in board.entries:
        cells = []
        for name in names:
            if (e := entry.measures.get(name)) is None:
                cells.append("–")
            elif e.low is None or e.high is None:
                cells.append(f"{scale * e.value:.1f}")
            else:
                span = f"{scale * e.low:.1f}–{scale * e.high:.1f}"
                cells.append(f"{scale * e.value:.1f} [dim]{span}[/]")
        table.add_row(
            entry.system,
            *cells,
            _with_unit(entry.train_s, "s"),
            _with_unit(entry.p99_ms, "ms"),
            _with_unit(entry.cpu_s, "s"),
            _with_unit(entry.memory_mib, "MiB"),
        )
    out.print(table)
    for entry in board.entries:
        if entry.failed:
            out.print(f"[yellow]{entry.system} has no result: {escape(entry.failed)}[/]")
        for note in entry.notes:
            out.print(f"[yellow]{entry.system}: {escape(note)}[/]")
    made_up = "[yellow]Simulated data.[/] " if board.simulated else ""
    out.print(
        f"{made_up}[dim]{escape(board.protocol)}; by {board.chief}; 95% intervals. Memory and CPU "
        "are of the whole run, data included.[/]"
    )


def _with_unit(value: float | None, unit: str) -> str:
    return "–" if value is None else f"{value:,.1f} {unit}"
