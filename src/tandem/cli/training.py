"""`tandem train ranker`."""

from __future__ import annotations

from typing import Annotated

import typer

from tandem.cli.console import (
    DEFAULT_WORKSPACE,
    JsonOption,
    WorkspaceOption,
    out,
    print_json,
    progress_bars,
)


def train_ranker_command(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    judgments: Annotated[
        str | None, typer.Option(help="Judgment list to learn from; default: the first.")
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            help="gain-regression, lambdamart, yetirank, linear; or auto, to choose among them by "
            "nested cross-validation."
        ),
    ] = "gain-regression",
    folds: Annotated[int, typer.Option(min=2, max=20, help="Cross-validation folds.")] = 5,
    seed: Annotated[int, typer.Option(help="Same data, same seed: same model.")] = 7,
    json_: JsonOption = False,
) -> None:
    """Train a ranker on judgments, measure it by cross-validation, and make it live.

    Example: `tandem train ranker -w shop --model lambdamart`
    """
    from tandem.flows.train import train_ranker
    from tandem.reports.evaluation import table
    from tandem.storage.layout import Layout

    with progress_bars(quiet=json_) as bars:
        report = train_ranker(
            Layout.open(workspace), judgments, model, folds=folds, seed=seed, progress=bars
        )
    if json_:
        print_json(
            {
                "generation": report.generation,
                "model": report.manifest.model,
                "queries": report.manifest.queries,
                "pairs": report.manifest.pairs,
                "seconds": report.seconds,
                "cross_validated": report.evaluation.to_json(),
            }
        )
        return
    out.print(table(report.evaluation))
    out.print(
        f"Trained '{report.manifest.model}' on {report.manifest.queries:,} queries "
        f"({report.manifest.pairs:,} pairs) in {report.seconds:.1f} s; live as {report.generation}."
    )
    out.print(f"[dim]Each query above was ranked by a model that never saw it ({folds} folds).[/]")
