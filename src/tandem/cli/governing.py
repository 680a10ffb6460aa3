"""`tandem governance …`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from tandem.cli.console import JsonOption, out, print_json

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
