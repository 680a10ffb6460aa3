"""`tandem evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from tandem.cli.console import (
    DEFAULT_WORKSPACE,
    JsonOption,
    WorkspaceOption,
    err,
    out,
    print_json,
    progress_bars,
)

_SHOWN = 10  # queries at either end that a terminal shows


def evaluate_command(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    judgments: Annotated[
        Path | None,
        typer.Option(help="CSV, JSONL or Parquet of judgments; default: the workspace's own."),
    ] = None,
    systems: Annotated[str, typer.Option(help="Systems to compare, the first is the baseline.")] = (
        "bm25,dense,hybrid,ltr"
    ),
    measures: Annotated[str, typer.Option(help="Measures by name.")] = "nDCG@10,R@100",
    report: Annotated[
        Path | None, typer.Option(help="Also write a one-page report (.html or .md).")
    ] = None,
    diff: Annotated[
        bool,
        typer.Option(
            "--diff", help="Two systems side by side: which queries change, and what moved."
        ),
    ] = False,
    json_: JsonOption = False,
) -> None:
    """Compare systems on judgments, with confidence intervals and significance tests.

    Example: `tandem evaluate -w shop --judgments judgments.csv --systems bm25,ltr --json`
    """
    if diff:
        _diff(workspace, judgments, _split(systems), split_measures(measures), report, json_)
        return
    from tandem.flows.evaluate import evaluate_systems, write_report
    from tandem.flows.workspace import open_workspace
    from tandem.reports.evaluation import table

    with open_workspace(workspace) as shop, progress_bars(quiet=json_) as bars:
        result = evaluate_systems(
            shop, judgments, _split(systems), split_measures(measures), progress=bars
        )
        simulated = shop.settings.simulated
    if report is not None:
        write_report(result, report, simulated=simulated)
    if json_:
        print_json(result.to_json())
        return
    out.print(table(result))
    for warning in result.warnings:
        err.print(f"[yellow]Note:[/] {escape(warning)}")


def _diff(
    workspace: Path,
    judgments: Path | None,
    systems: list[str],
    measures: list[str],
    report: Path | None,
    json_: bool,
) -> None:
    from rich.table import Table

    from tandem.flows.evaluate import diff_systems, write_diff
    from tandem.flows.workspace import open_workspace

    with open_workspace(workspace) as shop, progress_bars(quiet=json_) as bars:
        found = diff_systems(shop, judgments, systems, measures[0], progress=bars)
        if report is not None:
            write_diff(shop, found, report)
    if json_:
        print_json(found.to_json())
        return
    shown = Table(box=None)
    for head in ("query", found.before, found.after, "change", "same products"):
        shown.add_column(head, justify="left" if head == "query" else "right")
    for q in (*found.worse[:_SHOWN], *reversed(found.better[:_SHOWN])):
        shown.add_row(
            escape(q.query),
            f"{q.before:.3f}",
            f"{q.after:.3f}",
            f"{q.change:+.3f}",
            f"{q.overlap:.0%}",
        )
    out.print(shown)
    difference = found.comparison.difference
    out.print(
        f"{len(found.better)} queries better, {len(found.worse)} worse, {found.identical} of "
        f"{len(found.queries)} unchanged; {found.measure} {difference.mean or 0:+.3f} "
        f"[{difference.low:+.3f}, {difference.high:+.3f}]."
    )
    for warning in found.evaluation.warnings:
        err.print(f"[yellow]Note:[/] {escape(warning)}")


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def split_measures(text: str) -> list[str]:
    """Split at commas outside parentheses: `nDCG@10,R(rel=2)@100`."""
    parts, depth, current = [], 0, ""
    for char in text:
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            parts.append(current)
            current = ""
        else:
            current += char
    return [p.strip() for p in (*parts, current) if p.strip()]
