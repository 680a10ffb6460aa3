"""The events of a workspace: a durable journal, compacted into Parquet partitions by day.

    events/journal.db                  SQLite: batches not yet compacted, and what files there are
    events/day=2026-03-01/*.parquet    events by the day they happened (UTC), sorted by time
    events/keys/*.npy                  keys of compacted events, to recognise what is sent again

`append` returns when the rows are on disk (WAL, synchronous=FULL); those who append at the same
time share one commit. Files are immutable. Which of them count is said in the database and changes
in one transaction, so at any moment there is exactly one copy of each event, whoever was killed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import sqlite3
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from itertools import compress
from operator import itemgetter
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin, get_type_hints

from tandem.contracts.errors import Conflict, InvalidInput, StorageFull
from tandem.contracts.events import AdmittedEvent
from tandem.storage.atomic import fsync_directory
from tandem.storage.event_keys import KeyRun, packed, to_merge, write_run
from tandem.storage.layout import Layout
from tandem.storage.wal import use_wal

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

DAY = 86_400_000_000  # microseconds
# Rows in the journal from which on compacting is worth it, and from which on senders have to wait.
COMPACT_AT = 250_000
MOST_IN_JOURNAL = 2_000_000
MOST_IN_A_PART = 1_000_000
BUSY_SECONDS = 30.0
# As Python objects events take some kilobytes each, as a table a few hundred bytes.
DECODED_AT_ONCE = 50_000

_TABLES = """
CREATE TABLE IF NOT EXISTS batches (
    id INTEGER PRIMARY KEY AUTOINCREMENT, rows INTEGER NOT NULL,
    keys BLOB NOT NULL, events BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS parts (
    id INTEGER PRIMARY KEY AUTOINCREMENT, day TEXT NOT NULL, file TEXT NOT NULL UNIQUE,
    rows INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT, file TEXT NOT NULL UNIQUE, keys INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS tally (name TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS state (version INTEGER NOT NULL);
INSERT INTO state SELECT 0 WHERE NOT EXISTS (SELECT * FROM state);
"""


@cache
def schema() -> pa.Schema:
    """The columns of `AdmittedEvent` in Arrow's types: text, int64, float64, lists of text. Times
    are int64 microseconds since 1970 in UTC, `amount` is decimal text, lists are never null."""
    import pyarrow as pa

    kinds = {int: pa.int64(), float: pa.float64(), tuple: pa.list_(pa.string())}
    fields = []
    for name, hint in get_type_hints(AdmittedEvent).items():
        alternatives = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
        kind = get_origin(alternatives[0]) or alternatives[0]
        nullable = type(None) in alternatives
        fields.append(pa.field(name, kinds.get(kind, pa.string()), nullable))
    return pa.schema(fields)


@dataclass(frozen=True, slots=True)
class Part:
    """One Parquet file: its day, its path, its rows, its first and last timestamp (µs)."""

    day: str
    path: Path
    rows: int
    first: int
    last: int


@dataclass(frozen=True)
class Snapshot:
    """All events at one moment, each exactly once. Valid inside `EventStore.reading()`."""

    parts: tuple[Part, ...]
    journal: pa.Table

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts) + int(self.journal.num_rows)

    def table(
        self,
        columns: Sequence[str] | None = None,
        *,
        since: int | None = None,
        until: int | None = None,
    ) -> pa.Table:
        """Events as one Arrow table in memory, in no order.

        since, until: microseconds since 1970 in UTC; `since` ≤ timestamp < `until`.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        wanted = list(columns) if columns is not None else schema().names
        needed = list(dict.fromkeys((*wanted, "timestamp")))
        bounded = since is not None or until is not None
        read = [
            _read(part.path, needed)
            for part in self.parts
            if (since is None or part.last >= since) and (until is None or part.first < until)
        ]
        whole = pa.concat_tables([*read, self.journal.select(needed)])
        if bounded:
            time_ = whole["timestamp"]
            kept = pc.greater_equal(time_, -(2**63) if since is None else since)
            if until is not None:
                kept = pc.and_(kept, pc.less(time_, until))
            whole = whole.filter(kept)
        return whole.select(wanted)

    def view(
        self, connection: duckdb.DuckDBPyConnection, name: str = "events"
    ) -> duckdb.DuckDBPyRelation:
        """Events as the temporary view `name` of a DuckDB connection, read as it is queried."""
        pending = f"{name}_in_journal"
        connection.register(pending, self.journal)
        columns = ", ".join(f'"{column}"' for column in schema().names)
        everything = f"SELECT * FROM {pending}"
        if self.parts:
            files = ", ".join("'" + str(p.path).replace("'", "''") + "'" for p in self.parts)
            # By name: files that an earlier version wrote may lack columns.
            everything += (
                f" UNION ALL BY NAME SELECT * FROM read_parquet([{files}],"
                " hive_partitioning = false, union_by_name = true)"
            )
        connection.execute(
            f'CREATE OR REPLACE TEMP VIEW "{name}" AS SELECT {columns} FROM ({everything})'
        )
        return connection.table(name)


@dataclass(frozen=True)
class EventStatus:
    """How much there is. `in_journal` of `events` are not compacted; times in µs, None: no event.

    tally: what was counted as it came in: `accepted`, `duplicate`, `out_of_order`, and one
        `refused_<code>` for each reason that a record was refused for.
    """

    events: int
    in_journal: int
    days: int
    parts: int
    bytes: int
    first: int | None
    last: int | None
    tally: Mapping[str, int]


@dataclass(frozen=True)
class Compacted:
    """What one compaction did: events moved into partitions, days touched, files written."""

    events: int
    days: int
    files: int


@dataclass
class _Waiting:
    """One call of `append` on its way through a shared commit."""

    rows: Sequence[AdmittedEvent]
    keys: list[bytes]
    tally: Mapping[str, int]
    new: list[bool] = field(default_factory=list)
    done: bool = False
    error: Exception | None = None


class EventStore:
    """Stored events of the workspace `layout`. Safe for many threads and many processes.

    Holds the keys of the journal in memory: about 100 bytes an event that is not compacted.
    """

    def __init__(self, layout: Layout) -> None:
        self.folder = layout.events
        self._file = self.folder / "journal.db"
        self._queue: list[_Waiting] = []
        self._queue_lock = threading.Lock()
        self._commit_lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._forget()
        if not self._file.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._connected():
                pass
            fsync_directory(self.folder)

    def _forget(self) -> None:
        self._version = -1
        self._through = 0
        self._recent: set[bytes] = set()
        self._runs: list[KeyRun] = []

    def close(self) -> None:
        with self._commit_lock:
            self._disconnect()

    # --- Appending ----------------------------------------------------------------------------

    @property
    def behind(self) -> bool:
        """Whether so much waits to be committed or compacted that senders should wait."""
        with self._queue_lock:
            waiting = sum(len(w.keys) for w in self._queue)
        return waiting + len(self._recent) > MOST_IN_JOURNAL

    @property
    def worth_compacting(self) -> bool:
        return len(self._recent) >= COMPACT_AT

    def append(
        self, rows: Sequence[AdmittedEvent], tally: Mapping[str, int] | None = None
    ) -> list[bool]:
        """Store rows; durable on return. For each row whether it was new: False means that an
        event of this key is stored already, or came earlier in `rows`, and nothing was changed.

        tally: counts to add up durably with the rows, such as refusals.

        Raises StorageFull when the disk takes no more, Conflict when another process holds the
        journal for too long: nothing of this call was acknowledged, and sending it again is safe.
        """
        waiting = _Waiting(rows, [bytes.fromhex(row["event_key"]) for row in rows], tally or {})
        with self._queue_lock:
            self._queue.append(waiting)
        # Whoever gets the lock commits for all who wait: one fsync for the group.
        with self._commit_lock:
            if not waiting.done:
                with self._queue_lock:
                    group, self._queue = self._queue, []
                self._commit(group)
        if waiting.error is not None:
            raise waiting.error
        return waiting.new

    def _commit(self, group: Sequence[_Waiting]) -> None:
        error: Exception | None = None
        try:
            with _told(self._file):
                self._connection = self._connection or _connect(self._file)
                with self._turn(), _immediate(self._connection):
                    self._catch_up(self._connection)
                    added, number = self._insert(self._connection, group)
            self._recent |= added
            self._through = number or self._through
        except Exception as failure:
            # What is in memory may no longer be what is on disk: read it again next time.
            self._disconnect()
            self._forget()
            error = failure
        for waiting in group:
            waiting.error = error
            waiting.done = True

    def _insert(
        self, connection: sqlite3.Connection, group: Sequence[_Waiting]
    ) -> tuple[set[bytes], int | None]:
        """Store what is new of a group: its keys, and the number of its batch if there is any."""
        number = None
        added: set[bytes] = set()
        rows: list[AdmittedEvent] = []
        keys: list[bytes] = []
        for waiting in group:
            waiting.new = self._new(waiting.keys, added)
            rows += compress(waiting.rows, waiting.new)
            keys += compress(waiting.keys, waiting.new)
        tally: dict[str, int] = {}
        for waiting in group:
            counts = {
                **waiting.tally,
                "accepted": sum(waiting.new),
                "duplicate": len(waiting.new) - sum(waiting.new),
            }
            for name, count in counts.items():
                tally[name] = tally.get(name, 0) + count
        if added:
            number = connection.execute(
                "INSERT INTO batches (rows, keys, events) VALUES (?, ?, ?)",
                (len(rows), b"".join(keys), _encoded(rows)),
            ).lastrowid
        connection.executemany(
            "INSERT INTO tally VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET count = count + excluded.count",
            [(name, count) for name, count in tally.items() if count],
        )
        return added, number

    def _new(self, keys: Sequence[bytes], added: set[bytes]) -> list[bool]:
        """Which keys are unknown; adds them to `added`."""
        unknown = list(dict.fromkeys(k for k in keys if k not in self._recent and k not in added))
        if unknown and self._runs:
            wanted = packed(unknown)
            for run in self._runs:
                if not unknown:
                    break
                held = run.holds(wanted)
                if held.any():
                    unknown = [key for key, h in zip(unknown, held, strict=True) if not h]
                    wanted = wanted[:, ~held]
        fresh = set(unknown)
        new = []
        for key in keys:
            new.append(key in fresh)
            fresh.discard(key)
        added.update(unknown)
        return new

    def _catch_up(self, connection: sqlite3.Connection) -> None:
        """Take in what other processes appended or compacted."""
        (version,) = connection.execute("SELECT version FROM state").fetchone()
        if version != self._version:
            self._forget()
            self._runs = [
                KeyRun(self.folder / "keys" / file)
                for (file,) in connection.execute("SELECT file FROM runs ORDER BY keys DESC")
            ]
            self._version = version
        for number, keys in connection.execute(
            "SELECT id, keys FROM batches WHERE id > ? ORDER BY id", (self._through,)
        ):
            self._recent.update(_split(keys))
            self._through = number

    # --- Reading ------------------------------------------------------------------------------

    @contextlib.contextmanager
    def reading(self) -> Iterator[Snapshot]:
        """All events as of now. While the block runs no file of it is removed."""
        with self._readers().open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
            with self._connected() as connection:
                connection.execute("BEGIN")
                parts = self._parts(connection)
                blobs = connection.execute("SELECT events FROM batches ORDER BY id").fetchall()
                connection.execute("COMMIT")
            yield Snapshot(parts, _decoded(blob for (blob,) in blobs))

    def status(self) -> EventStatus:
        with self._connected() as connection:
            connection.execute("BEGIN")
            parts = self._parts(connection)
            blobs = connection.execute("SELECT events FROM batches").fetchall()
            tally = dict(connection.execute("SELECT name, count FROM tally ORDER BY name"))
            connection.execute("COMMIT")
        times = [t for (blob,) in blobs for t in _loaded(blob)["timestamp"]]
        firsts, lasts = [p.first for p in parts], [p.last for p in parts]
        size = sum(f.stat().st_size for f in self.folder.rglob("*") if f.is_file())
        return EventStatus(
            events=sum(p.rows for p in parts) + len(times),
            in_journal=len(times),
            days=len({p.day for p in parts} | {day_of(t) for t in times}),
            parts=len(parts),
            bytes=size,
            first=min([*firsts, *times], default=None),
            last=max([*lasts, *times], default=None),
            tally=tally,
        )

    # --- Compaction ---------------------------------------------------------------------------

    def compact(self) -> Compacted | None:
        """Move the journal into partitions; None when another process is at it already.

        Killed at any moment it has either moved a batch as a whole or not at all.
        """
        with self._alone(wait=False) as alone:
            if not alone:
                return None
            with _told(self._file):
                return self._compact()

    def rewrite(self, change: Callable[[pa.Table], pa.Table]) -> int:
        """Replace the events by `change` of them, for erasure and retention; how many went.

        `change` gets a table with the columns of `schema()` and gives back the rows that stay,
        altered or not, with their keys. It is called once for each file and once for the journal.
        Removed events stay known by their keyed hash: sent again, they count as duplicates. On
        return no file and no page of the journal holds the former rows any more. Interrupted, some
        files are rewritten and others not: call it again.

        Raises Conflict when readers hold on to the old files for too long.
        """
        gone = 0
        with self._alone(wait=True), _told(self._file):
            self._compact()
            with self._connected() as connection:
                parts = self._parts(connection)
            for part in parts:
                before = _read(part.path)
                after = change(before)
                if not after.equals(before):
                    gone += before.num_rows - after.num_rows
                    written = [self._write(part.day, after)] if after.num_rows else []
                    with self._transaction() as connection:
                        self._switch(connection, written, [part])
            gone += self._rewrite_journal(change)
            self._sweep(patience=BUSY_SECONDS)
            with self._connected() as connection:  # waits for readers of the database
                busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if busy:
                raise _still_read()
        return gone

    def _rewrite_journal(self, change: Callable[[pa.Table], pa.Table]) -> int:
        """What came in while the partitions were rewritten."""
        gone = 0
        with self._transaction() as connection:
            batches = connection.execute("SELECT id, events FROM batches").fetchall()
            for number, blob in batches:
                before = _decoded([blob])
                after = change(before)
                if not after.equals(before):
                    gone += before.num_rows - after.num_rows
                    connection.execute(
                        "UPDATE batches SET events = ?, rows = ? WHERE id = ?",
                        (_encoded(after.to_pylist()), after.num_rows, number),
                    )
        return gone

    def _compact(self) -> Compacted:
        """The journal as it is now, in rounds that fit into memory."""
        with self._connected() as connection:
            batches = connection.execute("SELECT id, rows FROM batches ORDER BY id").fetchall()
        events, files, size, first = 0, 0, 0, 0
        days: set[str] = set()
        for number, rows in batches:
            size += rows
            if size >= COMPACT_AT or number == batches[-1][0]:
                moved, touched, written = self._compact_round(first, number)
                events, files, size, first = events + moved, files + written, 0, number
                days |= touched
        self._sweep(patience=0)
        return Compacted(events, len(days), files)

    def _compact_round(self, after: int, through: int) -> tuple[int, set[str], int]:
        """Move batches after one and through another: events, days, files written."""
        import pyarrow as pa

        with self._connected() as connection:
            batches = connection.execute(
                "SELECT keys, events FROM batches WHERE id > ? AND id <= ? ORDER BY id",
                (after, through),
            ).fetchall()
            parts = self._parts(connection)
            runs = connection.execute("SELECT file, keys FROM runs ORDER BY id").fetchall()
        events = _decoded(blob for _, blob in batches)
        written, replaced = [], []
        for day, table in _by_day(events):
            old = [part for part in parts if part.day == day]
            count = to_merge([*(p.rows for p in old), table.num_rows], MOST_IN_A_PART)
            merged = old[len(old) - count :]
            replaced += merged
            written.append(
                self._write(day, pa.concat_tables([table, *(_read(p.path) for p in merged)]))
            )
        keys = packed(key for keys, _ in batches for key in _split(keys))
        count = to_merge([*(size for _, size in runs), keys.shape[1]])
        old_runs = [file for file, _ in runs[len(runs) - count :]]
        folder = self.folder / "keys"
        run = write_run(folder, [keys, *(KeyRun(folder / file).keys for file in old_runs)])
        for touched in {folder, self.folder, *(part.path.parent for part in written)}:
            fsync_directory(touched)
        with self._transaction() as connection:
            self._switch(connection, written, replaced)
            connection.execute("DELETE FROM batches WHERE id <= ?", (through,))
            connection.executemany("DELETE FROM runs WHERE file = ?", [(f,) for f in old_runs])
            size = len(KeyRun(run))
            connection.execute("INSERT INTO runs (file, keys) VALUES (?, ?)", (run.name, size))
        return events.num_rows, {part.day for part in written}, len(written)

    @staticmethod
    def _switch(
        connection: sqlite3.Connection, written: Sequence[Part], replaced: Sequence[Part]
    ) -> None:
        connection.executemany(
            "DELETE FROM parts WHERE file = ?", [(_name(part),) for part in replaced]
        )
        connection.executemany(
            "INSERT INTO parts (day, file, rows, first, last) VALUES (?, ?, ?, ?, ?)",
            [(p.day, _name(p), p.rows, p.first, p.last) for p in written],
        )
        connection.execute("UPDATE state SET version = version + 1")

    def _write(self, day: str, table: pa.Table) -> Part:
        """A new file of a day, sorted by time, durable once its folder is."""
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        table = table.sort_by([("timestamp", "ascending"), ("event_key", "ascending")])
        path = self.folder / f"day={day}" / f"{secrets.token_hex(8)}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with path.open("xb") as handle:
                pq.write_table(table, handle, compression="zstd", row_group_size=131_072)
                handle.flush()
                os.fsync(handle.fileno())
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        fsync_directory(path.parent)
        bounds = pc.min_max(table["timestamp"]).as_py()
        return Part(day, path, table.num_rows, bounds["min"], bounds["max"])

    def _sweep(self, *, patience: float) -> None:
        """Remove files that no longer count, replaced ones and those of a killed compaction, if
        nobody reads. patience: seconds to wait for readers; with any, Conflict when they stay."""
        with self._readers().open("a") as lock:
            until = time.monotonic() + patience
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if not patience:
                        return  # the next compaction removes them
                    if time.monotonic() > until:
                        raise _still_read() from None
                    time.sleep(0.05)
            with self._connected() as connection:
                counted = {part.path for part in self._parts(connection)}
                counted |= {
                    self.folder / "keys" / file
                    for (file,) in connection.execute("SELECT file FROM runs")
                }
            for path in (*self.folder.glob("day=*/*.parquet"), *self.folder.glob("keys/*.npy")):
                if path not in counted:
                    path.unlink()
            for folder in self.folder.glob("day=*"):
                with contextlib.suppress(OSError):
                    folder.rmdir()  # only when nothing is left in it

    def _parts(self, connection: sqlite3.Connection) -> tuple[Part, ...]:
        return tuple(
            Part(day, self.folder / f"day={day}" / file.rpartition("/")[2], rows, first, last)
            for day, file, rows, first, last in connection.execute(
                "SELECT day, file, rows, first, last FROM parts ORDER BY day, id"
            )
        )

    @contextlib.contextmanager
    def _alone(self, *, wait: bool) -> Iterator[bool]:
        """The right to change files; the kernel gives it back when the process dies."""
        with (self.folder / ".compacting").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            yield True

    def _readers(self) -> Path:
        return self.folder / ".reading"

    # --- Connections --------------------------------------------------------------------------

    @contextlib.contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        """A connection of its own, closed at the end, with errors as TandemErrors."""
        with _told(self._file):
            connection = _connect(self._file)
            try:
                yield connection
            finally:
                connection.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """A connection of its own in a transaction, durable when the block has ended."""
        with (
            self._commit_lock,
            self._connected() as connection,
            self._turn(),
            _immediate(connection),
        ):
            yield connection

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """The one writer of all processes. SQLite alone would have them poll, and a compaction
        never get its turn among busy senders; the kernel wakes who waits."""
        with (self.folder / ".writing").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _disconnect(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()  # rolls back what was not committed
            self._connection = None


def day_of(timestamp: int) -> str:
    """The day in UTC of microseconds since 1970, as `2026-03-01`."""
    return (date(1970, 1, 1) + timedelta(days=timestamp // DAY)).isoformat()


def _connect(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        file, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    use_wal(connection, BUSY_SECONDS)
    connection.execute("PRAGMA synchronous = FULL")  # fsync at each commit, not at checkpoints only
    connection.execute("PRAGMA secure_delete = ON")  # erased events leave no bytes behind
    connection.execute("PRAGMA wal_autocheckpoint = 4000")
    connection.execute("PRAGMA journal_size_limit = 67108864")
    tables = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'state'")
    if not tables.fetchone()[0]:
        with _immediate(connection):
            for statement in _TABLES.split(";"):
                connection.execute(statement)
    return connection


@contextlib.contextmanager
def _immediate(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # some failures have rolled back already
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
        raise


@contextlib.contextmanager
def _told(file: Path) -> Iterator[None]:
    """Failures of the disk and of the database as errors that a person can act on."""
    try:
        yield
    except sqlite3.OperationalError as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_BUSY:
            raise Conflict(
                f"another process holds {file} since {BUSY_SECONDS:.0f} s",
                remedy="send it again; if it goes on, see which process has the file open",
            ) from error
        if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN):
            raise _full(file, str(error)) from error
        raise
    except sqlite3.DatabaseError as error:
        raise InvalidInput(
            f"the journal is damaged ({error})",
            file=str(file),
            remedy="restore the folder events/ from a backup; keep the damaged one for rescue",
        ) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
            raise _full(file, error.strerror or str(error)) from error
        raise


def _full(file: Path, reason: str) -> StorageFull:
    return StorageFull(
        f"{file.parent} takes no more data ({reason}); nothing of this call is stored",
        remedy="make room on the disk, then send it again; what was acknowledged is safe",
    )


def _still_read() -> Conflict:
    return Conflict(
        "somebody still reads the former files of events",
        remedy="run this again when they have finished; what was changed stays changed",
    )


# A batch in the journal: compressed JSON of columns. Arrow's own format costs kilobytes for the one
# event that a page sends, and turning rows into it costs more than writing them.
_SIZE = struct.Struct("<I")


def _encoded(rows: Sequence[Mapping[str, Any]]) -> bytes:
    import orjson
    import pyarrow as pa

    columns = {name: list(map(itemgetter(name), rows)) for name in schema().names}
    text = orjson.dumps(columns)
    packed_text: bytes = pa.Codec("zstd").compress(text, asbytes=True)
    return _SIZE.pack(len(text)) + packed_text


def _loaded(blob: bytes) -> dict[str, list[Any]]:
    import orjson
    import pyarrow as pa

    (size,) = _SIZE.unpack_from(blob)
    text = pa.Codec("zstd").decompress(blob[_SIZE.size :], size, asbytes=True)
    columns: dict[str, list[Any]] = orjson.loads(text)
    return columns


def _decoded(blobs: Iterable[bytes]) -> pa.Table:
    import pyarrow as pa

    tables = [schema().empty_table()]
    columns: dict[str, list[Any]] = {name: [] for name in schema().names}
    for blob in blobs:
        loaded = _loaded(blob)
        rows = len(loaded["event_key"])
        for name, values in columns.items():
            values += loaded.get(name) or [_missing(name)] * rows
        if len(columns["event_key"]) >= DECODED_AT_ONCE:
            tables.append(pa.table(columns, schema=schema()))
            columns = {name: [] for name in columns}
    return pa.concat_tables([*tables, pa.table(columns, schema=schema())])


def _read(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """A file in the columns of today; what an earlier version did not know is missing."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    wanted = schema().names if columns is None else columns
    known = [name for name in wanted if name in file.schema_arrow.names]
    table = file.read(known, use_threads=False)
    for name in wanted:
        if name not in known:
            kind = schema().field(name).type
            missing = pa.array([_missing(name)] * table.num_rows, kind)
            table = table.append_column(schema().field(name), missing)
    return table.select(wanted).replace_schema_metadata(None)


def _missing(column: str) -> list[str] | None:
    return None if schema().field(column).nullable else []


def _split(keys: bytes) -> Iterator[bytes]:
    return (keys[start : start + 16] for start in range(0, len(keys), 16))


def _name(part: Part) -> str:
    return f"day={part.day}/{part.path.name}"


def _by_day(events: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    import numpy as np

    days = np.asarray(events["timestamp"]) // DAY
    order = np.argsort(days, kind="stable")
    ordered = events.take(order)
    values, starts = np.unique(days[order], return_index=True)
    ends = [*starts[1:], len(days)]
    for day, start, end in zip(values, starts, ends, strict=True):
        yield day_of(int(day) * DAY), ordered.slice(int(start), int(end - start))
