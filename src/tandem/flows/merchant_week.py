"""A merchant's week under the release rules: each figure of enough people, frozen once told.

Weeks are ISO weeks (Monday to Sunday, UTC): there is one way to cut time, and no two overlap that
could be subtracted; against months the rules for differencing hold.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from tandem.contracts.consent import Purpose
from tandem.contracts.errors import InvalidInput, NotFound
from tandem.contracts.merchant_week import AskedFor, MerchantWeek, WeekFigures
from tandem.flows.events import events_status
from tandem.flows.parties import simulated_figures
from tandem.flows.search_performance import by_query, sold_by
from tandem.flows.selling import COLUMNS, CONTENT_DAYS, MONEY, SUMS, acts_of
from tandem.flows.view import View
from tandem.governance.reading import EventReader
from tandem.governance.release import Figures, K, Releases, Report
from tandem.ingest.currencies import minor_digits
from tandem.storage.layout import Layout

if TYPE_CHECKING:
    import pyarrow as pa

WEEK, WEEK_QUERIES = "merchant_week", "merchant_week_queries"
MOST = 10
DAY = 86_400_000_000  # microseconds


def merchant_week(
    layout: Layout, view: View, merchant: str, period: str | None, *, actor: str, k: int = K
) -> MerchantWeek:
    """The week `period` (as 2026-W13, over by now; None: the last one with events) of a merchant.

    Released once, it stays as it is. actor: who asks, for the audit log. NotFound when the merchant
    sells nothing here, or nothing was recorded in the week.
    """
    sold = sold_by(view, merchant)
    period = period or _last(layout)
    first = _monday(period)
    now = _released(layout, sold, merchant, first, actor, k)
    before = _released(layout, sold, merchant, first - timedelta(days=7), actor, k)
    if now is None:
        raise NotFound(f"nothing was recorded in {period}", remedy="choose another week")
    total, products, queries = now
    digits = minor_digits(layout.settings().currency)
    recorded = _recorded(now)
    titles = _titles(view, sold, [f.key[0] for f in products.figures])
    return MerchantWeek(
        merchant=merchant,
        period=period,
        since=first,
        until=first + timedelta(days=7),
        k=k,
        currency=layout.settings().currency,
        now=_week(total, digits, recorded),
        before=_week(before[0], digits, _recorded(before)) if before else WeekFigures(),
        products=tuple(
            (titles.get(f.key[0], f.key[0]), _figures(f, digits, recorded))
            for f in sorted(products.figures, key=lambda f: -f.metrics.get("click", 0))[:MOST]
        ),
        queries=tuple(
            AskedFor(query=f.key[0], people=f.people or 0, clicks=int(f.metrics["click"]))
            for f in sorted(queries.figures, key=lambda f: -f.metrics.get("click", 0))[:MOST]
            if f.metrics.get("click")
        ),
        withheld={
            reason: sum(r.withheld.get(reason, 0) for r in now)
            for reason in sorted({reason for r in now for reason in r.withheld})
        },
        simulated=simulated_figures(layout),
    )


def _released(
    layout: Layout, sold: dict[str, int], merchant: str, first: date, actor: str, k: int
) -> tuple[Report, Report, Report] | None:
    """Of one week: everything, by product, by query; as they were told, or told now. None where
    nothing was recorded."""
    year, week, _ = first.isocalendar()
    period = f"{year}-W{week:02d}"
    releases = Releases(layout, k=k)
    wanted = ((WEEK, ()), (WEEK, ("object_id",)), (WEEK_QUERIES, ("query",)))
    told = [releases.released(name, merchant, period, by) for name, by in wanted]
    known = [report for report in told if report is not None]
    if len(known) == len(wanted):
        return known[0], known[1], known[2]
    since = int(datetime(first.year, first.month, first.day, tzinfo=UTC).timestamp()) * 1_000_000
    columns = (*COLUMNS, "user_query")
    with EventReader(layout, Purpose.ANALYTICS, actor=actor).reading() as allowed:
        table = allowed.table(
            columns, since=since - CONTENT_DAYS * DAY, until=since + 7 * DAY
        ).table
    own, market = acts_of(table, sold, since, layout.settings().currency)
    if not own.num_rows and not market.num_rows:
        return None
    used = _ours(table, sold, since)
    return (
        releases.release(WEEK, merchant, period, own, (), sums=SUMS, money=MONEY),
        releases.release(WEEK, merchant, period, own, ("object_id",), sums=SUMS, money=MONEY),
        releases.release(WEEK_QUERIES, merchant, period, used, ("query",)),
    )


def _ours(table: pa.Table, sold: dict[str, int], since: int) -> pa.Table:
    """What was done with the merchant's products after a search, with its `query`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    _, used = by_query(table.filter(pc.field("timestamp") >= since))
    mine = pc.is_in(used["object_id"], value_set=pa.array(sorted(sold), pa.string()))
    return used.filter(pc.and_(mine, pc.is_valid(used["query"])))


def _recorded(reports: Iterable[Report]) -> frozenset[str]:
    return frozenset(name for r in reports for f in r.figures for name in f.metrics)


def _week(report: Report, digits: int, recorded: Collection[str]) -> WeekFigures:
    return _figures(report.figures[0], digits, recorded) if report.figures else WeekFigures()


def _figures(f: Figures, digits: int, recorded: Collection[str]) -> WeekFigures:
    """A sum that is not there was withheld by itself; of what was recorded nowhere nothing is
    known, and that is not zero."""
    m = f.metrics
    shown, clicks, carts = (
        int(m.get(name, 0)) if name in recorded else None
        for name in ("impression", "click", "add_to_cart")
    )
    gmv = m.get("gmv")
    return WeekFigures(
        people=f.people,
        shown=shown,
        clicks=clicks,
        carts=carts,
        orders=int(m["orders"]) if "orders" in m else None,
        sales=None if gmv is None else gmv / 10**digits,
    )


def _titles(view: View, sold: dict[str, int], ids: list[str]) -> dict[str, str]:
    import numpy as np

    known = [i for i in ids if i in sold]
    found = view.snapshot.products(np.array([sold[i] for i in known], np.int64)) if known else []
    return {p.id: p.title for p in found if p is not None}


def _monday(period: str) -> date:
    """The first day of an ISO week that is over."""
    try:
        year, _, week = period.partition("-W")
        first = date.fromisocalendar(int(year), int(week), 1)
        if first.year < 1970:  # before any event, and the week before the first one has no date
            raise ValueError(period)
    except ValueError:
        raise InvalidInput(
            f"'{period}' is no week", field="period", remedy="write it as 2026-W13"
        ) from None
    if first + timedelta(days=7) > datetime.now(UTC).date():
        raise InvalidInput(
            f"{period} is not over yet, and a report is made once",
            field="period",
            remedy="use an earlier week",
        )
    return first


def _last(layout: Layout) -> str:
    """The last week with events that is over."""
    newest = events_status(layout).last
    if newest is None:
        raise NotFound("nothing was recorded yet", remedy="send events first")
    day = datetime.fromtimestamp(newest / 1e6, UTC).date() + timedelta(days=1)
    day = min(day, datetime.now(UTC).date())
    monday = day - timedelta(days=day.weekday() + 7)
    year, week, _ = monday.isocalendar()
    return f"{year}-W{week:02d}"
