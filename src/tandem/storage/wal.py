"""SQLite's write-ahead log, turned on where several processes may open a new database at once."""

from __future__ import annotations

import sqlite3
import time

PAUSE = 0.01  # seconds


def use_wal(connection: sqlite3.Connection, seconds: float) -> None:
    """Switch to the write-ahead log, waiting up to `seconds` for others who are at it.

    SQLite does not wait for this by itself, whatever the timeout of the connection: the switch
    could deadlock. Raises sqlite3.OperationalError (SQLITE_BUSY) when the time is over.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            busy = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > deadline:
                raise
            time.sleep(PAUSE)
