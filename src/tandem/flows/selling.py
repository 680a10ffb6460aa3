"""A merchant's month: indicators beside targets, what moved sales, what is to come.

Everything is made of reports that were released by month, over at least k people, and frozen:
of all the merchant's products, by channel, product, week and day. What is worked out from them
(shares, movement, forecast) tells no more than they do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np

from tandem.contracts.consent import Purpose
from tandem.contracts.errors import InvalidInput, NotFound
from tandem.contracts.product import Product
from tandem.contracts.search import Filters, Sort
from tandem.contracts.seller import (
    Assortment,
    Comparable,
    Day,
    Direction,
    Indicator,
    IndicatorName,
    Indicators,
    Moved,
    Movement,
    Shelf,
    Target,
    Unit,
)
from tandem.flows.parties import simulated_figures
from tandem.flows.search_performance import (
    MARKET,
    last_month,
    month_before,
    month_bounds,
    sold_by,
)
from tandem.flows.standing import Listings, qualities_of
from tandem.flows.view import View
from tandem.governance.reading import EventReader
from tandem.governance.release import Figures, K, Releases, Report
from tandem.ingest.currencies import minor_digits
from tandem.listing.quality import expected_attributes
from tandem.sales.movement import FACTORS, UNTRACKED, Part, effects
from tandem.storage.collaborations import CollaborationStore
from tandem.storage.layout import Layout
from tandem.storage.targets import load_targets, save_target

if TYPE_CHECKING:
    import pyarrow as pa

SALES, MARKET_ACTS = "seller_sales", "market_acts"
COLUMNS = (
    "event_key",
    "action_name",
    "timestamp",
    "client",
    "query_id",
    "object_id",
    "object_ids",
    "order",
    "quantity",
    "amount",
    "currency",
    "traffic",
)
CHANNELS = {"search": "Search", "content": "Creators’ content", "other": "Other ways"}
WEEKS_BEGIN = (1, 8, 15, 22)  # days of the month; the last week has what is left of it
CONTENT_DAYS = 7  # so long after watching a product in content, what is done is the content's
# Metrics that are sums of a column of `_EVENTS`.
SUMS = {
    "gmv": "minor",
    "orders": "order_begins",
    "search_clicks": "search_click",
    "other_currency": "other_currency",
}
MONEY = "gmv"  # what may be withheld where the counts are told
REST = "rest"
COMPARABLE = 5  # products of others that a price is held against, at least
PEERS = 200
SHELVES = 100
MEANINGS: tuple[tuple[IndicatorName, Unit, Direction, str], ...] = (
    ("gmv", "money", "up", "What shoppers paid for your products, before returns"),
    ("orders", "count", "up", "Orders with at least one of your products"),
    ("views", "count", "up", "How often a page of your products was opened"),
    ("conversion", "share", "up", "Order lines ÷ views of your products"),
    ("search_share", "share", "up", "Clicks on your products ÷ all clicks that searches led to"),
    ("creator_gmv", "money", "up", "Sales credited to collaborations with creators, less refunds"),
    ("return_rate", "share", "down", "Order lines sent back ÷ order lines of the same month"),
)
_DAY_METRICS: Mapping[IndicatorName, str] = {"gmv": "gmv", "orders": "orders", "views": "click"}

# What shoppers did with products, each with the channel that led there.
_EVENTS = """
WITH watched AS (
    SELECT client, unnest(object_ids) AS object_id, timestamp AS at
    FROM events WHERE action_name = 'watch'
), searches AS (
    SELECT DISTINCT query_id FROM events WHERE action_name = 'search'
)
SELECT event_key, client, action_name, object_id,
    strftime(make_timestamp(timestamp), '%Y-%m-%d') AS day,
    strftime(make_timestamp(timestamp), '%Y-%m-')
        || list_extract($weeks, least(4, (day(make_timestamp(timestamp)) + 6) // 7)) AS week,
    CASE
        WHEN query_id IN (FROM searches) THEN 'search'
        WHEN EXISTS (
            FROM watched w
            WHERE w.client = e.client AND w.object_id = e.object_id
                AND w.at <= e.timestamp AND e.timestamp - w.at <= $content
        ) THEN 'content'
        ELSE 'other'
    END AS channel,
    CASE WHEN action_name = 'purchase' AND currency = $currency
        THEN CAST(round(CAST(amount AS DECIMAL(18, 4)) * $unit) AS BIGINT) END AS minor,
    CAST(action_name = 'purchase' AND currency != $currency AS BIGINT) AS other_currency,
    CAST(action_name = 'click' AND coalesce(query_id IN (FROM searches), false) AS BIGINT)
        AS search_click,
    CAST(action_name = 'purchase' AND row_number() OVER (
        PARTITION BY action_name, coalesce("order", event_key) ORDER BY timestamp, event_key
    ) = 1 AS BIGINT) AS order_begins
FROM events e
WHERE traffic = 'shopper' AND timestamp >= $since AND object_id IN (SELECT id FROM sold)
    AND action_name IN ('impression', 'click', 'add_to_cart', 'purchase', 'return')
ORDER BY event_key
"""


@dataclass(frozen=True)
class Month:
    """The released reports of one month: of all the merchant's products, by channel, product,
    week and day; `market`: of everybody, clicks that searches led to, and returns."""

    period: str
    total: Report
    by_channel: Report
    by_product: Report
    by_week: Report
    by_day: Report
    market: Report

    @property
    def reports(self) -> tuple[Report, ...]:
        return (
            self.total,
            self.by_channel,
            self.by_product,
            self.by_week,
            self.by_day,
            self.market,
        )


def indicators(
    layout: Layout, view: View, merchant: str, period: str, *, actor: str, k: int = K
) -> Indicators:
    """The merchant's indicators of a month beside the month before and targets. A month that is
    not over has targets only.

    NotFound when the merchant sells nothing here, or nothing was recorded in the month.
    """
    sold_by(view, merchant)
    last = last_month(datetime.now(UTC))
    month = month_of(layout, view, merchant, period, actor, k) if period <= last else None
    earlier = None
    if month_before(period) <= last:
        with suppress(NotFound):
            earlier = month_of(layout, view, merchant, month_before(period), actor, k)
    currency = layout.settings().currency
    now = _values(layout, merchant, month, currency) if month else {}
    then = _values(layout, merchant, earlier, currency) if earlier else {}
    targets = {
        t.indicator: t.value
        for t in load_targets(layout)
        if t.merchant == merchant and t.period == period
    }
    total = single(month.total) if month else None
    withheld: dict[str, int] = {}
    for report in month.reports if month else ():
        for reason, count in report.withheld.items():
            withheld[reason] = withheld.get(reason, 0) + count
    return Indicators(
        merchant=merchant,
        period=period,
        over=month is not None,
        currency=currency,
        k=k,
        indicators=tuple(
            Indicator(
                name=name,
                unit=unit,
                better=better,
                value=now.get(name),
                before=then.get(name),
                target=targets.get(name),
                means=means,
                days=course(month, _DAY_METRICS[name], currency)
                if month and name in _DAY_METRICS
                else (),
            )
            for name, unit, better, means in MEANINGS
        ),
        withheld=withheld,
        other_currency_lines=int(total.metrics["other_currency"]) if total else 0,
        simulated=simulated_figures(layout),
    )


def set_target(layout: Layout, view: View, target: Target) -> Target:
    """Keep what a merchant aims at, or no longer does. NotFound for one who sells nothing here."""
    sold_by(view, target.merchant)
    unit = next(unit for name, unit, _, _ in MEANINGS if name == target.indicator)
    if unit == "share" and target.value is not None and target.value > 1:
        raise InvalidInput(
            f"{target.value} is more than the whole",
            field="value",
            remedy=f"write {target.indicator} as a share: 0.05 is 5%",
        )
    save_target(layout, target)
    return target


def movement(
    layout: Layout, view: View, merchant: str, period: str, *, actor: str, k: int = K
) -> Movement:
    """What moved the merchant's sales from the month before to this one, by product and channel.

    NotFound where one of the two was not recorded or is of too few people.
    """
    periods = (month_before(period), period)
    months = [month_of(layout, view, merchant, p, actor, k) for p in periods]
    whole = []
    for month in months:
        total = single(month.total)
        if total is None or MONEY not in total.metrics:
            why = "of too few people" if total is None else "too much of one buyer"
            raise NotFound(
                f"the sales of {month.period} are {why} to be told",
                remedy="choose a month with more visitors",
            )
        whole.append(_part(total))
    currency = layout.settings().currency
    numbers = view.snapshot.numbers([f.key[0] for f in months[1].by_product.figures])
    titles = {p.id: p.title for p in view.snapshot.products(numbers[numbers >= 0])}
    return Movement(
        merchant=merchant,
        period=period,
        before=periods[0],
        currency=currency,
        gmv_before=major(whole[0].sales, currency),
        gmv=major(whole[1].sales, currency),
        change=major(whole[1].sales - whole[0].sales, currency),
        by_product=_moved([m.by_product for m in months], whole, titles, currency),
        by_channel=_moved([m.by_channel for m in months], whole, CHANNELS, currency),
        simulated=simulated_figures(layout),
    )


def assortment(layout: Layout, view: View, merchant: str) -> Assortment:
    """Prices beside comparable products of others, and what the merchant's listings lack.

    Comparable is what has the same category path and a price, by another merchant. All of it
    stands on listings, which everybody sees.
    """
    sold = sold_by(view, merchant)
    kinds: dict[tuple[str, ...], list[Product]] = {}
    listings = Listings(view.snapshot)
    for product in listings.of(np.array(list(sold.values()), np.int64)):
        kinds.setdefault(product.category, []).append(product)
    shelves = []
    for category, own in kinds.items():
        filters = Filters(category=(" > ".join(category),)) if category else Filters()
        found = view.snapshot.browse(filters, Sort.RELEVANCE, PEERS + len(own))
        peers = listings.of(found.numbers)
        others = [p for p in peers if p.id not in sold and p.category == category]
        expected = expected_attributes(others)
        shelves += [_shelf(p, expected, _prices(others, p) if category else []) for p in own]
    asked = [s for s in shelves if s.expected]
    lacking = sorted(shelves, key=lambda s: (-len(s.missing) - (not s.images), s.product_id))
    numbers = np.array([sold[s.product_id] for s in lacking[:SHELVES]], np.int64)
    first = zip(listings.of(numbers), numbers.tolist(), strict=True)
    shown = [
        s.model_copy(update={"quality": quality})
        for s, quality in zip(lacking, qualities_of(view, first, listings), strict=False)
    ]
    some = view.snapshot.browse(Filters(), Sort.RELEVANCE, PEERS)
    return Assortment(
        merchant=merchant,
        currency=layout.settings().currency,
        count=len(shelves),
        with_image=sum(s.images > 0 for s in shelves) / len(shelves),
        with_price=sum(s.price is not None for s in shelves) / len(shelves),
        attribute_completeness=1
        - sum(len(s.missing) for s in asked) / sum(s.expected for s in asked)
        if asked
        else None,
        shop_has_images=any(p.images for p in listings.of(some.numbers)),
        products=tuple(shown),
        simulated=layout.settings().simulated,
    )


def _prices(others: Sequence[Product], product: Product) -> list[float]:
    """What the others cost, in the product's own currency."""
    if product.price is None:
        return []
    currency = product.price.currency
    return sorted(float(o.price.amount) for o in others if o.price and o.price.currency == currency)


def _shelf(product: Product, expected: Sequence[str], prices: Sequence[float]) -> Shelf:
    price = float(product.price.amount) if product.price else None
    missing = tuple(name for name in expected if name not in product.attributes)
    comparable = None
    if price is not None and len(prices) >= COMPARABLE:
        low, median, high = np.quantile(prices, (0.1, 0.5, 0.9)).round(2).tolist()
        comparable = Comparable(
            products=len(prices),
            low=low,
            median=median,
            high=high,
            position=float(np.mean(np.array(prices) < price)),
        )
    return Shelf(
        product_id=product.id,
        title=product.title,
        price=price,
        currency=product.price.currency if product.price else None,
        images=len(product.images),
        attributes=len(product.attributes),
        expected=len(expected),
        missing=missing,
        comparable=comparable,
    )


# --- Released months ------------------------------------------------------------------------------


def month_of(layout: Layout, view: View, merchant: str, period: str, actor: str, k: int) -> Month:
    """The reports of a month: as they were released, or released now."""
    since, until = month_bounds(period)
    sold = sold_by(view, merchant)
    releases = Releases(layout, k=k)
    wanted = (
        (SALES, merchant, ()),
        (SALES, merchant, ("channel",)),
        (SALES, merchant, ("object_id",)),
        (SALES, merchant, ("week",)),
        (SALES, merchant, ("day",)),
        (MARKET_ACTS, MARKET, ()),
    )
    known = [releases.released(name, tenant, period, by) for name, tenant, by in wanted]
    if None in known:
        before = since - CONTENT_DAYS * 86_400_000_000
        with EventReader(layout, Purpose.ANALYTICS, actor=actor).reading() as allowed:
            table = allowed.table(COLUMNS, since=before, until=until).table
        own, market = acts_of(table, sold, since, layout.settings().currency)
        if not own.num_rows and not market.num_rows:
            raise NotFound(
                f"nothing was recorded in {period}", remedy="choose another month, as 2026-03"
            )
        known = [
            releases.release(
                name,
                tenant,
                period,
                market if name == MARKET_ACTS else own,
                by,
                sums={} if name == MARKET_ACTS else SUMS,
                money=None if name == MARKET_ACTS else MONEY,
            )
            for name, tenant, by in wanted
        ]
    return Month(period, *(report for report in known if report is not None))


def acts_of(
    events: pa.Table, sold: Mapping[str, int], since: int, currency: str
) -> tuple[pa.Table, pa.Table]:
    """What shoppers did with the products in `sold`, with channel, day and amounts; and what of
    everybody's they are held against: clicks that searches led to, and returns."""
    import duckdb
    import pyarrow as pa
    import pyarrow.compute as pc

    connection = duckdb.connect()
    connection.execute("SET threads TO 1")
    connection.register("events", events)
    connection.register("sold", pa.table({"id": pa.array(sorted(sold), pa.string())}))
    given = {
        "since": since,
        "content": CONTENT_DAYS * 86_400_000_000,
        "currency": currency,
        "unit": 10 ** minor_digits(currency),
        "weeks": [f"{first:02d}" for first in WEEKS_BEGIN],
    }
    own = connection.sql(_EVENTS, params=given).to_arrow_table()
    searches = events.filter(pc.field("action_name") == "search")["query_id"]
    by_search = (pc.field("action_name") == "click") & pc.field("query_id").isin(
        searches.combine_chunks().drop_null()
    )
    market = events.filter(
        (by_search | (pc.field("action_name") == "return"))
        & (pc.field("timestamp") >= since)
        & (pc.field("traffic") == "shopper")
    )
    return own, market


def single(report: Report) -> Figures | None:
    return report.figures[0] if report.figures else None


def _values(
    layout: Layout, merchant: str, month: Month, currency: str
) -> dict[IndicatorName, float | None]:
    total, market = single(month.total), single(month.market)
    found: dict[IndicatorName, float | None] = {
        "creator_gmv": _creator_gmv(layout, merchant, month.period, currency)
    }
    if total is None:
        return found
    counts, everybody = total.metrics, market.metrics if market else {}
    views, lines = counts.get("click", 0), counts.get("purchase", 0)
    return {
        **found,
        "gmv": float(major(int(counts[MONEY]), currency)) if MONEY in counts else None,
        "orders": counts["orders"],
        "views": views,
        "conversion": lines / views if views else None,
        "search_share": counts["search_clicks"] / everybody["click"]
        if everybody.get("click")
        else None,
        # Where nobody's returns are recorded, nothing is known of these.
        "return_rate": counts.get("return", 0) / lines
        if lines and everybody.get("return")
        else None,
    }


def _creator_gmv(layout: Layout, merchant: str, period: str, currency: str) -> float | None:
    """From the merchant's own ledger; None where it keeps no collaborations."""
    if not layout.collaborations.exists():
        return None
    store = CollaborationStore(layout.collaborations)
    try:
        with store.reading() as books:
            lines = books.attributions(merchant=merchant)
    finally:
        store.close()
    net = [
        (a.amount.amount - a.refunded.amount) * a.share / 10_000
        for a in lines
        if a.ordered.astimezone(UTC).strftime("%Y-%m") == period and a.amount.currency == currency
    ]
    return float(sum(net, Decimal(0))) if lines else None


def course(month: Month, metric: str, currency: str) -> tuple[Day, ...]:
    """A metric on every day of the month; None where it was not released."""
    told = {
        f.key[0]: f.metrics.get(metric, 0)
        for f in month.by_day.figures
        if metric != MONEY or MONEY in f.metrics
    }
    since, until = month_bounds(month.period)
    first = datetime.fromtimestamp(since / 1e6, UTC).date()
    count = round((until - since) / 86_400_000_000)
    days = [str(first + timedelta(days=i)) for i in range(count)]
    money = metric == MONEY
    return tuple(
        Day(
            day=day,
            value=None
            if day not in told
            else float(major(int(told[day]), currency))
            if money
            else told[day],
        )
        for day in days
    )


# --- What moved -----------------------------------------------------------------------------------


def _part(figures: Figures) -> Part:
    counts = figures.metrics
    return Part(int(counts.get("click", 0)), int(counts.get("purchase", 0)), int(counts[MONEY]))


def _moved(
    reports: Sequence[Report], whole: Sequence[Part], titles: Mapping[str, str], currency: str
) -> tuple[Moved, ...]:
    """Effects by part, largest first. What was not released in both months goes into the rest."""
    before, after = (
        {f.key[0]: _part(f) for f in report.figures if MONEY in f.metrics} for report in reports
    )
    both = sorted(before.keys() & after.keys())
    parts = [(name, before[name], after[name]) for name in both]
    rest = [
        _less(w, [known[n] for n in both]) for w, known in zip(whole, (before, after), strict=True)
    ]
    if rest != [Part(0, 0, 0)] * 2:
        parts.append((REST, rest[0], rest[1]))
    amounts: dict[str, dict[str, int]] = {}
    for effect in effects(parts):
        amounts.setdefault(effect.part, {})[effect.factor] = effect.amount
    rows = [
        Moved(
            part=name,
            title=titles.get(name, "Everything else" if name == REST else name),
            amount=major(sum(found.values()), currency),
            **{f: major(found.get(f, 0), currency) for f in (*FACTORS, UNTRACKED)},
        )
        for name, found in amounts.items()
    ]
    return tuple(sorted(rows, key=lambda m: (m.part == REST, -abs(m.amount), m.part)))


def _less(whole: Part, parts: Sequence[Part]) -> Part:
    return Part(
        whole.views - sum(p.views for p in parts),
        whole.lines - sum(p.lines for p in parts),
        whole.sales - sum(p.sales for p in parts),
    )


def major(minor: int, currency: str) -> Decimal:
    return Decimal(minor).scaleb(-minor_digits(currency))
