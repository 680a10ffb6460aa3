"""`tandem events …`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tandem.cli.console import (
    DEFAULT_WORKSPACE,
    JsonOption,
    WorkspaceOption,
    err,
    out,
    print_json,
    progress_bars,
)

if TYPE_CHECKING:
    from tandem.flows.events import EventImport

events_app = typer.Typer(no_args_is_help=True, help="What shoppers did: journal, keys.")


def import_events_command(
    files: Annotated[
        list[Path],
        typer.Argument(help="UBI as JSON, NDJSON, CSV or Parquet; .gz and .zst too."),
    ],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    mapping: Annotated[
        str | None,
        typer.Option(
            help="ubi, retail, complete_journey, diginetica, or a TOML file. Default: detect."
        ),
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Import what shoppers did. Importing a file again changes nothing.

    Rows that cannot be taken go to quarantine with line, field, reason and remedy.

    Example: `tandem import events clicks.ndjson -w shop`
    """
    from tandem.flows.events import import_events
    from tandem.storage.layout import Layout

    layout = Layout.open(workspace)
    try:
        with progress_bars(quiet=json_) as bars:
            report = import_events(
                layout,
                files,
                mapping=mapping,
                progress=lambda done, total: bars("import", done, total),
            )
    except KeyboardInterrupt:
        err.print("[yellow]Interrupted; what was imported stays. Run it again to go on.[/]")
        raise typer.Exit(130) from None
    if json_:
        print_json(asdict(report))
    else:
        _show(report)


def _show(report: EventImport) -> None:
    rate = report.rows / report.seconds if report.seconds else 0
    out.print(
        f"Imported [bold]{report.accepted:,}[/] events in {report.seconds:.1f} s "
        f"({rate:,.0f} rows/s) of {report.rows:,} rows."
    )
    for count, what in (
        (report.duplicates, "duplicates: stored before, left as they were"),
        (report.late, "late: a day and more after they happened"),
        (report.out_of_order, "out of order: before an earlier row of the same client"),
        (report.clock_skewed, "clock-skewed: corrected, or refused as in the future"),
        (report.bots, "by bots: stored and marked"),
        (report.internal, "internal: stored and marked"),
        (report.masked, "queries with personal data masked"),
        (report.guests, "by guests: visitors without an identifier"),
    ):
        out.print(f"  {count:,} {what}", markup=False, highlight=False)
    if report.refused:
        out.print(f"[yellow]{report.refused:,} rows turned away:[/]")
        for reason, count in report.by_reason.items():
            out.print(f"  {count:,} × {reason}", markup=False)
        out.print(f"Every one of them, with line and remedy: {report.quarantine_file}")
    for note in report.notes:
        out.print(f"Note: {note}.", markup=False)


@events_app.command("consume")
def consume(
    brokers: Annotated[str, typer.Option(help="host:port of brokers, separated by commas.")],
    topic: Annotated[str, typer.Option(help="Topic with one JSON event a message.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    group: Annotated[str, typer.Option(help="Consumer group.")] = "tandem",
    mapping: Annotated[str, typer.Option(help="As for tandem import events.")] = "ubi",
    config: Annotated[
        Path | None, typer.Option(help="File of name=value settings for the client: TLS, SASL.")
    ] = None,
    until_idle: Annotated[
        float | None, typer.Option(min=1, help="Stop when nothing came for so many seconds.")
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Take events from a Kafka topic, until interrupted. Needs the extra `kafka`.

    A position is committed when its events are durable: nothing is lost, nothing is there twice.

    Example: `tandem events consume --brokers localhost:9092 --topic events -w shop`
    """
    from tandem.flows.events import consume_events
    from tandem.ingest.kafka import KafkaTopic, read_properties
    from tandem.storage.layout import Layout

    layout = Layout.open(workspace)
    settings = read_properties(config) if config is not None else {}
    with KafkaTopic(brokers, topic, group, settings) as stream, progress_bars(quiet=json_) as bars:
        report = consume_events(
            layout,
            stream,
            mapping=mapping,
            idle=until_idle,
            progress=lambda done, total: bars("consume", done, total),
        )
    if json_:
        print_json(asdict(report))
    else:
        _show(report)


@events_app.command("status")
def status(workspace: WorkspaceOption = DEFAULT_WORKSPACE, json_: JsonOption = False) -> None:
    """How many events are stored, and what was counted as they came in.

    Example: `tandem events status -w shop`
    """
    from tandem.flows.events import events_status
    from tandem.storage.layout import Layout

    found = events_status(Layout.open(workspace))
    if json_:
        times = {name: _time(getattr(found, name)) for name in ("first", "last")}
        print_json({**asdict(found), **times})
        return
    out.print(
        f"[bold]{found.events:,}[/] events on {found.days:,} days in {found.parts:,} files, "
        f"{found.bytes / 1e6:,.1f} MB; {found.in_journal:,} of them not compacted."
    )
    if found.first is not None:
        out.print(f"From {_time(found.first)} to {_time(found.last)}.", highlight=False)
    for name, count in found.tally.items():
        out.print(f"  {count:,} × {name}", markup=False)


@events_app.command("compact")
def compact(workspace: WorkspaceOption = DEFAULT_WORKSPACE, json_: JsonOption = False) -> None:
    """Move the journal into daily Parquet files. Servers and imports do so by themselves.

    Example: `tandem events compact -w shop`
    """
    from tandem.flows.events import compact_events
    from tandem.storage.layout import Layout

    done = compact_events(Layout.open(workspace))
    if json_:
        print_json(None if done is None else asdict(done))
    elif done is None:
        out.print("Another process is compacting already.")
    else:
        out.print(f"{done.events:,} events of {done.days:,} days went into {done.files:,} files.")


def _time(moment: int | None) -> str | None:
    """Microseconds since 1970 as text in UTC."""
    return None if moment is None else datetime.fromtimestamp(moment / 1e6, UTC).isoformat()


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
