"""`tandem rollback`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from tandem.cli.console import DEFAULT_WORKSPACE, JsonOption, WorkspaceOption, out, print_json


def rollback(
    kind: Annotated[
        Literal["index", "models", "recommenders", "catalog", "cross-encoders"],
        typer.Argument(
            help="What to roll back: index, models, recommenders, catalog or cross-encoders."
        ),
    ],
    to: Annotated[str | None, typer.Option(help="Generation; default: the one before.")] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """Make an older generation live again: one atomic switch.

    Example: `tandem rollback models -w shop`
    """
    from tandem.flows.generations import roll_back
    from tandem.storage.layout import Layout

    was, now = roll_back(Layout.open(workspace), kind, to)
    if json_:
        print_json({"kind": kind, "was": was, "now": now})
    else:
        out.print(f"{kind}: {was} → [bold]{now}[/]. A running server takes it up on refresh.")
