"""`tandem audit …`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from tandem.cli.console import DEFAULT_WORKSPACE, JsonOption, WorkspaceOption, out, print_json

audit_app = typer.Typer(
    no_args_is_help=True, help="Who did what to people's data: a log that shows tampering."
)


@audit_app.command("verify")
def verify(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    expect: Annotated[
        str | None, typer.Option(help="A head hash noted earlier; it has to be in the chain.")
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Hold the audit log against its chain, its head record and its witness. Exit code 1 if
    anything was edited, deleted, reordered or cut off.

    Example: `tandem audit verify -w shop`
    """
    from tandem.governance.audit import AuditLog
    from tandem.storage.layout import Layout

    found = AuditLog(Layout.open(workspace)).verify(expect)
    if json_:
        print_json({"ok": found.ok, **asdict(found)})
    else:
        for problem in found.problems:
            place = ":".join(str(p) for p in (problem.file, problem.line) if p is not None)
            out.print(f"[bold red]{problem.kind}[/] ", end="")
            out.print(f"{place}: {problem.message}", markup=False, highlight=False, soft_wrap=True)
        state = "[green]sound[/]" if found.ok else "[bold red]tampered with[/]"
        out.print(f"{state}: {found.entries} entries; witness outside: {found.witness}")
        out.print(f"head {found.head}", highlight=False)
    if not found.ok:
        raise typer.Exit(1)


@audit_app.command("show")
def show(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    last: Annotated[int, typer.Option(min=1, help="How many entries, the newest.")] = 20,
    action: Annotated[
        str | None, typer.Option(help="Only actions that begin so: consent, say.")
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Print the newest entries of the audit log, oldest first.

    Example: `tandem audit show -w shop --last 50 --action consent`
    """
    from collections import deque

    from rich.table import Table

    from tandem.governance.audit import AuditLog
    from tandem.storage.layout import Layout

    entries = deque(
        (e for e in AuditLog(Layout.open(workspace)).entries()
         if action is None or e.action.startswith(action)),
        maxlen=last,
    )  # fmt: skip
    if json_:
        print_json([asdict(entry) for entry in entries])
        return
    table = Table("n", "at", "who", "action", "details", box=None)
    for entry in entries:
        details = " ".join(f"{k}={v}" for k, v in entry.details.items())
        table.add_row(str(entry.sequence), entry.at[:19], entry.actor, entry.action, details)
    out.print(table)
