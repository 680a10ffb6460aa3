"""The creator's studio: figures are those of the content, of others only where enough are many."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import numpy as np
import pytest

import tandem
from tandem.contracts.errors import NotFound
from tandem.contracts.parties import WATCH_CURVE, Content, MoneyRange
from tandem.flows.alliance import simulate_alliance
from tandem.flows.insights import simulate_shop
from tandem.flows.studio_desk import LEAST_CREATORS, RECENT, StudioDesk, _watching, similar
from tandem.storage.layout import Layout
from tandem.storage.parties import read_content, read_creators

WHO = "os:test"


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    root = tmp_path_factory.mktemp("studio") / "shop"
    simulate_shop(root, 3_000, seed=2, products=600)
    simulate_alliance(Layout.open(root), 40, 400, 0)
    with tandem.open(root) as shop:
        yield shop


@pytest.fixture(scope="module")
def content(shop):
    return read_content(shop.layout)


@pytest.fixture(scope="module")
def creator(content) -> str:
    return Counter(c.creator_id for c in content).most_common(1)[0][0]


@pytest.fixture(scope="module")
def home(shop, creator):
    return StudioDesk(shop).home(creator, actor=WHO)


def test_products_are_of_own_topics_and_new_to_the_creator(shop, content, creator, home):
    own = [c for c in content if c.creator_id == creator]
    shown = {p for c in own for p in c.product_ids}
    topics = {shop.product(p).category[-1] for p in shown}
    assert home.simulated
    assert home.products
    for fit in home.products:
        assert fit.product_id not in shown
        assert fit.category[-1] in topics
        assert fit.reasons
    middles = [f.earnings.middle if f.earnings else 0.0 for f in home.products]
    assert middles == sorted(middles, reverse=True)


def test_a_range_is_what_comparable_pieces_brought(shop, content, creator, home):
    (declared,) = [c for c in read_creators(shop.layout) if c.id == creator]
    own = [f for f in home.products if f.earnings and f.earnings.own]
    others = [f for f in home.products if f.earnings and not f.earnings.own]
    assert own or others
    for fit in own:
        about = [
            c.orders
            for c in content
            if c.creator_id == creator
            and fit.category[-1] in {shop.product(p).category[-1] for p in c.product_ids}
        ]
        rate = declared.commission_rate / 10_000
        expected = np.quantile(about, (0.2, 0.5, 0.8)) * float(fit.price.amount) * rate
        got = (fit.earnings.low, fit.earnings.middle, fit.earnings.high)
        assert got == pytest.approx(tuple(expected), abs=0.01)
        assert fit.earnings.pieces == len(about)
    for fit in others:
        assert fit.earnings.low <= fit.earnings.middle <= fit.earnings.high


def test_gaps_are_asked_by_enough_and_counted_right(shop, content, home):
    assert home.gaps
    shown = Counter(p for c in content for p in set(c.product_ids))
    ratios = [g.asked / (1 + g.content) for g in home.gaps]
    assert ratios == sorted(ratios, reverse=True)
    for gap in home.gaps[:4]:
        assert gap.asked >= 50
        first = [h.product.id for h in shop.search(gap.query, k=10).hits]
        showing = {c.id for c in content if set(c.product_ids) & set(first)}
        assert gap.content == len(showing)
        assert gap.product_id in first
        assert shown[gap.product_id] <= max(shown[p] for p in first)


def test_what_worked_is_sums_of_the_creators_own_pieces(shop, content, creator):
    worked = StudioDesk(shop).worked(creator)
    own = sorted(
        (c for c in content if c.creator_id == creator and (c.views or 0) >= 50),
        key=lambda c: c.published,
        reverse=True,
    )
    recent = [c for c in own[:RECENT] if c.impressions and c.video_views_2s is not None]
    hook = sum(c.video_views_2s for c in recent) / sum(c.impressions for c in recent)
    assert worked.recent.hook_rate == pytest.approx(hook)
    assert len(worked.recent.retention) == len(WATCH_CURVE)
    known = [r for r in worked.recent.retention if r is not None]
    assert known == sorted(known, reverse=True)
    assert worked.pieces[0].published >= worked.pieces[-1].published


def test_pieces_that_few_saw_are_not_told(shop, creator):
    worked = StudioDesk(shop, k=10**9).worked(creator)
    assert worked.pieces
    for piece in worked.pieces:
        assert (piece.views, piece.hook_rate, piece.clicks, piece.gmv_low) == (None,) * 4
    assert worked.recent.hook_rate is None
    assert worked.similar is None


def test_others_are_told_of_only_where_they_are_many(shop, creator):
    desk = StudioDesk(shop)
    scene = desk.scene(creator)
    like = similar(scene, creator)
    assert creator not in like
    told = desk.worked(creator).similar
    assert told is not None
    assert told.creators >= LEAST_CREATORS
    few = {o: scene.content[o] for o in (creator, *like[: LEAST_CREATORS - 1])}
    small = type(scene)(scene.creators, few, scene.categories, scene.shown)
    assert desk._of_similar(small, creator) is None


def test_a_rate_of_several_creators_is_not_mostly_of_one(content):
    one = content[0]
    even = [
        one.model_copy(update={"creator_id": f"c{n}", "impressions": 100, "clicks": 4, "orders": 1})
        for n in range(LEAST_CREATORS)
    ]
    found = _watching(even, LEAST_CREATORS)
    assert (found.ctr, found.ctor) == (0.04, 0.25)
    loud = [even[0].model_copy(update={"clicks": 40}), *even[1:]]
    found = _watching(loud, LEAST_CREATORS)
    assert found.ctor is None  # 40 of 56 clicks are of one
    assert found.ctr == 0.112
    assert _watching(loud[:1], 1).ctor == 1 / 40


def test_a_stranger_has_no_studio(shop):
    with pytest.raises(NotFound):
        StudioDesk(shop).home("nobody", actor=WHO)


def test_sales_by_views_are_as_exact_as_told_and_not_mostly_of_one(content):
    def of(creator: str, low: str, high: str | None) -> Content:
        gmv = MoneyRange(minimum_amount=Decimal(low), maximum_amount=high, currency="EUR")
        return content[0].model_copy(update={"creator_id": creator, "views": 500, "gmv": gmv})

    own = [of("mia", "10", "10"), of("mia", "20", "40")]
    gpm = _watching(own, 1).gpm
    assert gpm is not None
    assert (gpm.minimum_amount, gpm.maximum_amount) == (30, 50)
    assert _watching([*own, of("mia", "0", None)], 1).gpm.maximum_amount is None
    others = [of(f"c{n}", "10", "10") for n in range(LEAST_CREATORS)]
    assert _watching(others, LEAST_CREATORS).gpm.minimum_amount == 20
    assert _watching(others[1:], LEAST_CREATORS - 1).gpm is None
    rich = [of("c0", "100", "100"), *others[1:]]  # has half of the sales and more
    assert _watching(rich, LEAST_CREATORS).gpm is None
    unknown = content[0].model_copy(update={"gmv": None})
    assert _watching([unknown], 1).gpm is None
