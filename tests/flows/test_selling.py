"""A merchant's month: figures are those of the log, parts sum to the whole, releases stay."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal

import pytest

import tandem
from tandem.collaboration.desk import Desk
from tandem.contracts.collaboration import (
    Accept,
    AttributedOrder,
    Disclosure,
    Invite,
    Party,
    Publish,
    Refund,
)
from tandem.contracts.errors import InvalidInput, NotFound
from tandem.contracts.product import Money, Product
from tandem.contracts.seller import Target
from tandem.flows.insights import simulate_shop
from tandem.flows.sales_outlook import outlook
from tandem.flows.seller_desk import SellerDesk
from tandem.flows.selling import assortment, indicators, movement, set_target
from tandem.governance.audit import AuditLog
from tandem.storage.collaborations import CollaborationStore
from tandem.storage.events import EventStore

K = 20
WHO = "os:test"
OF_ONE = "Babra Store"  # most of whose days are mostly of one buyer


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    root = tmp_path_factory.mktemp("selling") / "shop"
    simulate_shop(root, 6_000, seed=3, products=600, days=61)
    with tandem.open(root) as shop:
        yield shop


@pytest.fixture(scope="module")
def rows(shop):
    store = EventStore(shop.layout)
    with store.reading() as snapshot:
        found = snapshot.table().to_pylist()
    store.close()
    return found


@pytest.fixture(scope="module")
def merchants(shop, rows) -> list[str]:
    """By order lines, most first."""
    bought = Counter(r["object_id"] for r in rows if r["action_name"] == "purchase")
    sold: Counter[str] = Counter()
    for product_id, times in bought.items():
        sold[shop.product(product_id).merchant] += times
    return [name for name, _ in sold.most_common()]


@pytest.fixture(scope="module")
def merchant(merchants) -> str:
    return merchants[0]


def month_of(row) -> str:
    return datetime.fromtimestamp(row["timestamp"] / 1e6, UTC).strftime("%Y-%m")


def asked(shop, merchant, period="2026-04"):
    return indicators(shop.layout, shop.view, merchant, period, actor=WHO, k=K)


def test_indicators_are_those_of_the_log(shop, rows, merchant):
    found = {i.name: i for i in asked(shop, merchant).indicators}
    for period, pick in (("2026-04", "value"), ("2026-03", "before")):
        everybody = [r for r in rows if month_of(r) == period and r["traffic"] == "shopper"]
        own = [
            r
            for r in everybody
            if r["object_id"] and shop.product(r["object_id"]).merchant == merchant
        ]
        acts = Counter(r["action_name"] for r in own)
        bought = [r for r in own if r["action_name"] == "purchase"]
        values = {name: getattr(i, pick) for name, i in found.items()}
        assert values["gmv"] == pytest.approx(float(sum(Decimal(r["amount"]) for r in bought)))
        assert values["orders"] == len({r["order"] for r in bought})
        assert values["views"] == acts["click"]
        assert values["conversion"] == pytest.approx(acts["purchase"] / acts["click"])
        clicks = [r for r in everybody if r["action_name"] == "click" and r["query_id"]]
        mine = [r for r in own if r["action_name"] == "click" and r["query_id"]]
        assert values["search_share"] == pytest.approx(len(mine) / len(clicks))
        assert values["return_rate"] is None  # nobody's returns are recorded here
    assert found["creator_gmv"].value is None  # no collaborations are kept here
    days = found["gmv"].days
    assert [d.day for d in days[:2]] == ["2026-04-01", "2026-04-02"]
    assert len(days) == 30


def test_a_day_of_too_few_people_is_unknown_and_not_zero(shop, merchant):
    found = indicators(shop.layout, shop.view, merchant, "2026-04", actor=WHO, k=K)
    told = [d.value for i in found.indicators for d in i.days]
    assert None in told
    assert any(value for value in told if value is not None)
    assert sum(found.withheld.values()) > 0


def test_movement_sums_to_the_change_by_product_and_by_channel(shop, merchant):
    moved = movement(shop.layout, shop.view, merchant, "2026-04", actor=WHO, k=K)
    values = {i.name: i for i in asked(shop, merchant).indicators}
    assert float(moved.gmv) == pytest.approx(values["gmv"].value)
    assert moved.change == moved.gmv - moved.gmv_before
    for rows in (moved.by_product, moved.by_channel):
        assert rows
        assert sum(r.amount for r in rows) == moved.change
        for row in rows:
            parts = row.traffic + row.conversion + row.basket + row.untracked
            assert parts == row.amount
    assert {r.part for r in moved.by_channel} <= {"search", "content", "other", "rest"}


def test_a_month_is_released_once(shop, merchant):
    first = asked(shop, merchant)
    reads = sum(e.action == "events.read" for e in AuditLog(shop.layout).entries())
    assert asked(shop, merchant) == first
    # What is released is read again without opening the events.
    assert sum(e.action == "events.read" for e in AuditLog(shop.layout).entries()) == reads


def test_targets_stand_beside_their_month(shop, merchant):
    for value in (900.0, 1_200.0):
        target = Target(merchant=merchant, period="2026-04", indicator="gmv", value=value)
        set_target(shop.layout, shop.view, target)
    found = {i.name: i.target for i in asked(shop, merchant).indicators}
    assert found["gmv"] == 1_200
    assert found["orders"] is None
    assert {i.target for i in asked(shop, merchant, "2026-03").indicators} == {None}
    share = Target(merchant=merchant, period="2026-04", indicator="conversion", value=5)
    with pytest.raises(InvalidInput, match="whole"):
        set_target(shop.layout, shop.view, share)
    stranger = Target(merchant="Nobody & Sons", period="2026-04", indicator="gmv", value=1)
    with pytest.raises(NotFound):
        set_target(shop.layout, shop.view, stranger)


def test_a_month_to_come_has_targets_and_the_month_before(shop, merchant):
    now = datetime.now(UTC)
    month = f"{now:%Y-%m}"
    set_target(
        shop.layout, shop.view, Target(merchant=merchant, period=month, indicator="gmv", value=5)
    )
    found = asked(shop, merchant, month)
    assert not found.over
    assert {i.value for i in found.indicators} == {None}
    assert found.indicators[0].target == 5
    set_target(
        shop.layout, shop.view, Target(merchant=merchant, period=month, indicator="gmv", value=None)
    )
    assert {i.target for i in asked(shop, merchant, month).indicators} == {None}
    with pytest.raises(NotFound):
        asked(shop, "Nobody & Sons", month)


def test_the_outlook_begins_where_the_released_days_end(shop, merchant):
    # Most of whose days may not be told: by week, each counted as seven days.
    weeks = outlook(shop.layout, shop.view, OF_ONE, days=10, actor=WHO, k=2)
    assert (weeks.step, len(weeks.days)) == ("week", 2)
    assert [d.day for d in weeks.days] == ["2026-05-01", "2026-05-08"]
    assert [d.day for d in weeks.past][-1] == "2026-04-22"
    assert weeks.total_low < weeks.total < weeks.total_high
    other = next(n for n in shop.view.store.names.merchant if n not in (OF_ONE, merchant))
    with pytest.raises(NotFound, match="too little is known"):
        outlook(shop.layout, shop.view, other, days=7, actor=WHO, k=5_000)
    found = outlook(shop.layout, shop.view, merchant, days=7, actor=WHO, k=2)
    assert 0 < found.shared_out <= 30
    assert (found.step, len(found.past)) == ("day", 42)
    assert sum(d.value is None for d in found.past) <= found.shared_out
    assert found.since == "2026-03-01"
    assert found.days[0].day == "2026-05-01"
    assert len(found.days) == 7
    assert found.total_low < found.total < found.total_high
    with pytest.raises(InvalidInput):
        outlook(shop.layout, shop.view, merchant, days=0, actor=WHO)


def test_an_assortment_beside_others(shop, merchant):
    found = assortment(shop.layout, shop.view, merchant)
    own = [p for p in everything(shop) if p.merchant == merchant]
    assert found.count == len(own)
    assert not found.shop_has_images
    # Measured by others, not by one's own habits.
    assert any(s.quality.peers_are.endswith(", by others") for s in found.products)
    shelf = next(s for s in found.products if s.comparable)
    product = shop.product(shelf.product_id)
    others = [
        float(p.price.amount)
        for p in everything(shop)
        if p.category == product.category and p.merchant != merchant and p.price
    ]
    assert shelf.comparable.products == len(others)
    cheaper = sum(o < float(product.price.amount) for o in others) / len(others)
    assert shelf.comparable.position == pytest.approx(cheaper)


def test_a_price_is_in_the_products_own_currency(shop, merchant):
    own = next(p for p in everything(shop) if p.merchant == merchant)
    for money in (Money(amount="900", currency="JPY"), None):
        odd = Product(id="odd", title="Odd", merchant="Odd & Sons", category=own.category)
        shop.upsert([odd.model_copy(update={"price": money})])
        (shelf,) = assortment(shop.layout, shop.view, "Odd & Sons").products
        assert (shelf.price, shelf.currency) == ((900.0, "JPY") if money else (None, None))
        assert shelf.comparable is None  # others' are in the shop's currency
    shop.delete(["odd"])


def everything(shop):
    from tandem.storage.catalog import read_products

    return [p for batch in read_products(shop.layout) for p in batch]


def test_creators_sales_come_from_the_ledger(shop, merchant):
    own = next(p for p in everything(shop) if p.merchant == merchant)
    store = CollaborationStore(shop.layout.collaborations)
    moment = datetime(2026, 4, 2, tzinfo=UTC)
    desk = Desk(store, clock=lambda: moment)
    seller, creator = Party(role="merchant", id=merchant), Party(role="creator", id="mia")
    platform = Party(role="platform", id="operator")
    deal = desk.open(
        seller, Invite(creator_id="mia", product_ids=(own.id,), commission_rate=1000), "1"
    )
    desk.act(creator, deal.id, Accept())
    desk.act(creator, deal.id, Publish(content_id="v1", disclosure=Disclosure(by="platform_label")))
    lines = [
        AttributedOrder(
            order_line=f"{n:032x}",
            product_id=own.id,
            ordered=moment,
            amount=Money(amount=Decimal("40.00"), currency="EUR"),
            share=share,
        )
        for n, share in enumerate((10_000, 5_000))
    ]
    desk.attribute(platform, deal.id, lines)
    back = Money(amount=Decimal("10.00"), currency="EUR")
    desk.refund(platform, Refund(refund_id="r1", order_line=f"{0:032x}", amount=back))
    store.close()
    found = {i.name: i for i in asked(shop, merchant).indicators}
    assert found["creator_gmv"].value == pytest.approx(30 + 20)
    assert found["creator_gmv"].before == 0


def test_the_desk_takes_the_last_recorded_month(shop, merchant):
    desk = SellerDesk(shop)
    assert desk.indicators(merchant, None, actor=WHO).period == "2026-04"
    with pytest.raises(NotFound, match="recorded"):
        desk.indicators(merchant, "2020-01", actor=WHO)
