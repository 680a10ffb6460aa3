"""`tandem demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.panel import Panel

from tandem.cli.console import JsonOption, err, out, print_json, progress_bars
from tandem.cli.serving import serve_workspace

EXAMPLES = {
    "icecat": "bluetooth headphones · gaming laptop under 1000 € · tn2110 toner · headst",
    "esci": "water bottle without straw · nike shoes men · sandals for women · kindle",
    "simulated": "any word that you see in the catalogue",
}


def demo(
    dataset: Annotated[
        Literal["icecat", "esci", "simulated"], typer.Option(help="Which catalogue.")
    ] = "icecat",
    workspace: Annotated[
        Path | None, typer.Option("--workspace", "-w", help="Folder; default demo-DATASET.")
    ] = None,
    serve: Annotated[bool, typer.Option("--serve/--no-serve", help="Serve when done.")] = True,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start again from nothing.")] = False,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port.")] = 8000,
    json_: JsonOption = False,
) -> None:
    """Build a shop from a real catalogue, train its ranker on human judgments, and serve it.

    Example: `tandem demo --dataset esci --workspace demo-esci --no-serve`
    """
    from tandem.flows.demo import build_demo
    from tandem.reports.evaluation import table

    folder = workspace or Path(f"demo-{dataset}")

    def say(text: str) -> None:
        err.print(text, style="yellow", markup=False, highlight=False)

    with progress_bars(quiet=json_) as bars:
        report = build_demo(folder, dataset, bars, say, fresh=fresh)
    if json_:
        print_json(
            {
                "workspace": str(report.layout.root),
                "dataset": report.dataset,
                "simulated": report.dataset == "simulated",
                "products": report.imported.imported,
                "quarantined": report.imported.quarantined,
                "index_generation": report.indexed.generation,
                "model_generation": report.trained.generation,
                "evaluation": report.trained.evaluation.to_json(),
            }
        )
    else:
        out.print(table(report.trained.evaluation))
        out.print(
            f"[dim]{report.imported.imported:,} products. Every query above was ranked by a model "
            f"that never saw it. One-page report: {report.report}[/]"
        )
        out.print(
            Panel.fit(
                f'Try: {EXAMPLES[report.dataset]}\nIn a terminal: tandem search "…" -w {folder}',
                title="The shop is ready",
                border_style="green",
            )
        )
    if serve:
        serve_workspace(folder, host, port)
