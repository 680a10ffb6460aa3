"""`tandem governance …`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from tandem.cli.console import DEFAULT_WORKSPACE, JsonOption, WorkspaceOption, out, print_json

governance_app = typer.Typer(
    no_args_is_help=True, help="What is known about people, what for, and for how long."
)


@governance_app.command("data-map")
def data_map_command(
    workspace: Annotated[
        Path | None,
        typer.Option("--workspace", "-w", help="Take legal bases and periods from here."),
    ] = None,
    format_: Annotated[
        Literal["yaml", "json"], typer.Option("--format", help="YAML or JSON.")
    ] = "yaml",
    json_: JsonOption = False,
) -> None:
    """Print the data map in fideslang terms, made from the contracts.

    Example: `tandem governance data-map -w shop > data-map.yml`
    """
    from tandem.flows.governing import workspace_data_map
    from tandem.storage.layout import Layout

    found = workspace_data_map(None if workspace is None else Layout.open(workspace))
    if json_ or format_ == "json":
        print_json(found)
    else:
        import yaml

        text = yaml.safe_dump(found, sort_keys=False, allow_unicode=True, width=100)
        out.print(text, markup=False, highlight=False, soft_wrap=True, end="")


@governance_app.command("retain")
def retain_command(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE, json_: JsonOption = False
) -> None:
    """Remove events that are older than their period, and write down the proof. Run it daily.

    Example: `tandem governance retain -w shop`
    """
    from dataclasses import asdict

    from tandem.governance.audit import os_actor
    from tandem.governance.retention import retain
    from tandem.storage.layout import Layout

    proof = retain(Layout.open(workspace), actor=os_actor())
    if json_:
        print_json({**asdict(proof), "kept_its_word": proof.kept_its_word})
    else:
        for category, count in proof.removed.items():
            oldest = proof.oldest[category]
            out.print(
                f"{category:<10} {count:>9,} removed, kept {proof.days[category]} days, "
                f"oldest left: {oldest[:10] if oldest else 'none'}",
                highlight=False,
            )
        out.print(f"Query text of {proof.cleared:,} old purchases cleared.", highlight=False)
        out.print(f"Proof: {proof.file}", highlight=False, soft_wrap=True)
    if not proof.kept_its_word:
        raise typer.Exit(1)
