"""What the next recommendation needs to know of a visitor: a few products, under a pseudonym.

One row for each visitor in `visitors/state.db` (SQLite, WAL): bounded, gone after the retention,
removed at once on request. A row is overwritten in place; what was there before does not stay
(`secure_delete`). Who allowed it is not asked here: see `tandem.flows.visitors`.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tandem.contracts.events import Pseudonym
from tandem.storage.layout import Layout

MOST_RECENT = 50
MOST_HIDDEN = 200
DAY = 86_400
SWEEP_EVERY = 1_000  # writes between two removals of what has expired
BUSY_SECONDS = 5.0

_TABLE = """
CREATE TABLE IF NOT EXISTS visitors (
    subject TEXT PRIMARY KEY, updated REAL NOT NULL, recent TEXT NOT NULL, hidden TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_age ON visitors (updated);
"""


@dataclass(frozen=True)
class VisitorState:
    """recent: products looked at, oldest first, at most 50, each once. hidden: those that the
    visitor does not want to see, at most 200. updated: seconds since 1970."""

    subject: Pseudonym
    updated: float
    recent: tuple[str, ...]
    hidden: tuple[str, ...]


class VisitorStore:
    """The visitors of one workspace. Safe for many threads and processes."""

    def __init__(self, layout: Layout, days: float) -> None:
        """days: how long a visitor is remembered after the last event."""
        self.file = layout.visitors / "state.db"
        self._days = days
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._writes = 0

    def get(self, subjects: Sequence[Pseudonym]) -> VisitorState | None:
        """The newest state under any of a person's pseudonyms; None for somebody unknown."""
        if not self.file.exists():
            return None
        marks = ",".join("?" * len(subjects))
        row = (
            self._connection()
            .execute(
                f"SELECT subject, updated, recent, hidden FROM visitors WHERE subject IN ({marks})"
                " AND updated >= ? ORDER BY updated DESC LIMIT 1",
                (*subjects, time.time() - self._days * DAY),
            )
            .fetchone()
        )
        if row is None:
            return None
        return VisitorState(row[0], row[1], tuple(json.loads(row[2])), tuple(json.loads(row[3])))

    def add(
        self,
        subjects: Sequence[Pseudonym],
        seen: Sequence[str] = (),
        hidden: Sequence[str] = (),
    ) -> VisitorState:
        """Append products, oldest first; kept under the first of `subjects`, the current one."""
        with self._transaction() as connection:
            before = self.get(subjects)
            recent = _newest((*(before.recent if before else ()), *seen), MOST_RECENT)
            unwanted = _newest((*(before.hidden if before else ()), *hidden), MOST_HIDDEN)
            state = VisitorState(subjects[0], time.time(), recent, unwanted)
            if before is not None and before.subject != state.subject:
                connection.execute("DELETE FROM visitors WHERE subject = ?", (before.subject,))
            connection.execute(
                "INSERT OR REPLACE INTO visitors VALUES (?, ?, ?, ?)",
                (state.subject, state.updated, json.dumps(recent), json.dumps(unwanted)),
            )
        self._writes += 1
        if self._writes % SWEEP_EVERY == 0:
            self.expire()
        return state

    def forget(self, subjects: Sequence[Pseudonym]) -> int:
        """Erase a person, from the write-ahead log as well; returns how many rows there were."""
        if not self.file.exists():
            return 0
        return self._removed(f"subject IN ({','.join('?' * len(subjects))})", tuple(subjects))

    def expire(self) -> int:
        """Erase everybody whose retention is over."""
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
            gone = connection.execute(f"DELETE FROM visitors WHERE {where}", values).rowcount
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
            for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "secure_delete=ON"):
                found.execute(f"PRAGMA {pragma}").fetchall()
            found.executescript(_TABLE)
            with self._lock:
                self._opened.append(found)
            self._local.connection = found
        return found


def _newest(items: Sequence[str], most: int) -> tuple[str, ...]:
    """The last `most` distinct ones, each where it came last."""
    return tuple(reversed(list(dict.fromkeys(reversed(items)))[:most]))
