"""What a merchant will sell: a forecast of released days; of weeks where too few days are told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np

from tandem.contracts.errors import InvalidInput, NotFound
from tandem.contracts.seller import Day, OutlookDay, SalesOutlook
from tandem.flows.events import events_status
from tandem.flows.parties import simulated_figures
from tandem.flows.search_performance import last_month, month_before, month_bounds, sold_by
from tandem.flows.selling import MONEY, WEEKS_BEGIN, Month, major, month_of, single
from tandem.flows.view import View
from tandem.governance.release import K
from tandem.ingest.currencies import minor_digits
from tandem.sales.forecast import DAYS, WEEK, WEEKS, Rhythm, forecast
from tandem.storage.layout import Layout

MOST_DAYS = 90
LEAST_TOLD = 0.5  # of a month's days or weeks, for the others to share what is left of it
MOST_MONTHS = 36  # of history that a forecast looks at
SHOWN = {DAYS: 42, WEEKS: 26}  # of the past, beside what is to come


@dataclass(frozen=True)
class Step:
    """Sales of some days in a row; None: withheld. shared: what its month leaves over."""

    day: date
    days: int
    value: float | None
    shared: bool = False


def outlook(
    layout: Layout,
    view: View,
    merchant: str,
    *,
    days: int,
    actor: str,
    now: datetime | None = None,
    k: int = K,
) -> SalesOutlook:
    """Sales of the `days` after the last recorded month that is over, from its released days; of
    whole weeks where too few days in a row are known and enough weeks are.

    What is withheld shares evenly what the others leave over of their month, where at least
    LEAST_TOLD of it is told. NotFound where neither is enough.
    """
    if not 1 <= days <= MOST_DAYS:
        raise InvalidInput(f"{days} days", field="days", remedy=f"ask for 1 to {MOST_DAYS} days")
    sold_by(view, merchant)
    currency = layout.settings().currency
    last = last_month(now or datetime.now(UTC))
    recorded = _recorded(layout)
    months = list(_months(layout, view, merchant, last, recorded, actor, k))
    for rhythm in (DAYS, WEEKS):
        known = _known([s for m in months for s in _steps(m, rhythm, recorded, currency)])
        if len(known) >= rhythm.least:
            return _outlook(layout, merchant, known, rhythm, days)
    raise NotFound(
        f"too little is known of what was sold: a forecast takes {WEEKS.least} weeks in a row that "
        "may be told",
        remedy="come back when more months with enough visitors and buyers are over",
    )


def _outlook(
    layout: Layout, merchant: str, known: Sequence[Step], rhythm: Rhythm, days: int
) -> SalesOutlook:
    size = 1 if rhythm is DAYS else WEEK
    count = -(-days // size)
    currency = layout.settings().currency
    digits = minor_digits(currency)
    # The last week of a month is longer: each counts as if it had seven days.
    series = np.array([(s.value or 0.0) * size / s.days for s in known], np.float64)
    ahead = forecast(series, count, rhythm)
    first = known[-1].day + timedelta(days=known[-1].days)
    shown = list(zip(known, series.tolist(), strict=True))[-SHOWN[rhythm] :]
    return SalesOutlook(
        merchant=merchant,
        currency=currency,
        step="day" if rhythm is DAYS else "week",
        since=str(known[0].day),
        shared_out=sum(s.shared for s in known),
        past=tuple(
            Day(day=str(s.day), value=None if s.shared else round(v, digits)) for s, v in shown
        ),
        days=tuple(
            OutlookDay(
                day=str(first + timedelta(days=size * i)),
                mean=round(float(ahead.mean[i]), digits),
                low=round(float(ahead.low[i]), digits),
                high=round(float(ahead.high[i]), digits),
            )
            for i in range(count)
        ),
        total=round(ahead.total, digits),
        total_low=round(ahead.total_low, digits),
        total_high=round(ahead.total_high, digits),
        level=ahead.level,
        origins=ahead.origins,
        simulated=simulated_figures(layout),
    )


def _recorded(layout: Layout) -> tuple[date, date]:
    """The days of the first and the last event. NotFound where there is none."""
    status = events_status(layout)
    if status.first is None or status.last is None:
        raise NotFound(
            "no events are recorded yet", remedy="serve the shop, or: tandem import events"
        )
    first, last = (datetime.fromtimestamp(at / 1e6, UTC) for at in (status.first, status.last))
    return first.date(), last.date()


def _months(
    layout: Layout,
    view: View,
    merchant: str,
    last: str,
    recorded: tuple[date, date],
    actor: str,
    k: int,
) -> Iterator[Month]:
    """Every recorded month in a row up to `last`, oldest first."""
    first, newest = (f"{day:%Y-%m}" for day in recorded)
    period = min(last, newest)
    found: list[Month] = []
    while period >= first and len(found) < MOST_MONTHS:
        try:
            found.append(month_of(layout, view, merchant, period, actor, k))
        except NotFound:
            if found:
                break  # nothing at all was recorded in it
        period = month_before(period)
    yield from reversed(found)


def _steps(month: Month, rhythm: Rhythm, recorded: tuple[date, date], currency: str) -> list[Step]:
    """A month's recorded sales by day or week, with what its total leaves over on those that are
    withheld: no more than the released figures say."""
    report = month.by_day if rhythm is DAYS else month.by_week
    since, until = (
        datetime.fromtimestamp(at / 1e6, UTC).date() for at in month_bounds(month.period)
    )
    length = (until - since).days
    begins = list(range(length)) if rhythm is DAYS else [d - 1 for d in WEEKS_BEGIN]
    told = {
        f.key[0]: float(major(int(f.metrics[MONEY]), currency))
        for f in report.figures
        if MONEY in f.metrics
    }
    steps = [
        Step(day, b - a, told.get(str(day)))
        for a, b in zip(begins, [*begins[1:], length], strict=True)
        if recorded[0] <= (day := since + timedelta(days=a)) <= recorded[1]
    ]
    total = single(month.total)
    hidden = [s for s in steps if s.value is None]
    if total is None or MONEY not in total.metrics or not hidden:
        return steps
    if len(steps) - len(hidden) < LEAST_TOLD * len(steps):
        return steps
    left = float(major(int(total.metrics[MONEY]), currency)) - sum(s.value or 0.0 for s in steps)
    each = max(left, 0.0) / sum(s.days for s in hidden)
    return [Step(s.day, s.days, each * s.days, shared=True) if s in hidden else s for s in steps]


def _known(steps: Sequence[Step]) -> Sequence[Step]:
    """Those after the last gap."""
    gap = next((i for i in reversed(range(len(steps))) if steps[i].value is None), -1)
    return steps[gap + 1 :]
