"""What the logs say about one group of searches: judgments from clicks, and orders held out.

Both read the tables that `find_failures` leaves behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tandem.contracts.judgment import Judgment, JudgmentList
from tandem.insights.findings import Group, Interval
from tandem.insights.jobs import FEW
from tandem.insights.statistics import Z95
from tandem.insights.tables import LONG_DWELL, Tables

MOST_TEXTS = 200
_WEIGHT = 3.0  # impressions that an attraction is drawn to the mean with


def condition(group: Group) -> str:
    """The searches of a group, as a condition on `facts`."""
    said = []
    if group.words:
        said.append(f"query_id IN (SELECT query_id FROM words WHERE word = {quoted(group.words)})")
    if group.meaning:
        among = f"SELECT text FROM meanings WHERE meaning = {quoted(group.meaning)}"
        said.append(f"text IN ({among})")
    for column in ("text", "category", "language", "device"):
        value = getattr(group, column)
        # Queries stand for themselves; category and language are said to name them, no more.
        if value and (column == "text" or not (group.text or group.meaning)):
            said.append(f"{column} = {quoted(value)}")
    if group.filter:
        said.append(f"list_contains(filters, {quoted(group.filter)})")
    return " AND ".join(said) or "TRUE"


def quoted(value: str) -> str:
    """A text as an SQL literal."""
    return "'" + value.replace("'", "''") + "'"


def texts_of(tables: Tables, group: Group) -> dict[str, int]:
    """The `MOST_TEXTS` most frequent texts of a group, with how often they were searched for."""
    rows = tables.rows(
        f"""SELECT text, count(*) AS n FROM facts WHERE {condition(group)} AND text <> ''
            GROUP BY text ORDER BY count(*) DESC, text LIMIT {MOST_TEXTS}"""
    )
    return {r["text"]: r["n"] for r in rows}


def judgments_from_logs(tables: Tables, group: Group, least: int = 2) -> JudgmentList:
    """What shoppers who typed these queries chose in the end, in whichever search of the chain.

    Relevance 3: put into the cart or bought in `least` chains or more; 1: clicked in that many.
    """
    rows = tables.rows(
        f"""
        WITH asked AS (
            SELECT DISTINCT text, chain FROM facts
            WHERE {condition(group)} AND list_contains($texts, text)
        ), chosen AS (
            SELECT chain, product, bool_or(action <> 'click') AS carted
            FROM visits JOIN facts USING (query_id)
            WHERE action IN ('click', 'add_to_cart', 'purchase') AND product IS NOT NULL
            GROUP BY chain, product
        )
        SELECT text, product, count(*) FILTER (carted) AS carts, count(*) AS clicks
        FROM asked JOIN chosen USING (chain) GROUP BY text, product HAVING clicks >= {least:d}
        ORDER BY text, clicks DESC, product
        """,
        {"texts": list(texts_of(tables, group))},
    )
    return JudgmentList.of(
        (Judgment(r["text"], r["product"], 3 if r["carts"] >= least else 1) for r in rows),
        "what shoppers chose",
    )


def categories_wanted(tables: Tables, texts: Sequence[str]) -> dict[str, str]:
    """The category that shoppers who typed a text chose from in the end, where they chose."""
    rows = tables.rows(
        "SELECT text, category FROM text_category WHERE list_contains($texts, text)",
        {"texts": list(texts)},
    )
    return {r["text"]: r["category"] for r in rows}


def usual_prices(tables: Tables) -> dict[str, float]:
    """The median price by category, in major units."""
    return {r["category"]: r["price"] for r in tables.rows("SELECT category, price FROM usual")}


@dataclass(frozen=True)
class HeldOut:
    """Clicks per search on searches that the order was not learned from: as shown, and reordered.
    `gain` is their difference. searches: how many it was measured on."""

    shown: float
    gain: Interval
    searches: int


def held_out_order(tables: Tables, group: Group) -> HeldOut | None:
    """Learn from half of the group's searches what attracts; reorder the lists of the other half.

    Expected clicks of a new order by inverse propensity (Joachims, Swaminathan & Schnabel, WSDM
    2017): a click counts look(new place) / look(old place). None without searches on both sides.
    """
    rows = tables.db.execute(
        f"""SELECT hash(query_id) AS search, hash(query_id) % 2 = 0 AS learn,
                   hash(text, product) AS pair, position, look, clicked
            FROM shown JOIN facts USING (query_id) JOIN looks USING (position)
            WHERE {condition(group)} ORDER BY search, position"""
    ).fetchnumpy()
    learn = np.asarray(rows["learn"], dtype=bool)
    if learn.all() or not learn.any():
        return None
    look = np.asarray(rows["look"], dtype=np.float64)
    clicked = np.asarray(rows["clicked"], dtype=np.float64)
    _, pair = np.unique(np.asarray(rows["pair"]), return_inverse=True)
    clicks = np.bincount(pair[learn], clicked[learn], pair.max() + 1)
    looks = np.bincount(pair[learn], look[learn], pair.max() + 1)
    mean = clicked[learn].sum() / looks.sum()
    attraction = (clicks + _WEIGHT * mean) / (looks + _WEIGHT)

    rest = ~learn
    _, search = np.unique(np.asarray(rows["search"])[rest], return_inverse=True)
    place = np.asarray(rows["position"], dtype=np.int64)[rest]
    # Within a search: its looks from the top, handed out by attraction.
    fresh = np.empty(place.size)
    fresh[np.lexsort((place, -attraction[pair[rest]], search))] = look[rest][
        np.lexsort((place, search))
    ]
    old = look[rest]
    before = np.bincount(search, clicked[rest])
    after = np.bincount(search, clicked[rest] * fresh / np.maximum(old, 1e-6))
    difference = after - before
    gain = float(difference.mean())
    half = Z95 * float(difference.std(ddof=1)) / np.sqrt(difference.size)
    return HeldOut(float(before.mean()), Interval(gain, gain - half, gain + half), before.size)


def funnels_over_all(tables: Tables) -> list[dict[str, Any]]:
    """How far searches get, by language and device (None: not said), the most frequent first."""
    return tables.rows(
        """SELECT language, device, sum(searches)::BIGINT AS searches,
                  sum(without_results)::BIGINT AS without_results, sum(clicked)::BIGINT AS clicked,
                  sum(carted)::BIGINT AS carted, sum(bought)::BIGINT AS bought, sum(sales) AS sales
           FROM funnels GROUP BY language, device
           ORDER BY searches DESC, language, device"""
    )


def overview(tables: Tables) -> dict[str, Any]:
    """How search is doing over all: shares of searches, None without any."""
    return tables.rows(
        f"""SELECT count(*) AS searches,
                   avg((results = 0)::INT) AS zero_results,
                   avg((results BETWEEN 1 AND {FEW - 1})::INT) AS few_results,
                   avg((turn > 1)::INT) AS reformulations,
                   avg(abandoned::INT) AS abandoned,
                   avg(good_abandoned::INT) AS good_abandoned,
                   avg((clicks > 0)::INT) AS clicked,
                   avg((carts > 0)::INT) AS added_to_cart,
                   avg((purchases > 0)::INT) AS purchased,
                   median(dwell) AS median_dwell_seconds,
                   avg((dwell >= {LONG_DWELL})::INT) AS long_dwell,
                   median(latency_ms) AS median_latency_ms,
                   sum(sales) AS sales
            FROM searches"""
    )[0]
