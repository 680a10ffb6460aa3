"""Campaigns: plans that hold, ranges that hold their own sums, results, one page, erasure."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest

from tandem.contracts.campaign import NewCampaign
from tandem.contracts.errors import Forbidden, InvalidInput, NotFound
from tandem.flows import rights
from tandem.flows.alliance import simulate_alliance
from tandem.flows.campaigns import CampaignDesk
from tandem.flows.consent import subjects_of
from tandem.flows.import_ import create_workspace, import_simulated
from tandem.flows.matching import MatchOffice
from tandem.flows.train_matcher import train_matcher
from tandem.storage.catalog import read_products
from tandem.storage.parties import read_content


@pytest.fixture(scope="module", autouse=True)
def _few_trees():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tandem.matching.expectation._ROUNDS", 20)
        yield


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    layout = create_workspace(
        tmp_path_factory.mktemp("campaigns") / "shop", encoder=None, simulated=True
    )
    import_simulated(layout, 200)
    simulate_alliance(layout, 60, 900, 0)
    train_matcher(layout)
    return CampaignDesk(layout, MatchOffice(layout)), layout


@pytest.fixture(scope="module")
def asked(desk) -> NewCampaign:
    _, layout = desk
    piece = read_content(layout)[0]
    products = [p for batch in read_products(layout) for p in batch]
    shown = next(p for p in products if p.id == piece.product_ids[0])
    own = [p.id for p in products if p.merchant == shown.merchant]
    return NewCampaign(
        merchant_id=shown.merchant,
        name="Spring",
        budget={"amount": "900", "currency": "EUR"},
        starts=date(2025, 12, 1),
        ends=date(2026, 3, 31),
        product_ids=tuple(own[:10]),
        creators_per_product=3,
    )


def test_a_plan_keeps_its_limits_and_says_what_to_expect(desk, asked):
    office, _ = desk
    plan = office.plan(asked)
    assert 0 < plan.cost.amount <= asked.budget.amount
    assert plan.cost.amount == sum((p.cost.amount for p in plan.pieces), Decimal(0))
    pairs = [(p.creator_id, p.product_id) for p in plan.pieces]
    assert len(set(pairs)) == len(pairs)
    for product in asked.product_ids:
        assert sum(p == product for _, p in pairs) <= 3
    assert all(sum(c == creator for c, _ in pairs) <= 2 for creator, _ in pairs)
    explored = sum((p.cost.amount for p in plan.pieces if p.exploring), Decimal(0))
    assert explored <= asked.budget.amount * Decimal("0.1")
    expected = sum(p.one_piece.gmv.expected for p in plan.pieces if p.one_piece.gmv)
    assert plan.outlook.gmv.expected == pytest.approx(expected, abs=0.1)
    assert plan.outlook.gmv.low <= plan.outlook.gmv.expected <= plan.outlook.gmv.high
    assert plan.simulated
    assert office.campaigns(asked.merchant_id)[0] == plan
    assert office.campaigns("nobody") == []


def test_results_are_of_planned_pairs_on_the_campaigns_days(desk, asked):
    office, layout = desk
    plan = office.plan(asked)
    planned = {(p.creator_id, p.product_id) for p in plan.pieces}
    live = [
        c for c in read_content(layout) if any((c.creator_id, p) in planned for p in c.product_ids)
    ]
    view = office.follow(plan.id, today=date(2026, 4, 10))
    assert (view.results.live, view.results.status) == (len(live), "ended")
    assert view.results.orders == sum(c.orders for c in live)
    assert view.results.progress == 1
    early = asked.model_copy(update={"starts": date(2020, 1, 1), "ends": date(2020, 1, 9)})
    nothing = office.follow(office.plan(early).id, today=date(2020, 1, 3)).results
    assert (nothing.live, nothing.orders, nothing.status) == (0, 0, "running")
    assert nothing.progress == pytest.approx(3 / 9)
    before = office.follow(plan.id, today=asked.starts - timedelta(days=1)).results
    assert (before.status, before.progress) == ("planned", 0)


def test_one_page_says_that_it_is_simulated(desk, asked):
    office, _ = desk
    page = office.report(office.plan(asked).id, today=date(2026, 4, 10))
    assert "Campaign: Spring" in page
    assert "Simulated data" in page
    assert "It is over" in page


def test_what_cannot_be_planned_is_an_error(desk, asked):
    office, _ = desk
    for changes, error in (
        ({"merchant_id": "nobody"}, Forbidden),
        ({"product_ids": ("nowhere",)}, NotFound),
        ({"budget": {"amount": "900", "currency": "USD"}}, InvalidInput),
        ({"budget": {"amount": "0.01", "currency": "EUR"}}, InvalidInput),
    ):
        body = NewCampaign.model_validate({**asked.model_dump(), **changes})
        with pytest.raises(error) as caught:
            office.plan(body)
        assert caught.value.remedy
    with pytest.raises(NotFound):
        office.follow("../tandem")


def test_a_creator_who_is_erased_is_in_no_plan(desk, asked):
    office, layout = desk
    plan = office.plan(asked)
    name = plan.pieces[0].creator_id
    request = rights.erase(layout, subjects_of(layout, name, "creator"))
    assert request.state == "finished"
    assert request.counts["campaign_pieces"] >= 1
    for campaign in office.campaigns():
        assert all(p.creator_id != name for p in campaign.pieces)
