"""Processes that open a new database at the same moment all get it."""

from __future__ import annotations

import multiprocessing
import sqlite3
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from tandem.storage.events import _connect
from tandem.storage.wal import use_wal

PROCESSES, ROUNDS = 4, 30


def open_all(folder: Path, barrier: Barrier, failed: Path) -> None:
    for round_ in range(ROUNDS):
        barrier.wait(60)
        try:
            _connect(folder / f"{round_}.db").close()
        except sqlite3.Error as error:
            with failed.open("a") as file:
                file.write(f"{error}\n")


def test_a_new_database_may_be_opened_by_many_at_once(tmp_path: Path) -> None:
    """Without waiting for the write-ahead log, about one in ten is told that it is locked."""
    failed = tmp_path / "failed"
    failed.touch()
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(PROCESSES)
    processes = [
        context.Process(target=open_all, args=(tmp_path, barrier, failed)) for _ in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0] * PROCESSES
    assert failed.read_text() == ""


def test_the_wait_has_an_end(tmp_path: Path) -> None:
    file = tmp_path / "x.db"
    holder = sqlite3.connect(file, isolation_level=None)
    holder.execute("CREATE TABLE t (x)")
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        use_wal(sqlite3.connect(file, timeout=0), 0.05)
    holder.execute("COMMIT")
    use_wal(sqlite3.connect(file, timeout=0), 0.05)
