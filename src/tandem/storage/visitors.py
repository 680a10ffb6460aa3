"""What the next answer needs to know of a visitor: a few products, under a pseudonym.

Bounded, gone after the retention, removed at once on request. Where it lies is a setting: one row
for each visitor in `visitors/state.db` (SQLite, here), or one key in Redis
(`tandem.storage.redis_visitors`). Both keep what `changed` makes of it, so that they behave alike.
Who allowed it is not asked here: see `tandem.flows.visitors`.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from tandem.contracts.events import Pseudonym
from tandem.storage.layout import Layout
from tandem.storage.wal import use_wal

MOST_RECENT = 50
MOST_HIDDEN = 200
MOST_SHOWN = 300
DAY = 86_400
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


@dataclass(frozen=True)
class Seen:
    """A product that a visitor did something with last; at: seconds since 1970."""

    product: str
    action: str
    at: int


@dataclass(frozen=True)
class VisitorState:
    """recent: products looked at, oldest first, at most 50, each once. hidden: those that the
    visitor does not want to see, at most 200. shown: how often a list showed a product that was
    not opened, of the last 300. updated: seconds since 1970."""

    subject: Pseudonym
    updated: float
    recent: tuple[Seen, ...] = ()
    hidden: tuple[str, ...] = ()
    shown: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> str:
        """Everything but subject and `updated`."""
        recent = [(s.product, s.action, s.at) for s in self.recent]
        return json.dumps({"recent": recent, "hidden": self.hidden, "shown": dict(self.shown)})

    @classmethod
    def of_json(cls, subject: str, updated: float, text: str | bytes) -> VisitorState:
        kept: dict[str, Any] = json.loads(text)
        recent = tuple(Seen(*entry) for entry in kept["recent"])
        return cls(Pseudonym(subject), updated, recent, tuple(kept["hidden"]), kept["shown"])


@dataclass(frozen=True)
class Change:
    """What is added to a visitor's state, and which products are taken out of all of it."""

    seen: Sequence[Seen] = ()
    hidden: Sequence[str] = ()
    shown: Sequence[str] = ()
    removed: Sequence[str] = ()


def changed(before: VisitorState | None, subject: Pseudonym, change: Change) -> VisitorState:
    """The state after a change, within its bounds. What is opened counts as never shown."""
    before = before or VisitorState(subject, 0.0)
    gone = set(change.removed)
    latest: dict[str, Seen] = {}
    for seen in (*before.recent, *change.seen):
        latest.pop(seen.product, None)
        latest[seen.product] = seen
    shown = dict(before.shown)
    for product in change.shown:
        shown[product] = shown.pop(product, 0) + 1
    for seen in change.seen:
        shown.pop(seen.product, None)
    kept_shown = [(p, n) for p, n in shown.items() if p not in gone]
    return VisitorState(
        subject,
        time.time(),
        tuple(s for s in latest.values() if s.product not in gone)[-MOST_RECENT:],
        newest([h for h in (*before.hidden, *change.hidden) if h not in gone], MOST_HIDDEN),
        dict(kept_shown[-MOST_SHOWN:]),
    )


def newest(items: Sequence[str], most: int) -> tuple[str, ...]:
    """The last `most` distinct ones, each where it came last."""
    return tuple(reversed(list(dict.fromkeys(reversed(items)))[:most]))


class VisitorStore(Protocol):
    """The visitors of one workspace. Safe for many threads and processes.

    subjects: a person's pseudonyms, the current one first; the state is kept under that one.
    """

    def get(self, subjects: Sequence[Pseudonym]) -> VisitorState | None:
        """The newest state under any of them; None for somebody unknown."""
        ...

    def change(self, subjects: Sequence[Pseudonym], change: Change) -> VisitorState: ...

    def forget(self, subjects: Sequence[Pseudonym]) -> int:
        """Erase a person; returns how many states there were."""
        ...

    def expire(self) -> int:
        """Erase everybody whose retention is over."""
        ...

    def close(self) -> None: ...


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
