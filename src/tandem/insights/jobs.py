"""The batch jobs, written once as Ibis expressions: from events to sessions, searches, funnels.

Each job is a function: its name is the table that it makes, its parameters are the tables that it
reads. `tandem.insights.engines` runs them, on DuckDB or on Spark, with the same rows as result; a
test holds the engines against each other for each job. What the two do differently is kept out:

- Sums are of whole numbers (money in millionths), since sums of floats depend on the order of rows.
- Equal times are told apart: by frames that take peers together, or by a part of the event's key.
- Ids of sessions and chains come from MD5 (function `number`, which each engine defines), not from
  an engine's own hash.
- Letters whose lower case depends on context or language are replaced before `lower`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable

import ibis
import ibis.expr.types as ir

SESSION_PAUSE = 30 * 60 * 1_000_000  # µs
CHAIN_PAUSE = 3 * 60 * 1_000_000  # µs from the last action of a search to the next search
DAY = 86_400_000_000  # µs
PARTS = 1_000_000  # of a unit of money
PLACES = 10  # of a list, that are counted
FEW = 5  # results below which a search has few
_TIE = 12  # signs of an event's key that tell simultaneous searches apart
_SPREAD = 2_654_435_769  # odd: parts of one whole get ids that differ in many bits

Job = Callable[..., ir.Table]

STORED = ibis.schema(
    {
        "event_key": "string",
        "action_name": "string",
        "timestamp": "int64",
        "client": "string",
        "session": "string",
        "query_id": "string",
        "user_query": "string",
        "language": "string",
        "device": "string",
        "object_id": "string",
        "position": "int64",
        "total": "int64",
        "object_ids": "array<string>",
        "filters": "array<string>",
        "latency_ms": "float64",
        "amount": "string",
        "currency": "string",
        "traffic": "string",
    }
)
"""What the jobs read of an `AdmittedEvent`."""


@ibis.udf.scalar.builtin(name="tandem_number")  # type: ignore[untyped-decorator]
def _number(text: str) -> int:  # type: ignore[empty-body]
    """The first 60 bits of the text's MD5 as a whole number."""


COLUMNS: dict[str, ibis.Schema] = {"given": STORED}
"""Columns of every table, by its name."""


def inputs(job: Job) -> tuple[str, ...]:
    """The tables that a job reads."""
    return tuple(inspect.signature(job).parameters)


def expression(job: Job) -> ir.Table:
    """A job over tables that are named as its parameters."""
    return job(*(ibis.table(COLUMNS[name], name=name) for name in inputs(job)))


def job(function: Job) -> Job:
    """Declare a job: its columns are known from here on."""
    COLUMNS[function.__name__] = expression(function).schema()
    return function


def folded(text: ir.StringValue) -> ir.StringValue:
    """Lower case and single spaces. Σ is σ in any place of a word, İ is i."""
    lower = text.replace("İ", "i").replace("Σ", "σ").lower()
    return lower.re_replace("[ \t\n\r\f\x0b]+", " ").strip()


def _parts(amount: ir.StringValue) -> ir.IntegerValue:
    """Decimal text in whole millionths; null for what is no number."""
    return (amount.try_cast("decimal(18, 6)") * PARTS).cast("int64")


def _part(whole: ir.IntegerValue, number: ir.IntegerValue) -> ir.IntegerValue:
    """The id of one numbered part of what has an id."""
    return whole ^ (number * _SPREAD)


@job
def visits(given: ir.Table) -> ir.Table:
    """Events of shoppers with the session that they fall in. A session is what the sender names as
    one or, without a name, what one client does without a pause of `SESSION_PAUSE` (Catledge &
    Pitkow 1995). Only events without a name have to be sorted."""
    events = given.filter(given.traffic == "shopper")
    searched = events.action_name == "search"
    events = events.select(
        action=events.action_name,
        happened=events.timestamp,
        client=events.client,
        session=events.session,
        query_id=events.query_id,
        tie=searched.ifelse(events.event_key.right(_TIE), ibis.null("string")),
        text=folded(events.user_query),
        language=events.language,
        device=events.device,
        product=events.object_id,
        position=events.position,
        total=events.total,
        object_ids=events.object_ids,
        filters=events.filters.fill_null(ibis.literal([], "array<string>")),
        latency_ms=events.latency_ms,
        amount=_parts(events.amount),
        currency=events.currency,
    )
    named = events.filter(events.session.notnull())
    named = named.mutate(session_id=_number(named.session))
    unnamed = events.filter(events.session.isnull())
    by_time = {"group_by": unnamed.client, "order_by": unnamed.happened}
    paused = unnamed.happened - unnamed.happened.lag().over(**by_time)
    unnamed = unnamed.mutate(breaks=(paused.isnull() | (paused > SESSION_PAUSE)).cast("int64"))
    # A frame by range: events at one time fall into one session, whichever is counted first.
    so_far = ibis.range_window(
        preceding=None, following=0, group_by=unnamed.client, order_by=unnamed.happened
    )
    session = unnamed.breaks.sum().over(so_far)
    unnamed = unnamed.mutate(session_id=_part(_number(unnamed.client), session)).drop("breaks")
    return named.union(unnamed).drop("session")


@job
def sessions(visits: ir.Table) -> ir.Table:
    """One row per session; of several clients under one name, the first in the alphabet."""
    return visits.group_by("session_id").agg(
        client=visits.client.min(),
        started=visits.happened.min(),
        ended=visits.happened.max(),
        events=visits.count(),
    )


@job
def asked(visits: ir.Table) -> ir.Table:
    """Searches as they were asked; one that came again under its query id counts once, the first
    time."""
    found = visits.filter(visits.action == "search")
    first = ibis.row_number().over(group_by=found.query_id, order_by=[found.happened, found.tie])
    found = found.mutate(again=first).filter(lambda t: t.again == 0)
    shown = found.object_ids.length()
    return found.select(
        "query_id",
        "session_id",
        "client",
        "language",
        "device",
        "filters",
        "total",
        "latency_ms",
        "text",
        "object_ids",
        started=found.happened,
        shown=shown,
        results=ibis.coalesce(found.total, shown),
    )


@job
def acted(visits: ir.Table) -> ir.Table:
    """What came of a search: one row per query id that an action names.

    `dwell` of a click runs to the next later event of the session."""
    later = ibis.range_window(
        following=(1, None), group_by=visits.session_id, order_by=visits.happened
    )
    done = visits.select(
        "query_id",
        "action",
        "position",
        "amount",
        "happened",
        dwell=visits.happened.first().over(later) - visits.happened,
    )
    done = done.filter(done.query_id.notnull() & (done.action != "search"))
    clicked, bought = done.action == "click", done.action == "purchase"
    return done.group_by("query_id").agg(
        clicks=done.count(where=clicked),
        carts=done.count(where=done.action == "add_to_cart"),
        purchases=done.count(where=bought),
        sold=done.amount.sum(where=bought),
        first_click=done.position.min(where=clicked),
        dwell=done.dwell.max(where=clicked),
        acted=done.happened.max(),
    )


@job
def chained(asked: ir.Table, acted: ir.Table) -> ir.Table:
    """Searches with what came of them and the chain that they are a turn of."""
    found = asked.drop("object_ids").left_join(acted, "query_id").drop("query_id_right")
    counted = {name: found[name].fill_null(0) for name in ("clicks", "carts", "purchases", "sold")}
    found = found.mutate(
        **counted,
        dwell=found.dwell / 1e6,
        ended=ibis.greatest(found.started, found.acted.fill_null(found.started)),
    ).drop("acted")
    by_turn = {"group_by": found.session_id, "order_by": [found.started, found.query_id]}
    paused = found.started - found.ended.lag().over(**by_turn)
    met = (found.carts + found.purchases).lag().over(**by_turn)
    opens = (paused.isnull() | (met > 0) | (paused > CHAIN_PAUSE)).cast("int64")
    found = found.mutate(opens=opens)
    number = found.opens.cumsum(group_by=found.session_id, order_by=[found.started, found.query_id])
    chain = _part(found.session_id, number)
    return found.mutate(chain=chain).drop("opens")


@job
def turned(chained: ir.Table) -> ir.Table:
    """Searches beside the other turns of their chain."""
    turns = {"group_by": chained.chain, "order_by": [chained.started, chained.query_id]}
    needs = chained.carts + chained.purchases
    found = chained.mutate(
        turn=ibis.row_number().over(**turns) + 1,
        next_text=chained.text.lead().over(**turns),
        next_results=chained.results.lead().over(**turns),
        next_filters=chained.filters.length().lead().over(**turns),
        last=chained.started.lead().over(**turns).isnull(),
        chain_sold=chained.sold.sum().over(group_by=chained.chain),
        chain_carts=needs.sum().over(group_by=chained.chain),
    )
    needs = found.carts + found.purchases
    return found.mutate(
        sales=found.sold / float(PARTS),
        chain_sales=found.chain_sold / float(PARTS),
        recovered=(needs == 0) & (found.chain_carts > 0),
        abandoned=(found.clicks + needs == 0) & found.last,
    ).drop("sold", "chain_sold", "last")


@job
def shown(asked: ir.Table, visits: ir.Table) -> ir.Table:
    """One row per product shown by a search; `position` from 1."""
    places = ibis.range(0, asked.object_ids.length())
    # Unnested as a column: as a joined table it takes DuckDB five times as long.
    found = asked.select("query_id", it=asked.object_ids.zip(places).unnest())
    found = found.select("query_id", product=found["it"].f1, position=found["it"].f2 + 1)
    clicks = visits.filter((visits.action == "click") & visits.query_id.notnull())
    clicks = clicks.select("query_id", "product", clicked=True).distinct()
    found = found.left_join(clicks, ["query_id", "product"])
    return found.select("query_id", "position", "product", clicked=found.clicked.fill_null(False))


@job
def searches(turned: ir.Table, shown: ir.Table, visits: ir.Table) -> ir.Table:
    """Everything known of a search. Good abandonment: nothing was clicked, but a product of the
    list was put into the cart or bought later in the session."""
    left = turned.filter(turned.abandoned).select("query_id", "session_id", "started")
    left = left.inner_join(shown.select("query_id", "product"), "query_id")
    taken = visits.filter(visits.action.isin(("add_to_cart", "purchase")))
    taken = taken.select("session_id", "product", "happened")
    good = left.inner_join(taken, ["session_id", "product", left.started < taken.happened]).select(
        "query_id", good=True
    )
    found = turned.left_join(good.distinct(), "query_id").drop("query_id_right")
    return found.mutate(good_abandoned=found.good.fill_null(False)).drop("good")


@job
def places(shown: ir.Table) -> ir.Table:
    """Impressions and clicks by place."""
    return shown.group_by("position").agg(
        impressions=shown.count(), clicks=shown.count(where=shown.clicked)
    )


@job
def pairs(shown: ir.Table, searches: ir.Table) -> ir.Table:
    """Impressions `n` and clicks `c` of a query text's product by place, for the position model:
    of pairs only that were shown at two places or more."""
    asked = searches.select("query_id", "text", "language")
    found = shown.filter(shown.position <= PLACES).inner_join(asked, "query_id")
    counted = found.group_by("text", "language", "product", "position").agg(
        n=found.count(), c=found.count(where=found.clicked)
    )
    pair = {"group_by": [counted.text, counted.language, counted.product]}
    counted = counted.mutate(at=counted.count().over(**pair))
    return counted.filter(counted["at"] > 1).drop("at")


@job
def funnels(searches: ir.Table) -> ir.Table:
    """How far searches got, by day (UTC, days since 1970), language and device: searches, those
    that were clicked in, carted from and bought from, and sales (major units)."""
    day = (searches.started - searches.started % DAY) / DAY
    found = searches.mutate(
        day=day.cast("int64"), sold=(searches.sales * PARTS).round().cast("int64")
    )
    counted = found.group_by("day", "language", "device").agg(
        searches=found.count(),
        without_results=found.count(where=found.results == 0),
        clicked=found.count(where=found.clicks > 0),
        carted=found.count(where=found.carts > 0),
        bought=found.count(where=found.purchases > 0),
        sold=found.sold.sum(),
    )
    return counted.mutate(sales=counted.sold / float(PARTS)).drop("sold")


JOBS: tuple[Job, ...] = (
    visits,
    sessions,
    asked,
    acted,
    chained,
    turned,
    shown,
    searches,
    places,
    pairs,
    funnels,
)
PASSING = ("asked", "acted", "chained", "turned", "looked", "waits")
"""Tables that only later jobs read."""
