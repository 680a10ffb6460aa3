"""Slots' memory: every showing with its probability, and what each bandit has learned from them.

One SQLite file in write-ahead mode that all servers of a shop share. A showing and what follows
from it are one transaction: after a crash of the process nothing of it is lost, nothing counts
twice. It holds no words and nobody's identifier.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from tandem.contracts.slot import SlotShowing
from tandem.storage.wal import use_wal

KEPT_DAYS = 30
DAY = 86_400
SWEEP_EVERY = 1_000  # showings between two removals of old ones
# A shopper does not wait for a file that is busy: what cannot be noted is not tried.
BUSY_SECONDS = 0.5

_TABLES = """
CREATE TABLE IF NOT EXISTS states (slot TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS showings (
    query_id TEXT NOT NULL, slot TEXT NOT NULL, at REAL NOT NULL, arm INTEGER NOT NULL,
    pscore REAL NOT NULL, explored INTEGER NOT NULL, object_id TEXT, context TEXT NOT NULL,
    reward REAL NOT NULL DEFAULT 0, PRIMARY KEY (query_id, slot)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS showings_by_slot ON showings (slot, at);
CREATE TABLE IF NOT EXISTS repeats (
    query_id TEXT NOT NULL, slot TEXT NOT NULL, of TEXT NOT NULL, object_id TEXT, at REAL NOT NULL,
    PRIMARY KEY (query_id, slot)
) WITHOUT ROWID;
"""
_COLUMNS = "query_id, slot, at, arm, pscore, explored, object_id, context, reward"
Learn = Callable[[str | None, SlotShowing], str]


class SlotStore:
    """The slots' memory in `file`. Safe for many threads and processes.

    Raises sqlite3.OperationalError where the file stays busy for `BUSY_SECONDS`.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._written = 0

    def state(self, slot: str) -> str | None:
        """What the bandit has learned, as JSON; None before the first showing."""
        if not self.file.exists():
            return None
        row = (
            self._connection()
            .execute("SELECT state FROM states WHERE slot = ?", (slot,))
            .fetchone()
        )
        return None if row is None else str(row[0])

    def show(
        self, slot: str, decide: Callable[[str | None], tuple[SlotShowing, str]]
    ) -> SlotShowing:
        """One decision: what `decide` makes of the state is kept with the state after it."""
        with self._transaction() as connection:
            showing, after = decide(self.state(slot))
            connection.execute("INSERT OR REPLACE INTO states VALUES (?, ?)", (slot, after))
            connection.execute(
                f"INSERT INTO showings ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)",
                (
                    showing.query_id,
                    slot,
                    showing.at.timestamp(),
                    showing.arm,
                    showing.pscore,
                    showing.explored,
                    showing.object_id,
                    json.dumps(showing.context),
                ),
            )
        self._written += 1
        if self._written % SWEEP_EVERY == 1:
            # The decision is kept already: it has to be shown, whatever becomes of old ones.
            with contextlib.suppress(sqlite3.Error):
                self.sweep()
        return showing

    def again(self, query_id: str, showing: SlotShowing, object_id: str | None) -> None:
        """The same arm was shown once more: what follows from it counts for the first time.
        object_id: the product that stood there this time."""
        with self._transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO repeats VALUES (?, ?, ?, ?, ?)",
                (query_id, showing.slot, showing.query_id, object_id, time.time()),
            )

    def forget(self, showing: SlotShowing) -> None:
        """It was not shown after all: no reward counts for it any more."""
        with self._transaction() as connection:
            connection.execute(
                "DELETE FROM showings WHERE (query_id, slot) = (?, ?)",
                (showing.query_id, showing.slot),
            )

    def reward(
        self, query_id: str, slot: str, wanted: Callable[[SlotShowing], bool], learn: Learn
    ) -> bool:
        """A reward for what was shown under a query's id; whether it counted. Once for each
        showing, and only where `wanted` says of it that it may."""
        if not self.file.exists() or not self._known(query_id, slot):
            return False
        with self._transaction() as connection:
            showing = self._known(query_id, slot)
            if showing is None or showing.reward or not wanted(showing):
                return False
            after = learn(self.state(slot), showing)
            connection.execute("INSERT OR REPLACE INTO states VALUES (?, ?)", (slot, after))
            connection.execute(
                "UPDATE showings SET reward = 1 WHERE (query_id, slot) = (?, ?)",
                (showing.query_id, slot),
            )
        return True

    def showings(self, slot: str) -> Iterator[SlotShowing]:
        """Oldest first."""
        if self.file.exists():
            rows = self._connection().execute(
                f"SELECT {_COLUMNS} FROM showings WHERE slot = ? ORDER BY at", (slot,)
            )
            yield from map(_showing, rows)

    def counts(self, slot: str) -> dict[int, tuple[int, int]]:
        """Showings and rewards by arm, of those that are kept."""
        if not self.file.exists():
            return {}
        rows = self._connection().execute(
            "SELECT arm, count(*), sum(reward > 0) FROM showings WHERE slot = ? GROUP BY arm",
            (slot,),
        )
        return {arm: (shown, rewarded) for arm, shown, rewarded in rows}

    def sweep(self) -> int:
        """Remove showings older than is kept; how many. What was learned from them stays."""
        if not self.file.exists():
            return 0
        oldest = time.time() - KEPT_DAYS * DAY
        with self._transaction() as connection:
            connection.execute("DELETE FROM repeats WHERE at < ?", (oldest,))
            return connection.execute("DELETE FROM showings WHERE at < ?", (oldest,)).rowcount

    def close(self) -> None:
        with self._lock:
            for connection in self._opened:
                connection.close()
            self._opened.clear()
            self._local = threading.local()

    def _known(self, query_id: str, slot: str) -> SlotShowing | None:
        connection = self._connection()
        repeat = connection.execute(
            "SELECT of, object_id FROM repeats WHERE (query_id, slot) = (?, ?)", (query_id, slot)
        ).fetchone()
        row = connection.execute(
            f"SELECT {_COLUMNS} FROM showings WHERE (query_id, slot) = (?, ?)",
            (query_id if repeat is None else repeat[0], slot),
        ).fetchone()
        if row is None:
            return None
        showing = _showing(row)
        return showing if repeat is None else showing.model_copy(update={"object_id": repeat[1]})

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self._connection()
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _connection(self) -> sqlite3.Connection:
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is None:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            found = sqlite3.connect(
                self.file, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            # A crash of the machine may cost the last moments; a crash of the process nothing.
            use_wal(found, BUSY_SECONDS)
            found.execute("PRAGMA synchronous=NORMAL").fetchall()
            found.executescript(_TABLES)
            with self._lock:
                self._opened.append(found)
            self._local.connection = found
        return found


def _showing(row: tuple[str, str, float, int, float, int, str | None, str, float]) -> SlotShowing:
    query_id, slot, at, arm, pscore, explored, object_id, context, reward = row
    return SlotShowing(
        query_id=query_id,
        slot=slot,
        at=datetime.fromtimestamp(at, UTC),
        arm=arm,
        pscore=pscore,
        explored=bool(explored),
        object_id=object_id,
        context=tuple(json.loads(context)),
        reward=reward,
    )
