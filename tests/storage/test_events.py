"""The event store: one copy of each event, whatever is appended, compacted, rewritten, reopened."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from event_rows import HOUR, NOON, event, key
from tandem.contracts.errors import Conflict, InvalidInput
from tandem.contracts.events import AdmittedEvent
from tandem.storage import events as module
from tandem.storage.event_keys import KeyRun, packed, to_merge, write_run
from tandem.storage.events import DAY, EventStore, day_of, schema
from tandem.storage.layout import Layout, Settings


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.create(tmp_path / "shop", Settings())


def stored(store: EventStore) -> list[str]:
    with store.reading() as snapshot:
        keys = snapshot.table(["event_key"])["event_key"].to_pylist()
        assert snapshot.rows == len(keys)
    return sorted(keys)


def test_the_schema_is_the_contract() -> None:
    assert schema().names == list(AdmittedEvent.__annotations__)


def test_a_row_comes_back_as_it_was_from_journal_and_partition(layout: Layout) -> None:
    rows = [
        event(1, session="k1.s", user_query="refund to <email>", masked=("email",), total=0),
        event(2, NOON + DAY, object_ids=("a", "b"), content="live", creator_id="c", seconds=0.5),
        event(3, amount="12345678901234567890.12", currency="EUR", quantity=2, duration=7.0),
    ]
    store = EventStore(layout)
    assert store.append(rows) == [True, True, True]
    expected = [
        {name: list(value) if isinstance(value, tuple) else value for name, value in row.items()}
        for row in rows
    ]
    for _ in range(2):
        with store.reading() as snapshot:
            table = snapshot.table().sort_by("event_key")
            assert table.schema == schema()
            assert table.to_pylist() == expected
            connection = duckdb.connect()
            seen = snapshot.view(connection).order("event_key")
            assert seen.columns == schema().names
            assert seen.fetchall() == [tuple(row.values()) for row in expected]
        done = store.compact()
        assert done is not None
    assert {p.parent.name for p in layout.events.glob("day=*/*.parquet")} == {
        "day=2026-03-01",
        "day=2026-03-02",
    }


def test_a_duplicate_is_told_wherever_the_first_lies(layout: Layout) -> None:
    store = EventStore(layout)
    assert store.append([event(1), event(2), event(1)]) == [True, True, False]
    assert store.append([event(2), event(3)]) == [False, True]
    store.compact()
    # Another clock correction, even another day: the same event.
    assert store.append([event(1, NOON - 3 * DAY), event(4)]) == [False, True]
    other = EventStore(layout)  # another process
    assert other.append([event(3), event(4), event(5)]) == [False, False, True]
    assert store.append([event(5)]) == [False]
    assert stored(store) == [key(n) for n in range(1, 6)]
    assert store.status().tally == {"accepted": 5, "duplicate": 6}


def test_files_of_an_earlier_version_lack_columns(layout: Layout) -> None:
    store = EventStore(layout)
    store.append([event(1, device="mobile", filters=("brand",))])
    store.compact()
    (path,) = layout.events.glob("day=*/*.parquet")
    pq.write_table(pq.read_table(path, partitioning=None).drop(["device", "filters"]), path)
    store.append([event(2, device="app")])
    with store.reading() as snapshot:
        rows = snapshot.table(["device", "filters"]).to_pylist()
        seen = snapshot.view(duckdb.connect()).order("event_key").fetchall()
    assert rows == [{"device": None, "filters": []}, {"device": "app", "filters": []}]
    assert [row[schema().names.index("device")] for row in seen] == [None, "app"]


def test_tallies_add_up_and_are_there_without_a_row(layout: Layout) -> None:
    store = EventStore(layout)
    store.append([event(1)], {"out_of_order": 2, "refused_too_old": 0})
    store.append([], {"refused_in_future": 3})
    EventStore(layout).append([], {"refused_in_future": 1})
    status = store.status()
    assert status.tally == {"accepted": 1, "out_of_order": 2, "refused_in_future": 4}
    assert (status.events, status.in_journal, status.days, status.parts) == (1, 1, 1, 0)
    assert (status.first, status.last) == (NOON, NOON)


def test_an_empty_store_reads_as_no_events(layout: Layout) -> None:
    store = EventStore(layout)
    with store.reading() as snapshot:
        assert snapshot.table(["client"]).num_rows == 0
        assert snapshot.view(duckdb.connect()).fetchall() == []
    assert store.compact() == module.Compacted(0, 0, 0)
    assert store.status().first is None


def test_time_bounds_hold_in_journal_and_partitions(layout: Layout) -> None:
    store = EventStore(layout)
    store.append([event(n, NOON + n * HOUR) for n in range(48)])
    store.compact()
    store.append([event(n, NOON + n * HOUR) for n in range(48, 60)])
    with store.reading() as snapshot:
        some = snapshot.table(["timestamp"], since=NOON + 5 * HOUR, until=NOON + 50 * HOUR)
        later = snapshot.table(["event_key"], since=NOON + 58 * HOUR)
    assert sorted(some["timestamp"].to_pylist()) == [NOON + n * HOUR for n in range(5, 50)]
    assert sorted(later["event_key"].to_pylist()) == [key(58), key(59)]


def test_partitions_are_sorted_by_time_and_few(layout: Layout) -> None:
    store = EventStore(layout)
    order = np.random.default_rng(3).permutation(200)
    for chunk in np.split(order, 20):
        store.append([event(int(n), NOON + int(n) * 1000) for n in chunk])
        store.compact()
    with store.reading() as snapshot:
        assert len(snapshot.parts) <= 6  # about the logarithm of twenty compactions
        for part in snapshot.parts:
            times = module._read(part.path)["timestamp"].to_pylist()
            assert times == sorted(times)
            assert (part.first, part.last) == (times[0], times[-1])
    assert len(list(layout.events.glob("keys/*.npy"))) <= 6
    assert stored(store) == sorted(key(int(n)) for n in order)


def test_writers_at_the_same_time_share_commits_and_no_event_is_there_twice(
    layout: Layout,
) -> None:
    store, outcomes = EventStore(layout), []

    def write(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(10):
            rows = [event(int(n)) for n in rng.integers(0, 300, 30)]
            outcomes.append(
                [(row["event_key"], new) for row, new in zip(rows, store.append(rows), strict=True)]
            )
            if seed == 0:
                store.compact()

    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    accepted = Counter(k for outcome in outcomes for k, new in outcome if new)
    assert set(accepted.values()) == {1}
    assert stored(store) == sorted(accepted)


class Model:
    """What the store should hold, said simply."""

    def __init__(self) -> None:
        self.known: set[int] = set()
        self.kept: dict[int, int] = {}


appends = st.lists(st.tuples(st.integers(0, 25), st.integers(-50, 50)), max_size=8)
operations = st.lists(
    st.one_of(
        appends.map(lambda rows: ("append", rows)),
        st.just(("compact", None)),
        st.just(("reopen", None)),
        st.integers(0, 6).map(lambda client: ("erase", client)),
    ),
    max_size=12,
)


@settings(max_examples=15, deadline=None)
@given(operations=operations)
def test_any_order_of_operations_leaves_one_copy_of_each_event(
    operations: list[tuple[str, object]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    layout = Layout.create(tmp_path_factory.mktemp("events") / "shop", Settings())
    store, model = EventStore(layout), Model()
    for name, argument in operations:
        if name == "append":
            rows: list[tuple[int, int]] = argument  # type: ignore[assignment]
            new = store.append([event(n, NOON + hours * HOUR) for n, hours in rows])
            for (n, hours), was_new in zip(rows, new, strict=True):
                assert was_new == (n not in model.known)
                if was_new:
                    model.known.add(n)
                    model.kept[n] = NOON + hours * HOUR
        elif name == "compact":
            store.compact()
        elif name == "reopen":
            store.close()
            store = EventStore(layout)
        else:
            gone = f"k1.{argument:022d}"
            left = {n: t for n, t in model.kept.items() if n % 7 != argument}
            assert store.rewrite(
                lambda table, gone=gone: table.filter(pc.not_equal(table["client"], gone))
            ) == len(model.kept) - len(left)
            model.kept = left
        with store.reading() as snapshot:
            table = snapshot.table(["event_key", "timestamp"]).to_pylist()
        found = sorted((int(row["event_key"], 16), row["timestamp"]) for row in table)
        assert found == sorted(model.kept.items())
    store.close()


def test_what_is_erased_is_in_no_file_and_stays_known(layout: Layout) -> None:
    store = EventStore(layout)
    store.append([event(n, object_id=f"{'secret' if n == 3 else 'plain'}-{n}") for n in range(9)])
    store.compact()
    store.append([event(9, object_id="secret-9"), event(10)])

    def holds_secret(table: pa.Table) -> pa.Table:
        return table.filter(pc.invert(pc.starts_with(table["object_id"], "secret")))

    assert store.rewrite(holds_secret) == 2
    assert stored(store) == [key(n) for n in (0, 1, 2, 4, 5, 6, 7, 8, 10)]
    for path in layout.events.rglob("*"):
        # Parquet is compressed: the rows were checked above, the names of replaced files here.
        if path.is_file():
            assert b"secret" not in path.read_bytes()
    assert len(list(layout.events.glob("day=*/*.parquet"))) == store.status().parts
    assert store.append([event(3), event(9)]) == [False, False]


def test_readers_keep_their_files_and_erasure_waits_for_them(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = EventStore(layout)
    store.append([event(1)])
    store.compact()
    monkeypatch.setattr(module, "BUSY_SECONDS", 0.1)
    with store.reading() as snapshot:
        view = snapshot.view(duckdb.connect())
        store.append([event(2)])
        store.compact()  # replaces the one file of the day
        assert len(view.fetchall()) == 1
        with pytest.raises(Conflict, match="still reads"):
            store.rewrite(lambda table: table.slice(0, 0))
        assert len(view.fetchall()) == 1
    store.rewrite(lambda table: table.slice(0, 0))
    assert list(layout.events.glob("day=*")) == []


def test_a_long_journal_is_compacted_in_rounds(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "COMPACT_AT", 7)
    monkeypatch.setattr(module, "DECODED_AT_ONCE", 2)
    store = EventStore(layout)
    for n in range(0, 40, 4):
        store.append([event(n + k, NOON + (n + k) % 3 * DAY) for k in range(4)])
    assert store.worth_compacting
    done = store.compact()
    assert done is not None
    assert (done.events, done.days) == (40, 3)
    assert done.files > 3  # several rounds
    assert store.status().in_journal == 0
    assert stored(store) == [key(n) for n in range(40)]
    assert store.append([event(39), event(40)]) == [False, True]


def test_only_one_compacts(layout: Layout) -> None:
    store = EventStore(layout)
    store.append([event(1)])
    with store._alone(wait=False) as alone:
        assert alone
        assert EventStore(layout).compact() is None
    assert stored(store) == [key(1)]


def test_a_damaged_journal_says_so(layout: Layout) -> None:
    EventStore(layout).close()
    (layout.events / "journal.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(InvalidInput, match=r"journal\.db.*damaged"):
        EventStore(layout).append([event(1)])


def test_senders_wait_when_the_journal_is_behind(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_IN_JOURNAL", 10)
    store = EventStore(layout)
    store.append([event(n) for n in range(10)])
    assert not store.behind
    store.append([event(10)])
    assert store.behind
    store.compact()
    store.append([event(11)])
    assert not store.behind


def test_reading_needs_no_heavy_import_at_import_time() -> None:
    code = "import sys, tandem.storage.events; assert not {'pyarrow', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@given(
    held=st.lists(st.binary(min_size=16, max_size=16), min_size=1, unique=True),
    wanted=st.lists(st.binary(min_size=16, max_size=16), min_size=1),
    close=st.integers(0, 3),
)
@settings(max_examples=50, deadline=None)
def test_a_run_holds_what_was_put_in(
    held: list[bytes], wanted: list[bytes], close: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # Keys that share their first half are next to each other; they have to be told apart.
    near = [held[0][:8] + bytes([n]) * 8 for n in range(close)]
    held = list(dict.fromkeys(held + near))
    wanted = wanted + held[::2] + [held[0][:8] + b"\xee" * 8]
    half = len(held) // 2
    parts = [packed(part) for part in (held[:half], held[half:]) if part]
    run = KeyRun(write_run(tmp_path_factory.mktemp("keys"), parts))
    assert len(run) == len(held)
    assert run.holds(packed(wanted)).tolist() == [k in set(held) for k in wanted]


def test_runs_stay_few() -> None:
    sizes: list[int] = []
    moved = 0
    for _ in range(1000):
        sizes.append(10)
        count = to_merge(sizes)
        if count:
            merged = sum(sizes[-count - 1 :])
            sizes[-count - 1 :] = [merged]
            moved += merged
    assert sum(sizes) == 10_000
    assert len(sizes) <= 10
    assert moved < 10_000 * 15
    assert to_merge([100, 90], most=150) == 0


def test_days_are_those_of_utc() -> None:
    assert day_of(0) == "1970-01-01"
    assert day_of(-1) == "1969-12-31"
    assert day_of(NOON) == "2026-03-01"
