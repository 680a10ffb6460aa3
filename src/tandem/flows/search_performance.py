"""What shoppers search for, and what of it comes to one merchant, under the release rules.

Two reports are released by month: how often a query is asked and used (to everybody the same), and
what of it went to the merchant's products. Both are counts over at least k people, frozen once
released, and held against each other, so that nobody can be found by subtracting one from the
other. What stands where today is asked of the real search.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from tandem.contracts.consent import Purpose
from tandem.contracts.errors import InvalidInput, NotFound
from tandem.contracts.events import QUERY_ACTION
from tandem.contracts.product import Product
from tandem.contracts.search import MAX_QUERY, Filters, SearchRequest
from tandem.contracts.search_performance import (
    Chance,
    Funnel,
    QueryPerformance,
    SearchPerformance,
)
from tandem.flows.events import events_status
from tandem.flows.parties import simulated_figures
from tandem.flows.search import rank
from tandem.flows.view import Answered, View
from tandem.governance.reading import EventReader
from tandem.governance.release import Figures, K, Releases, Report
from tandem.listing.edits import said_in
from tandem.queries.normalise import normalise
from tandem.storage.layout import Layout

if TYPE_CHECKING:
    import pyarrow as pa

MARKET_QUERIES = "search_queries"
MARKET = "market"  # the tenant that what is released to everybody is released to
FUNNEL = ("impression", "click", "add_to_cart", "purchase")
TOP = 3  # up to this place a product needs no advice
GROWN = 1.25  # from so many times its former part of all searches on, a query may be rising
FALSE_RISES = 0.05  # of those that are called rising, at most so many by chance (expected)
COLUMNS = (
    "event_key",
    "action_name",
    "timestamp",
    "client",
    "query_id",
    "user_query",
    "object_id",
    "traffic",
)
_PERIOD = re.compile(r"^(?!0000)(\d{4})-(0[1-9]|1[0-2])$")


def search_performance(
    layout: Layout, view: View, merchant: str, period: str, *, actor: str, k: int = K
) -> SearchPerformance:
    """The report of `merchant` for `period` (YYYY-MM, over by now). k: people a figure is of.

    Released once, it stays as it is; places are today's. NotFound when the merchant sells nothing
    here, or nothing was recorded in the period.
    """
    since, until = month_bounds(period)
    sold = sold_by(view, merchant)
    reader = EventReader(layout, Purpose.ANALYTICS, actor=actor)
    with reader.reading() as allowed:
        table = allowed.table(COLUMNS, since=since, until=until).table
    if table.num_rows == 0:
        raise NotFound(
            f"nothing was recorded in {period}", remedy="choose another month, as 2026-03"
        )
    asked, used = by_query(table)
    releases = Releases(layout, k=k)
    import pyarrow as pa
    import pyarrow.compute as pc

    market = releases.release(
        MARKET_QUERIES, MARKET, period, pa.concat_tables([asked, used]), ["query"]
    )
    ours = pc.is_in(used["object_id"], value_set=pa.array(sorted(sold), pa.string()))
    own = releases.release(
        "search_query_performance", merchant, period, used.filter(ours), ["query"]
    )
    mine = {f.key[0]: f for f in own.figures}
    volumes = _volumes(market)
    before = _volumes(_market(layout, releases, month_before(period), actor))
    rising = rising_queries(before, volumes)
    recorded = {action for figures in market.figures for action in figures.metrics}
    rows = [
        _row(view, figures, mine.get(figures.key[0]), sold, recorded).model_copy(
            update={
                "volume_before": before.get(figures.key[0]),
                "rising": figures.key[0] in rising,
            }
        )
        for figures in market.figures
        if figures.metrics.get(QUERY_ACTION)
    ]
    return SearchPerformance(
        merchant=merchant,
        period=period,
        k=k,
        queries=tuple(sorted(rows, key=_worth)),
        withheld={
            reason: market.withheld.get(reason, 0) + own.withheld.get(reason, 0)
            for reason in sorted({*market.withheld, *own.withheld})
        },
        simulated=simulated_figures(layout),
    )


def _market(layout: Layout, releases: Releases, period: str, actor: str) -> Report | None:
    """Everybody's queries of a month, released now if they were not; None where nothing was
    recorded."""
    if known := releases.released(MARKET_QUERIES, MARKET, period, ["query"]):
        return known
    since, until = month_bounds(period)
    with EventReader(layout, Purpose.ANALYTICS, actor=actor).reading() as allowed:
        table = allowed.table(COLUMNS, since=since, until=until).table
    if table.num_rows == 0:
        return None
    import pyarrow as pa

    return releases.release(
        MARKET_QUERIES, MARKET, period, pa.concat_tables(by_query(table)), ["query"]
    )


def asked_last(layout: Layout, *, actor: str) -> dict[str, int]:
    """What shoppers typed in the last recorded month that is over, with how often: of at least k
    people each; empty before the first."""
    try:
        period = last_recorded_month(layout)
    except NotFound:
        return {}
    return _volumes(_market(layout, Releases(layout), period, actor))


def _volumes(report: Report | None) -> dict[str, int]:
    if report is None:
        return {}
    asked = {f.key[0]: int(f.metrics.get(QUERY_ACTION, 0)) for f in report.figures}
    return {query: volume for query, volume in asked.items() if volume}


def rising_queries(before: Mapping[str, int], now: Mapping[str, int]) -> frozenset[str]:
    """Queries whose part of all searches grew by a quarter or more, and not by chance.

    A binomial test each, given both months' volumes of the queries known in both; false discoveries
    are held at FALSE_RISES by Benjamini and Hochberg's method.
    """
    from scipy import stats

    both = sorted(before.keys() & now.keys())
    then, later = sum(before[q] for q in both), sum(now[q] for q in both)
    if not then or not later:
        return frozenset()
    share = later / (then + later)
    chances = [
        stats.binomtest(now[q], before[q] + now[q], share, alternative="greater").pvalue
        for q in both
    ]
    adjusted = stats.false_discovery_control(chances)
    grown = [now[q] / later >= GROWN * before[q] / then for q in both]
    return frozenset(
        q for q, p, more in zip(both, adjusted, grown, strict=True) if more and p <= FALSE_RISES
    )


def last_month(now: datetime) -> str:
    """The last month that is over, YYYY-MM."""
    year, month = (now.year, now.month - 1) if now.month > 1 else (now.year - 1, 12)
    return f"{year}-{month:02d}"


def last_recorded_month(layout: Layout) -> str:
    """The last month that is over and not after the last recorded event, YYYY-MM. NotFound where
    no event is recorded."""
    newest = events_status(layout).last
    if newest is None:
        raise NotFound(
            "no events are recorded yet", remedy="serve the shop, or: tandem import events"
        )
    last = datetime.fromtimestamp(newest / 1e6, UTC).strftime("%Y-%m")
    return min(last, last_month(datetime.now(UTC)))


def month_before(period: str) -> str:
    """The month before, YYYY-MM."""
    year, month = int(period[:4]), int(period[5:])
    return f"{year:04d}-{month - 1:02d}" if month > 1 else f"{year - 1:04d}-12"


def month_bounds(period: str) -> tuple[int, int]:
    """Start and end of a month in microseconds since 1970, UTC."""
    found = _PERIOD.match(period)
    if found is None:
        raise InvalidInput(f"'{period}' is no month", field="period", remedy="write it as 2026-03")
    last = last_month(datetime.now(UTC))
    if period > last:
        raise InvalidInput(
            f"{period} is not over yet, and a report is made once",
            field="period",
            remedy=f"use {last} or earlier",
        )
    year, month = int(found[1]), int(found[2])
    start = datetime(year, month, 1, tzinfo=UTC)
    end = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    return int(start.timestamp() * 1e6), int(end.timestamp() * 1e6)


def sold_by(view: View, merchant: str) -> dict[str, int]:
    """The merchant's live products: number by id. One that names no merchant is its brand's."""
    names, columns = view.store.names, view.store.all_columns
    seller, brand = names.code("merchant", merchant), names.code("brand", merchant)
    named = (seller >= 0) & (columns.merchant == seller)
    numbers = np.flatnonzero(
        named | ((brand >= 0) & (columns.merchant < 0) & (columns.brand == brand))
    )
    # Columns keep what was deleted, and what passed to another merchant: that is no longer theirs.
    numbers = view.snapshot.satisfying(numbers, Filters())
    if not numbers.size:
        raise NotFound(
            f"no product of merchant '{merchant}'", remedy="check the name as products state it"
        )
    return dict(zip(view.snapshot.ids(numbers), numbers.tolist(), strict=True))


def by_query(table: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Searches, and what shoppers did with their answers, each with its normalised `query`."""
    import pyarrow as pa
    import pyarrow.compute as pc

    table = table.filter(pc.equal(table["traffic"], "shopper"))
    searches = table.filter(pc.equal(table["action_name"], QUERY_ACTION))
    normal: dict[str, str] = {}
    texts: list[str | None] = []
    for text in searches["user_query"].to_pylist():
        if text is not None and text not in normal:
            normal[text] = " ".join(normalise(text).split())
        texts.append(normal.get(text) or None)
    asked = searches.append_column("query", pa.array(texts, pa.string()))
    meaning = dict(zip(searches["query_id"].to_pylist(), texts, strict=True))
    used = table.filter(pc.is_in(table["action_name"], value_set=pa.array(FUNNEL)))
    of = [meaning.get(query_id) for query_id in used["query_id"].to_pylist()]
    return asked, used.append_column("query", pa.array(of, pa.string()))


def _row(
    view: View,
    market: Figures,
    own: Figures | None,
    sold: Mapping[str, int],
    recorded: Collection[str],
) -> QueryPerformance:
    query = market.key[0]
    answer = answered(view, query)
    numbers = answer.numbers
    at = np.flatnonzero(np.isin(numbers, list(sold.values())))
    place = int(at[0]) + 1 if at.size else None
    best = view.snapshot.products(numbers[at[:1]])[0] if at.size else None
    clicks = market.metrics.get("click", 0)
    mine = own.metrics.get("click", 0) if own else None
    return QueryPerformance(
        query=query,
        search_query_volume=int(market.metrics[QUERY_ACTION]),
        people=market.people,
        market=_funnel(market.metrics, recorded),
        own=_funnel(own.metrics, recorded) if own else None,
        click_share=mine / clicks if mine is not None and clicks else None,
        place=place,
        product_id=best.id if best else None,
        title=best.title if best else None,
        results=answer.total,
        chance=_chance(view, answer, place, best),
    )


def answered(view: View, query: str) -> Answered:
    """What the shop answers today; ranked once for each view."""
    found = view.answered.get(query)
    if found is None:
        ranking = rank(view, SearchRequest(q=query[:MAX_QUERY]))
        brands = {i.value.casefold() for i in ranking.understanding.intents if i.kind == "brand"}
        numbers = ranking.applied.candidates.numbers
        found = view.answered[query] = Answered(
            numbers, ranking.total, frozenset(brands), ranking.understanding.terms
        )
    return found


def _funnel(metrics: Mapping[str, float], recorded: Collection[str]) -> Funnel:
    """Counts by action. An action that was recorded for nobody is not known: no zero."""
    impressions, clicks, carts, purchases = (
        int(metrics.get(name, 0)) if name in recorded else None for name in FUNNEL
    )
    return Funnel(impressions=impressions, clicks=clicks, carts=carts, purchases=purchases)


def _chance(view: View, answer: Answered, place: int | None, best: Product | None) -> Chance | None:
    """Who asks for another brand by its name is nobody's opportunity; nor is who asks for another
    thing: the listing has to say half of the words at least."""
    if answer.total == 0:
        return "supply_gap"
    if place is None or place <= TOP or best is None:
        return None
    if answer.brands and (best.brand or "").casefold() not in answer.brands:
        return None
    said = said_in(answer.terms, view.queries.analyser.analyse(best))
    return "opportunity" if 2 * sum(map(bool, said.values())) >= len(said) > 0 else None


def _worth(row: QueryPerformance) -> tuple[Any, ...]:
    """What is asked most comes first; of equals, what the merchant has least of."""
    return (-row.search_query_volume, row.click_share or 0.0, row.query)


def opportunities(report: SearchPerformance) -> Sequence[QueryPerformance]:
    """Queries in which the merchant has something and stands low, by clicks that go elsewhere."""
    found = [q for q in report.queries if q.chance == "opportunity"]
    return sorted(found, key=lambda q: -(q.market.clicks or 0) * (1 - (q.click_share or 0.0)))
