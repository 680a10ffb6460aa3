"""`tandem doctor`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from tandem.cli.console import JsonOption, out, print_json

MARKS = {"ok": "[green]ok[/]", "warn": "[yellow]note[/]", "fail": "[red]fail[/]"}


def doctor(
    workspace: Annotated[
        Path | None, typer.Option("--workspace", "-w", help="Also examine this workspace.")
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Check the installation and a workspace; exit code 1 when something is broken.

    Example: `tandem doctor -w shop`
    """
    from tandem.flows.doctor import examine

    checks = examine(workspace)
    if json_:
        print_json({"checks": [asdict(c) for c in checks]})
    else:
        table = Table(box=None)
        for title in ("", "what", "how it is", "what to do"):
            table.add_column(title)
        for check in checks:
            table.add_row(
                MARKS[check.state], *map(escape, (check.name, check.detail, check.remedy))
            )
        out.print(table)
    if any(c.state == "fail" for c in checks):
        raise typer.Exit(1)
