"""`tandem rollback`."""

from __future__ import annotations

from typing import Annotated, get_args

import typer

from tandem.cli.console import DEFAULT_WORKSPACE, JsonOption, WorkspaceOption, out, print_json
from tandem.flows.generations import Kind


def rollback(
    kind: Annotated[Kind, typer.Argument(help=f"What to roll back: {', '.join(get_args(Kind))}.")],
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
