"""`tandem events …`."""

from __future__ import annotations

from typing import Annotated

import typer

from tandem.cli.console import DEFAULT_WORKSPACE, JsonOption, WorkspaceOption, out, print_json

events_app = typer.Typer(no_args_is_help=True, help="What shoppers did: journal, keys.")


@events_app.command("rotate-key")
def rotate_key(workspace: WorkspaceOption = DEFAULT_WORKSPACE, json_: JsonOption = False) -> None:
    """Make a new key for pseudonyms. Servers take it up when they start.

    Example: `tandem events rotate-key -w shop`
    """
    from tandem.flows.pseudonym_keys import rotate_key as rotate
    from tandem.storage.layout import Layout

    ring = rotate(Layout.open(workspace))
    if json_:
        print_json({"current": ring.current, "keys": sorted(ring.keys)})
    else:
        out.print(f"New events get pseudonyms under [bold]{ring.current}[/].")


@events_app.command("retire-key")
def retire_key(
    key: Annotated[str, typer.Argument(help="Id of the key, such as k1.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json_: JsonOption = False,
) -> None:
    """Delete an old key for good: nobody can tell any more whose its pseudonyms are.

    Example: `tandem events retire-key k1 -w shop --yes`
    """
    from tandem.flows.pseudonym_keys import retire_key as retire
    from tandem.storage.layout import Layout

    layout = Layout.open(workspace)
    if not yes:
        typer.confirm(
            f"Delete {key} for good? Requests of people can then not find its events.", abort=True
        )
    ring = retire(layout, key)
    if json_:
        print_json({"retired": key, "current": ring.current, "keys": sorted(ring.keys)})
    else:
        out.print(f"{key} is gone; the current key is [bold]{ring.current}[/].")
