"""What the batch jobs make of events, in DuckDB, where analyses read it.

`Tables` holds one connection with these tables; memory is bounded by DuckDB's own limit, and what
does not fit is spilled to its folder. `tandem.insights.jobs` defines the jobs, and an engine out of
`tandem.insights.engines` runs them.

| table | one row per | columns |
|---|---|---|
| `visits` | event | action, happened (µs), session_id, client, query_id, product, position, … |
| `sessions` | visit | session_id, client, started, ended (µs), events |
| `searches` | search | see `SEARCHES` |
| `shown` | product shown by a search | query_id, position (from 1), product, clicked |
| `places` | place | position, impressions, clicks |
| `pairs` | text, language, product, place | impressions n, clicks c |
| `funnels` | day, language, device | searches, …, bought, sales |

A chain is what a session searches for without putting anything into the cart and without a pause of
3 minutes: reformulations of one need.

Events of bots and staff (`traffic` other than `shopper`) are left out.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import duckdb
import pyarrow as pa

from tandem.contracts.events import EXPOSURE_ACTION
from tandem.contracts.product import Product
from tandem.insights.engines import DuckDBEngine, Engine
from tandem.insights.jobs import JOBS, Job

LONG_DWELL = 30.0  # seconds on a product that count as interest (Fox et al., TOIS 2005)
TOLD = 5  # clients who typed a text, from which it is told one by one

SEARCHES = """
query_id, session_id, client, language, device, filters, total, latency_ms; started, ended (µs)
text: the query folded to lower case and single spaces; what was masked stays masked
shown: how many products were answered; results: total where stated, else shown
clicks, carts, purchases: events that name this search; sales: their amount (major units)
first_click: smallest position clicked; dwell: longest time on a clicked product, in seconds, up to
the next event of the session, null where none follows
chain: number of the chain; turn: from 1 in the chain; next_text, next_results: of the next turn
chain_sales, chain_carts: of the whole chain; recovered: something was carted in a later turn
abandoned: no click, no cart, nothing searched after it in the chain
good_abandoned: abandoned, but a shown product was put into the cart or bought within the session
"""


class Tables:
    """Tables over a set of events; close it when done (or use `with`).

    memory: DuckDB's limit, by default half of what the machine has, at least 1 GB; joins over many
    events need some 150 MB for each million of them. engine: where the jobs run; by default in
    the connection itself.
    """

    def __init__(
        self,
        *,
        memory: str | None = None,
        threads: int = 1,
        spill: Path | None = None,
        engine: Engine | None = None,
    ) -> None:
        self._engine = engine or DuckDBEngine()
        self.db = duckdb.connect()
        limit = memory or f"{max(1_000, _physical_mb() // 2)}MB"
        self.db.execute(f"SET memory_limit='{limit}'; SET threads={threads:d}")
        # Order of rows is stated where it matters; keeping that of the input costs memory.
        self.db.execute("SET preserve_insertion_order=false")
        if spill is not None:
            self.db.execute("SET temp_directory=?", [str(spill)])

    def load(self, events: pa.Table | Sequence[Path]) -> None:
        """Take in events: an Arrow table or Parquet files with `AdmittedEvent` columns; build all
        tables. A search that was sent twice under one query id counts once."""
        if isinstance(events, pa.Table):
            self.db.register("loaded", events)
        else:
            self.files(events, "loaded")
        self.build("loaded")

    def files(self, files: Sequence[Path], name: str) -> None:
        """Parquet files as the temporary view `name`, read as it is queried."""
        names = ", ".join("'" + str(f).replace("'", "''") + "'" for f in files)
        self.db.execute(
            f"CREATE OR REPLACE TEMP VIEW {name} AS SELECT * FROM read_parquet([{names}], "
            "hive_partitioning = false, union_by_name = true)"
        )

    def build(self, source: str, jobs: Sequence[Job] = JOBS) -> None:
        """Run the jobs over a table or view of this connection with events in it."""
        self.db.execute(
            f'CREATE OR REPLACE TEMP VIEW given AS SELECT * FROM "{source}"'
            f" WHERE action_name <> '{EXPOSURE_ACTION}'"
        )
        self.run(jobs)

    def run(self, jobs: Sequence[Job]) -> None:
        """Run jobs whose tables are there already."""
        self._engine.run(self.db, jobs)

    def catalogue(self, products: pa.Table) -> None:
        """Take in what was sold: columns product, title, brand, category, leaf (text), price
        (double, null unknown), stock (int, null unknown), language."""
        self.db.register("products_given", products)
        self.db.execute("CREATE OR REPLACE TABLE products AS SELECT * FROM products_given")
        self.db.unregister("products_given")

    def meanings(self, of: Mapping[str, str]) -> None:
        """Take in which texts mean the same: by text, the text that stands for all of them."""
        given = pa.table({"text": list(of), "meaning": list(of.values())})
        self.db.register("meanings_given", given)
        self.db.execute("CREATE OR REPLACE TABLE meanings AS SELECT * FROM meanings_given")
        self.db.unregister("meanings_given")

    def rows(self, sql: str, parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """Rows of a query as dicts; parameters are named `$name`."""
        answer = self.db.execute(sql, parameters or {})
        names = [c[0] for c in answer.description or ()]
        return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]

    def close(self) -> None:
        self.db.close()

    def __enter__(self) -> Tables:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _physical_mb() -> int:
    if not hasattr(os, "sysconf"):
        return 4_000
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 10**6


def product_table(products: list[Product]) -> pa.Table:
    """What the insight jobs read of a catalogue. `category` is the whole path joined by ' > '."""
    return pa.table(
        {
            "product": pa.array([p.id for p in products], pa.string()),
            "title": pa.array([p.title for p in products], pa.string()),
            "brand": pa.array([p.brand for p in products], pa.string()),
            "category": pa.array([" > ".join(p.category) or None for p in products], pa.string()),
            "price": pa.array(
                [None if p.price is None else float(p.price.amount) for p in products],
                pa.float64(),
            ),
            "stock": pa.array([p.stock for p in products], pa.int64()),
            "language": pa.array([p.language for p in products], pa.string()),
            "words": pa.array(
                [
                    " ".join(
                        (
                            p.title,
                            p.brand or "",
                            *p.category,
                            *(v for v in p.attributes.values() if isinstance(v, str)),
                            p.description,
                        )
                    ).lower()
                    for p in products
                ],
                pa.string(),
            ),
        }
    )
