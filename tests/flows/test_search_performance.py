"""Search query performance: counts that are right, of enough people, and the same ever after."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest

import tandem
from tandem.contracts.errors import InvalidInput, NotFound
from tandem.contracts.product import Product
from tandem.contracts.search_performance import Funnel
from tandem.flows.insights import simulate_shop
from tandem.flows.search_performance import (
    _chance,
    _funnel,
    answered,
    last_month,
    month_before,
    month_bounds,
    opportunities,
    search_performance,
    sold_by,
)
from tandem.flows.view import Answered
from tandem.storage.events import EventStore

MONTH = "2026-03"
K = 10


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A simulated shop with few visits, so that a report is of 10 people or more here."""
    root = tmp_path_factory.mktemp("performance") / "shop"
    simulate_shop(root, 2_000, seed=1)
    with tandem.open(root) as shop:
        yield shop


@pytest.fixture(scope="module")
def merchant(shop) -> str:
    names, column = shop.view.store.names.merchant, shop.view.store.all_columns.merchant
    return names[Counter(c for c in column.tolist() if c >= 0).most_common(1)[0][0]]


@pytest.fixture(scope="module")
def report(shop, merchant):
    return search_performance(shop.layout, shop.view, merchant, MONTH, actor="os:test", k=K)


def test_volumes_are_those_of_the_log(shop, report):
    store = EventStore(shop.layout)
    with store.reading() as snapshot:
        rows = snapshot.table(["action_name", "user_query", "client", "traffic"]).to_pylist()
    store.close()
    asked = [r for r in rows if r["action_name"] == "search" and r["traffic"] == "shopper"]
    volume = Counter(r["user_query"].lower() for r in asked)
    people: dict[str, set[str]] = {}
    for row in asked:
        people.setdefault(row["user_query"].lower(), set()).add(row["client"])
    assert report.simulated
    assert len(report.queries) > 3
    for query in report.queries:
        assert query.search_query_volume == volume[query.query]
        assert query.people is not None
        assert query.people >= K
        assert len(people[query.query]) >= K
    assert sum(report.withheld.values()) > 0


def test_own_figures_are_a_part_of_the_market(report):
    own = [q for q in report.queries if q.own is not None]
    assert own
    for query in own:
        assert (query.own.impressions, query.market.impressions) == (None, None)  # not simulated
        for name in ("clicks", "carts", "purchases"):
            assert 0 <= getattr(query.own, name) <= getattr(query.market, name)
        assert query.click_share is None or 0 <= query.click_share <= 1


def test_what_was_recorded_for_nobody_is_not_zero():
    assert _funnel({"click": 3.0}, {"click", "purchase"}) == Funnel(
        impressions=None, clicks=3, carts=None, purchases=0
    )


def test_places_are_those_of_the_real_search(shop, merchant, report):
    for query in report.queries[:5]:
        hits = shop.search(query.query, k=200).hits
        mine = [h for h in hits if h.product.merchant == merchant]
        if mine:
            assert query.place == mine[0].position
            assert query.product_id == mine[0].product.id
    for query in opportunities(report):
        assert query.place > 3
        words = shop.product(query.product_id).model_dump_json().lower()
        assert any(word in words for word in query.query.split())


def test_another_thing_is_no_opportunity(shop, merchant):
    best = next(p for p in shop.search("lamp", k=1).hits).product
    view = shop.view
    answer = answered(view, "zzzz qqqq")
    here = Answered(answer.numbers, 5, frozenset(), answered(view, best.title).terms)
    assert _chance(view, here, 9, best) == "opportunity"
    strange = Answered(answer.numbers, 5, frozenset(), answer.terms)
    assert _chance(view, strange, 9, best) is None


def test_a_product_without_a_merchant_is_its_brands(shop):
    product = shop.search("lamp", k=1).hits[0].product
    own = Product(id="orphan", title="Odd thing", brand="Orphan & Sons")
    assert product.merchant
    with pytest.raises(NotFound):
        sold_by(shop.view, "Orphan & Sons")
    shop.upsert([own])
    assert list(sold_by(shop.view, "Orphan & Sons")) == ["orphan"]
    shop.delete(["orphan"])


def test_what_was_deleted_or_passed_to_another_merchant_is_no_longer_theirs(shop):
    lamp = Product(id="passed", title="Odd lamp", merchant="Former Ltd")
    shop.upsert([lamp, Product(id="gone", title="Odd chair", merchant="Former Ltd")])
    assert set(sold_by(shop.view, "Former Ltd")) == {"passed", "gone"}
    shop.delete(["gone"])
    assert set(sold_by(shop.view, "Former Ltd")) == {"passed"}
    shop.upsert([lamp.model_copy(update={"merchant": "Latter Ltd"})])
    assert set(sold_by(shop.view, "Latter Ltd")) == {"passed"}
    with pytest.raises(NotFound):
        sold_by(shop.view, "Former Ltd")
    shop.delete(["passed"])


def test_a_report_is_frozen(shop, merchant, report):
    again = search_performance(shop.layout, shop.view, merchant, MONTH, actor="os:test", k=K)
    assert again == report


def test_what_cannot_be_reported_is_refused(shop, merchant):
    now = datetime.now(UTC)
    for period in ("2026-13", "March", f"{now.year}-{now.month:02d}"):
        with pytest.raises(InvalidInput):
            search_performance(shop.layout, shop.view, merchant, period, actor="os:test")
    with pytest.raises(NotFound, match="merchant"):
        search_performance(shop.layout, shop.view, "Nobody & Sons", MONTH, actor="os:test")
    with pytest.raises(NotFound, match="recorded"):
        search_performance(shop.layout, shop.view, merchant, "2020-01", actor="os:test")


def test_the_last_month_that_is_over():
    assert last_month(datetime(2026, 1, 31, tzinfo=UTC)) == "2025-12"
    assert last_month(datetime(2026, 12, 1, tzinfo=UTC)) == "2026-11"


@pytest.mark.parametrize("period", ["0000-01", "2026-13", "26-03", "9999-12", "2999-01"])
def test_what_is_no_month_or_not_over_is_refused(period):
    with pytest.raises(InvalidInput) as refused:
        month_bounds(period)
    assert refused.value.field == "period"


def test_months_are_written_alike_from_the_first_on():
    assert [month_before(p) for p in ("2026-03", "1000-01", "0900-05")] == [
        "2026-02",
        "0999-12",
        "0900-04",
    ]
