"""Events into the workspace: checked, admitted by governance, stored durably."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import IO, Any

from tandem.contracts.errors import Behind, TandemError
from tandem.contracts.events import EventOutcome, EventRecord, QueryRecord
from tandem.flows.slots import Slots
from tandem.governance.admission import Admission, Refusal
from tandem.governance.consent import ConsentLedger
from tandem.governance.pseudonyms import Pseudonyms, open_ring
from tandem.ingest.event_mapping import EventMapping, EventRows, find_event_mapping
from tandem.ingest.events import parse_records
from tandem.ingest.kafka import KafkaTopic
from tandem.ingest.problem import Problem, Rejected
from tandem.ingest.readers import BadRow, Row, RowFile
from tandem.registry.lineage import DataSet, job
from tandem.storage.atomic import fsync_directory
from tandem.storage.events import Compacted, EventStatus, EventStore
from tandem.storage.layout import Layout

log = logging.getLogger(__name__)

OLDEST = timedelta(days=30)
# After a compaction that failed, on a full disk say, the next try waits for so long.
PATIENCE = 30.0
# Rows of a file that are admitted and made durable together.
PART = 5_000
FETCH_SECONDS = 1.0
Progress = Callable[[int, int | None], None]


class EventIntake:
    """Takes events as they happen. Safe for many threads; compacts beside them when it is time."""

    def __init__(self, layout: Layout) -> None:
        self.store = EventStore(layout)
        self._admission = Admission(
            Pseudonyms(open_ring(layout)), oldest=OLDEST, ledger=ConsentLedger(layout)
        )
        self._slots = Slots(layout)
        self._admitting = threading.Lock()
        self._compacting: threading.Thread | None = None
        self._next_try = 0.0

    def take(self, records: Sequence[Any], sent: datetime | None = None) -> list[EventOutcome]:
        """Store records, JSON objects unchecked so far; durable on return, one outcome for each.

        sent: when they left, by the sender's clock.
        Raises Behind when so much is not compacted yet that senders have to wait, StorageFull when
        the disk takes no more; then nothing of it is stored.
        """
        if self.store.behind:
            self._compact_beside()
            raise Behind("the journal of events is behind", retry_after=5)
        received = datetime.now(UTC)
        outcomes: list[EventOutcome | None] = [None] * len(records)
        parsed: list[tuple[int, QueryRecord | EventRecord]] = []
        for index, record in enumerate(parse_records(records)):
            if isinstance(record, Problem):
                outcomes[index] = _refused(record)
            else:
                parsed.append((index, record))
        with self._admitting:
            admitted = self._admission.admit(parsed, received=received, sent=sent)
        for refusal in admitted.refusals:
            outcomes[refusal.index] = _refused(refusal)
        tally = {"out_of_order": admitted.counts["out_of_order"]}
        for outcome in outcomes:
            if outcome is not None:
                name = f"refused_{outcome.code}"
                tally[name] = tally.get(name, 0) + 1
        places = [place for place, outcome in enumerate(outcomes) if outcome is None]
        new = self.store.append(admitted.rows, tally)
        # Known ones too: a crash may have come in between, and nothing counts twice.
        self._slots.follow(admitted.rows)
        if self.store.worth_compacting:
            self._compact_beside()
        for place, is_new in zip(places, new, strict=True):
            outcomes[place] = _ACCEPTED if is_new else _DUPLICATE
        return [outcome for outcome in outcomes if outcome is not None]

    def _compact_beside(self) -> None:
        with self._admitting:
            busy = self._compacting is not None and self._compacting.is_alive()
            if busy or time.monotonic() < self._next_try:
                return
            self._compacting = threading.Thread(target=self._compact, name="compact-events")
            self._compacting.start()

    def _compact(self) -> None:
        try:
            done = self.store.compact()
        except TandemError as error:
            self._next_try = time.monotonic() + PATIENCE
            log.error("events could not be compacted: %s", error.message)
        else:
            if done is not None:
                log.info("%d events compacted into %d files", done.events, done.files)

    def close(self) -> None:
        """Wait for a compaction under way."""
        if self._compacting is not None:
            self._compacting.join()
        self.store.close()
        self._slots.close()


@dataclass(frozen=True)
class EventImport:
    """What became of the rows of some files: `rows` = `accepted` + `duplicates` + `refused`.

    refused: rows turned away, by reason in `by_reason`, one line each in `quarantine_file`.
    late: received over a day after they happened, which in files is nearly all.
    out_of_order: before an earlier row of the same client, in parts of 5,000 rows.
    clock_skewed: times that a sender's clock put wrong: corrected, or refused as in the future.
    bots, internal: stored and marked. masked: queries with personal data masked.
    guests: rows of a visitor without an identifier. notes: what the mappings say about the source.
    """

    rows: int
    accepted: int
    duplicates: int
    refused: int
    by_reason: Mapping[str, int]
    late: int
    out_of_order: int
    clock_skewed: int
    bots: int
    internal: int
    masked: int
    guests: int
    quarantine_file: Path | None
    sources: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    seconds: float


def import_events(
    layout: Layout,
    files: Sequence[Path],
    mapping: EventMapping | str | Path | None = None,
    progress: Progress | None = None,
) -> EventImport:
    """Import events from UBI JSON, NDJSON, CSV or Parquet files, in parts that are durable.

    mapping: a mapping, the name of a ready one, or a TOML file; None finds out from the columns.
    progress: called with rows done and the estimated total (None while it cannot be estimated).

    What was imported stays when it is interrupted or fails half way; importing again is safe, since
    rows are recognised. Raises InvalidInput for a file that cannot be read to its end.
    """
    started = time.monotonic()
    currency = layout.settings().currency
    sources = [_source(Path(file), mapping, currency) for file in files]
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    store, slots = EventStore(layout), Slots(layout)
    admission = Admission(Pseudonyms(open_ring(layout)), ledger=ConsentLedger(layout))
    try:
        with (
            job(layout, "import events", *(DataSet(Path(f).name) for f in files)) as running,
            _Quarantine(layout) as quarantine,
        ):
            for number, (file, rows) in enumerate(sources):
                for part in _parts(file):
                    name = str(file.path)
                    reasons += _take_part(
                        (store, slots), admission, name, rows, part, counts, quarantine
                    )
                    if progress is not None:
                        share = (number + file.fraction) / len(sources)
                        progress(counts["rows"], round(counts["rows"] / share) if share else None)
            running.outputs.append(DataSet("events", rows=counts["accepted"]))
        store.compact()
    finally:
        store.close()
        slots.close()
    if progress is not None:
        progress(counts["rows"], counts["rows"])
    return _report(
        counts,
        reasons,
        [(str(file.path), rows) for file, rows in sources],
        quarantine.file,
        started,
    )


def consume_events(
    layout: Layout,
    topic: KafkaTopic,
    *,
    mapping: EventMapping | str | Path = "ubi",
    idle: float | None = None,
    progress: Progress | None = None,
) -> EventImport:
    """Take events from a Kafka topic until interrupted (KeyboardInterrupt), or until no message
    came for `idle` seconds.

    A position is committed when its events are durable: killed at any moment, nothing is lost, and
    what comes again is known. Raises StorageFull, and commits nothing, when the disk is full.
    """
    started = time.monotonic()
    found = find_event_mapping(mapping, (), Path(topic.topic))
    rows = EventRows(found, layout.settings().currency)
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    store, slots = EventStore(layout), Slots(layout)
    admission = Admission(Pseudonyms(open_ring(layout)))
    last = time.monotonic()
    try:
        with _Quarantine(layout) as quarantine:
            try:
                while idle is None or time.monotonic() - last < idle:
                    came = False
                    for partition, part in topic.fetch(PART, FETCH_SECONDS):
                        came = True
                        name = f"{topic.topic}[{partition}]"
                        reasons += _take_part(
                            (store, slots), admission, name, rows, part, counts, quarantine
                        )
                    if came:
                        quarantine.flush()
                        topic.commit()
                        last = time.monotonic()
                        if progress is not None:
                            progress(counts["rows"], None)
            except KeyboardInterrupt:
                log.info("interrupted; what was taken is durable")
        store.compact()
    finally:
        store.close()
        slots.close()
    return _report(counts, reasons, [(topic.topic, rows)], quarantine.file, started)


def _report(
    counts: Counter[str],
    reasons: Counter[str],
    sources: Sequence[tuple[str, EventRows]],
    quarantine_file: Path | None,
    started: float,
) -> EventImport:
    return EventImport(
        rows=counts["rows"],
        accepted=counts["accepted"],
        duplicates=counts["duplicates"],
        refused=reasons.total(),
        by_reason=dict(reasons.most_common()),
        late=counts["late"],
        out_of_order=counts["out_of_order"],
        clock_skewed=counts["shifted"] + counts["in_future"],
        bots=counts["bot_agent"] + counts["bot_rate"],
        internal=counts["internal"],
        masked=counts["masked"],
        guests=sum(rows.guests for _, rows in sources),
        quarantine_file=quarantine_file,
        sources=tuple((name, rows.mapping.name) for name, rows in sources),
        notes=tuple(dict.fromkeys(r.mapping.note for _, r in sources if r.mapping.note)),
        seconds=time.monotonic() - started,
    )


def _source(
    path: Path, mapping: EventMapping | str | Path | None, currency: str
) -> tuple[RowFile, EventRows]:
    head = RowFile(path, arrays=True).head(100) if mapping is None else []
    found = find_event_mapping(mapping, {c for row in head for c in row.values}, path)
    return RowFile(path, found.delimiter, arrays=True), EventRows(found, currency)


def _parts(file: RowFile) -> Iterator[list[Row | BadRow]]:
    rows = iter(file)
    while part := list(islice(rows, PART)):
        yield part


def _take_part(
    into: tuple[EventStore, Slots],
    admission: Admission,
    name: str,
    rows: EventRows,
    part: Sequence[Row | BadRow],
    counts: Counter[str],
    quarantine: _Quarantine,
) -> Counter[str]:
    """Store one part of the source `name`, adding to `counts`; the refusals by reason."""
    store, slots = into
    records: list[tuple[int, QueryRecord | EventRecord]] = []
    refused: list[tuple[int, Problem | Refusal]] = []
    for place, row in enumerate(part):
        if isinstance(row, BadRow):
            refused.append((place, row.problem))
            continue
        record = rows.record(row.values)
        if isinstance(record, Problem):
            refused.append((place, record))
        else:
            records.append((place, record))
    admitted = admission.admit(records, received=datetime.now(UTC))
    refused += [(refusal.index, refusal) for refusal in admitted.refusals]
    reasons = Counter(why.code for _, why in refused)
    tally = {f"refused_{code}": count for code, count in reasons.items()}
    new = store.append(admitted.rows, {**tally, "out_of_order": admitted.counts["out_of_order"]})
    slots.follow(admitted.rows)
    for place, why in sorted(refused, key=lambda item: item[0]):
        quarantine.add(name, part[place].line, why)
    counts.update(admitted.counts)
    counts.update(rows=len(part), accepted=sum(new), duplicates=len(new) - sum(new))
    if store.worth_compacting:
        store.compact()
    return reasons


class _Quarantine:
    """Refused rows in `events/quarantine/`: where they stand and why, not what they hold, since
    that may name people. The file is there when the first row is refused."""

    def __init__(self, layout: Layout) -> None:
        self._folder = layout.events / "quarantine"
        self._handle: IO[bytes] | None = None
        self.file: Path | None = None

    def __enter__(self) -> _Quarantine:
        return self

    def add(self, file: str, line: int, why: Problem | Refusal) -> None:
        if self._handle is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
            self.file = self._folder / f"{stamp}.jsonl"
            self._handle = self.file.open("xb")
        row = Rejected(file, line, why.code, why.field, why.reason, why.remedy, row="")
        self._handle.write(row.to_json() + b"\n")

    def flush(self) -> None:
        if self._handle is not None:
            self._handle.flush()
            os.fsync(self._handle.fileno())

    def __exit__(self, *_: object) -> None:
        if self._handle is not None:
            self.flush()
            self._handle.close()
            fsync_directory(self._folder)


def compact_events(layout: Layout) -> Compacted | None:
    """Move the journal into partitions; None when another process is at it."""
    store = EventStore(layout)
    try:
        return store.compact()
    finally:
        store.close()


def events_status(layout: Layout) -> EventStatus:
    """How much is stored, and what was counted as it came in."""
    store = EventStore(layout)
    try:
        return store.status()
    finally:
        store.close()


_ACCEPTED = EventOutcome(status="accepted")
_DUPLICATE = EventOutcome(status="duplicate")


def _refused(why: Problem | Refusal) -> EventOutcome:
    return EventOutcome(
        status="refused", code=why.code, field=why.field, reason=why.reason, remedy=why.remedy
    )
