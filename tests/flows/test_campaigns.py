"""Campaigns: plans that hold, ranges that hold their own sums, results, one page, erasure."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from event_tables import pseudonym, stored_rows
from tandem.collaboration.desk import Desk
from tandem.contracts.campaign import NewCampaign
from tandem.contracts.collaboration import (
    Accept,
    ApproveSample,
    AttributedOrder,
    Cancel,
    Disclosure,
    Invite,
    Party,
    Publish,
    ReceiveSample,
    ShipSample,
    Terms,
)
from tandem.contracts.errors import Conflict, Forbidden, InvalidInput, NotFound
from tandem.contracts.matching import CreatorMatch, Estimate, Expectation
from tandem.contracts.parties import Creator, MoneyRange
from tandem.contracts.product import Money
from tandem.flows import rights
from tandem.flows.alliance import simulate_alliance
from tandem.flows.campaign_results import _audiences
from tandem.flows.campaigns import CampaignDesk, _check_apart, _cost, _units
from tandem.flows.collaborate import collaboration_desk
from tandem.flows.consent import subjects_of
from tandem.flows.import_ import create_workspace, import_simulated
from tandem.flows.matching import MatchOffice
from tandem.flows.region_trial import drawn_regions
from tandem.flows.train_matcher import train_matcher
from tandem.governance.audit import AuditLog
from tandem.governance.creators import CreatorConsent
from tandem.governance.release import K
from tandem.reports.campaign import campaign_report
from tandem.storage.campaigns import CampaignStore
from tandem.storage.catalog import read_products
from tandem.storage.collaborations import CollaborationStore
from tandem.storage.events import EventStore
from tandem.storage.parties import read_content

TOLD = date(2026, 4, 10)
LARGE = Money(amount="9000", currency="EUR")


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
    assert plan in office.campaigns(asked.merchant_id)
    assert office.campaigns("nobody") == []


def test_results_are_of_planned_pairs_on_the_campaigns_days(desk, asked, monkeypatch):
    office, layout = desk
    plan = office.plan(asked)
    pair = plan.pieces[0]
    strange = next(p for p in asked.product_ids if p != pair.product_id)
    inside = datetime(asked.ends.year, asked.ends.month, asked.ends.day, 23, tzinfo=UTC)
    sold = next(c for c in read_content(layout) if c.orders and c.clicks)

    def shown(creator: str, product: str, when: datetime):
        changes = {"creator_id": creator, "product_ids": (product,), "published": when}
        return sold.model_copy(update=changes)

    counts = [
        shown(pair.creator_id, pair.product_id, inside),
        shown(pair.creator_id, pair.product_id, inside - timedelta(days=9)),
    ]
    others = [
        shown(pair.creator_id, pair.product_id, inside + timedelta(hours=1)),
        shown("somebody else", pair.product_id, inside),
    ]
    if (pair.creator_id, strange) not in {(p.creator_id, p.product_id) for p in plan.pieces}:
        others.append(shown(pair.creator_id, strange, inside))
    monkeypatch.setattr("tandem.flows.campaigns.read_content", lambda _: counts + others)
    monkeypatch.setattr(CreatorConsent, "exact", lambda *_: True)
    view = office.follow(plan.id, today=date(2026, 4, 10))
    assert (view.results.live, view.results.creators, view.results.status) == (2, 1, "ended")
    assert view.results.orders == 2 * sold.orders
    assert view.results.clicks == 2 * sold.clicks
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


@pytest.fixture(scope="module")
def tried(desk, asked) -> NewCampaign:
    """A campaign of the merchant with most products, with a trial."""
    _, layout = desk
    products = [p for batch in read_products(layout) for p in batch if p.price and p.merchant]
    most = Counter(p.merchant for p in products).most_common(1)[0][0]
    changes = {
        "merchant_id": most,
        "product_ids": tuple(p.id for p in products if p.merchant == most)[:10],
        "holdout": 0.4,
        "creators_per_product": 5,
        "budget": LARGE,
    }
    return asked.model_copy(update=changes)


def test_a_trial_leaves_creators_out_by_lot_and_costs_nothing_for_them(desk, tried):
    office, _ = desk
    plan = office.plan(tried)
    went = {p.creator_id for p in plan.pieces}
    stayed = {p.creator_id for p in plan.held_out}
    assert not went & stayed
    assert len(stayed) == round(0.4 * len(went | stayed))
    assert plan.cost.amount == sum((p.cost.amount for p in plan.pieces), Decimal(0))
    gmv = [p.one_piece.gmv.expected for p in plan.held_out if p.one_piece.gmv]
    assert plan.trial_cost == pytest.approx(sum(gmv), abs=0.1)
    with pytest.raises(InvalidInput, match="a trial takes"):
        office.plan(tried.model_copy(update={"product_ids": tried.product_ids[:1]}))


def test_a_trial_is_told_once_and_of_many_people_only(desk, tried):
    office, layout = desk
    late = office.plan(tried)
    assert "after its first day" in office.follow(late.id, today=TOLD).campaign.trial.reason

    none, plan = (in_time(desk, tried) for _ in range(2))
    running = office.follow(plan.id, today=date(2026, 1, 10)).campaign
    assert running.trial is None
    assert "too few people" in office.follow(none.id, today=TOLD).campaign.trial.reason
    went = sorted({p.creator_id for p in plan.pieces})
    stayed = sorted({p.creator_id for p in plan.held_out})
    bought = watched_and_bought(layout, tried, went, stayed, 40)
    trial = office.follow(plan.id, today=TOLD).campaign.trial
    assert (trial.asked_people, trial.held_people) == (40 * len(went), 40 * len(stayed))
    assert trial.asked_rate == pytest.approx(1000 * bought[True] / trial.asked_people, abs=0.01)
    assert trial.low > 0
    assert trial.low < trial.added < trial.high
    # In simulated content some published who were not asked, and some who were did not.
    days = (tried.starts, tried.ends)
    shown = {
        c.creator_id
        for c in read_content(layout)
        if days[0] <= c.published.date() <= days[1] and set(c.product_ids) & set(tried.product_ids)
    }
    said = " ".join(trial.doubts)
    silent, astray = set(went) - shown, set(stayed) & shown
    assert (f"{len(silent)} of {len(went)} creators who were asked did" in said) is bool(silent)
    assert (f"{len(astray)} of {len(stayed)} creators who were left" in said) is bool(astray)
    assert trial.doubts
    kept = next(c for c in office.campaigns(tried.merchant_id) if c.id == plan.id)
    assert kept.trial == trial


def in_time(desk, asked: NewCampaign):
    """A plan made before its first day. The merchant's others are called off before they begin."""
    office, layout = desk
    store = CampaignStore(layout)
    for other in office.campaigns(asked.merchant_id):
        store.put(other.model_copy(update={"cancelled": date(2025, 11, 1)}))
    made = office.plan(asked).model_copy(update={"created": datetime(2025, 12, 1, tzinfo=UTC)})
    store.put(made)
    for other in office.campaigns(asked.merchant_id):
        store.put(other.model_copy(update={"cancelled": None}))
    return made


def watched_and_bought(layout, asked, went, stayed, people, when=None) -> dict[bool, int]:
    """So many people watched each creator before; how many of either side bought. Three of them buy
    anyway, and five more where somebody was asked; one fewer of every other creator."""
    rows = []
    when = when or datetime(2025, 11, 20, tzinfo=UTC)
    moment = int(when.timestamp() * 1e6)
    bought = {True: 0, False: 0}
    for side, names in ((True, went), (False, stayed)):
        for n, creator in enumerate(names):
            for person in range(people):
                base = {"client": pseudonym(f"{creator}/{person}"), "query_id": "simulated-t-1"}
                watch = {"action_name": "watch", "creator_id": creator, "object_id": "v1"}
                rows.append({**base, **watch, "timestamp": moment})
                if person < (8 if side else 3) - (n % 2):
                    bought[side] += 1
                    at = moment + 40 * 86_400_000_000
                    sale = {"action_name": "purchase", "object_id": asked.product_ids[0]}
                    rows.append({**base, **sale, "timestamp": at})
    store = EventStore(layout)
    keyed = [
        {**r, "event_key": f"{moment:016x}{n:016x}", "received": r["timestamp"]}
        for n, r in enumerate(rows)
    ]
    store.append(stored(keyed))
    store.close()
    return bought


def test_two_trials_at_once_share_no_creator_and_no_plan_asks_who_is_left_out(desk, tried):
    office, layout = desk
    for other in office.campaigns(tried.merchant_id):
        CampaignStore(layout).remove(other.id)
    first = in_time(desk, tried.model_copy(update={"creators_per_product": 2}))
    took = {p.creator_id for p in (*first.pieces, *first.held_out)}
    held = {p.creator_id for p in first.held_out}
    second = office.plan(tried.model_copy(update={"creators_per_product": 2}))
    assert not took & {p.creator_id for p in (*second.pieces, *second.held_out)}
    CampaignStore(layout).remove(second.id)
    plain = office.plan(tried.model_copy(update={"holdout": 0.0}))
    asked = {p.creator_id for p in plain.pieces}
    assert asked & took
    assert not asked & held
    third = office.plan(tried.model_copy(update={"creators_per_product": 2}))
    assert not asked & {p.creator_id for p in (*third.pieces, *third.held_out)}
    later = {"starts": date(2026, 4, 1), "ends": date(2026, 4, 30)}
    after = office.plan(tried.model_copy(update=later))
    assert took & {p.creator_id for p in (*after.pieces, *after.held_out)}
    # Made at the same time as another one, which was kept first.
    with pytest.raises(Conflict, match="two trials at once"):
        CampaignStore(layout).add(first.model_copy(update={"id": "f" * 16}), _check_apart)
    with pytest.raises(NotFound):
        CampaignStore(layout).get("f" * 16)


def test_who_is_left_out_by_lot_is_not_invited_meanwhile(desk, tried):
    office, layout = desk
    store = CampaignStore(layout)
    for other in office.campaigns(tried.merchant_id):
        store.remove(other.id)
    days = {"starts": date(2099, 1, 1), "ends": date(2099, 3, 31)}
    plan = office.plan(tried.model_copy(update=days))
    merchant = Party(role="merchant", id=tried.merchant_id)
    left, product = plan.held_out[0].creator_id, tried.product_ids[0]

    def invite(creator: str):
        asked = Invite(creator_id=creator, product_ids=(product,), commission_rate=900)
        with collaboration_desk(layout.root) as books:
            return books.open(merchant, asked)

    with pytest.raises(Conflict, match="a lot left creator"):
        invite(left)
    assert invite(plan.pieces[0].creator_id).status == "INVITED"
    store.put(plan.model_copy(update={"cancelled": datetime.now(UTC).date()}))
    assert invite(left).status == "INVITED"
    store.remove(plan.id)


def test_trials_of_the_same_people_cannot_be_subtracted(desk, tried):
    """The attack: the same days and creators in two trials, but for one creator who is asked in the
    first and not in the second. The differences would be the audience and orders of one creator."""
    office, layout = desk
    store = CampaignStore(layout)
    for other in office.campaigns(tried.merchant_id):
        store.remove(other.id)
    first = in_time(desk, tried)
    went = sorted({p.creator_id for p in first.pieces})
    stayed = sorted({p.creator_id for p in first.held_out})
    people = 40
    assert people < K
    # What the same people did in the months of this test only.
    days = {"starts": date(2027, 12, 1), "ends": date(2028, 3, 31)}
    first = first.model_copy(update={"asked": tried.model_copy(update=days)})
    mover = [p for p in first.pieces if p.creator_id == went[0]]
    crossed = first.model_copy(
        update={
            "id": "b" * 16,
            "asked": first.asked.model_copy(update={"merchant_id": "another one"}),
            "pieces": tuple(p for p in first.pieces if p.creator_id != went[0]),
            "held_out": (*first.held_out, *mover),
        }
    )
    same = crossed.model_copy(
        update={"id": "c" * 16, "pieces": first.pieces, "held_out": first.held_out}
    )
    for one in (first, crossed, same):
        store.put(one)
    watched_and_bought(layout, tried, went, stayed, people, datetime(2027, 11, 20, tzinfo=UTC))
    over = date(2028, 4, 10)
    told = office.follow(first.id, today=over).campaign.trial
    assert told.asked_people == people * len(went)
    second = office.follow(crossed.id, today=over).campaign.trial
    assert "told before" in second.reason
    assert (second.asked_people, second.asked_rate, second.added) == (None, None, None)
    # The same two sides once more tell nothing new.
    assert office.follow(same.id, today=over).campaign.trial.asked_people == told.asked_people
    # Not even after the first one is off the list.
    store.remove(first.id)
    store.put(crossed.model_copy(update={"id": "d" * 16}))
    assert "told before" in office.follow("d" * 16, today=over).campaign.trial.reason
    # Ten people who watched nobody buy too: the merchant's own total less both sides is theirs.
    moment = int(datetime(2028, 1, 9, tzinfo=UTC).timestamp() * 1e6)
    base = {"action_name": "purchase", "object_id": tried.product_ids[0], "timestamp": moment}
    strangers = [
        {**base, "client": pseudonym(f"s{n}"), "event_key": f"{n:016x}{1:016x}", "received": moment}
        for n in range(10)
    ]
    events = EventStore(layout)
    events.append(stored(strangers))
    events.close()
    store.put(same.model_copy(update={"id": "a" * 16}))
    assert "watched none" in office.follow("a" * 16, today=over).campaign.trial.reason


def ordered_in_regions(layout, product, regions, first, days, start, lifted=(), share=0.0):
    """Simulated orders by day in regions of different size; what was added in those of `lifted`."""
    rng = np.random.default_rng(start.toordinal())
    rows, added = [], 0
    for n, region in enumerate(regions):
        usual = rng.poisson(6 - n / 4, days)
        more = rng.binomial(usual, share) if region in lifted else np.zeros(days, int)
        added += int(more.sum())
        for day in range(days):
            for order in range(int(usual[day] + more[day])):
                at = int(datetime(*start.timetuple()[:3], 9, tzinfo=UTC).timestamp() * 1e6)
                rows.append(
                    {
                        "client": pseudonym(f"{region}/{(day * 7 + order) % 90}"),
                        "action_name": "purchase",
                        "object_id": product,
                        "region": region,
                        "query_id": f"simulated-r-{len(rows)}",
                        "timestamp": at + day * 86_400_000_000,
                    }
                )
    store = EventStore(layout)
    store.append(
        stored(
            [
                {**r, "event_key": f"{first + n:032x}", "received": r["timestamp"]}
                for n, r in enumerate(rows)
            ]
        )
    )
    store.close()
    return added


REGIONS = [f"AT-{n}" for n in range(1, 10)] + ["CH-ZH", "CH-BE", "CH-VD"]


def test_a_trial_by_regions_says_before_what_it_can_find_and_after_what_was_added(
    desk, tried, monkeypatch
):
    # The same lots in every run: of ten, one would miss what was added, as intervals of 90% may.
    ids = itertools.count(1)
    monkeypatch.setattr("tandem.flows.campaigns.secrets.token_hex", lambda _: f"{next(ids):016x}")
    office, layout = desk
    for other in office.campaigns(tried.merchant_id):
        CampaignStore(layout).remove(other.id)
    begin, product = date(2031, 6, 1), tried.product_ids[0]
    asked = tried.model_copy(
        update={
            "holdout": 0.0,
            "by_region": True,
            "starts": begin,
            "ends": date(2031, 6, 28),
            "product_ids": tried.product_ids[:1],
        }
    )
    with pytest.raises(InvalidInput, match="send `region` with events"):
        office.plan(asked, today=date(2031, 5, 30))
    ordered_in_regions(layout, product, REGIONS, 10**30, 120, begin - timedelta(days=120))
    plan = office.plan(asked, today=begin)
    drawn = plan.regions
    assert sorted((*drawn.shown, *drawn.not_shown)) == sorted(REGIONS)
    assert 0.3 < drawn.share < 0.7
    assert drawn.days_before == 28
    assert 0 < drawn.detectable < drawn.usual
    assert 0 <= drawn.power <= 1
    # Whatever the lot, the same is told: planning again and again tells nothing of a region.
    lots, told = set(), set()
    for seed in "123456":
        again = drawn_regions(layout, asked, 40.0, seed, today=begin, actor="test").model_dump()
        lots.add((again.pop("shown"), again.pop("not_shown")))
        told.add(tuple(again.values()))
    assert len(lots) > 1
    assert len(told) == 1
    whole = sum(p.one_piece.orders.expected for p in plan.pieces)
    assert plan.outlook.orders.expected == pytest.approx(whole * drawn.share, abs=0.05)
    sales = sum(p.one_piece.gmv.expected for p in plan.pieces)
    assert plan.trial_cost == pytest.approx(sales * (1 - drawn.share), rel=0.01)
    # Nobody learns more by a second trial of the same orders at the same time.
    for second in (asked, asked.model_copy(update={"by_region": False, "holdout": 0.4})):
        with pytest.raises(Conflict, match="two trials at once"):
            office.plan(second, today=begin)
    plan = plan.model_copy(update={"created": datetime(2031, 5, 31, tzinfo=UTC)})
    CampaignStore(layout).put(plan)
    added = ordered_in_regions(layout, product, REGIONS, 10**31, 28, begin, drawn.shown, 0.5)
    assert office.follow(plan.id, today=date(2031, 6, 28)).campaign.region_trial is None
    view = office.follow(plan.id, today=date(2031, 6, 29))
    told = view.campaign.region_trial
    assert told.reason is None
    assert told.pairs == len(REGIONS) // 2
    assert told.low <= added <= told.high
    assert told.low > 0
    assert told.usual == pytest.approx(told.shown_orders - told.added, abs=0.1)
    assert office.follow(plan.id, today=date(2031, 7, 9)).campaign.region_trial == told
    page = campaign_report(view).page().html()
    assert "What it added" in page
    assert f"{told.added:,.0f}" in page

    # The attack: nearly the same orders, whoever asks; the difference would tell of one day.
    other = plan.model_copy(
        update={
            "id": "e" * 16,
            "asked": plan.asked.model_copy(update={"merchant_id": "another one"}),
            "regions": drawn.model_copy(update={"days_before": 27}),
        }
    )
    CampaignStore(layout).put(other)
    second = office.follow(other.id, today=date(2031, 6, 29)).campaign.region_trial
    assert "told before" in second.reason
    assert (second.added, second.shown_orders, second.usual) == (None, None, None)
    for one in (plan, other):
        CampaignStore(layout).remove(one.id)


def stored(rows):
    found = stored_rows(rows)
    return [{**empty, **row} for empty, row in zip(found, rows, strict=True)]


def test_pieces_come_with_what_their_creators_allow_and_what_the_books_know(desk, asked):
    office, layout = desk
    plan = office.plan(asked)
    one = plan.pieces[0]
    merchant_of = {p.id: p.merchant for batch in read_products(layout) for p in batch}
    pairs = {
        (c.creator_id, p)
        for c in read_content(layout)
        for p in c.product_ids
        if merchant_of[p] == asked.merchant_id
    }
    pieces = [one.model_copy(update={"creator_id": c, "product_id": p}) for c, p in sorted(pairs)]
    plan = plan.model_copy(update={"pieces": tuple(pieces)})
    CampaignStore(layout).put(plan)
    consent = CreatorConsent.of(layout)
    found = office.follow(plan.id, today=date(2026, 4, 10)).results.pieces
    assert [(p.creator_id, p.product_id) for p in found] == [
        (p.creator_id, p.product_id) for p in plan.pieces
    ]
    by_id = {c.id: c for c in read_content(layout)}
    live = [p for p in found if p.content_ids]
    assert live
    for piece in live:
        assert piece.clicks == sum(by_id[c].clicks for c in piece.content_ids)
        if consent.exact(piece.creator_id):
            assert piece.orders == sum(by_id[c].orders for c in piece.content_ids)
            assert piece.gmv_low == piece.gmv_high
        else:
            assert piece.orders is None
    first = live[0]
    books = Desk(
        CollaborationStore(layout.collaborations), clock=lambda: datetime(2026, 1, 5, tzinfo=UTC)
    )
    merchant = Party(role="merchant", id=asked.merchant_id)
    creator = Party(role="creator", id=first.creator_id)
    invite = Invite(
        creator_id=first.creator_id,
        product_ids=(first.product_id,),
        commission_rate=1000,
        terms=Terms(sample=True),
    )
    deal = books.open(merchant, invite, "1")
    books.act(creator, deal.id, Accept())
    for party, step in ((merchant, ApproveSample()), (merchant, ShipSample())):
        assert office.follow(plan.id, today=date(2026, 4, 10)).results.samples.amount == 0
        books.act(party, deal.id, step)
    price = next(
        p.price for batch in read_products(layout) for p in batch if p.id == first.product_id
    )
    assert office.follow(plan.id, today=date(2026, 4, 10)).results.samples == price
    # What was sent is gone, also where nothing came of it; what was sent for something else is not
    # of this campaign.
    books.act(creator, deal.id, ReceiveSample())
    store = CampaignStore(layout)
    books.act(merchant, deal.id, Cancel(reason="sold out"))
    assert office.follow(plan.id, today=date(2026, 4, 10)).results.samples == price
    later = asked.model_copy(update={"starts": date(2026, 1, 6)})
    over = plan.model_copy(update={"cancelled": date(2026, 1, 4)})
    for other in (plan.model_copy(update={"asked": later}), over):
        store.put(other)
        assert office.follow(plan.id, today=date(2026, 4, 10)).results.samples.amount == 0
    store.put(plan)
    books.clock = lambda: datetime(2026, 1, 7, tzinfo=UTC)
    deal = books.open(merchant, invite.model_copy(update={"terms": Terms()}), "2")
    books.act(creator, deal.id, Accept())
    books.act(creator, deal.id, Publish(content_id="v", disclosure=Disclosure(by="platform_label")))
    line = AttributedOrder(
        order_line="a" * 32,
        product_id=first.product_id,
        ordered=datetime(2026, 1, 7, tzinfo=UTC),
        amount={"amount": "80", "currency": "EUR"},
    )
    books.attribute(Party(role="platform", id="operator"), deal.id, [line])
    results = office.follow(plan.id, today=date(2026, 4, 10)).results
    paid = next(p for p in results.pieces if p.commission is not None)
    assert (paid.creator_id, paid.product_id) == (first.creator_id, first.product_id)
    assert (paid.commission.amount, paid.collaboration) == (Decimal(8), "CONTENT_LIVE")
    assert results.commission == paid.commission


def test_no_total_tells_what_a_creator_withholds(desk, asked, monkeypatch):
    office, layout = desk
    plan = office.plan(asked)
    told, kept = plan.pieces[0], next(p for p in plan.pieces if p != plan.pieces[0])
    made = read_content(layout)[0].model_copy(
        update={
            "published": datetime(2026, 1, 5, tzinfo=UTC),
            "orders": 3,
            "gmv": MoneyRange(minimum_amount="123.45", maximum_amount="123.45", currency="EUR"),
        }
    )
    content = [
        made.model_copy(
            update={"id": p.creator_id, "creator_id": p.creator_id, "product_ids": (p.product_id,)}
        )
        for p in (told, kept)
    ]
    monkeypatch.setattr("tandem.flows.campaigns.read_content", lambda _: content)
    allowed = {told.creator_id, kept.creator_id}
    monkeypatch.setattr(CreatorConsent, "exact", lambda _, creator: creator in allowed)
    results = office.follow(plan.id, today=date(2026, 4, 10)).results
    assert (results.orders, results.gmv_exact) == (6, True)
    assert results.gmv.amount == results.gmv_high.amount == Decimal("246.90")
    allowed.remove(kept.creator_id)
    view = office.follow(plan.id, today=date(2026, 4, 10))
    assert (view.results.clicks, view.results.orders) == (2 * made.clicks, None)
    # 123.45 and what lies between 100 and 300
    assert not view.results.gmv_exact
    assert view.results.gmv.amount == Decimal("223.45")
    assert view.results.gmv_high.amount == Decimal("423.45")
    assert "246.9" not in str(campaign_report(view).to_json())


def test_a_campaign_is_cancelled_once_and_removed_when_it_does_not_run(desk, asked):
    office, layout = desk
    plan = office.plan(asked)
    with pytest.raises(Conflict, match="running"):
        office.remove(plan.id, today=date(2026, 1, 10))
    assert office.cancel(plan.id, today=date(2026, 1, 10)).cancelled == date(2026, 1, 10)
    assert office.cancel(plan.id, today=date(2026, 1, 12)).cancelled == date(2026, 1, 10)
    results = office.follow(plan.id, today=date(2026, 4, 10)).results
    assert results.status == "cancelled"
    pairs = {(p.creator_id, p.product_id) for p in plan.pieces}
    counted = [
        c
        for c in read_content(layout)
        if c.published.date() <= date(2026, 1, 10)
        and any((c.creator_id, p) in pairs for p in c.product_ids)
    ]
    assert results.live == len(counted)
    office.remove(plan.id)
    with pytest.raises(NotFound):
        office.follow(plan.id)
    over = office.plan(asked)
    with pytest.raises(Conflict, match="is over"):
        office.cancel(over.id, today=date(2026, 5, 1))
    actions = [e.action for e in AuditLog(layout).entries()]
    assert actions.count("campaign.cancel") == actions.count("campaign.remove") == 1


def test_samples_in_another_currency_are_not_counted_as_the_budgets(desk, asked, monkeypatch):
    office, _ = desk
    found = office._office.prices(asked.product_ids)
    other = {**found, asked.product_ids[0]: Money(amount="900", currency="JPY")}
    monkeypatch.setattr(office._office, "prices", lambda _: other)
    with pytest.raises(InvalidInput, match="prices are in EUR, JPY"):
        office.plan(asked, keep=False)
    budget = Money(amount="900", currency="JPY")
    monkeypatch.setattr(office._office, "prices", lambda _: found)
    with pytest.raises(InvalidInput, match="prices are in EUR") as refused:
        office.plan(asked.model_copy(update={"budget": budget}), keep=False)
    assert refused.value.remedy == "state the budget in EUR"


def test_a_campaign_on_the_command_line(desk, asked):
    """Planned, listed, followed, called off and removed; bad input names the field."""
    from typer.testing import CliRunner

    from tandem.cli.main import app

    _, layout = desk

    def run(*arguments: object) -> tuple[int, str]:
        told = [str(a) for a in ("seller", "campaign", *arguments, "-w", layout.root)]
        found = CliRunner().invoke(app, told, env={"COLUMNS": "200"})
        return found.exit_code, found.output or str(found.exception)

    wish = [asked.merchant_id, "--name", "Typed", "--budget", "900", "--starts", "2025-12-01"]
    wish += [part for p in asked.product_ids for part in ("--product", p)]
    code, out = run("plan", *wish, "--ends", "2199-03-31")
    assert code != 0
    assert "within a year" in out
    code, out = run("plan", *wish, "--ends", "2026-03-31", "--goal", "fame")
    assert code != 0
    assert "goal" in out
    code, out = run("plan", *wish, "--ends", "2026-11-30", "--by-region")
    assert code != 0
    assert "send `region` with events" in out
    code, out = run("plan", *wish, "--ends", "2026-11-30", "--by-region", "--holdout", "0.2")
    assert code != 0
    assert "not both" in out
    code, out = run("plan", *wish, "--ends", "2026-11-30", "--try", "--json")
    assert code == 0
    assert json.loads(out)["id"] not in run("list")[1]
    code, out = run("plan", *wish, "--ends", "2026-11-30", "--json")
    assert code == 0
    made = json.loads(out)
    assert made["asked"]["budget"]["currency"] == layout.settings().currency
    assert made["simulated"] is True
    code, out = run("plan", *wish, "--ends", "2026-11-30")
    assert code == 0
    assert "SIMULATED" in out
    assert "eight times of ten" in " ".join(out.split())  # a console may be narrow
    code, out = run("list", asked.merchant_id)
    assert made["id"] in out
    code, out = run("show", made["id"])
    assert code == 0
    assert "pieces live" in out
    code, out = run("show", made["id"], "--json")
    assert json.loads(out)["results"]["planned"] == len(made["pieces"])
    code, out = run("show", "f" * 16)
    assert code != 0
    # Far in the future, so that it can be called off whenever this runs.
    year = ["2100-01-01", "2100-01-31"]
    late = [year[0] if part == "2025-12-01" else part for part in wish]
    code, out = run("plan", *late, "--ends", year[1], "--json")
    later = json.loads(out)["id"]
    assert run("cancel", later)[0] == 0
    listed = json.loads(run("list", "--json")[1])["campaigns"]
    by_id = {c["campaign"]["id"]: c["results"]["status"] for c in listed}
    assert by_id[later] == "cancelled"
    assert run("remove", later) == (0, f"{later} is removed\n")
    assert later not in run("list")[1]


@pytest.mark.parametrize(
    ("currency", "cost", "units"),
    [("EUR", "10.34", 1034), ("JPY", "11", 11), ("KWD", "10.334", 10334)],
)
def test_costs_are_in_whole_minor_units(currency, cost, units):
    expected = Expectation(
        clicks=Estimate(expected=1, low=0, high=2),
        orders=Estimate(expected=1, low=0, high=2),
        gmv=Estimate(expected=3.333, low=0, high=9),
        currency=currency,
    )
    creator = Creator(id="mia", handle="mia", commission_rate=1000)
    match = CreatorMatch.model_construct(
        creator=creator, product_id="p", one_piece=expected, new=False, reasons=()
    )
    found = _cost(match, Decimal(10), currency)
    assert found == Money(amount=cost, currency=currency)
    assert _units(found) == units


def test_a_creator_who_is_erased_is_in_no_plan(desk, asked):
    office, layout = desk
    plan = office.plan(asked)
    name = plan.pieces[0].creator_id
    request = rights.erase(layout, subjects_of(layout, name, "creator"))
    assert request.state == "finished"
    assert request.counts["campaign_pieces"] >= 1
    for campaign in office.campaigns():
        assert all(p.creator_id != name for p in campaign.pieces)


def test_a_video_that_is_paused_is_watched_once():
    def watched(key, creator, piece, query):
        about = {"event_key": key, "client": "p", "creator_id": creator, "query_id": query}
        what = {"action_name": "watch", "traffic": "shopper", "timestamp": 1, "object_id": piece}
        return {**about, **what}

    rows = [watched(f"a{i}", "a", "v1", "q1") for i in range(3)]
    rows += [watched("b1", "b", "v2", "q1"), watched("b2", "b", "v2", None)]
    found = _audiences(pa.Table.from_pylist(rows), ["a", "b"], [], 2).to_pylist()
    assert [(r["creator_id"], r["client"], r["event_key"]) for r in found] == [("b", "p", "b2")]
