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
    json_: JsonOption = False,
) -> None:
    """Compare systems on judgments, with confidence intervals and significance tests.

    Example: `tandem evaluate -w shop --judgments judgments.csv --systems bm25,ltr --json`
    """
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
