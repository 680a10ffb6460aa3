"""Drift and health: how search does now beside how it did before, with reasons.

The period is cut into days (UTC). What counts as now are the last `RECENT` days; if there are fewer
than four times as many before, the last quarter. Rates are compared over days (Welch's t-test):
searches of one day have that day in common, days are what there are many of. The mix of queries,
languages and devices is compared by the population stability index (PSI), above `UNSTABLE` by
custom taken for a shift; query texts that move are tested one by one. Benjamini-Hochberg over all
tests. A first or last day with hardly any searches is a part of one and left out.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from tandem.insights.jobs import FEW
from tandem.insights.statistics import Z95, benjamini_hochberg, psi_terms
from tandem.insights.tables import TOLD, Tables

DAY = 86_400_000_000  # µs
RECENT = 7
FEWEST_DAYS = 4  # in all, two of them now
UNSTABLE = 0.25
LEAST_CHANGE = 0.1  # of the rate before
FALSE_ALERTS = 0.05
_MOVERS = 200  # query texts looked at one by one
_REASONS = 3
_PARTIAL = 0.2  # of the usual number of searches a day

# name: (per search, what it is in words, whether more is worse)
RATES: dict[str, tuple[str, str, bool]] = {
    "zero_results": ("(results = 0)::INT", "searches without results", True),
    "few_results": (f"(results BETWEEN 1 AND {FEW - 1})::INT", "searches with few results", True),
    "reformulations": ("(turn > 1)::INT", "second tries", True),
    "abandoned": ("abandoned::INT", "abandoned searches", True),
    "clicked": ("(clicks > 0)::INT", "searches with a click", False),
    "added_to_cart": ("(carts > 0)::INT", "searches that lead to the cart", False),
    "sales_per_search": ("sales", "sales per search", False),
    "latency_ms": ("latency_ms", "milliseconds waited", True),
}
MIXES = {"query": "text", "language": "language", "device": "device"}


@dataclass(frozen=True)
class Alert:
    """Something that changed. kind `rate`: of `name`, mean over days before and now, difference
    with its 95 % interval. kind `mix`: `before` and `now` are None, `value` is the PSI. kind
    `query`: one text's share of all searches. kind `catalogue` and `scores`: what ranking works
    with, and what it gave; `value` is the PSI or the relative growth. reasons: what contributes
    most, in words."""

    kind: Literal["rate", "mix", "query", "catalogue", "scores"]
    name: str
    says: str
    before: float | None
    now: float | None
    value: float
    low: float | None
    high: float | None
    q_value: float | None
    worse: bool | None
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Drift:
    """Alerts, and the daily rates behind them. days: one row a day, rates by name. now_from: the
    first day that counts as now; None where there are too few days to compare."""

    alerts: tuple[Alert, ...]
    days: tuple[dict[str, Any], ...]
    now_from: str | None
    tests: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def drift(tables: Tables) -> Drift:
    """Compare the recent days of loaded tables with those before."""
    rates = ", ".join(f"avg({sql}) AS {name}" for name, (sql, _, _) in RATES.items())
    days = tables.rows(
        f"""SELECT (started // {DAY})::BIGINT AS day, count(*) AS searches, {rates}
            FROM searches GROUP BY 1 ORDER BY 1"""
    )
    usual = float(np.median([d["searches"] for d in days])) if days else 0.0
    ends = (days[0]["day"], days[-1]["day"]) if days else ()
    days = [d for d in days if d["day"] not in ends or d["searches"] >= _PARTIAL * usual]
    shown = tuple({**d, "day": _date(d["day"])} for d in days)
    if len(days) < FEWEST_DAYS:
        return Drift((), shown, None, 0)
    recent = RECENT if len(days) >= 4 * RECENT else max(2, len(days) // 4)
    cut = days[-recent]["day"]
    now = f"started >= {cut * DAY}"
    tested: list[tuple[float, Alert]] = []
    for name, (sql, words, more_is_worse) in RATES.items():
        before = np.array([d[name] for d in days[:-recent] if d[name] is not None], dtype=float)
        after = np.array([d[name] for d in days[-recent:] if d[name] is not None], dtype=float)
        if before.size < 2 or after.size < 2:
            continue
        tested.append(_rate(tables, name, sql, words, more_is_worse, before, after, now))
    tested += _movers(tables, now)
    q_values = benjamini_hochberg([p for p, _ in tested])
    alerts = [
        Alert(**{**asdict(alert), "q_value": q, "reasons": alert.reasons})
        for (_, alert), q in zip(tested, q_values, strict=True)
        if q <= FALSE_ALERTS and _matters(alert)
    ]
    alerts += [a for a in (_mix(tables, name, c, now) for name, c in MIXES.items()) if a]
    order = {"rate": 0, "mix": 1, "query": 2}
    alerts.sort(key=lambda a: (order[a.kind], not a.worse, a.q_value or 0.0))
    return Drift(tuple(alerts), shown, _date(cut), len(tested))


def _matters(alert: Alert) -> bool:
    if alert.before is None or alert.now is None:
        return True
    return abs(alert.now - alert.before) >= LEAST_CHANGE * max(abs(alert.before), 1e-12)


def _rate(
    tables: Tables,
    name: str,
    sql: str,
    words: str,
    more_is_worse: bool,
    before: np.ndarray[Any, Any],
    after: np.ndarray[Any, Any],
    now: str,
) -> tuple[float, Alert]:
    from scipy.stats import ttest_ind

    change = float(after.mean() - before.mean())
    same = float(np.ptp(np.concatenate([before, after]))) == 0.0
    p, low, high = 1.0, change, change
    if not same:
        test = ttest_ind(after, before, equal_var=False)
        p = 1.0 if math.isnan(test.pvalue) else float(test.pvalue)
        interval = test.confidence_interval(0.95)
        low, high = float(interval.low), float(interval.high)
    worse = (change > 0) == more_is_worse
    return p, Alert(
        "rate",
        name,
        f"{words[0].upper()}{words[1:]}: {before.mean():.4g} before, {after.mean():.4g} now",
        float(before.mean()),
        float(after.mean()),
        change,
        low,
        high,
        None,
        worse,
        _reasons(tables, sql, change, now),
    )


def _reasons(tables: Tables, sql: str, change: float, now: str) -> tuple[str, ...]:
    """The texts that moved the mean most: their share of searches times their value, now less
    before; those of the sign of the change."""
    sign = "DESC" if change > 0 else "ASC"
    rows = tables.rows(
        f"""WITH sized AS (SELECT count(*) FILTER ({now}) AS n, count(*) FILTER (NOT ({now})) AS m
                          FROM searches)
            SELECT text, count(*) FILTER ({now}) AS searches,
                   coalesce(sum({sql}) FILTER ({now}), 0) / any_value(n)
                   - coalesce(sum({sql}) FILTER (NOT ({now})), 0) / any_value(m) AS moved
            FROM searches CROSS JOIN sized GROUP BY text
            HAVING count(DISTINCT client) >= {TOLD} ORDER BY moved {sign}, text
            LIMIT {_REASONS}"""
    )
    return tuple(
        f"'{r['text']}' ({r['searches']} searches now) moves it by {r['moved']:+.2g}"
        for r in rows
        if r["moved"] * change > 0
    )


def _movers(tables: Tables, now: str) -> list[tuple[float, Alert]]:
    """The most frequent texts: is their share of all searches another one now?"""
    from scipy.stats import norm

    rows = tables.rows(
        f"""SELECT text, count(*) FILTER ({now}) AS k, count(*) FILTER (NOT ({now})) AS j,
                   (SELECT count(*) FROM searches WHERE {now}) AS n,
                   (SELECT count(*) FROM searches WHERE NOT ({now})) AS m
            FROM searches WHERE text <> '' GROUP BY text
            HAVING count(DISTINCT client) >= 15 ORDER BY count(*) DESC, text LIMIT {_MOVERS}"""
    )
    out = []
    for r in rows:
        before, after = r["j"] / r["m"], r["k"] / r["n"]
        pooled = (r["j"] + r["k"]) / (r["m"] + r["n"])
        # One shopper asks the same more than once: searches count for half.
        deviation = math.sqrt(2 * pooled * (1 - pooled) * (1 / r["m"] + 1 / r["n"]))
        p = float(2 * norm.sf(abs(after - before) / deviation)) if deviation else 1.0
        half = Z95 * deviation
        said = f"'{r['text']}': {before:.2%} of all searches before, {after:.2%} now"
        out.append(
            (
                p,
                Alert(
                    "query",
                    r["text"],
                    said,
                    before,
                    after,
                    after - before,
                    after - before - half,
                    after - before + half,
                    None,
                    None,
                    (),
                ),
            )
        )
    return out


def _mix(tables: Tables, name: str, column: str, now: str) -> Alert | None:
    """PSI = sum (now - before) ln(now / before) over values; the 50 most frequent, and the rest."""
    rows = tables.rows(
        f"""SELECT value, sum(k)::BIGINT AS k, sum(j)::BIGINT AS j FROM (
                SELECT CASE WHEN row_number() OVER (ORDER BY count(*) DESC, {column}) <= 50
                            THEN {column} ELSE 'others' END AS value,
                       count(*) FILTER ({now}) AS k, count(*) FILTER (NOT ({now})) AS j
                FROM searches WHERE {column} IS NOT NULL GROUP BY {column}
            ) GROUP BY value"""
    )
    if len(rows) < 2:
        return None
    k = np.array([r["k"] for r in rows])
    j = np.array([r["j"] for r in rows])
    terms = psi_terms(j, k)
    psi = float(terms.sum())
    if psi <= UNSTABLE:
        return None
    most = np.argsort(-terms)[:_REASONS]
    reasons = tuple(
        f"{rows[i]['value']}: {j[i] / j.sum():.1%} before, {k[i] / k.sum():.1%} now" for i in most
    )
    said = f"The mix by {name} has shifted (PSI {psi:.2f}; from {UNSTABLE} a shift)"
    return Alert("mix", name, said, None, None, psi, None, None, None, None, reasons)


def _date(day: int) -> str:
    return str(np.datetime64(day, "D"))
