"""Traces of a person: which identifiers point to them, and a look into every file for these.

All identifiers of people are pseudonyms of one form, so that a file can be searched for any of
them at once. A look opens what it knows how to open (Parquet, SQLite with the journal's Arrow
batches, gzip, zstd) and reads the rest as bytes; each entry says which it was.
"""

from __future__ import annotations

import gzip
import json
import re
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tandem.governance.release import fingerprints
from tandem.storage.layout import Layout

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_PSEUDONYM = re.compile(rb"k[1-9]\d{0,5}\.[A-Za-z0-9_-]{22}")
CHUNK = 1 << 24
OVERLAP = 64

KEPT = {
    "consent": "proof of what the person decided (GDPR Art. 7(1), 17(3)(e))",
    "audit": "the log of what was done to personal data cannot be changed (Art. 5(2), 17(3)(e))",
    "collaborations.sqlite": "accounts of commissions, which tax law wants kept (Art. 17(3)(b))",
    "rights": "the request itself, and the tombstone that erases a restored backup again",
}
"""Top folders and files where an identifier may stay, and why."""


@dataclass(frozen=True)
class Traces:
    """A person's identifiers, pseudonyms but for `names`, and since when they count.

    names: a creator's ids as the marketplace shows them. They may be words of other things too
        (a brand, say), and are looked for only where a creator is named.
    until: microseconds since 1970; events that happened or came in later are of a new relation.
    """

    clients: tuple[str, ...]
    users: tuple[str, ...]
    sessions: tuple[str, ...] = ()
    orders: tuple[str, ...] = ()
    until: int = 2**62
    names: tuple[str, ...] = ()

    @property
    def all(self) -> frozenset[str]:
        return frozenset((*self.clients, *self.users, *self.sessions, *self.orders))

    def rows(self, events: pa.Table) -> pa.ChunkedArray:
        """Which rows of `events` (columns of `AdmittedEvent`) are the person's."""
        import pyarrow as pa
        import pyarrow.compute as pc

        def among(column: str, known: Sequence[str]) -> pa.ChunkedArray:
            values = pa.array(known, pa.string())
            return pc.fill_null(pc.is_in(events[column], value_set=values), False)

        theirs = pc.or_(among("client", self.clients), among("user", self.users))
        in_time = pc.or_(
            pc.less_equal(events["timestamp"], self.until),
            pc.less_equal(events["received"], self.until),
        )
        return pc.and_(theirs, in_time)


def traces_of(
    connection: duckdb.DuckDBPyConnection, subjects: Sequence[str], until: int, events: str
) -> Traces:
    """What points to the person of these pseudonyms: sessions and orders of their events, and the
    devices that nobody else was signed in on.

    events: a table or view of `connection` with the columns of `AdmittedEvent`. Read as it is
    queried: what is held in memory is the person's, however many events there are.
    """

    def values(column: str, where: str, *parameters: object) -> set[str]:
        rows = connection.execute(
            f'SELECT DISTINCT "{column}" FROM "{events}"'
            f' WHERE "{column}" IS NOT NULL AND ({where})',
            parameters,
        ).fetchall()
        return {value for (value,) in rows}

    person = list(subjects)
    used = values("client", "list_contains(?, user)", person)
    shared = values(
        "client",
        "list_contains(?, client) AND user IS NOT NULL AND NOT list_contains(?, user)",
        sorted(used),
        person,
    )
    clients = tuple(sorted({*subjects, *(used - shared)}))
    theirs = rows_of(Traces(clients, tuple(subjects), until=until))
    return Traces(
        clients,
        tuple(subjects),
        tuple(sorted(values("session", *theirs))),
        tuple(sorted(values("order", *theirs))),
        until,
    )


def rows_of(traces: Traces) -> tuple[Any, ...]:
    """SQL that holds for the rows of `Traces.rows`, and its parameters."""
    return (
        "(coalesce(list_contains(?, client), FALSE) OR coalesce(list_contains(?, user), FALSE))"
        " AND (timestamp <= ? OR received <= ?)",
        list(traces.clients),
        list(traces.users),
        traces.until,
        traces.until,
    )


@dataclass(frozen=True)
class Look:
    """One file that was searched. found: identifiers of the person in it. how: `parquet`,
    `sqlite`, `text`, `compressed`, or `bytes` for a format that is only searched as it lies."""

    file: str
    how: str
    bytes: int
    found: int


def look(layout: Layout, traces: Traces) -> Iterator[Look]:
    """Search every file of the workspace."""
    for path in sorted(p for p in layout.root.rglob("*") if p.is_file() and not p.is_symlink()):
        how, found = _searched(path, traces)
        yield Look(str(path.relative_to(layout.root)), how, path.stat().st_size, found)


_TEXT = frozenset({".json", ".jsonl", ".txt", ".toml", ".md", ".html", ".csv", ".log", ""})


def _searched(path: Path, traces: Traces) -> tuple[str, int]:
    suffix = path.suffix
    if suffix == ".parquet":
        return "parquet", _in_parquet(path, traces)
    if suffix in (".db", ".sqlite"):
        return "sqlite", _in_sqlite(path, traces)
    if suffix == ".gz":
        with gzip.open(path) as stream:
            return "compressed", _in_stream(stream, traces)
    if suffix == ".zst":
        import pyarrow as pa

        with pa.input_stream(str(path), compression="zstd") as stream:
            return "compressed", _in_stream(stream, traces)
    with path.open("rb") as stream:
        return "text" if suffix in _TEXT else "bytes", _in_stream(stream, traces)


def _in_stream(stream: Any, traces: Traces) -> int:
    found: set[str] = set()
    tail = b""
    while chunk := stream.read(CHUNK):
        found |= _in_bytes(tail + chunk, traces)
        tail = chunk[-OVERLAP:]
    return len(found)


def _in_bytes(data: bytes, traces: Traces) -> set[str]:
    found = {m.decode() for m in _PSEUDONYM.findall(data)} & traces.all
    for name in traces.names:
        said = re.escape(json.dumps(name, ensure_ascii=False).encode())
        if re.search(rb'"creator_id":\s*' + said, data):
            found.add(name)
    return found


def _in_parquet(path: Path, traces: Traces) -> int:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        return sum(
            _in_table(_as_table(batch), traces) for batch in file.iter_batches(batch_size=65_536)
        )


def _as_table(batch: Any) -> pa.Table:
    import pyarrow as pa

    return pa.Table.from_batches([batch])


def _in_table(table: pa.Table, traces: Traces) -> int:
    """How many rows of events are the person's, or how many cells of any other table."""
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = set(table.column_names)
    found = 0
    for column, told_by in (("creator_id", "creator_id"), ("id", "handle")):
        if traces.names and told_by in columns:
            theirs = pc.is_in(table[column], value_set=pa.array(traces.names, pa.string()))
            found += int(pc.sum(theirs).as_py() or 0)
    if {"client", "user", "timestamp", "received"} <= columns:
        return found + int(pc.sum(traces.rows(table)).as_py() or 0)
    known = pa.array(sorted(traces.all), pa.string())
    for values in table.columns:
        while pa.types.is_list(values.type):
            values = pc.list_flatten(values)
        if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
            found += int(pc.sum(pc.is_in(values.cast(pa.string()), value_set=known)).as_py() or 0)
    return found


def _in_sqlite(path: Path, traces: Traces) -> int:
    """Rows of all tables, the journal's Arrow batches opened, and units of released reports."""
    found = 0
    people = fingerprints(sorted({*traces.clients}))
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)
    try:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (name,) in names:
            for row in connection.execute(f'SELECT * FROM "{name}"'):
                for value in row:
                    if isinstance(value, str):
                        found += len(_in_bytes(value.encode(), traces))
                    elif isinstance(value, bytes):
                        found += _in_blob(name, value, traces, people)
    finally:
        connection.close()
    return found


def _in_blob(table: str, value: bytes, traces: Traces, people: Any) -> int:
    import numpy as np
    import pyarrow as pa

    if table == "cells" and len(value) % 16 == 0:
        units = np.frombuffer(value, np.uint64).reshape(-1, 2)
        return int(np.isin(units[:, 1], people).any())
    try:
        with pa.ipc.open_stream(value) as reader:
            return _in_table(reader.read_all(), traces)
    except pa.ArrowInvalid:
        return len(_in_bytes(value, traces))
