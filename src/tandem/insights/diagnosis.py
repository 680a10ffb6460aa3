"""Groups of searches held against healthy ones: what a cause of failure is tested by.

A finding needs three things: at least `MIN_SEARCHES` searches by `MIN_CLIENTS` clients; a symptom
in at least `AFFECTED` of them, and more often than elsewhere; and fewer needs met than like needs
elsewhere, beyond what healthy categories differ by anyway. Its p-value is the larger of the two
tests' (both must hold). Groups without the symptom are not tested.

The unit of success is the chain (one need): something was put into the cart or bought in it. Lost
sales are the healthy chains' sales per chain, in units of the category's usual price, less the
group's own. To find nothing at all is a failure by itself, also where shoppers make up for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tandem.contracts.insight import Cause
from tandem.insights.clicks import position_bias
from tandem.insights.evidence import quoted
from tandem.insights.findings import Finding, Fix, Group, Interval
from tandem.insights.jobs import FEW, PLACES
from tandem.insights.statistics import Z95, less_often, more_often, spread_between, wilson
from tandem.insights.symptoms import SYMPTOMS
from tandem.insights.tables import TOLD, Tables

MIN_SEARCHES = 40
MIN_CLIENTS = 15
AFFECTED = 0.5  # share of a group's searches with the symptom, at least
DEFICIT = 0.85  # success over expected success, at most
ACCEPT = 0.01  # p-value from which a group counts as explained
_FLOOR = 0.02  # a symptom's base rate is taken for no less
_EXAMPLES = 3
_QUERIES = 20


@dataclass
class Candidate:
    """One comparison: its p-value, and, where it might be a finding, the finding."""

    p_value: float
    finding: Finding | None = None


@dataclass
class Diagnosis:
    """What is not explained so far (the table `open`), what healthy needs reach, and every
    comparison made on the way, for the false-discovery control at the end.

    look: (PLACES,) chance that a place is looked at. rate: share of healthy needs that are met.
    """

    tables: Tables
    candidates: list[Candidate] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._prepare()
        self._healthy()

    def _prepare(self) -> None:
        """`facts`: one row per search with its symptoms and its need's outcome. `known`: words of
        the catalogue, or, without one, of searches that found enough."""
        db = self.tables.db
        if not self.tables.rows("SELECT 1 FROM duckdb_tables() WHERE table_name = 'products'"):
            db.execute("""CREATE TABLE products (product VARCHAR, title VARCHAR, brand VARCHAR,
                category VARCHAR, price DOUBLE, stock BIGINT, language VARCHAR, words VARCHAR)""")
        bias = position_bias(self.tables)
        look = np.nan_to_num(bias.examination, nan=0.0)
        if not look.any():
            look = 1.0 / np.arange(1, PLACES + 1)
        self.look = look
        db.execute("CREATE OR REPLACE TABLE looks (position BIGINT, look DOUBLE)")
        db.executemany(
            "INSERT INTO looks VALUES (?, ?)", [[k + 1, float(v)] for k, v in enumerate(look)]
        )
        self.tables.run(SYMPTOMS)
        db.execute(f"""
            -- What may be told one by one: a text that few have typed may say who they are.
            CREATE OR REPLACE TEMP TABLE told AS
            SELECT text FROM searches GROUP BY text HAVING count(DISTINCT client) >= {TOLD};

            -- What is not explained so far, with its need; by text, since most is asked of texts.
            CREATE OR REPLACE TEMP TABLE open AS
            SELECT f.*, c.sales, c.category AS need FROM facts f JOIN chains c USING (chain)
            ORDER BY f.text;

            CREATE OR REPLACE TEMP TABLE known AS
            SELECT word FROM (
                SELECT unnest(regexp_split_to_array(words, '[^\\p{{L}}\\p{{N}}]+')) AS word
                FROM products
                UNION ALL
                SELECT unnest(regexp_split_to_array(text, '[^\\p{{L}}\\p{{N}}]+'))
                FROM searches WHERE results >= {FEW} AND (SELECT count(*) = 0 FROM products)
            ) WHERE word <> '' GROUP BY word;
        """)

    def _healthy(self) -> None:
        """What needs reach where nothing is wrong: by category, and over the shop."""
        rows = self.tables.rows(
            """SELECT c.category, count(*) AS n, count(*) FILTER (success) AS k
               FROM chains c WHERE healthy GROUP BY c.category"""
        )
        n = np.array([r["n"] for r in rows], dtype=np.float64)
        k = np.array([r["k"] for r in rows], dtype=np.float64)
        enough = n >= MIN_SEARCHES
        self.spread = spread_between(k[enough], n[enough])
        self.chains_n = float(n.sum())
        self.rate = float(k.sum() / n.sum()) if n.sum() else math.nan
        self.by_category = {r["category"]: (r["n"], r["k"]) for r in rows}
        # Sales per need in units of the category's usual price: comparable between categories.
        # A ratio of sums, so that a dear product bought after a search for a cheap one weighs no
        # more than it costs; its variance by linearisation.
        for priced in ("JOIN usual USING (category)", "CROSS JOIN (SELECT 1.0 AS price)"):
            self.sold = self.tables.rows(
                f"""WITH healthy AS (SELECT sales, price FROM chains {priced} WHERE healthy),
                         ratio AS (SELECT sum(sales) / sum(price) AS mean FROM healthy)
                    SELECT count(*) AS n, any_value(mean) AS mean, avg(price) AS price,
                           sum((sales - mean * price) ** 2) / sum(price) ** 2 AS var_mean,
                           sum((sales - mean * price) ** 2) / sum(price ** 2) AS var
                    FROM healthy CROSS JOIN ratio"""
            )[0]
            if self.sold["n"] and self.sold["mean"]:
                break

    def groups(self, symptom: str) -> Iterator[tuple[str, Group]]:
        """Categories, then single queries, with the symptom: (condition, group). The queries are
        looked up when the categories are done: what these explain is gone by then."""
        for column in ("category", "text"):
            rows = self.tables.rows(
                f"""SELECT {column} AS value, mode(language ORDER BY language) AS language,
                           min(category) AS category, count(*) AS n,
                           count(*) FILTER ({symptom}) AS k, count(DISTINCT client) AS clients
                    FROM open WHERE {column} IS NOT NULL GROUP BY 1
                    HAVING n >= {MIN_SEARCHES} AND clients >= {MIN_CLIENTS} AND k >= {AFFECTED} * n
                    ORDER BY k DESC, value"""
            )
            for r in rows:
                text = r["value"] if column == "text" else None
                group = Group(text=text, category=r["category"], language=stated(r["language"]))
                yield f"{column} = {quoted(r['value'])}", group

    def compare(
        self,
        cause: Cause,
        group: Group,
        where: str,
        symptom: str,
        title: str,
        explanation: str,
        fix: Fix,
        base: float | None = None,
    ) -> None:
        """Test one group for one symptom; take it as explained when it holds."""
        left = self.tables.rows(
            f"""SELECT count(*) AS n, count(*) FILTER ({symptom}) AS k,
                       count(DISTINCT client) AS clients FROM open WHERE {where}"""
        )[0]
        n, k = left["n"], left["k"]
        if n < MIN_SEARCHES or left["clients"] < MIN_CLIENTS:
            return
        if base is None:
            rest = self.tables.rows(
                f"SELECT avg({symptom}::INT) AS rate FROM open WHERE NOT coalesce({where}, FALSE)"
            )[0]["rate"]
            base = rest or 0.0
        if k < AFFECTED * n or k < MIN_SEARCHES / 2:
            return
        affected = f"{where} AND {symptom}"
        expected, expected_n, foreign = self._expected(affected)
        met = self._met(affected)
        p = more_often(k, n, max(base, _FLOOR))
        little = met["k"] <= DEFICIT * expected * met["n"]
        if symptom == "zero":
            little = True  # to find nothing is a failure, also where shoppers make up for it
        else:
            spread = self.spread * foreign
            p = max(p, less_often(met["k"], met["n"], expected, expected_n, spread))
        candidate = Candidate(p)
        self.candidates.append(candidate)
        if p > ACCEPT or not little:
            return
        candidate.finding = self.finding(
            cause, group, affected, p, k / n, expected, title, explanation, fix
        )
        self.explain(where)

    def _met(self, where: str) -> dict[str, Any]:
        return self.tables.rows(
            f"SELECT count(*) AS n, count(*) FILTER (success) AS k FROM {needs(where)}"
        )[0]

    def _expected(self, where: str) -> tuple[float, float, float]:
        """P(success) of healthy needs like these: of the same categories where most of those are
        healthy, else of the shop; how many needs that rests on; the share of the latter."""
        rows = self.tables.rows(
            f"SELECT category, count(*) AS n FROM {needs(where)} GROUP BY category"
        )
        total = rate = rests = foreign = 0.0
        for r in rows:
            n, k = self.by_category.get(r["category"], (0, 0))
            own = n >= max(100, 2 * r["n"])
            like, like_n = (k / n, n) if own else (self.rate, self.chains_n)
            foreign += 0 if own else r["n"]
            total += r["n"]
            rate += r["n"] * like
            rests += r["n"] * like_n
        if not total:
            return self.rate, self.chains_n, 1.0
        return rate / total, rests / total, foreign / total

    def _lost(self, where: str) -> Interval | None:
        """Healthy sales per need less the group's own, times its needs; Welch's variance."""
        sold = self.sold
        if not sold["mean"] or sold["n"] < 2:
            return None
        own = self.tables.rows(
            f"""SELECT count(*) AS n, sum(coalesce(u.price, $price)) AS prices,
                       sum(sales) AS sales, var_samp(sales) AS var,
                       avg(coalesce(u.price, $price)) AS price
                FROM {needs(where)} LEFT JOIN usual u USING (category)""".replace(
                "$price", repr(float(sold["price"]))
            )
        )[0]
        if not own["n"]:
            return None
        lost = sold["mean"] * own["prices"] - own["sales"]
        healthy = (own["prices"] ** 2) * sold["var_mean"]
        # A group that sold nothing has no variance to see: it is taken to vary as the healthy do.
        variance = max(own["var"] or 0.0, 0.0) or sold["var"] * own["price"] ** 2
        half = Z95 * math.sqrt(healthy + own["n"] * variance)
        return Interval(lost, lost - half, lost + half)

    def finding(
        self,
        cause: Cause,
        group: Group,
        where: str,
        p: float,
        affected: float,
        expected: float,
        title: str,
        explanation: str,
        fix: Fix,
    ) -> Finding:
        size = self.tables.rows(
            f"SELECT count(*) AS n, count(DISTINCT client) AS c FROM open WHERE {where}"
        )[0]
        met = self._met(where)
        return Finding(
            cause,
            group,
            title,
            explanation,
            size["n"],
            size["c"],
            affected,
            wilson(met["k"], met["n"]),
            expected,
            p,
            1.0,
            self._lost(where),
            fix,
            self._sessions(where),
            self._queries(where),
        )

    def _queries(self, where: str) -> tuple[dict[str, Any], ...]:
        """What was typed, the most frequent first; texts that few have typed are one line."""
        return tuple(
            self.tables.rows(
                f"""SELECT coalesce(told.text, '…') AS text, count(*) AS searches,
                           median(results) AS results, avg((clicks > 0)::INT) AS clicked,
                           avg((carts > 0)::INT) AS carted
                    FROM (SELECT * FROM open WHERE {where}) AS asked
                    LEFT JOIN told ON told.text = asked.text
                    GROUP BY told.text
                    ORDER BY told.text IS NULL, searches DESC, told.text LIMIT {_QUERIES}"""
            )
        )

    def _sessions(self, where: str) -> tuple[tuple[dict[str, Any], ...], ...]:
        """Example chains, of two or three tries where there are; no identifier of a person, and
        a text that few have typed is not told."""
        rows = self.tables.rows(
            f"""SELECT chain, CASE WHEN text IN (FROM told) THEN text ELSE '…' END AS text, results,
                       clicks, carts, purchases
                FROM facts
                WHERE chain IN (
                    SELECT chain FROM facts WHERE chain IN (SELECT chain FROM open WHERE {where})
                    GROUP BY chain
                    ORDER BY bool_and(text IN (FROM told)) DESC, abs(count(*) - 3),
                             bool_or(success) DESC, chain
                    LIMIT {_EXAMPLES})
                ORDER BY chain, turn"""
        )
        sessions: dict[int, list[dict[str, Any]]] = {}
        for r in rows:
            sessions.setdefault(r.pop("chain"), []).append(r)
        return tuple(tuple(s) for s in sessions.values())

    def explain(self, where: str) -> None:
        self.tables.db.execute(
            f"DELETE FROM open WHERE chain IN (SELECT chain FROM open WHERE {where})"
        )

    def texts(self, where: str) -> list[str]:
        return [
            r["text"]
            for r in self.tables.rows(
                f"""SELECT text, count(*) AS n FROM open WHERE {where} AND text IN (FROM told)
                    GROUP BY text ORDER BY n DESC, text LIMIT 20"""
            )
        ]

    def language(self, where: str) -> str | None:
        return stated(
            self.tables.rows(
                f"SELECT mode(language ORDER BY language) AS l FROM open WHERE {where}"
            )[0]["l"]
        )


def needs(where: str) -> str:
    """The needs, one row each, behind searches that are not explained: SQL for a table."""
    return (
        "(SELECT DISTINCT chain, success, sales, need AS category FROM open "
        f"WHERE {where}) AS needs"
    )


def stated(value: str | None) -> str | None:
    return None if value == "?" else value
