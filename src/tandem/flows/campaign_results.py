"""What became of a campaign: piece by piece, the money in the books, and its trial."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np

from tandem.collaboration.trial import ASSUMPTIONS, FEWEST, effect
from tandem.contracts.campaign import Campaign, PieceResult, PlannedPiece, TrialResult
from tandem.contracts.collaboration import Attribution, Collaboration
from tandem.contracts.consent import Purpose
from tandem.contracts.parties import Content
from tandem.contracts.product import Money
from tandem.flows.region_trial import LATE, moment, release_sides
from tandem.governance.creators import CreatorConsent, withheld_content
from tandem.governance.reading import EventReader
from tandem.governance.release import K
from tandem.storage.catalog import offers_of
from tandem.storage.collaborations import CollaborationStore
from tandem.storage.layout import Layout
from tandem.storage.parties import read_content

if TYPE_CHECKING:
    import pyarrow as pa

AUDIENCE_DAYS = 90
"""Before a campaign: who watched a creator then is of the creator's audience."""
FEWEST_ORDERS = 10
"""Of both sides together: with hardly any, creators look more alike than they are."""
_COLUMNS = (
    "event_key",
    "action_name",
    "timestamp",
    "client",
    "object_id",
    "creator_id",
    "query_id",
    "traffic",
)
# Everybody with the creator they watched most before the campaign, known by the last of what they
# watched; and what they ordered on it. A player tells of one viewing at every pause.
_AUDIENCES = """
WITH watched AS (
    SELECT client, creator_id, max_by(event_key, (timestamp, event_key)) AS event_key,
        count(DISTINCT (object_id, coalesce(query_id, event_key))) AS times
    FROM events
    WHERE action_name = 'watch' AND traffic = 'shopper' AND timestamp < $starts
        AND creator_id IN (SELECT id FROM creators)
    GROUP BY client, creator_id
), audience AS (
    SELECT client, creator_id, event_key FROM watched
    QUALIFY row_number() OVER (PARTITION BY client ORDER BY times DESC, creator_id) = 1
)
SELECT creator_id, client, event_key, 'watch' AS action_name FROM audience
UNION ALL
SELECT audience.creator_id, client, events.event_key, 'purchase'
FROM audience JOIN events USING (client)
WHERE action_name = 'purchase' AND traffic = 'shopper' AND timestamp >= $starts
    AND object_id IN (SELECT id FROM products)
"""


def live_pieces(campaign: Campaign, content: Sequence[Content]) -> list[Content]:
    """What planned creators published about planned products on the days that count."""
    planned = {(p.creator_id, p.product_id) for p in campaign.pieces}
    return [
        piece
        for piece in content
        if campaign.asked.starts <= piece.published.astimezone(UTC).date() <= campaign.last_day
        and any((piece.creator_id, product) in planned for product in piece.product_ids)
    ]


def as_allowed(layout: Layout, live: Sequence[Content]) -> list[Content]:
    """Content as its creators allow. Totals are made of it too: less what is told of the others, an
    exact total would tell what one of them withholds."""
    consent = CreatorConsent.of(layout)
    return [c if consent.exact(c.creator_id) else withheld_content(c) for c in live]


@dataclass(frozen=True)
class MerchantBooks:
    """What the books say of a merchant. sent: collaborations and when their samples were sent."""

    deals: Sequence[Collaboration] = ()
    lines: Sequence[Attribution] = ()
    sent: Sequence[tuple[str, datetime]] = ()


def merchant_books(layout: Layout, merchant: str) -> MerchantBooks:
    if not layout.collaborations.exists():
        return MerchantBooks()
    store = CollaborationStore(layout.collaborations)
    try:
        with store.reading() as books:
            return MerchantBooks(
                books.collaborations(merchant=merchant),
                books.attributions(merchant=merchant),
                books.samples_sent(merchant),
            )
    finally:
        store.close()


def piece_results(
    campaign: Campaign, shown: Sequence[Content], books: MerchantBooks
) -> tuple[PieceResult, ...]:
    """Each planned piece: its content as its creator allows, and what the merchant's books say."""
    return tuple(_piece(campaign, p, shown, books.deals, books.lines) for p in campaign.pieces)


@dataclass(frozen=True)
class Totals:
    """clicks, orders: None where one is not told. Sales from `low` to `high`; None: or more."""

    clicks: int | None
    orders: int | None
    low: Decimal
    high: Decimal | None


def totals(shown: Sequence[Content], currency: str) -> Totals:
    """Of all content together; sales in another currency are in no total."""
    sales = [c.gmv for c in shown if c.gmv is not None and c.gmv.currency == currency]
    ends = [g.maximum_amount for g in sales]
    return Totals(
        _known([c.clicks for c in shown]) if shown else 0,
        _known([c.orders for c in shown]) if shown else 0,
        sum((g.minimum_amount for g in sales), Decimal(0)),
        None if None in ends else sum((e for e in ends if e is not None), Decimal(0)),
    )


def _piece(
    campaign: Campaign,
    planned: PlannedPiece,
    content: Sequence[Content],
    deals: Sequence[Collaboration],
    lines: Sequence[Attribution],
) -> PieceResult:
    creator, product = planned.creator_id, planned.product_id
    shown = [c for c in content if c.creator_id == creator and product in c.product_ids]
    currency = campaign.asked.budget.currency
    paid = [
        line
        for line in lines
        if (line.creator_id, line.product_id) == (creator, product)
        and line.commission.currency == currency
        and campaign.asked.starts <= line.ordered.astimezone(UTC).date() <= campaign.last_day
    ]
    deal = next((d for d in deals if d.creator_id == creator and product in d.product_ids), None)
    sales = [c.gmv for c in shown if c.gmv is not None and c.gmv.currency == currency]
    ends = [g.maximum_amount for g in sales]
    return PieceResult(
        creator_id=creator,
        product_id=product,
        collaboration=deal.status if deal else None,
        sample=deal.sample if deal else None,
        content_ids=tuple(c.id for c in shown),
        clicks=_known([c.clicks for c in shown]),
        orders=_known([c.orders for c in shown]),
        gmv_low=_money([g.minimum_amount for g in sales], currency),
        gmv_high=None if None in ends else _money([e for e in ends if e is not None], currency),
        commission=_money([line.commission.amount for line in paid], currency),
        settled=_money([line.settled.amount for line in paid], currency),
    )


def _known(counts: Sequence[int | None]) -> int | None:
    """Their sum; None where one is not known, or there are none."""
    known = [c for c in counts if c is not None]
    return sum(known) if known and len(known) == len(counts) else None


def _money(amounts: Sequence[Decimal], currency: str) -> Money | None:
    return Money(amount=sum(amounts, Decimal(0)), currency=currency) if amounts else None


def all_samples(layout: Layout, campaign: Campaign, books: MerchantBooks) -> Money | None:
    """What the samples that were sent for it are worth, whatever came of them: of planned pieces,
    since it was planned, up to its last day. None where the price of one is not known."""
    currency = campaign.asked.budget.currency
    planned = {(p.creator_id, p.product_id) for p in campaign.pieces}
    deals = {deal.id: deal for deal in books.deals}
    since = min(campaign.created.astimezone(UTC).date(), campaign.asked.starts)
    sent = [
        product
        for deal, at in books.sent
        if since <= at.astimezone(UTC).date() <= campaign.last_day
        for product in deals[deal].product_ids
        if (deals[deal].creator_id, product) in planned
    ]
    offers = offers_of(layout, sent) if sent else {}
    total = Decimal(0)
    for product in sent:
        _, price = offers.get(product, (None, None))
        if price is None or price.currency != currency:
            return None
        total += price.amount
    return Money(amount=total, currency=currency)


def all_commission(pieces: Sequence[PieceResult]) -> Money | None:
    """Of all pieces; None where the books know of none."""
    known = [p.commission for p in pieces if p.commission is not None]
    return _money([c.amount for c in known], known[0].currency) if known else None


# --- The trial ------------------------------------------------------------------------------------


def trial_result(layout: Layout, campaign: Campaign, *, actor: str, k: int = K) -> TrialResult:
    """What the campaign added, by the creators who were not asked. Of at least k people on either
    side; the caller keeps what was told, so that no second version can be subtracted."""
    sides = {p.creator_id: True for p in campaign.pieces}
    sides |= {p.creator_id: False for p in campaign.held_out}
    counted = TrialResult(
        asked_creators=sum(sides.values()),
        held_creators=len(sides) - sum(sides.values()),
        assumptions=ASSUMPTIONS,
    )
    if not campaign.by_lot:
        return counted.model_copy(update={"reason": LATE})
    starts = moment(campaign.asked.starts)
    with EventReader(layout, Purpose.ANALYTICS, actor=actor).reading() as allowed:
        events = allowed.table(
            _COLUMNS,
            since=starts - AUDIENCE_DAYS * 86_400_000_000,
            until=moment(campaign.last_day + timedelta(days=1)),
        ).table
    import pyarrow.compute as pc

    names = sorted(sides)
    acts = _audiences(events, names, campaign.asked.product_ids, starts)
    people, orders = (
        np.array([n.get(name, 0) for name in names], np.float64)
        for n in (_counts(acts, "watch"), _counts(acts, "purchase"))
    )
    asked = np.array([sides[name] for name in names], np.bool_)
    some = people > 0
    reached = int(people[asked].sum()), int(people[~asked].sum())
    if min(reached) < k:
        return counted.model_copy(
            update={"reason": f"too few people watched the creators of either side before: {k}"}
        )
    if min((some & asked).sum(), (some & ~asked).sum()) < FEWEST:
        return counted.model_copy(
            update={"reason": f"fewer than {FEWEST} creators on a side have an audience"}
        )
    if orders.sum() < FEWEST_ORDERS:
        return counted.model_copy(
            update={"reason": f"these people placed fewer than {FEWEST_ORDERS} orders in all"}
        )
    found = effect(people, orders, asked, counted.confidence)
    assert found is not None
    # Orders of the campaign's products are known in all: less both sides, they are the others'.
    others = _shoppers(events) - len(acts.filter(pc.field("action_name") == "watch"))
    if 0 < others < k:
        return counted.model_copy(
            update={"reason": f"fewer than {k} people watched none of these creators before"}
        )
    if not _may_be_told(layout, campaign, acts, sides, k):
        return counted.model_copy(
            update={
                "reason": "beside what trials with the same people have told before, it would tell "
                f"what fewer than {k} of them did"
            }
        )
    return counted.model_copy(
        update={
            "asked_people": reached[0],
            "held_people": reached[1],
            "asked_rate": round(1000 * found.asked, 2),
            "held_rate": round(1000 * found.held, 2),
            "added": round(found.added, 1),
            "low": round(found.low, 1),
            "high": round(found.high, 1),
            "doubts": _doubts(campaign, sides, read_content(layout)),
        }
    )


def _doubts(
    campaign: Campaign, sides: Mapping[str, bool], content: Sequence[Content]
) -> tuple[str, ...]:
    """Who did not keep to the lot, as far as content tells: comparing the sides as they were drawn
    stays fair, and makes the difference smaller."""
    products = set(campaign.asked.product_ids)
    shown = {
        piece.creator_id
        for piece in content
        if campaign.asked.starts <= piece.published.astimezone(UTC).date() <= campaign.last_day
        and products & set(piece.product_ids)
    }
    asked = {name for name, side in sides.items() if side}
    held = sides.keys() - asked
    found = []
    if astray := len(held & shown):
        found.append(f"{astray} of {len(held)} creators who were left out published all the same.")
    if silent := len(asked - shown):
        found.append(f"{silent} of {len(asked)} creators who were asked did not publish.")
    return tuple(found)


def _audiences(
    events: pa.Table, creators: Sequence[str], products: Sequence[str], starts: int
) -> pa.Table:
    """Each creator's audience, one `watch` a person, and the `purchase`s of these people."""
    import duckdb
    import pyarrow as pa

    connection = duckdb.connect()
    connection.execute("SET threads TO 1")
    connection.register("events", events)
    connection.register("creators", pa.table({"id": pa.array(creators, pa.string())}))
    connection.register("products", pa.table({"id": pa.array(sorted(products), pa.string())}))
    return connection.sql(_AUDIENCES, params={"starts": starts}).to_arrow_table()


def _shoppers(events: pa.Table) -> int:
    import pyarrow.compute as pc

    shoppers = events.filter(pc.equal(events["traffic"], "shopper"))["client"]
    return int(pc.count_distinct(shoppers).as_py())


def _counts(acts: pa.Table, action: str) -> Counter[str]:
    import pyarrow.compute as pc

    return Counter(acts.filter(pc.field("action_name") == action)["creator_id"].to_pylist())


def _may_be_told(
    layout: Layout, campaign: Campaign, acts: pa.Table, sides: Mapping[str, bool], k: int
) -> bool:
    """Whether both sides are released, held against what other trials told of the same people."""
    side = ["asked" if sides[c] else "held" for c in acts["creator_id"].to_pylist()]
    told = release_sides(layout, campaign, acts, "side", side, k)
    return len(told.figures) == 2
