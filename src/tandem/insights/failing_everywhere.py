"""Causes that break searches of every kind: a device, a language, slowness, a filter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from tandem.contracts.insight import Cause
from tandem.insights.diagnosis import (
    ACCEPT,
    DEFICIT,
    MIN_CLIENTS,
    MIN_SEARCHES,
    Candidate,
    Diagnosis,
)
from tandem.insights.evidence import quoted
from tandem.insights.findings import Fix, Group

BROAD = 0.7  # share of the categories in which a broken language or device does worse, at least


def devices(diagnosis: Diagnosis) -> None:
    _broad(diagnosis, "device", "device")


def languages(diagnosis: Diagnosis) -> None:
    _broad(diagnosis, "language", "language")


def _broad(diagnosis: Diagnosis, column: str, cause: Cause) -> None:
    """A device or a language that does worse than the others nearly everywhere.

    A device is compared within categories (the same products are shown on all of them), a
    language over its categories with the categories of the others, by the Mann-Whitney test.
    """
    values = diagnosis.tables.rows(
        f"""SELECT {column} AS value, count(*) AS n, count(DISTINCT client) AS clients
            FROM open WHERE {column} <> '?' GROUP BY 1
            HAVING n >= {MIN_SEARCHES} AND clients >= {MIN_CLIENTS} ORDER BY 1"""
    )
    if len(values) < 2:
        return
    for row in values:
        own = f"{column} = $value"
        stratum = "category" if column == "device" else f"{column}, category"
        strata = diagnosis.tables.rows(
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
        candidate = Candidate(p)
        diagnosis.candidates.append(candidate)
        if p > ACCEPT or success > DEFICIT * expected or worse < BROAD:
            continue
        step = _step(diagnosis, where, f"{column} <> {quoted(row['value'])}")
        candidate.finding = diagnosis.finding(
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
        diagnosis.explain(where)


def _step(diagnosis: Diagnosis, own: str, others: str) -> str:
    """The step of the funnel with the largest drop against the others."""
    rates = []
    for where in (own, others):
        r = diagnosis.tables.rows(
            f"""SELECT count(*) AS searches, count(*) FILTER (clicks > 0) AS clicked,
                       count(*) FILTER (carts > 0) AS carted,
                       count(*) FILTER (purchases > 0) AS bought FROM open WHERE {where}"""
        )[0]
        steps = (r["searches"], r["clicked"], r["carted"], r["bought"])
        rates.append([b / a if a else 0.0 for a, b in pairwise(steps)])
    drops = [a / b if b else 1.0 for a, b in zip(*rates, strict=True)]
    names = ("search to click", "click to cart", "cart to purchase")
    return names[int(np.argmin(drops))]


def slow_answers(diagnosis: Diagnosis) -> None:
    for where, group in diagnosis.groups("slow"):
        wait = diagnosis.tables.rows(
            f"""SELECT median(latency_ms) AS ms FROM searches
                WHERE query_id IN (SELECT query_id FROM open WHERE {where} AND slow)"""
        )[0]["ms"]
        diagnosis.compare(
            "slow",
            group,
            where,
            "slow",
            f"Slow answers to {group}",
            f"Shoppers wait {(wait or 0) / 1000:.1f} s for the answer.",
            Fix(
                "investigate",
                f"Find out why {group} take {(wait or 0) / 1000:.1f} s",
                {"where": str(group), "median_ms": wait},
            ),
        )


def tight_filters(diagnosis: Diagnosis) -> None:
    rows = diagnosis.tables.rows(
        f"""SELECT filter, count(*) AS n, count(*) FILTER (zero) AS k,
                   count(DISTINCT client) AS clients
            FROM (SELECT *, unnest(filters) AS filter FROM open)
            GROUP BY filter HAVING n >= {MIN_SEARCHES} AND clients >= {MIN_CLIENTS}
            ORDER BY k DESC, filter"""
    )
    (plain,) = diagnosis.tables.rows(
        "SELECT avg(zero::INT) AS rate FROM open WHERE len(filters) = 0"
    )
    without = plain["rate"]
    for row in rows:
        name = row["filter"]
        where = f"list_contains(filters, {quoted(name)})"
        lacking = _lacking(diagnosis, name)
        fix = Fix(
            "attribute",
            f"Fill in '{name}' for the products that lack it, or loosen the filter",
            {"attribute": name, **lacking},
        )
        diagnosis.compare(
            "filters_too_tight",
            Group(filter=name),
            where,
            "zero",
            f"The filter on {name} leaves nothing",
            f"{row['k'] / row['n']:.0%} of the searches with it have no result, "
            f"{without or 0:.0%} of those without any filter.",
            fix,
            base=without or 0.0,
        )


def _lacking(diagnosis: Diagnosis, name: str) -> dict[str, Any]:
    """Queries under which the filter leaves nothing: their categories come first."""
    rows = diagnosis.tables.rows(
        f"""SELECT category, count(*) AS searches FROM open
            WHERE zero AND list_contains(filters, {quoted(name)}) AND category IS NOT NULL
            GROUP BY category ORDER BY searches DESC, category LIMIT 10"""
    )
    return {"categories": [r["category"] for r in rows]}


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
