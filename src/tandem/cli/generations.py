"""`tandem rollback` and `tandem artefacts`."""

from __future__ import annotations

from typing import Annotated, get_args

import typer
from rich.markup import escape
from rich.table import Table

from tandem.cli.console import DEFAULT_WORKSPACE, JsonOption, WorkspaceOption, out, print_json
from tandem.contracts.artefact import ArtefactKind
from tandem.flows.generations import Kind


def rollback(
    kind: Annotated[Kind, typer.Argument(help=f"What to roll back: {', '.join(get_args(Kind))}.")],
    to: Annotated[str | None, typer.Option(help="Generation; default: the one before.")] = None,
    why: Annotated[str, typer.Option(help="Why; kept with the decision.")] = "rolled back",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """Make an older generation live again: one atomic switch, on record.

    Example: `tandem rollback models --why "clicks fell" -w shop`
    """
    from tandem.flows.artefacts import roll_back_artefact
    from tandem.governance.audit import os_actor
    from tandem.storage.layout import Layout

    decision = roll_back_artefact(Layout.open(workspace), kind, to, who=os_actor(), why=why)
    was, now = decision.instead_of, decision.generation
    if json_:
        print_json({"kind": kind, "was": was, "now": now})
    else:
        out.print(f"{kind}: {was} → [bold]{now}[/]. A running server takes it up on refresh.")


def artefacts(
    kind: Annotated[
        ArtefactKind | None,
        typer.Option(help=f"One of {', '.join(get_args(ArtefactKind))}; default: all."),
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """Every generation of every kind: its stage, what it was made of, who decided and why.

    What the shop's rules and synonyms say now is kept as a generation first, if it is new.

    Example: `tandem artefacts --kind rules -w shop`
    """
    from tandem.flows.artefacts import KINDS, register_rules
    from tandem.flows.artefacts import artefacts as artefacts_
    from tandem.governance.audit import os_actor
    from tandem.storage.layout import Layout

    layout = Layout.open(workspace)
    kinds = (kind,) if kind else KINDS
    if "rules" in kinds:
        register_rules(layout, who=os_actor(), why="as they were found")
    found = artefacts_(layout, kinds)
    if json_:
        print_json({"artefacts": [a.model_dump(mode="json") for a in found]})
        return
    table = Table(box=None, pad_edge=False)
    for column in ("kind", "generation", "stage", "fingerprint", "who", "why"):
        table.add_column(column, no_wrap=column == "generation")
    for a in found:
        of = a.lineage
        mark = of.get("data_fingerprint") or of.get("catalog_fingerprint") or of.get("fingerprint")
        last = a.decisions[-1] if a.decisions else None
        table.add_row(
            a.kind,
            a.generation,
            a.stage,
            str(mark or "")[:16],
            escape(last.who) if last else "",
            escape(last.why) if last else "",
        )
    out.print(table)
