"""Event writers killed at any moment, a torn journal, a full disk: what was acknowledged stays."""

from __future__ import annotations

import contextlib
import errno
import multiprocessing
import os
import random
import resource
import shutil
import signal
import threading
import time
import traceback
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from event_rows import HOUR, NOON, event, key
from tandem.contracts.errors import StorageFull
from tandem.storage.events import EventStore
from tandem.storage.layout import Layout, Settings

pytestmark = pytest.mark.crash

KILLS = 240
WRITERS = 3  # threads of each process


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.create(tmp_path / "shop", Settings())


def keys_of(layout: Layout) -> list[str]:
    with EventStore(layout).reading() as snapshot:
        return list(snapshot.table(["event_key"])["event_key"].to_pylist())


# --- Killed at any moment -------------------------------------------------------------------------


def write_forever(root: Path, first: int, acknowledged: Path, compacts: bool) -> None:
    """Several threads append; each writes down what was acknowledged after it was."""
    store = EventStore(Layout.open(root))
    log = os.open(acknowledged, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def write(start: int) -> None:
        rng, number = random.Random(start), start
        while True:
            rows = [
                event(number + n, NOON + rng.randrange(24) * HOUR) for n in range(rng.randint(1, 4))
            ]
            store.append(rows)
            # One write for the line: whole lines survive a kill of the writer.
            os.write(log, (" ".join(row["event_key"] for row in rows) + "\n").encode())
            number += len(rows)

    for writer in range(WRITERS):
        threading.Thread(target=write, args=(first + writer * 100_000,), daemon=True).start()
    while True:
        if compacts:
            store.compact()
        else:
            time.sleep(1)


def kill_many(root: Path, kills: int, seed: int, answer: Connection) -> None:
    """Run in a process of its own without threads: it forks writers and kills them."""
    try:
        answer.send(_kill_many(root, kills, random.Random(seed)))
    except BaseException:
        answer.send(traceback.format_exc())


def _kill_many(root: Path, kills: int, rng: random.Random) -> dict[str, int]:
    warm = EventStore(Layout.open(root))  # everything is imported before the first fork
    warm.append([event(1)])
    warm.compact()
    keys_of(Layout.open(root))
    warm.close()
    acknowledged = root / "acknowledged.txt"
    number = 0
    for round_ in range(kills // 2):
        children = []
        for compacts in (True, False):
            number += 1_000_000
            child = os.fork()
            if not child:
                write_forever(root, number, acknowledged, compacts)
            children.append(child)
        size = acknowledged.stat().st_size if acknowledged.exists() else 0
        limit = time.monotonic() + 20
        while not acknowledged.exists() or acknowledged.stat().st_size <= size:
            assert time.monotonic() < limit, f"nothing was acknowledged in round {round_}"
            time.sleep(0.0005)
        for child in rng.sample(children, 2):
            # Most die within a commit or two, some later: in a compaction, or after it.
            time.sleep(rng.random() * 0.5 if round_ % 8 == 0 else rng.random() ** 3 * 0.1)
            os.kill(child, signal.SIGKILL)
        for child in children:
            os.waitpid(child, 0)
        if round_ % 20 == 0 or round_ == kills // 2 - 1:
            found = keys_of(Layout.open(root))
            assert len(found) == len(set(found)), "an event is there twice"
            missing = set(acknowledged.read_text().split()) - set(found)
            assert not missing, f"{len(missing)} acknowledged events are gone"
    status = EventStore(Layout.open(root)).status()
    return {
        "acknowledged": len(acknowledged.read_text().split()),
        "stored": status.events,
        "compacted": status.events - status.in_journal,
    }


def test_what_was_acknowledged_survives_kills_at_hundreds_of_moments(layout: Layout) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=kill_many, args=(layout.root, KILLS, 11, theirs))
    process.start()
    assert ours.poll(120), "the killer does not answer"
    outcome = ours.recv()
    process.join(10)
    assert isinstance(outcome, dict), outcome
    # It did happen: events were acknowledged and compacted while processes died.
    assert outcome["stored"] >= outcome["acknowledged"] > KILLS
    assert outcome["compacted"] > KILLS


def test_a_killed_compaction_leaves_nothing_behind(layout: Layout) -> None:
    store = EventStore(layout)
    store.append([event(n, NOON + n * HOUR) for n in range(60)])
    store.compact()
    for stray in ("day=2026-03-01/dead.parquet", "day=1999-01-01/dead.parquet", "keys/dead.npy"):
        path = layout.events / stray
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"half written")
    assert len(keys_of(layout)) == 60
    store.compact()
    assert not list(layout.events.rglob("dead.*"))
    assert not (layout.events / "day=1999-01-01").exists()


# --- A torn tail ----------------------------------------------------------------------------------


def test_a_torn_tail_costs_nothing_that_was_acknowledged(layout: Layout, tmp_path: Path) -> None:
    """The write-ahead log cut off, or overwritten with noise, at any byte after a commit."""
    store = EventStore(layout)
    wal = layout.events / "journal.db-wal"
    ends = []
    for n in range(8):
        store.append([event(n)])
        ends.append(wal.stat().st_size)
    copies = {f.name: f.read_bytes() for f in layout.events.iterdir() if f.is_file()}
    store.close()
    rng = random.Random(5)
    for trial in range(60):
        kept = rng.randrange(len(ends))
        end = ends[kept + 1] if kept + 1 < len(ends) else ends[kept] + 4096
        cut = rng.randrange(ends[kept], end)  # the next commit is not whole
        torn = Layout.create(tmp_path / f"torn{trial}", Settings())
        torn.events.mkdir()
        noise = rng.randbytes(rng.choice((0, 1, 700, 20_000)))
        for name, content in copies.items():
            if name.endswith("-shm"):
                continue  # an index in shared memory, gone after a power cut
            (torn.events / name).write_bytes(
                content[:cut] + noise if name.endswith("-wal") else content
            )
        assert sorted(keys_of(torn)) == [key(n) for n in range(kept + 1)]
        after = EventStore(torn)
        assert after.append([event(kept), event(99)]) == [False, True]
        after.close()
        assert sorted(keys_of(torn)) == [*(key(n) for n in range(kept + 1)), key(99)]
        shutil.rmtree(torn.root)


# --- A full disk ----------------------------------------------------------------------------------


def fill_up(roots: list[Path], limits: list[int], answer: Connection) -> None:
    """For each limit: append and compact until no file may grow, then make room and go on."""
    try:
        outcomes = zip(roots, limits, strict=True)
        answer.send([_fill_up(root, limit) for root, limit in outcomes])
    except BaseException:
        answer.send(traceback.format_exc())


def _fill_up(root: Path, limit: int) -> int:
    store = EventStore(Layout.open(root))
    store.append([event(0)])
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    acknowledged, refused = 1, 0
    while refused < 3:
        rows = [event(acknowledged + n, object_id=os.urandom(40).hex()) for n in range(20)]
        try:
            assert all(store.append(rows))
        except StorageFull:
            refused += 1
            continue
        acknowledged += len(rows)
    with contextlib.suppress(StorageFull):
        store.compact()
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert all(store.append([event(acknowledged)]))  # the same store, once there is room
    store.compact()
    return acknowledged + 1


def test_a_full_disk_is_said_and_costs_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    limits = [40_000, 150_000, 401_234]
    layouts = [Layout.create(tmp_path / f"shop{limit}", Settings()) for limit in limits]
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=fill_up, args=([x.root for x in layouts], limits, theirs))
    process.start()
    assert ours.poll(60), "the writer does not answer"
    outcome = ours.recv()
    process.join(10)
    assert isinstance(outcome, list), outcome
    for layout, acknowledged in zip(layouts, outcome, strict=True):
        assert sorted(keys_of(layout)) == [key(n) for n in range(acknowledged)]
    assert max(outcome) > 100


def test_a_compaction_on_a_full_disk_says_so(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = EventStore(layout)
    store.append([event(1), event(2, NOON + 24 * HOUR)])
    synced = os.fsync

    def full(fd: int) -> None:
        if Path(f"/proc/self/fd/{fd}").readlink().suffix == ".parquet":
            raise OSError(errno.ENOSPC, "No space left on device")
        synced(fd)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StorageFull, match="No space left"):
            store.compact()
    assert sorted(keys_of(layout)) == [key(1), key(2)]
    assert not list(layout.events.glob("day=*/*.parquet"))
    store.compact()
    assert sorted(keys_of(layout)) == [key(1), key(2)]
