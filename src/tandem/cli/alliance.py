"""`tandem alliance …`."""

from __future__ import annotations

from dataclasses import asdict
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

alliance_app = typer.Typer(no_args_is_help=True, help="Merchants, creators and their content.")


@alliance_app.callback()
def alliance() -> None:
    """Merchants, creators and their content."""


@alliance_app.command("simulate")
def simulate_command(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    creators: Annotated[int, typer.Option(min=10, help="Creators to invent.")] = 500,
    content: Annotated[int, typer.Option(min=10, help="Videos and lives to invent.")] = 5_000,
    viewers: Annotated[int, typer.Option(min=0, help="Viewers to invent.")] = 1_000,
    visits: Annotated[
        int,
        typer.Option(min=0, help="Visits of shoppers who search to invent; needs an index."),
    ] = 0,
    collaborations: Annotated[
        int, typer.Option(min=0, help="Collaborations to invent, with orders and settlements.")
    ] = 200,
    seed: Annotated[int, typer.Option(help="Same catalogue, same seed: same market.")] = 7,
    json_: JsonOption = False,
) -> None:
    """Invent merchants, creators, content and viewers over the workspace's own products.

    All of them say that they are simulated. Nothing is invented where real creators or real events
    are stored. With visits, shoppers search as well, from January to March 2026, and are answered
    by the workspace's own index.

    Examples: `tandem alliance simulate -w shop --creators 500` ·
    `tandem alliance simulate -w shop --visits 30000`
    """
    from tandem.flows.alliance import simulate_alliance
    from tandem.storage.layout import Layout

    with progress_bars(quiet=json_) as bars:
        report = simulate_alliance(
            Layout.open(workspace),
            creators,
            content,
            viewers,
            visits=visits,
            collaborations=collaborations,
            seed=seed,
            progress=bars,
        )
    if json_:
        print_json(asdict(report))
        return
    out.print("[black on yellow] SIMULATED [/] These creators, videos and viewers are not real.")
    out.print(
        f"{report.creators:,} creators ({report.agreeing:,} agree to show exact values), "
        f"{report.merchants:,} merchants, {report.content:,} pieces of content and "
        f"{report.events:,} events of {report.viewers:,} viewers and {report.visits:,} visits of "
        f"shoppers, over {report.products:,} "
        f"products; {report.collaborations:,} collaborations."
    )


@alliance_app.command("evaluate")
def evaluate_command(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    seed: Annotated[int, typer.Option(help="Same market, same seed: same figures.")] = 7,
    json_: JsonOption = False,
) -> None:
    """Hold matching against the truth of a simulated alliance: choices, intervals, cold start.

    Example: `tandem alliance evaluate -w shop --json`
    """
    from rich.table import Table

    from tandem.flows.match_truth import SYSTEMS, evaluate_on_truth
    from tandem.storage.layout import Layout

    with progress_bars(quiet=json_) as bars:
        report = evaluate_on_truth(Layout.open(workspace), seed=seed, progress=bars)
    if json_:
        print_json(report.to_json())
        return
    out.print("[black on yellow] SIMULATED [/] These creators, videos and sales are not real.")
    table = Table("share of the best ten's GMV", *SYSTEMS, box=None)
    for task, systems in report.value.items():
        cells = [f"{s.mean:.3f} [dim]{s.low:.3f}–{s.high:.3f}[/]" for s in systems.values()]
        table.add_row(f"{task} ({report.queries[task]})", *cells)
    out.print(table)
    for group, ratios in report.promised.items():
        said = ", ".join(f"{target} {ratio:.2f}" for target, ratio in ratios.items())
        out.print(f"Expected over true, {group}: {said}", highlight=False)
    for group, found in report.coverage.items():
        said = ", ".join(f"{name}: {share:.3f}" for name, share in found.items())
        out.print(f"Inside the interval, {group}: {said}", highlight=False)
