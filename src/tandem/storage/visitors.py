"""Where visitors' state lies is a setting: one row for each in `visitors/state.db` (SQLite, here),
or one key in Redis (`tandem.storage.redis_visitors`)."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence

from tandem.contracts.events import Pseudonym
from tandem.storage.layout import Layout
from tandem.storage.visitor_state import DAY, Change, VisitorState, VisitorStore, changed
from tandem.storage.wal import use_wal

SWEEP_EVERY = 1_000  # writes between two removals of what has expired
BUSY_SECONDS = 5.0

# Rows of the former table had no times; what they held is dropped with it.
_TABLE = """
DROP TABLE IF EXISTS visitors;
CREATE TABLE IF NOT EXISTS states (
    subject TEXT PRIMARY KEY, updated REAL NOT NULL, state TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS states_by_age ON states (updated);
"""


def open_visitors(layout: Layout, days: float) -> VisitorStore:
    """The store that the workspace's settings name. days: how long a visitor is remembered after
    the last event. Raises MissingExtra where Redis is named and its client is not installed."""
    settings = layout.settings()
    if settings.visitors:
        from tandem.storage.redis_visitors import RedisVisitors

        return RedisVisitors(settings.visitors, settings.name, days)
    return SqliteVisitors(layout, days)


class SqliteVisitors:
    """`VisitorStore` in `visitors/state.db`, write-ahead log. A row is overwritten in place; what
    was there before does not stay (`secure_delete`), nor in the log after an erasure."""

    def __init__(self, layout: Layout, days: float) -> None:
        self.file = layout.visitors / "state.db"
        self._days = days
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._writes = 0

    def get(self, subjects: Sequence[Pseudonym]) -> VisitorState | None:
        if not self.file.exists():
            return None
        marks = ",".join("?" * len(subjects))
        row = (
            self._connection()
            .execute(
                f"SELECT subject, updated, state FROM states WHERE subject IN ({marks})"
                " AND updated >= ? ORDER BY updated DESC LIMIT 1",
                (*subjects, time.time() - self._days * DAY),
            )
            .fetchone()
        )
        return None if row is None else VisitorState.of_json(*row)

    def change(self, subjects: Sequence[Pseudonym], change: Change) -> VisitorState:
        with self._transaction() as connection:
            before = self.get(subjects)
            state = changed(before, subjects[0], change)
            if before is not None and before.subject != state.subject:
                connection.execute("DELETE FROM states WHERE subject = ?", (before.subject,))
            connection.execute(
                "INSERT OR REPLACE INTO states VALUES (?, ?, ?)",
                (state.subject, state.updated, state.to_json()),
            )
        self._writes += 1
        if self._writes % SWEEP_EVERY == 0:
            self.expire()
        return state

    def forget(self, subjects: Sequence[Pseudonym]) -> int:
        if not self.file.exists():
            return 0
        return self._removed(f"subject IN ({','.join('?' * len(subjects))})", tuple(subjects))

    def expire(self) -> int:
        if not self.file.exists():
            return 0
        return self._removed("updated < ?", (time.time() - self._days * DAY,))

    def close(self) -> None:
        with self._lock:
            for connection in self._opened:
                connection.close()
            self._opened.clear()
            self._local = threading.local()

    def _removed(self, where: str, values: tuple[object, ...]) -> int:
        with self._transaction() as connection:
            gone = connection.execute(f"DELETE FROM states WHERE {where}", values).rowcount
        self._connection().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return gone

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self._connection()
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")

    def _connection(self) -> sqlite3.Connection:
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is None:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            found = sqlite3.connect(
                self.file, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            # A crash of the machine may cost the last moments; a crash of the process nothing.
            use_wal(found, BUSY_SECONDS)
            for pragma in ("synchronous=NORMAL", "secure_delete=ON"):
                found.execute(f"PRAGMA {pragma}").fetchall()
            found.executescript(_TABLE)
            with self._lock:
                self._opened.append(found)
            self._local.connection = found
        return found
