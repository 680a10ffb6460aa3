"""Event files into a workspace: each row is stored, known, or turned away with a reason."""

from __future__ import annotations

import csv
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tandem.contracts.errors import InvalidInput
from tandem.flows import events as module
from tandem.flows.events import compact_events, events_status, import_events
from tandem.flows.import_ import create_workspace
from tandem.storage.events import EventStore
from tandem.storage.layout import Layout

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return create_workspace(tmp_path / "shop", encoder=None)


def rows(count: int = 40) -> list[dict[str, Any]]:
    return [
        {
            "event_id": f"e{n}",
            "action_name": "click",
            "client_id": f"c{n % 5}",
            "query_id": f"q{n // 4}",
            "object_id": f"SP-{n % 9}",
            "position": 1 + n % 20,
            "timestamp": (START + timedelta(seconds=n)).isoformat(),
        }
        for n in range(count)
    ]


def ndjson(path: Path, values: list[Any]) -> Path:
    path.write_text("".join(json.dumps(value) + "\n" for value in values))
    return path


def stored(layout: Layout) -> list[dict[str, Any]]:
    with EventStore(layout).reading() as snapshot:
        return (
            snapshot.table()
            .sort_by([("timestamp", "ascending"), ("object_id", "ascending")])
            .to_pylist()
        )


def test_one_content_in_four_kinds_of_file_is_imported_once(layout: Layout, tmp_path: Path) -> None:
    lines = ndjson(tmp_path / "a.ndjson", rows())
    array = tmp_path / "a.json"
    array.write_text(json.dumps(rows(), indent=1))
    table = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist(rows()), table)
    comma = tmp_path / "a.csv"
    with comma.open("w", newline="") as out:
        writer = csv.DictWriter(out, rows()[0])
        writer.writeheader()
        writer.writerows(rows())
    first = import_events(layout, [lines])
    assert (first.rows, first.accepted, first.duplicates, first.refused) == (40, 40, 0, 0)
    assert first.quarantine_file is None
    before = stored(layout)
    again = import_events(layout, [lines, array, table, comma])
    assert (again.rows, again.accepted, again.duplicates) == (160, 0, 160)
    assert stored(layout) == before
    assert [name for _, name in again.sources] == ["ubi"] * 4
    assert events_status(layout).in_journal == 0


def test_nothing_is_dropped_silently(layout: Layout, tmp_path: Path) -> None:
    soon = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    good = rows(6)
    bad = [
        {**good[0], "event_id": "x1", "position": 0},
        {**good[0], "event_id": "x2", "timestamp": soon},
        {**good[0], "event_id": "x3", "timestamp": "1970-01-01T00:00:01Z"},
        {k: v for k, v in good[0].items() if k != "client_id"},
    ]
    marked = [
        {**good[0], "event_id": "m1", "internal": True},
        {**good[0], "event_id": "m2", "user_agent": "Googlebot/2.1"},
        {
            "event_id": "m3",
            "client_id": "jane@example.com",
            "query_id": "q",
            "user_query": "order of jane@example.com",
            "timestamp": START.isoformat(),
        },
    ]
    path = ndjson(tmp_path / "a.ndjson", [*good, *reversed(rows(8)[6:]), *bad, *marked, good[0]])
    path.write_text(path.read_text() + "{broken\n[1]\n")
    report = import_events(layout, [path])
    assert report.rows == report.accepted + report.duplicates + report.refused == 18
    assert (report.accepted, report.duplicates, report.refused) == (11, 1, 6)
    assert report.by_reason == {"contract": 2, "json": 2, "in_future": 1, "too_old": 1}
    assert (report.bots, report.internal, report.masked) == (1, 1, 1)
    # e7 and e6 are of two clients; the three marked ones come after later rows of theirs.
    assert report.out_of_order >= 1
    assert report.clock_skewed == 1
    assert report.late == report.accepted + report.duplicates
    assert report.quarantine_file is not None
    found = [json.loads(line) for line in report.quarantine_file.read_text().splitlines()]
    assert [row["line"] for row in found] == [9, 10, 11, 12, 17, 18]
    assert [row["field"] for row in found][:4] == [
        "position",
        "timestamp",
        "timestamp",
        "client_id",
    ]
    assert all(row["reason"] and row["remedy"] for row in found)
    # Nobody is named beyond the door: not in the rows, not in the quarantine.
    folder = layout.events
    for file in [*folder.rglob("*.jsonl"), *folder.rglob("*.db*")]:
        assert b"jane" not in file.read_bytes()
    assert "jane" not in str(stored(layout))
    tally = events_status(layout).tally
    assert (tally["accepted"], tally["duplicate"]) == (11, 1)
    assert sum(n for name, n in tally.items() if name.startswith("refused_")) == 6


def test_an_interrupted_import_goes_on_where_it_was(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PART", 10)
    path = ndjson(tmp_path / "a.ndjson", rows(40))
    taken = module._take_part
    calls = 0

    def interrupted(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return taken(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(module, "_take_part", interrupted)
        with pytest.raises(KeyboardInterrupt):
            import_events(layout, [path])
    assert len(stored(layout)) == 20
    report = import_events(layout, [path])
    assert (report.accepted, report.duplicates) == (20, 20)


def test_guests_and_returns_of_invoices(layout: Layout, tmp_path: Path) -> None:
    path = tmp_path / "lines.csv"
    path.write_text(
        "invoice,stock_code,description,quantity,invoice_date,unit_price,customer_id,country\n"
        "1,A,x,2,2010-07-01 10:00:00,1.5,77,UK\n"
        "1,B,x,1,2010-07-01 10:00:00,2.0,77,UK\n"
        "1,B,x,1,2010-07-01 10:00:00,2.0,77,UK\n"
        "2,A,x,1,2010-07-02 10:00:00,1.5,,UK\n"
        "2,B,x,1,2010-07-02 10:00:00,2.0,,UK\n"
        "C3,A,x,-1,2010-07-03 10:00:00,1.5,77,UK\n"
        "A4,B,Adjust bad debt,1,2010-07-03 10:00:00,-9.5,,UK\n"
    )
    report = import_events(layout, [path])
    assert report.sources == ((str(path), "retail"),)
    assert (report.accepted, report.duplicates, report.refused, report.guests) == (5, 1, 1, 2)
    assert "guests" in report.notes[0]
    found = stored(layout)
    assert [row["action_name"] for row in found] == ["purchase"] * 4 + ["return"]
    assert [row["amount"] for row in found] == ["3.0", "2.0", "1.5", "2.0", "1.5"]
    known, guest = {found[0]["client"]}, {found[2]["client"]}
    assert {row["client"] for row in found} == known | guest
    assert [row["user"] is None for row in found] == [False, False, True, True, False]
    assert found[0]["timestamp"] == round(datetime(2010, 7, 1, 9, tzinfo=UTC).timestamp() * 1e6)


def test_a_file_that_is_none_says_so(layout: Layout, tmp_path: Path) -> None:
    broken = tmp_path / "a.json"
    broken.write_text('[{"a": 1},')
    with pytest.raises(InvalidInput, match="not valid JSON"):
        import_events(layout, [broken], mapping="ubi")
    with pytest.raises(InvalidInput, match="no such file"):
        import_events(layout, [tmp_path / "none.csv"])
    with pytest.raises(InvalidInput, match="no mapping"):
        import_events(layout, [broken], mapping="nope")
    assert compact_events(layout) is not None
    assert stored(layout) == []


@pytest.mark.data
def test_slices_of_the_real_data_sets_add_up(layout: Layout, tmp_path: Path) -> None:
    data = Path(os.environ.get("TANDEM_DATA", "../shared/data"))
    sources = {
        "retail": data / "retail" / "transactions.parquet",
        "complete_journey": data / "complete_journey" / "transactions_sample.parquet",
        "diginetica": data / "diginetica" / "train_clicks.parquet",
    }
    if not all(path.is_file() for path in sources.values()):
        pytest.skip("the shared data sets are not here")
    for name, path in sources.items():
        part = tmp_path / f"{name}.parquet"
        pq.write_table(pq.read_table(path).slice(20_000, 6_000), part)
        distinct = duckdb.sql(f"SELECT count(*) FROM (SELECT DISTINCT * FROM '{part}')")
        report = import_events(layout, [part])
        assert report.sources == ((str(part), name),)
        assert report.rows == 6_000 == report.accepted + report.duplicates + report.refused
        assert report.accepted + report.refused == distinct.fetchall()[0][0]
        assert report.refused < 60
    bought = "action_name = 'purchase' AND currency = 'USD'"
    with EventStore(layout).reading() as snapshot:
        connection = duckdb.connect()
        snapshot.view(connection)
        amount = connection.sql(
            f"SELECT sum(amount::DECIMAL(18, 4)) FROM events WHERE {bought}"
        ).fetchall()
    expected = duckdb.sql(
        f"SELECT sum(sales_value::DECIMAL(18, 4)) FROM '{tmp_path / 'complete_journey.parquet'}'"
        " WHERE quantity > 0"
    ).fetchall()
    assert amount == expected
