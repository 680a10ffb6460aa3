"""Other engines on the same titles and the same queries: top 100 by words, any word matching."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.timing import Row, latencies
from tandem.queries.analysis import Analyser

K = 100
CALLS = 200
Search = Callable[[str], Any]


def run(folder: Path, titles: Sequence[str], queries: Sequence[str], quick: bool) -> dict[str, Row]:
    """A row per peer; one that is not installed or fails says so in its row."""
    rows: dict[str, Row] = {}
    calls = (list(queries) * (CALLS // len(queries) + 1))[: 40 if quick else CALLS]
    for name, build in (("bm25s", _bm25s), ("SQLite FTS5", _sqlite), ("LanceDB", _lancedb)):
        try:
            start = perf_counter()
            search = build(folder, titles)
            seconds = perf_counter() - start
            row = latencies(search, calls, warm=5)
            rows[name] = {"docs_per_s": round(len(titles) / seconds), **row}
        except ImportError:
            rows[name] = {"note": "not installed"}
        except Exception as error:
            rows[name] = {"note": f"failed: {error}"[:200]}
    return rows


def _bm25s(folder: Path, titles: Sequence[str]) -> Search:
    import bm25s

    analyser = Analyser()
    model = bm25s.BM25()
    model.index([analyser.terms(t) for t in titles], show_progress=False)
    k = min(K, len(titles))
    return lambda q: model.retrieve(
        [[f for t in analyser.query_terms(q) for f in t.forms]], k=k, show_progress=False
    )


def _sqlite(folder: Path, titles: Sequence[str]) -> Search:
    base = sqlite3.connect(folder / f"fts-{len(titles)}.db")
    base.execute("create virtual table p using fts5(title, tokenize='porter unicode61')")
    base.executemany("insert into p values (?)", ((t,) for t in titles))
    base.commit()
    sql = "select rowid from p where p match ? order by bm25(p) limit ?"
    return lambda q: base.execute(
        sql, (" OR ".join('"' + w.replace('"', "") + '"' for w in q.split()), K)
    ).fetchall()


def _lancedb(folder: Path, titles: Sequence[str]) -> Search:
    import lancedb

    base = lancedb.connect(folder / f"lance-{len(titles)}")
    rows = [{"number": i, "title": t} for i, t in enumerate(titles)]
    table = base.create_table("p", rows)
    table.create_fts_index("title")
    return lambda q: table.search(q, query_type="fts").limit(K).to_arrow()
