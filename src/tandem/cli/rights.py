"""`tandem rights …`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tandem.cli.consent import AsOption, SubjectArgument, opened
from tandem.cli.console import DEFAULT_WORKSPACE, JsonOption, WorkspaceOption, out, print_json

if TYPE_CHECKING:
    from tandem.flows.rights import Erasure

rights_app = typer.Typer(
    no_args_is_help=True, help="Requests of people: a copy of their data, and its erasure."
)
RequestArgument = Annotated[str, typer.Argument(metavar="ID", help="Id of the request.")]


@rights_app.command("export")
def export_command(
    subject: SubjectArgument,
    as_: AsOption = "user",
    to: Annotated[
        Path | None, typer.Option("--out", help="File to write; default: standard output.")
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:
    """Write everything that is stored about a person as one JSON document.

    Example: `tandem rights export anna --out anna.json -w shop`
    """
    from tandem.flows.rights import export
    from tandem.storage.atomic import write_json_atomic

    found = export(*opened(workspace, subject, as_))
    if to is None:
        print_json(found)
    else:
        write_json_atomic(to, found)
        out.print(f"{len(found['events'])} events written to {to}.", highlight=False)


@rights_app.command("correct")
def correct_command(
    subject: SubjectArgument,
    event: Annotated[str, typer.Option(help="event_key of the event, as in the copy.")],
    set_: Annotated[
        list[str], typer.Option("--set", help="FIELD=VALUE; FIELD= for unknown. Repeat for more.")
    ],
    reason: Annotated[str, typer.Option(help="Why it is wrong, for the audit log; no names.")],
    as_: AsOption = "user",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """Put right what is stored wrongly of one event of a person.

    Example: `tandem rights correct anna --event 3f0c… --set quantity=1 --reason "typo" -w shop`
    """
    from tandem.flows.rights import correct

    changes = {}
    for part in set_:
        field, sign, value = part.partition("=")
        if not sign:
            raise typer.BadParameter(f"'{part}' is not FIELD=VALUE", param_hint="--set")
        changes[field] = value or None
    row = correct(*opened(workspace, subject, as_), event, changes, reason=reason)
    if json_:
        print_json(row)
    else:
        out.print(f"Corrected: {', '.join(changes)}.", highlight=False)


@rights_app.command("erase")
def erase_command(
    subject: SubjectArgument,
    as_: AsOption = "user",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """Erase a person from events, query log, completions, reports and models, and certify it.

    Example: `tandem rights erase anna -w shop --yes`
    """
    from tandem.flows.rights import erase

    layout, subjects = opened(workspace, subject, as_)
    if not yes:
        typer.confirm(f"Erase {subjects[-1]} for good?", abort=True)
    _show(erase(layout, subjects), json_)


@rights_app.command("resume")
def resume_command(
    id_: RequestArgument,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """Go on with an erasure that was interrupted.

    Example: `tandem rights resume e1f0c9a2b3d4e -w shop`
    """
    from tandem.flows.rights import resume
    from tandem.storage.layout import Layout

    _show(resume(Layout.open(workspace), id_), json_)


@rights_app.command("replay")
def replay_command(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE, json_: JsonOption = False
) -> None:
    """Do every erasure again, after a backup was restored.

    Example: `tandem rights replay -w shop`
    """
    from tandem.flows.rights import replay
    from tandem.storage.layout import Layout

    again = replay(Layout.open(workspace))
    if json_:
        print_json([_told(request) for request in again])
    else:
        out.print(f"{len(again)} erasures done again.")


@rights_app.command("list")
def list_command(workspace: WorkspaceOption = DEFAULT_WORKSPACE, json_: JsonOption = False) -> None:
    """Print every request for erasure and its state.

    Example: `tandem rights list -w shop`
    """
    from rich.table import Table

    from tandem.flows.rights import erasures
    from tandem.storage.layout import Layout

    found = [_told(request) for request in erasures(Layout.open(workspace))]
    if json_:
        print_json(found)
        return
    table = Table("id", "person", "requested", "state", "steps done", box=None)
    for request in found:
        done = ", ".join(request["done"])
        table.add_row(
            request["id"], request["subject"], request["requested"][:19], request["state"], done
        )
    out.print(table)


@rights_app.command("certificate")
def certificate_command(
    id_: RequestArgument,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """Print the certificate of an erasure.

    Example: `tandem rights certificate e1f0c9a2b3d4e -w shop`
    """
    from tandem.flows.rights import certificate
    from tandem.storage.layout import Layout

    found = certificate(Layout.open(workspace), id_)
    if json_:
        print_json(found)
        return
    out.print(f"{found['subject']} was erased on {found['finished'][:19]}.", highlight=False)
    for what, count in found["erased"].items():
        out.print(f"  {what}: {count if count not in (None, []) else 'none'}", highlight=False)
    size = found["bytes_searched"] / 1e6
    out.print(f"{found['files_searched']} files ({size:,.1f} MB) were searched.", highlight=False)
    for kept in found["kept"]:
        out.print(f"Kept in {kept['where']}/: {kept['why']}.", highlight=False)


def _show(request: Erasure, json_: bool) -> None:
    if json_:
        print_json(_told(request))
    else:
        out.print(f"Request {request.id} is {request.state}.", highlight=False)
        for what, count in request.counts.items():
            out.print(f"  {what}: {count if count not in (None, []) else 'none'}", highlight=False)
        out.print(f"See: tandem rights certificate {request.id}", highlight=False)


def _told(request: Erasure) -> dict[str, Any]:
    from datetime import UTC, datetime

    def iso(moment: int | None) -> str | None:
        return None if moment is None else datetime.fromtimestamp(moment / 1e6, UTC).isoformat()

    return {
        "id": request.id,
        "subject": request.subjects[-1],
        "requested": iso(request.requested),
        "finished": iso(request.finished),
        "state": request.state,
        "done": list(request.done),
        "erased": dict(request.counts),
    }
