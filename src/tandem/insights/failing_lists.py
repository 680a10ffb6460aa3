"""Causes in what is shown: the wrong category, out of stock, too dear, a bad order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tandem.insights.diagnosis import (
    ACCEPT,
    MIN_CLIENTS,
    MIN_SEARCHES,
    Candidate,
    Diagnosis,
    needs,
)
from tandem.insights.evidence import quoted
from tandem.insights.findings import Fix, Group, Interval
from tandem.insights.jobs import PLACES
from tandem.insights.statistics import more_often

RANKED = 1.3  # attraction of the lower places over that of the top three, at least
_CLICKS = 150  # clicks that an order is judged by, at least


def wrong_category(diagnosis: Diagnosis) -> None:
    for where, group in diagnosis.groups("elsewhere"):
        texts = diagnosis.texts(where)
        shown = diagnosis.tables.rows(
            f"""SELECT mode(p.category ORDER BY p.category) AS category
                FROM shown JOIN products p USING (product)
                WHERE position <= 5 AND p.category <> {quoted(group.category or "")}
                  AND query_id IN (SELECT query_id FROM open WHERE {where} AND elsewhere)"""
        )[0]["category"]
        rules = [
            {
                "id": f"category-{i}",
                "kind": "boost",
                "query": t,
                "category": group.category,
                "weight": 0.5,
            }
            for i, t in enumerate(texts)
        ]
        diagnosis.compare(
            "category_intent",
            group,
            where,
            "elsewhere",
            f"Searches for {group.category} show {shown}",
            f"Most of what shoppers see first is not from the category that they click in; "
            f"most often it is {shown}.",
            Fix("rule", f"Lift {group.category} for these queries", {"rules": rules}),
        )


def out_of_stock(diagnosis: Diagnosis) -> None:
    for where, group in diagnosis.groups("empty"):
        gone = [
            r["product"]
            for r in diagnosis.tables.rows(
                f"""SELECT product, count(*) AS n FROM shown JOIN products USING (product)
                    WHERE stock = 0 AND position <= {PLACES}
                      AND query_id IN (SELECT query_id FROM open WHERE {where})
                    GROUP BY product ORDER BY n DESC, product LIMIT 200"""
            )
        ]
        diagnosis.compare(
            "out_of_stock",
            group,
            where,
            "empty",
            f"What is shown for {group.category} is out of stock",
            "More than half of what shoppers look at cannot be bought.",
            Fix(
                "rule",
                f"Bury {len(gone)} products without stock until they are back",
                {"rules": [{"id": "out-of-stock", "kind": "bury", "products": gone}]},
            ),
        )


def too_dear(diagnosis: Diagnosis) -> None:
    for where, group in diagnosis.groups("dear"):
        prices = diagnosis.tables.rows(
            f"""SELECT exp(sum(look * ln(p.price / u.price)) / sum(look)) AS times
                FROM shown JOIN looks USING (position) JOIN products p USING (product)
                JOIN usual u ON u.category = p.category
                WHERE p.price > 0
                  AND query_id IN (SELECT query_id FROM open WHERE {where})"""
        )[0]["times"]
        affordable = [
            r["product"]
            for r in diagnosis.tables.rows(
                f"""SELECT product FROM products JOIN usual u USING (category)
                    WHERE category = {quoted(group.category or "")}
                      AND products.price <= u.price AND coalesce(stock, 1) > 0
                    ORDER BY product LIMIT 500"""
            )
        ]
        diagnosis.compare(
            "price_mismatch",
            group,
            where,
            "dear",
            f"What is shown for {group.category} is too dear",
            f"Shown prices are {prices or 0:.1f} times the category's usual ones; shoppers "
            "look and do not buy.",
            Fix(
                "rule",
                f"Lift {len(affordable)} products at usual prices",
                {
                    "rules": [
                        {
                            "id": "usual-prices",
                            "kind": "boost",
                            "products": affordable,
                            "weight": 0.5,
                            "query": t,
                        }
                        for t in diagnosis.texts(where)
                    ]
                },
            ),
        )


def bad_order(diagnosis: Diagnosis) -> None:
    """Groups where the lower places attract more than the top three, positions accounted for.

    Given all clicks, those below are binomial with the share of the looks that fall there, if
    places were equally attractive; ranking by relevance makes them fewer.
    """
    split = 3
    for column in ("category", "text"):
        rows = diagnosis.tables.rows(
            # Whatever shows anything shows a first place: searches and clients of that one.
            f"""SELECT {column} AS value, position, count(*) AS n,
                       count(*) FILTER (clicked) AS c,
                       count(DISTINCT client) FILTER (position = 1) AS clients
                FROM shown JOIN open USING (query_id)
                WHERE position <= {PLACES} AND {column} IS NOT NULL
                GROUP BY ALL ORDER BY ALL"""
        )
        groups: dict[str, list[dict[str, Any]]] = {}
        for r in rows:
            groups.setdefault(r["value"], []).append(r)
        for value, places in groups.items():
            searches = max(r["n"] for r in places)
            clients = max(r["clients"] for r in places)
            if searches < MIN_SEARCHES or clients < MIN_CLIENTS or len(places) <= split:
                continue
            looks = np.array([r["n"] * diagnosis.look[r["position"] - 1] for r in places])
            clicks = np.array([r["c"] for r in places], dtype=np.float64)
            top = np.array([r["position"] <= split for r in places])
            if clicks.sum() < _CLICKS or not looks.all():
                continue
            even = looks[~top].sum() / looks.sum()
            below = int(clicks[~top].sum())
            p = more_often(below, int(clicks.sum()), even)
            attraction = clicks / looks
            ratio = (below / looks[~top].sum()) / max(clicks[top].sum() / looks[top].sum(), 1e-9)
            candidate = Candidate(p)
            diagnosis.candidates.append(candidate)
            if p > ACCEPT or ratio < RANKED:
                continue
            where = f"{column} = {quoted(value)}"
            group = (
                Group(category=value, language=diagnosis.language(where))
                if column == "category"
                else Group(text=value, language=diagnosis.language(where))
            )
            judged = _liked(diagnosis, where)
            finding = diagnosis.finding(
                "bad_ranking",
                group,
                where,
                p,
                1.0,
                diagnosis.rate,
                f"The best products for {value} stand too low",
                f"Positions accounted for, what stands below place {split} attracts "
                f"{ratio:.1f} times the clicks of what stands above.",
                Fix(
                    "retraining_example",
                    f"Train with {len(judged)} pairs of query and product that shoppers chose",
                    {"judgments": judged},
                ),
            )
            finding = replace(
                finding, lost_sales=_better_order(diagnosis, where, looks, attraction)
            )
            candidate.finding = finding
            diagnosis.explain(where)


def _better_order(diagnosis: Diagnosis, where: str, looks: Any, attraction: Any) -> Interval | None:
    """Sales that the same products in the order of their attraction would have brought: clicks,
    and sales with them, in proportion. Interval: clicks by place are Poisson, 400 draws."""
    sales = diagnosis.tables.rows(f"SELECT sum(sales) AS s FROM {needs(where)}")[0]["s"]
    if not sales:
        return None
    rng = np.random.default_rng(7)
    drawn = rng.poisson(attraction * looks, (400, looks.size)) / looks

    def gain(a: Any) -> Any:
        return (np.sort(a, axis=-1)[..., ::-1] * looks).sum(-1) / (a * looks).sum(-1) - 1

    low, high = np.quantile(sales * gain(drawn), [0.025, 0.975])
    best = float(sales * gain(attraction))
    return Interval(best, min(float(low), best), max(float(high), best))


def _liked(diagnosis: Diagnosis, where: str) -> list[dict[str, Any]]:
    """What shoppers chose, as judgments: 3 for carts, 2 for clicks, those first that attract
    most."""
    return diagnosis.tables.rows(
        f"""SELECT text AS query, product, CASE WHEN carted THEN 3 ELSE 2 END AS relevance
            FROM (
                SELECT text, product, sum(look) AS looks, count(*) FILTER (clicked) AS clicks,
                       bool_or(v.query_id IS NOT NULL) AS carted
                FROM shown JOIN open USING (query_id) JOIN looks USING (position)
                LEFT JOIN (SELECT DISTINCT query_id, product FROM visits
                           WHERE action IN ('add_to_cart', 'purchase')) v
                USING (query_id, product)
                WHERE {where} AND text IN (FROM told) GROUP BY text, product
            ) WHERE clicks >= 3 ORDER BY clicks / looks DESC, query, product LIMIT 200"""
    )
