"""A merchant's week under the release rules, on simulated shoppers."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from typer.testing import CliRunner

import tandem
from event_tables import pseudonym, stored_rows
from tandem.cli.main import app
from tandem.contracts.consent import Purpose
from tandem.contracts.errors import InvalidInput
from tandem.flows.insights import simulate_shop
from tandem.flows.merchant_week import merchant_week
from tandem.governance.reading import EventReader
from tandem.storage.catalog import read_products
from tandem.storage.events import EventStore

MONDAY, DAY = 1_772_409_600_000_000, 86_400_000_000  # 2026-03-02, in microseconds


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory):
    root = tmp_path_factory.mktemp("week") / "shop"
    simulate_shop(root, 3_000, products=600, days=21)
    with tandem.open(root) as shop:
        yield shop


@pytest.fixture(scope="module")
def merchant(shop):
    sold = Counter(p.merchant for batch in read_products(shop.layout) for p in batch)
    return sold.most_common(1)[0][0]


def test_the_week_is_counted_told_once_and_beside_the_week_before(shop, merchant):
    found = merchant_week(shop.layout, shop.view, merchant, "2026-W11", actor="tester", k=5)
    assert (str(found.since), str(found.until)) == ("2026-03-09", "2026-03-16")
    mine = {p.id for b in read_products(shop.layout) for p in b if p.merchant == merchant}
    with EventReader(shop.layout, Purpose.ANALYTICS, actor="tester").reading() as allowed:
        since = MONDAY + 7 * DAY
        rows = allowed.table(
            ("action_name", "client", "object_id", "traffic"), since=since, until=since + 7 * DAY
        ).table.to_pylist()
    acts = ("impression", "click", "add_to_cart", "purchase", "return")
    ours = [
        r
        for r in rows
        if r["object_id"] in mine and r["traffic"] == "shopper" and r["action_name"] in acts
    ]
    assert found.now.people == len({r["client"] for r in ours})
    assert found.now.clicks == sum(r["action_name"] == "click" for r in ours)
    assert found.now.shown is None, "no impressions are simulated: that is not zero"
    assert found.now.carts == sum(r["action_name"] == "add_to_cart" for r in ours) > 0
    assert found.before.people != found.now.people
    assert found.queries
    assert all(q.people >= 5 for q in found.queries)
    again = merchant_week(shop.layout, shop.view, merchant, "2026-W11", actor="tester", k=5)
    assert again == found


def test_what_one_person_paid_is_not_told(shop, merchant):
    product = next(p.id for b in read_products(shop.layout) for p in b if p.merchant == merchant)
    seen = [
        {"action_name": "click", "client": pseudonym(f"looks-{n}"), "object_id": product}
        for n in range(60)
    ]
    paid = {"action_name": "purchase", "order": "o1", "amount": "40.00", "currency": "EUR"}
    rows = [
        {**row, "event_key": f"{n + (1 << 100):032x}", "timestamp": MONDAY - 14 * DAY + n}
        for n, row in enumerate([*seen, {**seen[0], **paid}])
    ]
    store = EventStore(shop.layout)
    store.append(
        [
            {**empty, **row, "received": row["timestamp"]}
            for empty, row in zip(stored_rows(rows), rows, strict=True)
        ]
    )
    store.close()
    found = merchant_week(shop.layout, shop.view, merchant, "2026-W08", actor="tester")
    assert (found.now.people, found.now.clicks, found.now.orders) == (60, 60, 1)
    assert found.now.sales is None, "it is one buyer's own spending"
    assert [week.sales for _, week in found.products] == [None]
    assert found.withheld["dominated"] == 2


def test_too_few_people_are_not_told(shop, merchant):
    other = next(
        p.merchant for b in read_products(shop.layout) for p in b if p.merchant != merchant
    )
    found = merchant_week(shop.layout, shop.view, other, "2026-W10", actor="tester", k=5_000)
    assert found.now.people is None
    assert found.now.sales is None
    assert sum(found.withheld.values()) > 0


@pytest.mark.parametrize("period", ["2026-W99", "last week", "2999-W01", "0001-W01"])
def test_what_is_no_week_that_is_over_is_refused(shop, merchant, period):
    with pytest.raises(InvalidInput, match=r"week|over"):
        merchant_week(shop.layout, shop.view, merchant, period, actor="tester")


def test_the_command_tells_the_last_week_that_is_over(shop, merchant):
    asked = ["report", "weekly", "--for", "merchant", "--tenant", merchant, "--json"]
    done = CliRunner().invoke(app, [*asked, "-w", str(shop.layout.root)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    made = json.loads(done.stdout)
    assert made["simulated"] is True
    assert made["report"]["kind"] == "weekly"
    assert made["week"]["period"] == "2026-W11", "events end on Saturday 2026-03-21"
