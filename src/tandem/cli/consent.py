"""`tandem consent …`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tandem.cli.console import DEFAULT_WORKSPACE, JsonOption, WorkspaceOption, out, print_json
from tandem.contracts.consent import Basis, ConsentRecord, Decision, Purpose
from tandem.contracts.privacy import PersonRole

if TYPE_CHECKING:
    from tandem.contracts.events import Pseudonym
    from tandem.storage.layout import Layout

consent_app = typer.Typer(
    no_args_is_help=True, help="What each person allows: a ledger by person and purpose."
)

SubjectArgument = Annotated[
    str,
    typer.Argument(
        help="Id of user, client or creator, or pseudonym; '-' reads it from standard input."
    ),
]
AsOption = Annotated[PersonRole, typer.Option("--as", help="What SUBJECT is, if no pseudonym.")]
PurposeOption = Annotated[
    list[Purpose], typer.Option("--purpose", "-p", help="Purpose; repeat for more.")
]
EvidenceOption = Annotated[
    str | None, typer.Option(help="What shows it: the banner's version, the letter's number.")
]


@consent_app.command("grant")
def grant(
    subject: SubjectArgument,
    purpose: PurposeOption,
    as_: AsOption = "user",
    special: Annotated[
        bool, typer.Option("--special", help="Explicit, for special categories too (Art. 9).")
    ] = False,
    evidence: EvidenceOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """Record that a person allows their data to be read for a purpose.

    Example: `tandem consent grant anna -p personalisation -p analytics -w shop`
    """
    _decide(workspace, subject, as_, purpose, "granted", special, evidence, json_)


@consent_app.command("withdraw")
def withdraw(
    subject: SubjectArgument,
    purpose: Annotated[
        list[Purpose] | None,
        typer.Option("--purpose", "-p", help="Purpose; repeat for more. Default: all."),
    ] = None,
    as_: AsOption = "user",
    evidence: EvidenceOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """Record that a person withdraws consent, or objects where the basis is another.

    Example: `tandem consent withdraw anna -p analytics -w shop`
    """
    _decide(workspace, subject, as_, purpose or list(Purpose), "withdrawn", False, evidence, json_)


@consent_app.command("age")
def age(
    subject: SubjectArgument,
    minor: Annotated[bool, typer.Option("--minor/--adult", help="A minor, or of age.")],
    as_: AsOption = "user",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """Record that a person is a minor: nothing that profiles reads their data any more.

    Example: `tandem consent age ben --minor -w shop`
    """
    from tandem.flows.consent import set_age

    layout, subjects = opened(workspace, subject, as_)
    set_age(layout, subjects, minor=minor)
    if json_:
        print_json({"subjects": subjects, "minor": minor})
    else:
        out.print(f"{subjects[-1]} is {'a minor' if minor else 'of age'}.", highlight=False)


@consent_app.command("basis")
def basis(
    purpose: Annotated[Purpose, typer.Argument(help="Purpose.")],
    basis: Annotated[Basis, typer.Argument(help="Its legal basis from now on.")],
    reason: Annotated[str, typer.Option(help="Where it was weighed.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """Put a purpose on another legal basis. Under `consent` people who said nothing are left out.

    Example: `tandem consent basis analytics consent --reason "board, 12 May" -w shop`
    """
    from tandem.flows.consent import set_basis
    from tandem.storage.layout import Layout

    bases = set_basis(Layout.open(workspace), purpose, basis, reason)
    if json_:
        print_json(bases)
    else:
        for name, ground in bases.items():
            out.print(f"{name:<18} {ground}", highlight=False)


@consent_app.command("show")
def show(
    subject: SubjectArgument,
    as_: AsOption = "user",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """Print what a person allows, and every decision so far.

    Example: `tandem consent show anna -w shop`
    """
    from rich.table import Table

    from tandem.flows.consent import standing

    layout, subjects = opened(workspace, subject, as_)
    found = standing(layout, subjects)
    if json_:
        print_json({**asdict(found), "records": [_told(r) for r in found.records]})
        return
    out.print(f"{found.subjects[-1]}{', a minor' if found.minor else ''}", highlight=False)
    table = Table("purpose", "read", "basis of the purpose", box=None)
    for name, allowed in found.allowed.items():
        table.add_row(name, "[green]yes[/]" if allowed else "[red]no[/]", found.bases[name])
    out.print(table)
    for record in found.records:
        told = _told(record)
        evidence = f" ({record.evidence})" if record.evidence else ""
        out.print(
            f"{told['at'][:19]} {record.decision} {record.purpose}{evidence}, by {record.source}",
            markup=False,
            highlight=False,
        )


def _decide(
    workspace: Path,
    subject: str,
    as_: PersonRole,
    purposes: list[Purpose],
    decision: Decision,
    special: bool,
    evidence: str | None,
    json_: bool,
) -> None:
    from tandem.flows.consent import decide

    layout, subjects = opened(workspace, subject, as_)
    records = decide(layout, subjects, purposes, decision, special=special, evidence=evidence)
    if json_:
        print_json([_told(record) for record in records])
    else:
        out.print(f"{subjects[-1]}: {decision} {', '.join(purposes)}.", highlight=False)


def opened(workspace: Path, subject: str, as_: PersonRole) -> tuple[Layout, tuple[Pseudonym, ...]]:
    """The workspace, and the person's pseudonyms; '-' reads the identifier from standard input."""
    import sys

    from tandem.flows.consent import subjects_of
    from tandem.storage.layout import Layout

    layout = Layout.open(workspace)
    identifier = sys.stdin.readline().strip() if subject == "-" else subject
    return layout, subjects_of(layout, identifier, as_)


def _told(record: ConsentRecord) -> dict[str, Any]:
    from datetime import UTC, datetime

    at = datetime.fromtimestamp(record.at / 1e6, UTC).isoformat()
    return {**asdict(record), "at": at}
