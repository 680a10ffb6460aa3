"""The batch jobs, in DuckDB: from events to sessions, searches, chains and what came of them.

`Tables` holds one connection with these tables; memory is bounded by DuckDB's own limit, and what
does not fit is spilled to its folder.

| table | one row per | columns |
|---|---|---|
| `sessions` | visit | session_id, client, started, ended (µs), events |
| `searches` | search | see `SEARCHES` |
| `shown` | product shown by a search | query_id, position (from 1), product, clicked |

A session is what the sender names as one or, without a name, what one client does without a pause
of 30 minutes (Catledge & Pitkow 1995). A chain is what a session searches for without putting
anything into the cart and without a pause of 3 minutes: reformulations of one need.

Events of bots and staff (`traffic` other than `shopper`) are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import duckdb
import pyarrow as pa

from tandem.contracts.product import Product

SESSION_PAUSE = 30 * 60 * 1_000_000  # µs
CHAIN_PAUSE = 3 * 60 * 1_000_000  # µs from the last action of a search to the next search
LONG_DWELL = 30.0  # seconds on a product that count as interest (Fox et al., TOIS 2005)
TOLD = 5  # clients who typed a text, from which it is told one by one
FEW = 5  # results below which a search has few

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
    """Tables over a set of events; close it when done (or use `with`)."""

    def __init__(self, *, memory: str = "2GB", threads: int = 1, spill: Path | None = None) -> None:
        self.db = duckdb.connect()
        self.db.execute(f"SET memory_limit='{memory}'; SET threads={threads:d}")
        # Order of rows is stated where it matters; keeping that of the input costs memory.
        self.db.execute("SET preserve_insertion_order=false")
        if spill is not None:
            self.db.execute("SET temp_directory=?", [str(spill)])

    def load(self, events: pa.Table | Sequence[Path]) -> None:
        """Take in events: an Arrow table or Parquet files with `AdmittedEvent` columns; build all
        tables. A search that was sent twice under one query id counts once."""
        if isinstance(events, pa.Table):
            self.db.register("given", events)
        else:
            self.files(events, "given")
        self.build("given")

    def files(self, files: Sequence[Path], name: str) -> None:
        """Parquet files as the temporary view `name`, read as it is queried."""
        names = ", ".join("'" + str(f).replace("'", "''") + "'" for f in files)
        self.db.execute(
            f"CREATE OR REPLACE TEMP VIEW {name} AS SELECT * FROM read_parquet([{names}], "
            "hive_partitioning = false, union_by_name = true)"
        )

    def build(self, source: str) -> None:
        """Build all tables from a table or view of this connection with events in it."""
        self.events(source)
        self.sessionise()
        self.search_outcomes()

    def events(self, source: str) -> None:
        """Take in the events of a table or view: the first of the three jobs of `build`."""
        self.db.execute(f"""
            CREATE OR REPLACE TABLE events AS
            SELECT action_name AS action, timestamp AS happened, client, session, query_id,
                   user_query, language, device, object_id AS product, position, total,
                   object_ids, coalesce(filters, []) AS filters, latency_ms,
                   quantity, TRY_CAST(amount AS DOUBLE) AS amount, currency
            FROM "{source}" WHERE traffic = 'shopper'
        """)

    def sessionise(self) -> None:
        """Number the sessions: `visits` is `events` with `session_id`."""
        self.db.execute(f"""
            CREATE OR REPLACE TABLE visits AS
            SELECT * EXCLUDE (breaks, pause),
                   CASE WHEN session IS NOT NULL THEN hash(session)
                        ELSE hash(client, sum(breaks) OVER (
                            PARTITION BY client, session ORDER BY happened
                            ROWS UNBOUNDED PRECEDING))
                   END AS session_id
            FROM (
                SELECT *, (pause IS NULL OR pause > {SESSION_PAUSE})::INT AS breaks
                FROM (
                    SELECT *, CASE WHEN session IS NULL THEN happened - lag(happened) OVER (
                        PARTITION BY client, session ORDER BY happened) END AS pause
                    FROM events
                )
            );
            DROP TABLE events;
            CREATE OR REPLACE TABLE sessions AS
            SELECT session_id, any_value(client) AS client, min(happened) AS started,
                   max(happened) AS ended, count(*) AS events
            FROM visits GROUP BY session_id
        """)

    def search_outcomes(self) -> None:
        """`searches` and `shown`."""
        self.db.execute(f"""
            CREATE OR REPLACE TEMP TABLE asked AS
            SELECT query_id, session_id, client, happened AS started, language, device, filters,
                   total, latency_ms, object_ids, len(object_ids) AS shown,
                   coalesce(total, len(object_ids)) AS results,
                   trim(regexp_replace(lower(user_query), '\\s+', ' ', 'g')) AS text
            FROM visits WHERE action = 'search'
            QUALIFY row_number() OVER (PARTITION BY query_id ORDER BY happened) = 1;

            CREATE OR REPLACE TEMP TABLE acted AS
            SELECT query_id,
                   count(*) FILTER (action = 'click') AS clicks,
                   count(*) FILTER (action = 'add_to_cart') AS carts,
                   count(*) FILTER (action = 'purchase') AS purchases,
                   coalesce(sum(amount) FILTER (action = 'purchase'), 0) AS sales,
                   min(position) FILTER (action = 'click') AS first_click,
                   max(dwell) FILTER (action = 'click') AS dwell,
                   max(happened) AS ended
            FROM (
                SELECT *, (lead(happened) OVER (PARTITION BY session_id ORDER BY happened)
                           - happened) / 1e6 AS dwell
                FROM visits
            )
            WHERE query_id IS NOT NULL AND action <> 'search'
            GROUP BY query_id;

            CREATE OR REPLACE TEMP TABLE turned AS
            SELECT a.*, coalesce(clicks, 0) AS clicks, coalesce(carts, 0) AS carts,
                   coalesce(purchases, 0) AS purchases, coalesce(sales, 0) AS sales,
                   first_click, dwell, greatest(started, coalesce(ended, started)) AS ended
            FROM asked a LEFT JOIN acted USING (query_id);

            CREATE OR REPLACE TEMP TABLE chained AS
            SELECT *, hash(session_id, sum(opens) OVER session) AS chain
            FROM (
                SELECT *, (lag(started) OVER session IS NULL
                           OR lag(carts + purchases) OVER session > 0
                           OR started - lag(ended) OVER session > {CHAIN_PAUSE})::INT AS opens
                FROM turned
                WINDOW session AS (PARTITION BY session_id ORDER BY started, query_id)
            )
            WINDOW session AS (PARTITION BY session_id ORDER BY started, query_id
                               ROWS UNBOUNDED PRECEDING);
            DROP TABLE turned;

            CREATE OR REPLACE TABLE searches AS
            SELECT * EXCLUDE (opens),
                   row_number() OVER turns AS turn,
                   lead(text) OVER turns AS next_text,
                   lead(results) OVER turns AS next_results,
                   lead(len(filters)) OVER turns AS next_filters,
                   sum(sales) OVER whole AS chain_sales,
                   sum(carts + purchases) OVER whole AS chain_carts,
                   carts + purchases = 0 AND sum(carts + purchases) OVER whole > 0 AS recovered,
                   clicks + carts + purchases = 0 AND lead(text) OVER turns IS NULL AS abandoned
            FROM chained
            WINDOW turns AS (PARTITION BY chain ORDER BY started, query_id),
                   whole AS (PARTITION BY chain);
            DROP TABLE chained;

            CREATE OR REPLACE TABLE shown AS
            SELECT s.query_id, s.position, s.product, c.query_id IS NOT NULL AS clicked
            FROM (
                SELECT query_id, unnest(object_ids) AS product,
                       generate_subscripts(object_ids, 1) AS position
                FROM searches
            ) s
            LEFT JOIN (SELECT DISTINCT query_id, product FROM visits
                       WHERE action = 'click' AND query_id IS NOT NULL) c
            USING (query_id, product);

            CREATE OR REPLACE TABLE searches AS
            SELECT s.* EXCLUDE (object_ids), abandoned AND g.query_id IS NOT NULL AS good_abandoned
            FROM searches s LEFT JOIN (
                SELECT DISTINCT s.query_id
                FROM (SELECT query_id, session_id, started, unnest(object_ids) AS product
                      FROM searches WHERE abandoned) s
                JOIN visits v ON v.session_id = s.session_id AND v.product = s.product
                 AND v.happened > s.started AND v.action IN ('add_to_cart', 'purchase')
            ) g USING (query_id)
        """)

    def catalogue(self, products: pa.Table) -> None:
        """Take in what was sold: columns product, title, brand, category, leaf (text), price
        (double, null unknown), stock (int, null unknown), language."""
        self.db.register("products_given", products)
        self.db.execute("CREATE OR REPLACE TABLE products AS SELECT * FROM products_given")
        self.db.unregister("products_given")

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


def product_table(products: list[Product]) -> pa.Table:
    """What the insight jobs read of a catalogue. `category` is the whole path joined by ' > '."""
    return pa.table(
        {
            "product": [p.id for p in products],
            "title": [p.title for p in products],
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
