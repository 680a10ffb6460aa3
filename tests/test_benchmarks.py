"""The benchmarks run and tell what they promise; how fast anything is, they say elsewhere."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from benchmarks import engines, events, insights, learning, run, shop

from tandem.flows.workspace import Workspace


def test_a_small_benchmark_measures_every_kind_of_search(tmp_path):
    with shop.simulated_encoder():
        built = shop.build(tmp_path, 300)
        shop.adopt(built.layout, shop.train(built.layout))
        with Workspace(built.layout) as opened:
            rows = engines.measure(opened, built.queries[:20], quick=True)
            recall = engines.recall(opened, built.queries[:5])
    assert {"tantivy alone", "faiss alone", "search: all of it, with facets"} <= set(rows)
    assert all(row["p50_ms"] <= row["p99_ms"] for row in rows.values())
    assert rows["first stage: words"]["times_bare"] > 0
    assert all(share == 1 for share in recall.values()), "few products are compared exactly"
    table = run.markdown(
        {"machine": "m", "data": "d", "sizes": {"300": {"build": built.row, "search": rows}}}
    )
    assert "| search: bm25 |" in table


def test_every_way_in_for_events_is_measured(tmp_path, monkeypatch):
    arguments = ["events", "--events", "2000", "--out", str(tmp_path)]
    monkeypatch.setattr("sys.argv", [*arguments, *(f"--way={w}" for w in ("journal", "import"))])
    monkeypatch.setenv("TANDEM_PSEUDONYM_KEYS", str(tmp_path))
    events.main()
    results = json.loads((tmp_path / "events.json").read_text())
    assert set(results["ways"]) == {"journal", "import"}
    assert all(way["events_per_second"] > 0 for way in results["ways"].values())
    assert "admitted rows into the journal" in (tmp_path / "events.md").read_text()


def test_insight_at_size_is_told_with_its_growth():
    row = {"events": 2_000_000, "searches": 9, "peak_mb": 1.0, "threads": 1, "load": 0.1}
    row |= {f"{job}_s": 3.0 for job in insights.PARTS}
    row |= {f"{job}_cpu_s": 2.0 for job in insights.PARTS} | {"measured": "2026-11-27"}
    table = insights.markdown({"machine": "m", "sizes": {"2000000": row}})
    assert "| 2,000,000 | 1.00 | 1.00 | 1.00 | 1.00 | 4.00 |" in table


def test_learning_is_measured_by_size(tmp_path):
    session = np.repeat(np.arange(300), 4)
    item = (session * 7 + np.tile(np.arange(4), 300)) % 50
    clicks = {"session_id": session, "position": np.tile(np.arange(4), 300), "item_id": item}
    pq.write_table(pa.table(clicks), tmp_path / "train_clicks.parquet")
    found = learning.measure(["transitions"], tmp_path, (100, 1200))
    rows = found["transitions"]
    assert [row["clicks"] for row in rows.values()] == [100, 1200]
    assert all(row["cpu_s"] >= 0 and row["ask_cpu_ms"] > 0 for row in rows.values())
    assert "| learns from clicks | 100 | 1,200 |" in learning.table(found)
