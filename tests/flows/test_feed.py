"""The feed: several sources and objectives, and what a page of it has to look like."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from tandem.contracts.errors import InvalidInput
from tandem.contracts.parties import Content
from tandem.contracts.product import Product
from tandem.contracts.recommend import Kind, RecommendRequest, RecommendResponse, Source
from tandem.contracts.search import Filters
from tandem.flows import videos
from tandem.flows.alliance import simulate_alliance
from tandem.flows.feed import FEATURES, PAGE, feed_features, floored, small_merchants
from tandem.flows.feed_trial import run_feed_trial
from tandem.flows.import_ import create_workspace, import_simulated
from tandem.flows.index import build_index
from tandem.flows.recommending import recommend
from tandem.flows.sources import Candidate
from tandem.flows.train_feed import impressions_of
from tandem.flows.videos import contradicted, shelf
from tandem.flows.view import View
from tandem.flows.workspace import Workspace, open_workspace
from tandem.ranking.business import FeedPolicy
from tandem.recommend.baskets import Baskets
from tandem.recommend.following import Following
from tandem.recommend.objectives import (
    OBJECTIVES,
    FeedManifest,
    FeedRanker,
    calibration,
    load_feed_ranker,
)
from tandem.recommend.sessions import Sessions
from tandem.recommend.tables import Tables


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """300 products, and 300 videos of 40 creators: all simulated, without text vectors."""
    root = tmp_path_factory.mktemp("feed") / "ws"
    layout = create_workspace(root, encoder=None, simulated=True)
    import_simulated(layout, 300)
    build_index(layout)
    simulate_alliance(layout, creators=40, pieces=300, viewers=10)
    with open_workspace(root) as shop:
        yield shop


def asked(view: View, **fields: object) -> RecommendResponse:
    return recommend(view, RecommendRequest.model_validate({"kind": Kind.FEED, **fields}))


def ruled(view: View, **feed: object) -> View:
    return replace(view, policy=view.policy.model_copy(update={"feed": FeedPolicy(**feed)}))


def test_it_mixes_products_and_videos_that_say_they_are_simulated(shop):
    items = asked(shop.view, size=24).items
    clips = [i.video for i in items if i.video]
    assert 4 <= len(clips) <= 20
    assert all(v.simulated and v.caption for v in clips)
    assert not any(v.media_url for v in clips)
    assert len({i.product.id for i in items}) == 24
    assert not any(i.video for i in asked(shop.view, filters=Filters(in_stock=True)).items)
    assert [i.position for i in items] == list(range(1, 25))


def test_after_an_update_only_its_videos_are_checked_again(shop, monkeypatch):
    checked: list[str] = []

    def counted(content: Content, product: Product) -> bool:
        checked.append(product.id)
        return contradicted(content, product)

    monkeypatch.setattr(videos, "contradicted", counted)
    first = next(i.product for i in asked(shop.view, size=40).items if i.video)
    for _ in range(2):
        checked.clear()
        shop.upsert([first.model_copy(update={"attributes": {"made_up": "yes"}})])
        shop.refresh()
        asked(shop.view, size=40)
        assert set(checked) == {first.id}
    shop.upsert([first])


def test_looking_for_news_costs_nothing_where_there_is_none(shop):
    before = shop.view
    assert not shop.refresh()
    assert shop.view is before
    rules = shop.layout.rules_file
    rules.write_text('{"feed": {"videos": 2}}')
    shop.refresh()
    assert shop.view.policy.feed.videos == 2
    rules.unlink()
    shop.refresh()
    assert shop.view.policy == before.policy


def test_what_is_out_of_stock_or_hidden_is_not_in_it(shop):
    items = asked(shop.view, size=100).items
    assert all(i.product.stock != 0 for i in items)
    gone = items[0].product
    ended = {"id": "e", "kind": "hide", "brand": items[1].product.brand}
    ended["ends"] = datetime(2020, 1, 1, tzinfo=UTC)
    for names in ({"products": (gone.id,)}, {"category": gone.category[0]}, {"brand": gone.brand}):
        rules = [{"id": "r", "kind": "hide", **names}, ended]
        policy = type(shop.view.policy).model_validate({"rules": rules})
        hidden = asked(replace(shop.view, policy=policy), size=100)
        assert gone.id not in {i.product.id for i in hidden.items}


def test_the_exploration_budget_is_spent_and_not_more(shop):
    for share in (0.0, 0.1, 0.25):
        items = asked(ruled(shop.view, exploration=share, small_floor=0), size=60).items
        tried = sum(i.source is Source.EXPLORATION for i in items)
        assert abs(tried / 60 - share) <= 0.04
    creators = [i for i in items if i.source is Source.EXPLORATION and i.video]
    assert creators
    assert {i.because for i in creators} == {"By a creator who is new here"}


def test_caps_hold_on_every_page(shop):
    view = ruled(shop.view, per_merchant=1, per_creator=1, small_floor=0)
    items = asked(view, size=36).items
    makers = {c.id: c.creator_id for c in shop.view.content}
    for start in (0, 12, 24):
        page = items[start : start + PAGE]
        merchants = [i.product.merchant for i in page]
        creators = [makers[i.video.id] for i in page if i.video]
        assert len(set(merchants)) == len(merchants)
        assert len(set(creators)) == len(creators)
    one = ruled(shop.view, per_category=1, small_floor=0)
    kinds = [i.product.category for i in asked(one, size=12).items]
    assert len(set(kinds)) == len(kinds)


def test_what_was_shown_in_vain_goes_down(shop):
    first = asked(shop.view, size=12).items
    times = {first[0].product.id: 3, first[1].product.id: 2}
    again = [i.product.id for i in asked(shop.view, size=12, shown=times).items]
    assert first[0].product.id not in again
    assert first[1].product.id in again
    assert asked(ruled(shop.view, shown_in_vain=4), size=12, shown=times).items[0] == first[0]


def test_merchants_who_are_seldom_shown_have_a_floor(shop):
    small = small_merchants(shop.view)

    def share(view: View) -> float:
        ids = [i.product.id for i in asked(view, size=36).items]
        merchants = view.store.columns(view.snapshot.numbers(ids)).merchant
        return float(np.isin(merchants, list(small)).mean())

    assert small
    none = ruled(shop.view, small_floor=0, exploration=0)
    half = ruled(shop.view, small_floor=0.5, exploration=0)
    assert share(half) >= 0.5
    assert share(half) > share(none)
    assert len({i.product.id for i in asked(half, size=60).items}) == 60


def test_videos_do_not_fill_a_page_however_few_products_are_popular(shop):
    """A recommender that knows one product has one favourite; the catalogue fills the rest."""
    sessions = Sessions.of([[0]] * 50, 1)
    baskets = Baskets(Sessions.of([], 1), np.empty(0, np.int64), np.empty(0), 0)
    one = Following(Tables.fit(["SIM-0000001"], sessions, baskets))
    for most in (0, 3, 6):
        view = ruled(replace(shop.view, following=one), videos=most, creator_floor=0)
        items = asked(view, size=24).items
        for start in (0, PAGE):
            assert sum(bool(i.video) for i in items[start : start + PAGE]) <= most


def test_creators_who_are_seldom_shown_have_a_floor(shop):
    clips = shelf(shop.view, shop.view.content)
    seldom = {v.content.creator_id for v in clips if v.seldom}
    shown: dict[str, int] = {}
    for c in shop.view.content:
        shown[c.creator_id] = shown.get(c.creator_id, 0) + (c.impressions or 0)
    assert seldom
    assert sum(shown[c] for c in seldom) <= 0.2 * sum(shown.values())

    def share(view: View) -> float:
        of = {c.id: c.creator_id for c in view.content}
        made = [of[i.video.id] for i in asked(view, size=36).items if i.video]
        return sum(c in seldom for c in made) / len(made)

    none = ruled(shop.view, creator_floor=0, exploration=0)
    half = ruled(shop.view, creator_floor=0.5, exploration=0)
    assert share(half) >= 0.5
    assert share(half) > share(none)
    assert len({i.product.id for i in asked(half, size=60).items}) == 60


def test_a_floor_brings_the_best_forward_and_nothing_else_moves():
    places = [Candidate(n, 0.0, Source.POPULARITY, "") for n in range(30)]
    seldom = [n in (14, 20, 29) for n in range(30)]
    moved = [c.number for c in floored(places, [n != 11 for n in range(30)], seldom, 0.2)]
    assert moved[:12] == [*range(9), 20, 14, 11]
    assert moved[12:] == [12, 13, 10, *range(15, 20), 9, 21, 22, 29, *range(24, 29), 23]
    assert floored(places, [True] * 30, [False] * 30, 0.5) == places


def test_a_video_has_to_be_true_and_about_a_product_that_is_here(shop):
    product = shop.product("SIM-0000001")
    made = datetime(2026, 1, 1, tzinfo=UTC)

    def video(name: str, caption: str, product_id: str, **counts: int) -> Content:
        return Content(
            id=name, creator_id="c1", kind="video", published=made, caption=caption,
            product_ids=(product_id,), simulated=True, **counts,
        )  # fmt: skip

    fine = video("fine", f"I like it: {product.title}", product.id)
    gone = video("gone", "Of something else", "NOT-HERE")
    found = shelf(shop.view, [fine, gone])
    assert [v.content.id for v in found] == ["fine"]
    assert found[0].new
    assert not contradicted(fine, product)
    rated = [
        video(f"v{n}", "", product.id, impressions=2_000, video_views_2s=1_000, video_views_p25=n)
        for n in range(100, 1_000, 50)
    ]
    kept = [v.content.id for v in shelf(shop.view, rated)]
    assert kept[0] == "v950"
    assert "v100" not in kept


# --- The ranker -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ranker() -> tuple[FeedRanker, dict]:
    """Learned from made-up impressions whose probabilities are known."""
    rng = np.random.default_rng(1)
    features = rng.normal(size=(20_000, len(FEATURES)))
    truth = 1 / (1 + np.exp(2.5 - features[:, 3]))
    labels = {
        "click": (rng.random(20_000) < truth).astype(float),
        "buy": (rng.random(20_000) < truth / 5).astype(float),
        "watch": np.where(rng.random(20_000) < 0.5, np.nan, rng.random(20_000) < 0.3),
        "satisfaction": np.zeros(20_000),
    }
    return FeedRanker.fit(FEATURES, features, labels)


def test_probabilities_are_calibrated_and_what_never_happens_is_not_learned(ranker):
    learned, metrics = ranker
    assert set(learned.objectives) == {"click", "buy", "watch"}
    assert metrics["satisfaction"] is None
    rng = np.random.default_rng(2)
    fresh = rng.normal(size=(50_000, len(FEATURES)))
    truth = 1 / (1 + np.exp(2.5 - fresh[:, 3]))
    found = learned.probabilities(fresh)
    assert abs(found["click"] - truth).mean() < 0.02
    assert calibration(found["click"], (rng.random(50_000) < truth).astype(float))["ece"] < 0.02
    assert found["click"].min() > 0
    assert found["click"].max() < 1
    assert metrics["click"]["ece"] < 0.03
    assert metrics["click"]["brier"] < metrics["click"]["brier_of_rate"]
    assert abs(metrics["watch"]["auc"] - 0.5) < 0.05


def test_calibration_error_is_seen():
    label = np.tile([1.0, 0.0, 0.0, 0.0], 100)
    assert calibration(np.full(400, 0.25), label)["ece"] == pytest.approx(0, abs=1e-9)
    assert calibration(np.full(400, 0.75), label)["ece"] == pytest.approx(0.5)
    perfect = calibration(label * 0.8 + 0.1, label)
    assert perfect["auc"] == 1.0


def test_a_ranker_comes_back_and_one_that_does_not_fit_is_refused(ranker, tmp_path):
    learned, metrics = ranker
    learned.save(tmp_path, FeedManifest("t", "d", 1, True, "v", metrics))
    again, manifest = load_feed_ranker(tmp_path, FEATURES)
    some = np.random.default_rng(3).normal(size=(50, len(FEATURES)))
    for name, values in learned.probabilities(some).items():
        assert np.allclose(again.probabilities(some)[name], values)
    assert manifest.simulated
    with pytest.raises(InvalidInput, match="other features"):
        load_feed_ranker(tmp_path, FEATURES[1:])
    values = json.loads((tmp_path / "weights.json").read_text())
    values["objectives"]["click"]["at"] = [2.0, 1.0]
    (tmp_path / "weights.json").write_text(json.dumps(values))
    with pytest.raises(InvalidInput, match="feed ranker"):
        load_feed_ranker(tmp_path, FEATURES)
    with pytest.raises(InvalidInput, match="too few"):
        FeedRanker.fit(FEATURES, some, {name: np.zeros(50) for name in OBJECTIVES})


def test_the_shops_weights_say_what_comes_first(shop, ranker):
    """A ranker that knows only ratings for clicks, and only prices nobody pays for purchases."""
    learned, _ = ranker
    at = FEATURES.index("ratings")
    weights = np.zeros(len(FEATURES))
    weights[at] = 1.0
    click = replace(learned.objectives["click"], weights=weights, bias=-3.0)
    buy = replace(learned.objectives["click"], weights=-weights, bias=-3.0)
    made = replace(
        learned,
        mean=np.zeros(len(FEATURES)),
        spread=np.ones(len(FEATURES)),
        objectives={"click": click, "buy": buy},
    )
    view = replace(shop.view, feed_ranker=made)
    plain = {"exploration": 0, "small_floor": 0}
    much = asked(ruled(view, click=1, buy=0, **plain), size=10).items
    little = asked(ruled(view, click=0, buy=1, **plain), size=10).items
    assert np.mean([i.product.rating_count or 0 for i in much]) > np.mean(
        [i.product.rating_count or 0 for i in little]
    )


def test_features_depend_on_the_product_and_the_visitor_alone(shop):
    """One at a time as in a batch, and in any order: what training reads is what serving reads."""
    view = shop.view
    numbers = np.array([5, 3, 9, 3])
    recent, shown = ("SIM-0000002", "SIM-0000003"), {"SIM-0000004": 2}
    clips = [None, None, *shelf(view, view.content)[:2]]
    whole = feed_features(view, recent, shown, numbers, clips)
    for row in range(4):
        one = feed_features(view, recent, shown, numbers[row : row + 1], clips[row : row + 1])
        assert np.allclose(one[0], whole[row])
    assert not np.isnan(whole).any()
    assert np.array_equal(feed_features(view, (), {}, numbers, clips)[:, -2:], np.zeros((4, 2)))


# --- What people did --------------------------------------------------------------------------


def row(client: str, second: int, action: str, **values: object) -> dict[str, object]:
    empty = dict.fromkeys(("object_id", "query_id", "seconds", "duration"))
    return {
        **empty,
        "client": client,
        "action_name": action,
        "timestamp": second * 1_000_000,
        "traffic": "shopper",
        **values,
    }


def test_impressions_know_what_came_before_and_what_came_of_them():
    rows = [
        row("a", 0, "search", query_id="s1"),
        row("a", 1, "impression", query_id="s1", object_id="9"),
        row("a", 2, "view", object_id="1"),
        row("a", 3, "impression", query_id="f1", object_id="2"),
        row("a", 3, "impression", query_id="f1", object_id="v3"),
        row("a", 4, "watch", query_id="f1", object_id="v3", seconds=8.0, duration=10.0),
        row("a", 5, "click", query_id="f1", object_id="2"),
        row("a", 6, "purchase", object_id="2"),
        row("a", 9, "impression", query_id="f2", object_id="3"),
        row("b", 10, "impression", query_id="f3", object_id="2"),
    ]
    first, clip, again, other = impressions_of(rows, {"v3": "3"})
    assert first.recent == ("1",)
    assert (first.outcome["click"], first.outcome["buy"]) == (1.0, 1.0)
    assert np.isnan(first.outcome["watch"])
    assert (clip.outcome["watch"], clip.outcome["satisfaction"]) == (1.0, 1.0)
    assert clip.outcome["click"] == 0.0
    assert again.recent == ("1", "2")
    assert dict(again.shown) == {"3": 1}
    assert other.recent == ()
    assert other.outcome["buy"] == 0.0


def test_a_trial_measures_calibration_budget_and_floor():
    trial = run_feed_trial(40, logged=50, products=120)
    found = trial.to_json()
    assert found["simulated"]
    assert found["calibration"]["click"]["ece"] < 0.1
    assert found["exposure"]["with the floor"]["exploration"] <= 0.12
    floor = found["exposure"]
    assert (
        floor["with the floor"]["seldom_shown_merchants"]
        >= floor["without"]["seldom_shown_merchants"]
    )
    assert PAGE == 12
