"""The search for failures: groups of searches where something goes wrong, each explained once.

Causes are looked for from the broadest to the most specific: a device, a language, slowness, a
filter, words without results, words with few results, the wrong category, out of stock, too dear, a
bad order. What a finding explains is taken out before the next cause is looked for, so that one
broken language is not reported again as forty broken categories.

A finding needs three things: at least `MIN_SEARCHES` searches by `MIN_CLIENTS` clients; a symptom
in at least `AFFECTED` of them, and more often than elsewhere; and fewer needs met than like needs
elsewhere, beyond what healthy categories differ by anyway. Its p-value is the larger of the two
tests' (both must hold). Groups without the symptom are not tested; among those tested,
Benjamini-Hochberg bounds the false discoveries at `FALSE_DISCOVERIES`. The filter does not spoil
that: were nothing wrong, the symptom would say nothing about the outcome (independent filtering,
Bourgon, Gentleman & Huber, PNAS 2010).

The unit of success is the chain (one need): something was put into the cart or bought in it. Lost
sales are the healthy chains' sales per chain, in units of the category's usual price, less the
group's own. To find nothing at all is a failure by itself, also where shoppers make up for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np

from tandem.contracts.insight import Cause
from tandem.insights.clicks import position_bias
from tandem.insights.evidence import quoted
from tandem.insights.findings import Finding, Findings, Fix, Group, Interval
from tandem.insights.jobs import FEW, PLACES
from tandem.insights.statistics import (
    Z95,
    benjamini_hochberg,
    less_often,
    more_often,
    spread_between,
    wilson,
)
from tandem.insights.symptoms import SYMPTOMS
from tandem.insights.tables import TOLD, Tables

MIN_SEARCHES = 40
MIN_CLIENTS = 15
FALSE_DISCOVERIES = 0.05
AFFECTED = 0.5  # share of a group's searches with the symptom, at least
DEFICIT = 0.85  # success over expected success, at most
BROAD = 0.7  # share of the categories in which a broken language or device does worse, at least
RANKED = 1.3  # attraction of the lower places over that of the top three, at least
_ACCEPT = 0.01  # p-value from which a group counts as explained
_FLOOR = 0.02  # a symptom's base rate is taken for no less
# A second try helps if it succeeds this much as often as healthy needs: with another word, and
# with the word left out, which also those try who are content with less.
_HELPED, _HELPED_ALONE = 0.6, 0.85
_CLICKS = 150  # clicks that an order is judged by, at least
_EXAMPLES = 3
_QUERIES = 20
_MOSTLY = 0.75  # share of a known word's searches with the symptom that make the word the reason
_ALONE = 0.95  # share of a word's searches with one text, from which that text is meant


@dataclass
class _Candidate:
    """One comparison: its p-value, and, where it might be a finding, the finding."""

    p_value: float
    finding: Finding | None = None


@dataclass(frozen=True)
class _Tried:
    """What shoppers wrote instead: the share of second tries, and how many of those helped."""

    phrase: str
    meant: str
    share: float
    helped: float


def find_failures(tables: Tables) -> Findings:
    """Look for failures in loaded tables. Without a catalogue (`Tables.catalogue`) the causes that
    need one (category, stock, price) are not looked for."""
    return _Search(tables).run()


@dataclass
class _Search:
    tables: Tables
    candidates: list[_Candidate] = field(default_factory=list)

    def run(self) -> Findings:
        self._prepare()
        about = self.tables.rows(
            """SELECT (SELECT count(*) FROM searches) AS searches,
                      (SELECT count(*) FROM sessions) AS sessions,
                      (SELECT min(started) FROM sessions) AS started,
                      (SELECT max(ended) FROM sessions) AS ended,
                      (SELECT mode(currency ORDER BY currency) FROM visits
                       WHERE action = 'purchase') AS currency"""
        )[0]
        if about["searches"]:
            self._healthy()
            for look in (
                self._devices,
                self._languages,
                self._slow,
                self._filters,
                self._unknown_words,
                self._few_results,
                self._wrong_category,
                self._out_of_stock,
                self._dear,
                self._bad_order,
            ):
                look()
        q_values = benjamini_hochberg([c.p_value for c in self.candidates])
        found = [
            replace(c.finding, q_value=q)
            for c, q in zip(self.candidates, q_values, strict=True)
            if c.finding is not None and q <= FALSE_DISCOVERIES
        ]
        found.sort(key=lambda f: (-(f.lost_sales.estimate if f.lost_sales else 0), f.q_value))
        return Findings(tuple(found), len(self.candidates), **about)

    # --- Facts --------------------------------------------------------------------------------

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

    # --- The causes ---------------------------------------------------------------------------

    def _devices(self) -> None:
        self._broad("device", "device")

    def _languages(self) -> None:
        self._broad("language", "language")

    def _broad(self, column: str, cause: Cause) -> None:
        """A device or a language that does worse than the others nearly everywhere.

        A device is compared within categories (the same products are shown on all of them), a
        language over its categories with the categories of the others, by the Mann-Whitney test.
        """
        values = self.tables.rows(
            f"""SELECT {column} AS value, count(*) AS n, count(DISTINCT client) AS clients
                FROM open WHERE {column} <> '?' GROUP BY 1
                HAVING n >= {MIN_SEARCHES} AND clients >= {MIN_CLIENTS} ORDER BY 1"""
        )
        if len(values) < 2:
            return
        for row in values:
            own = f"{column} = $value"
            stratum = "category" if column == "device" else f"{column}, category"
            strata = self.tables.rows(
                f"""SELECT {stratum}, count(*) FILTER ({own}) AS n,
                           count(*) FILTER (NOT {own}) AS m,
                           count(*) FILTER (success AND {own}) AS k,
                           count(*) FILTER (success AND NOT {own}) AS j
                    FROM chains WHERE chain IN (SELECT chain FROM open) GROUP BY ALL""".replace(
                    "$value", quoted(row["value"])
                )
            )
            if column == "device":
                p, success, expected, n, worse = _within(strata)
            else:
                p, success, expected, n, worse = _between(strata)
            group = Group(**{column: row["value"]})
            if n < MIN_SEARCHES or math.isnan(p):
                continue
            where = f"{own}".replace("$value", quoted(row["value"]))
            candidate = _Candidate(p)
            self.candidates.append(candidate)
            if p > _ACCEPT or success > DEFICIT * expected or worse < BROAD:
                continue
            step = self._step(where, f"{column} <> {quoted(row['value'])}")
            candidate.finding = self._finding(
                cause,
                group,
                where,
                p,
                1.0,
                expected,
                (
                    f"On {row['value']}, searches lead to the cart less often"
                    if column == "device"
                    else f"In the language '{row['value']}', searches lead to the cart less often"
                ),
                f"{worse:.0%} of the categories do worse than elsewhere; the largest drop is from "
                f"{step}.",
                Fix(
                    "investigate",
                    f"Look at the step from {step} for {column} {row['value']}",
                    {"where": f"{column} {row['value']}", "step": step},
                ),
            )
            self._explain(where)

    def _step(self, own: str, others: str) -> str:
        """The step of the funnel with the largest drop against the others."""
        rates = []
        for where in (own, others):
            r = self.tables.rows(
                f"""SELECT count(*) AS searches, count(*) FILTER (clicks > 0) AS clicked,
                           count(*) FILTER (carts > 0) AS carted,
                           count(*) FILTER (purchases > 0) AS bought FROM open WHERE {where}"""
            )[0]
            steps = (r["searches"], r["clicked"], r["carted"], r["bought"])
            rates.append([b / a if a else 0.0 for a, b in pairwise(steps)])
        drops = [a / b if b else 1.0 for a, b in zip(*rates, strict=True)]
        names = ("search to click", "click to cart", "cart to purchase")
        return names[int(np.argmin(drops))]

    def _slow(self) -> None:
        for where, group, symptom, n in self._groups("slow"):
            wait = self.tables.rows(
                f"""SELECT median(latency_ms) AS ms FROM searches
                    WHERE query_id IN (SELECT query_id FROM open WHERE {where} AND slow)"""
            )[0]["ms"]
            self._compare(
                "slow",
                group,
                where,
                "slow",
                symptom,
                n,
                f"Slow answers to {group}",
                f"Shoppers wait {(wait or 0) / 1000:.1f} s for the answer.",
                Fix(
                    "investigate",
                    f"Find out why {group} take {(wait or 0) / 1000:.1f} s",
                    {"where": str(group), "median_ms": wait},
                ),
            )

    def _filters(self) -> None:
        rows = self.tables.rows(
            f"""SELECT filter, count(*) AS n, count(*) FILTER (zero) AS k,
                       count(DISTINCT client) AS clients
                FROM (SELECT *, unnest(filters) AS filter FROM open)
                GROUP BY filter HAVING n >= {MIN_SEARCHES} AND clients >= {MIN_CLIENTS}
                ORDER BY k DESC, filter"""
        )
        without = self.tables.rows(
            "SELECT avg(zero::INT) AS rate FROM open WHERE len(filters) = 0"
        )[0]["rate"]
        for row in rows:
            name = row["filter"]
            where = f"list_contains(filters, {quoted(name)})"
            lacking = self._lacking(name)
            fix = Fix(
                "attribute",
                f"Fill in '{name}' for the products that lack it, or loosen the filter",
                {"attribute": name, **lacking},
            )
            self._compare(
                "filters_too_tight",
                Group(filter=name),
                where,
                "zero",
                row["k"],
                row["n"],
                f"The filter on {name} leaves nothing",
                f"{row['k'] / row['n']:.0%} of the searches with it have no result, "
                f"{without or 0:.0%} of those without any filter.",
                fix,
                base=without or 0.0,
            )

    def _lacking(self, name: str) -> dict[str, Any]:
        """Queries under which the filter leaves nothing: their categories come first."""
        rows = self.tables.rows(
            f"""SELECT category, count(*) AS searches FROM open
                WHERE zero AND list_contains(filters, {quoted(name)}) AND category IS NOT NULL
                GROUP BY category ORDER BY searches DESC, category LIMIT 10"""
        )
        return {"categories": [r["category"] for r in rows]}

    def _unknown_words(self) -> None:
        """Words that the catalogue does not have, in searches without results."""
        self.tables.db.execute("""
            CREATE OR REPLACE TEMP TABLE words AS
            SELECT DISTINCT query_id, word FROM (
                SELECT query_id,
                       unnest(regexp_split_to_array(text, '[^\\p{L}\\p{N}]+')) AS word FROM facts
            ) WHERE word <> '' AND len(word) > 1
        """)
        for row in self._words_with("zero", unknown=True):
            self._word(row, "zero", unknown=True)
        # Known words, and no result all the same: the combination is not sold, or not found.
        for row in self._words_with("zero", unknown=False):
            self._word(row, "zero")
        self._whole_queries("zero")
        self._meanings("zero")

    def _few_results(self) -> None:
        for row in self._words_with("few", unknown=False):
            self._word(row, "few")
        self._whole_queries("few")
        self._meanings("few")

    def _whole_queries(self, symptom: str) -> None:
        """Queries that have the symptom though each of their words alone has not."""
        rows = self.tables.rows(
            f"""SELECT text, count(DISTINCT client) AS clients FROM open
                WHERE len(filters) = 0 AND text <> '' GROUP BY text
                HAVING count(*) FILTER ({symptom}) >= {_MOSTLY} * count(*)
                   AND count(*) >= {MIN_SEARCHES} AND clients >= {MIN_CLIENTS}
                ORDER BY count(*) DESC, text"""
        )
        for row in rows:
            self._unanswered(
                f"len(filters) = 0 AND text = {quoted(row['text'])}", row["text"], symptom
            )

    def _words_with(self, symptom: str, unknown: bool) -> list[dict[str, Any]]:
        """Words most of whose searches have the symptom, the most frequent first."""
        return self.tables.rows(
            f"""SELECT word, count(*) AS n, count(*) FILTER ({symptom}) AS k,
                       count(DISTINCT client) AS clients
                FROM words JOIN open USING (query_id)
                WHERE len(filters) = 0 AND word {"NOT " if unknown else ""}IN (FROM known)
                GROUP BY word
                HAVING n >= {MIN_SEARCHES} AND clients >= {MIN_CLIENTS}
                   AND k >= {AFFECTED if unknown else _MOSTLY} * n
                ORDER BY k DESC, word"""
        )

    def _meanings(self, symptom: str) -> None:
        """Queries that mean the same and have the symptom, each too rare to be seen alone. Needs
        `Tables.meanings`."""
        if not self.tables.rows("SELECT 1 FROM duckdb_tables() WHERE table_name = 'meanings'"):
            return
        rows = self.tables.rows(
            f"""SELECT meaning, count(*) AS n, count(*) FILTER ({symptom}) AS k,
                       count(DISTINCT client) AS clients, count(DISTINCT text) AS texts
                FROM open JOIN meanings USING (text) WHERE len(filters) = 0 GROUP BY meaning
                HAVING n >= {MIN_SEARCHES} AND clients >= {MIN_CLIENTS} AND texts > 1
                   AND k >= {_MOSTLY} * n
                ORDER BY k DESC, meaning"""
        )
        for row in rows:
            meaning = row["meaning"]
            where = (
                "len(filters) = 0 AND text IN (SELECT text FROM meanings"
                f" WHERE meaning = {quoted(meaning)})"
            )
            texts = [
                r["text"]
                for r in self.tables.rows(
                    f"SELECT text FROM open JOIN told USING (text) WHERE {where}"
                    " GROUP BY text ORDER BY count(*) DESC, text"
                )
            ]
            also = f"'{meaning}' and what means the same"
            often = (
                f"{row['k'] / row['n']:.0%} of these searches, in {row['texts']} wordings, have "
            )
            often += "no result" if symptom == "zero" else f"fewer than {FEW} results"
            meant = self._tried_instead(where, symptom)
            cause: Cause = "missing_product"
            fix = Fix(
                "supply_gap",
                f"Shoppers look for {also}, and the shop has none: find a supplier",
                {"wanted": meaning, "wordings": texts, "searches": row["k"]},
            )
            title = f"{also} are wanted and not to be had"
            why = f"{often}, and nothing else that shoppers try helps."
            if meant is not None:
                cause = "vocabulary_gap" if symptom == "zero" else "missing_synonym"
                words = ", ".join([*texts, meant.meant])
                fix = Fix(
                    "synonym",
                    f"Let {also} also find '{meant.meant}'",
                    {"rule": words, "phrase": meaning, "meant": meant.meant},
                )
                title = f"{also} are not understood as '{meant.meant}'"
                why = (
                    f"{often}; {meant.share:.0%} of those who try again write '{meant.meant}', "
                    f"and {meant.helped:.0%} of them find something."
                )
            group = Group(meaning=meaning, language=self._language(where))
            self._compare(cause, group, where, symptom, row["k"], row["n"], title, why, fix)

    def _tried_instead(self, where: str, symptom: str) -> _Tried | None:
        """The text that shoppers type next and find more with, where one stands out and helps."""
        rows = self.tables.rows(
            f"""SELECT next_text, count(*) AS n, count(*) FILTER (recovered) AS helped,
                       sum(count(*)) OVER () AS total
                FROM open WHERE {where} AND {symptom} AND next_text IS NOT NULL
                  AND next_results > results AND next_text IN (FROM told)
                GROUP BY next_text ORDER BY helped DESC, next_text LIMIT 1"""
        )
        if not rows:
            return None
        (r,) = rows
        if r["n"] < 5 or r["n"] < 0.3 * r["total"] or r["helped"] < _HELPED * self.rate * r["n"]:
            return None
        return _Tried("", r["next_text"], r["n"] / r["total"], r["helped"] / r["n"])

    def _word(self, row: dict[str, Any], symptom: str, unknown: bool = False) -> None:
        word = row["word"]
        where = (
            f"len(filters) = 0 AND query_id IN (SELECT query_id FROM words "
            f"WHERE word = {quoted(word)})"
        )
        # A word of one query says less than the query.
        texts = self.tables.rows(
            f"""SELECT text FROM open WHERE {where} GROUP BY text
                QUALIFY count(*) >= {_ALONE} * sum(count(*)) OVER ()"""
        )
        if texts:
            self._unanswered(
                f"{where} AND text = {quoted(texts[0]['text'])}", texts[0]["text"], symptom, unknown
            )
        else:
            self._unanswered(where, word, symptom, unknown, Group(words=word))

    def _unanswered(
        self, where: str, word: str, symptom: str, unknown: bool = False, group: Group | None = None
    ) -> None:
        """Searches for `word` (a word in them, or without a group the whole text) with no or few
        results: what shoppers do then says whether it is a slip, another name, or lacking."""
        # Earlier words may have explained some of these searches.
        now = self.tables.rows(
            f"""SELECT count(*) AS n, count(*) FILTER ({symptom}) AS k,
                       count(DISTINCT client) AS clients,
                       mode(language ORDER BY language) AS language FROM open WHERE {where}"""
        )[0]
        if now["n"] < MIN_SEARCHES or now["clients"] < MIN_CLIENTS:
            return
        tried = self._replacement(word, where, symptom)
        group = replace(group or Group(text=word), language=_stated(now["language"]))
        often = f"{now['k'] / now['n']:.0%} of these searches have "
        often += "no result" if symptom == "zero" else f"fewer than {FEW} results"
        cause: Cause
        if tried is None:
            cause, fix = (
                "missing_product",
                Fix(
                    "supply_gap",
                    f"Shoppers look for '{word}' and the shop has none: find a supplier",
                    {"wanted": word, "searches": now["k"]},
                ),
            )
            title = f"'{word}' is wanted and not to be had"
            why = f"{often}, and nothing else that shoppers try helps."
        else:
            phrase, meant = tried.phrase, tried.meant
            fix = Fix(
                "synonym",
                f"Let '{phrase}' also find '{meant}'",
                {"rule": f"{phrase} => {phrase}, {meant}", "phrase": phrase, "meant": meant},
            )
            title = f"'{phrase}' is not understood as '{meant}'"
            why = (
                f"{often}; {tried.share:.0%} of those who try again write '{meant}' instead, and "
                f"{tried.helped:.0%} of them find something."
            )
            if unknown and _slip(phrase, meant):
                cause = "misspelling"
                title = f"'{phrase}' is a slip for '{meant}' and is not corrected"
            else:
                cause = "vocabulary_gap" if symptom == "zero" else "missing_synonym"
        self._compare(
            cause,
            group,
            where,
            symptom,
            now["k"],
            now["n"],
            title,
            why,
            fix,
        )

    def _replacement(self, word: str, where: str, symptom: str) -> _Tried | None:
        """The phrase that shoppers write in a word's place and find more with, where one stands
        out and helps as much as searches do elsewhere, nearly."""
        rows = self.tables.rows(
            f"""SELECT text, next_text, count(*) AS n, count(*) FILTER (recovered) AS helped
                FROM open WHERE {where} AND {symptom} AND next_text IS NOT NULL
                  AND next_results > results
                GROUP BY ALL ORDER BY ALL"""
        )
        total = sum(r["n"] for r in rows)
        by_phrase: dict[tuple[str, str], list[int]] = {}
        for r in rows:
            had, has = r["text"].split(), r["next_text"].split()
            if word in has or r["next_text"] == r["text"]:
                continue
            fresh = " ".join(w for w in has if w not in had)
            gone = " ".join(w for w in had if w not in has)
            # 'digital camera', then 'camera': a word was given up, what stayed is what was meant.
            swap = (gone, fresh) if fresh else (r["text"], r["next_text"])
            counts = by_phrase.setdefault(swap, [0, 0])
            counts[0] += r["n"]
            counts[1] += r["helped"]
        if not by_phrase:
            return None
        (phrase, meant), (n, helped) = max(
            by_phrase.items(), key=lambda item: (item[1][0], item[0])
        )
        fewer = set(meant.split()) <= set(phrase.split())
        enough = _HELPED_ALONE if fewer else _HELPED
        if n < 5 or n < 0.3 * total or helped < enough * self.rate * n:
            return None
        return _Tried(phrase, meant, n / total, helped / n)

    def _wrong_category(self) -> None:
        for where, group, k, n in self._groups("elsewhere"):
            texts = self._texts(where)
            shown = self.tables.rows(
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
            self._compare(
                "category_intent",
                group,
                where,
                "elsewhere",
                k,
                n,
                f"Searches for {group.category} show {shown}",
                f"Most of what shoppers see first is not from the category that they click in; "
                f"most often it is {shown}.",
                Fix("rule", f"Lift {group.category} for these queries", {"rules": rules}),
            )

    def _out_of_stock(self) -> None:
        for where, group, k, n in self._groups("empty"):
            gone = [
                r["product"]
                for r in self.tables.rows(
                    f"""SELECT product, count(*) AS n FROM shown JOIN products USING (product)
                        WHERE stock = 0 AND position <= {PLACES}
                          AND query_id IN (SELECT query_id FROM open WHERE {where})
                        GROUP BY product ORDER BY n DESC, product LIMIT 200"""
                )
            ]
            self._compare(
                "out_of_stock",
                group,
                where,
                "empty",
                k,
                n,
                f"What is shown for {group.category} is out of stock",
                "More than half of what shoppers look at cannot be bought.",
                Fix(
                    "rule",
                    f"Bury {len(gone)} products without stock until they are back",
                    {"rules": [{"id": "out-of-stock", "kind": "bury", "products": gone}]},
                ),
            )

    def _dear(self) -> None:
        for where, group, k, n in self._groups("dear"):
            prices = self.tables.rows(
                f"""SELECT exp(sum(look * ln(p.price / u.price)) / sum(look)) AS times
                    FROM shown JOIN looks USING (position) JOIN products p USING (product)
                    JOIN usual u ON u.category = p.category
                    WHERE p.price > 0
                      AND query_id IN (SELECT query_id FROM open WHERE {where})"""
            )[0]["times"]
            affordable = [
                r["product"]
                for r in self.tables.rows(
                    f"""SELECT product FROM products JOIN usual u USING (category)
                        WHERE category = {quoted(group.category or "")}
                          AND products.price <= u.price AND coalesce(stock, 1) > 0
                        ORDER BY product LIMIT 500"""
                )
            ]
            self._compare(
                "price_mismatch",
                group,
                where,
                "dear",
                k,
                n,
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
                            for t in self._texts(where)
                        ]
                    },
                ),
            )

    def _bad_order(self) -> None:
        """Groups where the lower places attract more than the top three, positions accounted for.

        Given all clicks, those below are binomial with the share of the looks that fall there, if
        places were equally attractive; ranking by relevance makes them fewer.
        """
        split = 3
        for column in ("category", "text"):
            rows = self.tables.rows(
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
                looks = np.array([r["n"] * self.look[r["position"] - 1] for r in places])
                clicks = np.array([r["c"] for r in places], dtype=np.float64)
                top = np.array([r["position"] <= split for r in places])
                if clicks.sum() < _CLICKS or not looks.all():
                    continue
                even = looks[~top].sum() / looks.sum()
                below = int(clicks[~top].sum())
                p = more_often(below, int(clicks.sum()), even)
                attraction = clicks / looks
                ratio = (below / looks[~top].sum()) / max(
                    clicks[top].sum() / looks[top].sum(), 1e-9
                )
                candidate = _Candidate(p)
                self.candidates.append(candidate)
                if p > _ACCEPT or ratio < RANKED:
                    continue
                where = f"{column} = {quoted(value)}"
                group = (
                    Group(category=value, language=self._language(where))
                    if column == "category"
                    else Group(text=value, language=self._language(where))
                )
                judged = self._liked(where)
                finding = self._finding(
                    "bad_ranking",
                    group,
                    where,
                    p,
                    1.0,
                    self.rate,
                    f"The best products for {value} stand too low",
                    f"Positions accounted for, what stands below place {split} attracts "
                    f"{ratio:.1f} times the clicks of what stands above.",
                    Fix(
                        "retraining_example",
                        f"Train with {len(judged)} pairs of query and product that shoppers chose",
                        {"judgments": judged},
                    ),
                )
                finding = replace(finding, lost_sales=self._better_order(where, looks, attraction))
                candidate.finding = finding
                self._explain(where)

    def _better_order(self, where: str, looks: Any, attraction: Any) -> Interval | None:
        """Sales that the same products in the order of their attraction would have brought: clicks,
        and sales with them, in proportion. Interval: clicks by place are Poisson, 400 draws."""
        sales = self.tables.rows(f"SELECT sum(sales) AS s FROM {_needs(where)}")[0]["s"]
        if not sales:
            return None
        rng = np.random.default_rng(7)
        drawn = rng.poisson(attraction * looks, (400, looks.size)) / looks

        def gain(a: Any) -> Any:
            return (np.sort(a, axis=-1)[..., ::-1] * looks).sum(-1) / (a * looks).sum(-1) - 1

        low, high = np.quantile(sales * gain(drawn), [0.025, 0.975])
        best = float(sales * gain(attraction))
        return Interval(best, min(float(low), best), max(float(high), best))

    def _liked(self, where: str) -> list[dict[str, Any]]:
        """What shoppers chose, as judgments: 3 for carts, 2 for clicks, those first that attract
        most."""
        return self.tables.rows(
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

    # --- Comparing ----------------------------------------------------------------------------

    def _groups(self, symptom: str) -> Iterator[tuple[str, Group, int, int]]:
        """Categories, then single queries, with the symptom: (condition, group, with it, of). The
        queries are looked up when the categories are done: what these explain is gone by then."""
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
                group = Group(text=text, category=r["category"], language=_stated(r["language"]))
                yield f"{column} = {quoted(r['value'])}", group, r["k"], r["n"]

    def _compare(
        self,
        cause: Cause,
        group: Group,
        where: str,
        symptom: str,
        k: int,
        n: int,
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
        candidate = _Candidate(p)
        self.candidates.append(candidate)
        if p > _ACCEPT or not little:
            return
        candidate.finding = self._finding(
            cause, group, affected, p, k / n, expected, title, explanation, fix
        )
        self._explain(where)

    def _met(self, where: str) -> dict[str, Any]:
        return self.tables.rows(
            f"SELECT count(*) AS n, count(*) FILTER (success) AS k FROM {_needs(where)}"
        )[0]

    def _expected(self, where: str) -> tuple[float, float, float]:
        """P(success) of healthy needs like these: of the same categories where most of those are
        healthy, else of the shop; how many needs that rests on; the share of the latter."""
        rows = self.tables.rows(
            f"SELECT category, count(*) AS n FROM {_needs(where)} GROUP BY category"
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
                FROM {_needs(where)} LEFT JOIN usual u USING (category)""".replace(
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

    def _finding(
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

    def _explain(self, where: str) -> None:
        self.tables.db.execute(
            f"DELETE FROM open WHERE chain IN (SELECT chain FROM open WHERE {where})"
        )

    def _texts(self, where: str) -> list[str]:
        return [
            r["text"]
            for r in self.tables.rows(
                f"""SELECT text, count(*) AS n FROM open WHERE {where} AND text IN (FROM told)
                    GROUP BY text ORDER BY n DESC, text LIMIT 20"""
            )
        ]

    def _language(self, where: str) -> str | None:
        return _stated(
            self.tables.rows(
                f"SELECT mode(language ORDER BY language) AS l FROM open WHERE {where}"
            )[0]["l"]
        )


def _needs(where: str) -> str:
    """The needs, one row each, behind searches that are not explained: SQL for a table."""
    return (
        "(SELECT DISTINCT chain, success, sales, need AS category FROM open "
        f"WHERE {where}) AS needs"
    )


def _stated(value: str | None) -> str | None:
    return None if value == "?" else value


def _within(strata: Sequence[dict[str, Any]]) -> tuple[float, float, float, int, float]:
    """Mantel-Haenszel: observed against expected successes over strata, one-sided.

    Returns (p, success rate, expected rate, n, share of strata of 10 or more that do worse).
    """
    from scipy.stats import norm

    observed = expected = variance = 0.0
    n = telling = worse = 0
    for s in strata:
        own, others = s["n"], s["m"]
        if not own or not others:
            continue
        whole, successes = own + others, s["k"] + s["j"]
        n += own
        observed += s["k"]
        expected += own * s["j"] / others
        if whole > 1:
            # Hypergeometric, under no difference.
            variance += own * others * successes * (whole - successes) / (whole**2 * (whole - 1))
        if own >= 10 and others >= 10:
            telling += 1
            worse += s["k"] / own < s["j"] / others
    if not n or not variance:
        return math.nan, 0.0, 0.0, n, 0.0
    # Mantel and Haenszel's own expectation, under no difference.
    null = sum(s["n"] * (s["k"] + s["j"]) / (s["n"] + s["m"]) for s in strata if s["n"] and s["m"])
    p = float(norm.cdf((observed - null) / math.sqrt(variance)))
    return p, observed / n, expected / n, n, worse / telling if telling else 0.0


def _between(strata: Sequence[dict[str, Any]]) -> tuple[float, float, float, int, float]:
    """Mann-Whitney: success rates of the own categories against those of the others."""
    from scipy.stats import mannwhitneyu

    own = [s["k"] / s["n"] for s in strata if s["n"] >= 10]
    others = [s["j"] / s["m"] for s in strata if s["m"] >= 10]
    n = sum(s["n"] for s in strata)
    if len(own) < 3 or len(others) < 3:
        return math.nan, 0.0, 0.0, n, 0.0
    p = float(mannwhitneyu(own, others, alternative="less").pvalue)
    # Medians over categories: a few broken ones do not make a broken language.
    usual = float(np.median(others))
    worse = sum(rate < usual for rate in own) / len(own)
    return p, float(np.median(own)), usual, n, worse


def _slip(word: str, instead: str) -> bool:
    """Whether a phrase is the word with a slip or two (optimal string alignment)."""
    from rapidfuzz.distance import OSA

    allowed = 1 if len(word) < 6 else 2
    return any(OSA.distance(word, w) <= allowed for w in (*instead.split(), instead))
