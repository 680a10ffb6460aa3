"""Impressions and clicks of stored searches, added up into a `ClickLog`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.clicks import ClickLog, Ints, PairClicks
from tandem.insights.tables import TOLD, Tables

PLACES = 50
SIMULATED = "simulated-"  # how the query ids of simulated shoppers begin


def click_lists(tables: Tables, places: int) -> tuple[Ints, Ints, Ints, Ints, NDArray[np.bool_]]:
    """Rows of the lists behind the last `click_log` of these tables: search (from 0), query and
    product as it numbers them, place (from 0), clicked; all (m,), of the first `places`."""
    found = tables.db.execute(
        """SELECT dense_rank() OVER (ORDER BY query_id) - 1 AS search,
                  query, product, place, clicked
           FROM learned_shown WHERE place < ? ORDER BY search, place""",
        [places],
    ).fetchnumpy()
    search, query, product, place = (
        np.asarray(found[k], np.int64) for k in ("search", "query", "product", "place")
    )
    return search, query, product, place, np.asarray(found["clicked"], bool)


def click_log(tables: Tables, *, places: int = PLACES, least_clients: int = TOLD) -> ClickLog:
    """What was shown at the first `places` and clicked, by text of the query.

    Only texts that `least_clients` or more have typed go in, and only searches without filters: a
    filter changes what a product is up against. No client, session or time is in the log.
    """
    db = tables.db
    db.execute(
        """
        CREATE OR REPLACE TEMP TABLE learned AS
        SELECT query_id, dense_rank() OVER (ORDER BY text) - 1 AS query, text
        FROM searches WHERE len(filters) = 0 AND shown > 0 AND text IN (
            SELECT text FROM searches GROUP BY text HAVING count(DISTINCT client) >= ?);
        """,
        [least_clients],
    )
    db.execute(
        """
        CREATE OR REPLACE TEMP TABLE learned_shown AS
        SELECT query_id, query, dense_rank() OVER (ORDER BY product) - 1 AS product,
               product AS id, position - 1 AS place, clicked
        FROM shown JOIN learned USING (query_id) WHERE position <= ?
        QUALIFY row_number() OVER (PARTITION BY query_id, product ORDER BY position) = 1
        """,
        [places],
    )
    rows = db.execute(
        """SELECT query, product, place, count(*) AS shown, count(*) FILTER (clicked) AS clicked
           FROM learned_shown GROUP BY ALL ORDER BY ALL"""
    ).fetchnumpy()
    pairs = db.execute(
        """SELECT w.query, w.product AS winner, l.product AS loser, w.place AS winner_place,
                  l.place AS loser_place, count(*) AS n
           FROM learned_shown w JOIN learned_shown l USING (query_id)
           WHERE w.clicked AND NOT l.clicked GROUP BY ALL ORDER BY ALL"""
    ).fetchnumpy()
    texts = db.execute("SELECT DISTINCT query, text FROM learned ORDER BY query").fetchall()
    ids = db.execute("SELECT DISTINCT product, id FROM learned_shown ORDER BY product").fetchall()
    about = db.execute(
        f"SELECT count(*), coalesce(bool_or(starts_with(query_id, '{SIMULATED}')), FALSE) "
        "FROM learned"
    ).fetchone()
    lists, simulated = about if about is not None else (0, False)
    query, product, place = (np.asarray(rows[k], np.int64) for k in ("query", "product", "place"))
    shown, clicked = (np.asarray(rows[k], np.float64) for k in ("shown", "clicked"))
    asked, winner, loser, one, two = (
        np.asarray(pairs[k], np.int64)
        for k in ("query", "winner", "loser", "winner_place", "loser_place")
    )
    count = np.asarray(pairs["n"], np.float64)
    return ClickLog(
        tuple(text for _, text in texts),
        tuple(id_ for _, id_ in ids),
        query,
        product,
        place,
        shown,
        clicked,
        int(lists),
        PairClicks(asked, winner, loser, one, two, count),
        simulated=bool(simulated),
    )
