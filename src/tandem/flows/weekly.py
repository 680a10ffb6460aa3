"""One week of a workspace: its searches, what failed, what was tested, decided and went live."""

from __future__ import annotations

import tempfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from tandem.contracts.consent import Purpose
from tandem.contracts.errors import InvalidInput, NotFound
from tandem.flows.artefacts import artefacts
from tandem.flows.experiment import kept_analyses
from tandem.flows.insights import SIMULATED
from tandem.governance.audit import os_actor
from tandem.governance.reading import EventReader
from tandem.insights.drift import drift
from tandem.insights.failures import find_failures
from tandem.insights.statistics import Z95
from tandem.insights.tables import Tables, product_table
from tandem.registry.decisions import Decisions
from tandem.reports.weekly import Day, Rate, Week
from tandem.storage.catalog import read_products
from tandem.storage.layout import Layout

WEEK = timedelta(days=7)
_PARTIAL = 0.2  # of the usual number of searches a day
BEFORE = 28  # days before the week that it is held against
DAY = 86_400_000_000  # µs


def week_of(layout: Layout, until: str | None = None, *, actor: str | None = None) -> Week:
    """The seven days before `until` (YYYY-MM-DD, UTC); without it, those up to the last whole day.

    actor: who asks, for the audit log. InvalidInput for what is no day, NotFound without events.
    """
    end = _day(until) if until is not None else None
    reader = EventReader(layout, Purpose.ANALYTICS, actor=actor or os_actor())
    with tempfile.TemporaryDirectory() as spill, Tables(spill=Path(spill)) as tables:
        with reader.reading() as allowed:
            if not allowed.stored:
                raise NotFound(
                    f"no events in {layout.root}", remedy="send some (POST /v1/events) first"
                )
            allowed.view(tables.db, "allowed")
            end = end or _after_the_last(tables)
            since = end - timedelta(days=7)
            _window(tables, end - timedelta(days=7 + BEFORE), end)
            changed = drift(tables)
            now, before = _moments(tables, since, end), _moments(tables, since - WEEK, since)
            days = _days(tables)
            _window(tables, since, end)
        if layout.catalog.live() is not None:
            products = [p for batch in read_products(layout) for p in batch]
            tables.catalogue(product_table(products))
        found = find_failures(tables)
        (marked,) = tables.rows(
            f"SELECT coalesce(bool_or(starts_with(query_id, '{SIMULATED}')), FALSE) AS it "
            "FROM searches"
        )
    settings = layout.settings()
    return Week(
        since=since,
        until=end,
        simulated=bool(marked["it"]) or settings.simulated,
        currency=found.currency or settings.currency,
        searches=now.searches,
        searches_before=before.searches,
        shoppers=now.clients,
        sales_per_search=now.rate("sales"),
        sales_change=_change(now, before, "sales"),
        empty=now.rate("empty"),
        empty_change=_change(now, before, "empty"),
        days=days,
        findings=tuple(
            {"rank": rank, **f.to_json()} for rank, f in enumerate(found.findings, start=1)
        ),
        tests=found.tests,
        alerts=tuple(changed.to_json()["alerts"]) if changed.now_from == str(since) else (),
        experiments=tuple(
            {"name": a["name"], "verdict": a["decision"]["verdict"], "says": a["says"]}
            for a in kept_analyses(layout)
            if since <= datetime.fromisoformat(a["analysed"]).date() < end
        ),
        decisions=tuple(d for d in Decisions(layout.decisions).all() if since <= d.at.date() < end),
        candidates=tuple(
            m.generation for m in artefacts(layout, ("models",)) if m.stage == "candidate"
        ),
    )


class _Moments:
    """Sums over shoppers of one stretch of time: what means per search and their intervals need."""

    def __init__(self, row: dict[str, Any]) -> None:
        self._row = row
        self.searches = int(row["searches"] or 0)
        self.clients = int(row["clients"])

    def rate(self, name: str) -> Rate:
        value, error = self.estimate(name)
        if value is None:
            return Rate(None, None, None)
        if error is None:
            return Rate(value, None, None)
        return Rate(value, max(0.0, value - Z95 * error), value + Z95 * error)

    def estimate(self, name: str) -> tuple[float | None, float | None]:
        """A ratio of two sums over shoppers and its standard error (delta method), since one
        shopper's searches are alike."""
        r = self._row
        if not self.searches:
            return None, None
        ratio = r[name] / r["searches"]
        if self.clients < 2:
            return ratio, None
        spread = r[f"var_{name}"] - 2 * ratio * r[f"cov_{name}"] + ratio**2 * r["var_searches"]
        return ratio, float(np.sqrt(max(spread, 0.0) * self.clients) / r["searches"])


_SUMS = """count(*) AS clients, coalesce(sum(n), 0) AS searches, coalesce(sum(s), 0) AS sales,
    coalesce(sum(e), 0) AS empty, var_samp(n) AS var_searches, var_samp(s) AS var_sales,
    var_samp(e) AS var_empty, covar_samp(s, n) AS cov_sales, covar_samp(e, n) AS cov_empty"""
_BY_CLIENT = """client, count(*) AS n, sum(sales)::DOUBLE AS s, sum((results = 0)::INT)::DOUBLE AS e
    FROM searches"""


def _moments(tables: Tables, since: date, until: date) -> _Moments:
    (row,) = tables.rows(
        f"""SELECT {_SUMS} FROM (SELECT {_BY_CLIENT}
            WHERE started >= {_micros(since)} AND started < {_micros(until)} GROUP BY client)"""
    )
    return _Moments(row)


def _days(tables: Tables) -> tuple[Day, ...]:
    """The last two weeks by day."""
    rows = tables.rows(
        f"""SELECT day, {_SUMS} FROM (
                SELECT (started // {DAY})::BIGINT AS day, {_BY_CLIENT} GROUP BY ALL)
            GROUP BY day ORDER BY day DESC LIMIT 14"""
    )
    return tuple(
        Day(str(np.datetime64(r["day"], "D")), int(r["searches"]), _Moments(r).rate("sales"))
        for r in reversed(rows)
    )


def _change(now: _Moments, before: _Moments, name: str) -> Rate | None:
    """Now less before. Who searched in both weeks makes them alike: then the truth is narrower."""
    (after, error), (ahead, noise) = now.estimate(name), before.estimate(name)
    if after is None or ahead is None or error is None or noise is None:
        return None
    half = Z95 * float(np.hypot(error, noise))
    return Rate(after - ahead, after - ahead - half, after - ahead + half)


def _window(tables: Tables, since: date, until: date) -> None:
    tables.db.execute(
        f"""CREATE OR REPLACE TEMP VIEW within AS SELECT * FROM allowed
            WHERE timestamp >= {_micros(since)} AND timestamp < {_micros(until)}"""
    )
    tables.build("within")


def _after_the_last(tables: Tables) -> date:
    """The day after the last one with searches; one with hardly any is a part of a day."""
    rows = tables.rows(
        f"""SELECT (timestamp // {DAY})::BIGINT AS day, count(*) AS searches FROM allowed
            WHERE action_name = 'search' GROUP BY 1 ORDER BY 1"""
    )
    if not rows:
        raise NotFound(
            "no search that may be read for analytics", remedy="see: tandem consent --help"
        )
    usual = float(np.median([r["searches"] for r in rows]))
    last = max(r["day"] for r in rows if r["searches"] >= _PARTIAL * usual)
    return date(1970, 1, 1) + timedelta(days=last + 1)


def _micros(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1e6)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InvalidInput(
            f"'{text}' is no day", field="until", remedy="write it as 2026-03-29"
        ) from None
