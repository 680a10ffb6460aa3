"""The simulated market: what is drawn agrees with the truth, and says that it is simulated."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from tandem.contracts.parties import WATCH_CURVE
from tandem.simulate.catalogue import simulated_products
from tandem.simulate.creators import creator_id, simulated_market
from tandem.simulate.searchers import SHOWN, Answer, search_texts, simulated_searching
from tandem.simulate.viewers import SIMULATED, simulated_viewing

CREATORS, PIECES = 60, 1_500
ACTIONS = ("search", "click", "add_to_cart", "purchase", "return")


@pytest.fixture(scope="module")
def market():
    return simulated_market(list(simulated_products(800)), CREATORS, PIECES)


def test_the_same_arguments_give_the_same_market(market):
    again = simulated_market(list(simulated_products(800)), CREATORS, PIECES)
    assert again.creators == market.creators
    assert again.content == market.content


def test_everything_says_that_it_is_simulated(market):
    for records in (market.merchants, market.creators, market.content):
        assert records
        assert all(record.simulated for record in records)
    assert {m.id for m in market.merchants} == {p.merchant for p in market.products if p.merchant}


def test_clicks_and_orders_are_drawn_around_the_truth(market):
    place = {p.id: i for i, p in enumerate(market.products)}
    number = {c.id: i for i, c in enumerate(market.creators)}
    single = [c for c in market.content if len(c.product_ids) == 1]
    creators = np.array([number[c.creator_id] for c in single])
    products = np.array([place[c.product_ids[0]] for c in single])
    clicks, orders, gmv = market.truth.expected(creators, products)
    assert sum(c.clicks for c in single) == pytest.approx(clicks.sum(), rel=0.1)
    assert sum(c.orders for c in single) == pytest.approx(orders.sum(), rel=0.15)
    assert np.isfinite(gmv).all()


def test_creators_show_mostly_what_suits_them(market):
    rng = np.random.default_rng(1)
    place = {p.id: i for i, p in enumerate(market.products)}
    number = {c.id: i for i, c in enumerate(market.creators)}
    creators = np.array([number[c.creator_id] for c in market.content])
    products = np.array([place[c.product_ids[0]] for c in market.content])
    own = market.truth.affinity(creators, products).mean()
    assert own > 1.5 * market.truth.affinity(creators, rng.permutation(products)).mean()


def test_some_creators_are_new_and_have_no_statistics(market):
    active = {c.creator_id for c in market.content}
    new = [c for c in market.creators if c.id not in active]
    assert new
    assert all(c.avg_video_views is None and c.gmv is None and c.post_rate is None for c in new)


def test_watch_curves_fall_and_average_play_is_within_the_duration(market):
    for piece in market.content[:200]:
        curve = [getattr(piece, name) for name in WATCH_CURVE]
        assert curve == sorted(curve, reverse=True)
        assert 0 <= piece.average_video_play <= piece.duration


def test_viewers_watch_what_they_like_for_longer(market):
    events = list(simulated_viewing(market, 40, lambda i: f"k1.{i:022d}"))
    assert all(e["query_id"].startswith(SIMULATED) for e in events)
    watched = [e for e in events if e["action_name"] == "watch"]
    assert {e["creator_id"] for e in watched} <= {creator_id(i) for i in range(CREATORS)}
    assert all(0 <= e["seconds"] <= e["duration"] for e in watched)
    assert len({e["event_key"] for e in events}) == len(events)
    assert {"click"} <= {e["action_name"] for e in events}


def test_a_catalogue_without_prices_is_refused():
    bare = [p.model_copy(update={"price": None}) for p in simulated_products(50)]
    with pytest.raises(ValueError, match="price"):
        simulated_market(bare, 10, 10)


@pytest.mark.parametrize("products", [1, 2, 3, 5, 9])
def test_a_market_of_a_handful_of_products_is_one(products):
    market = simulated_market(list(simulated_products(products, seed=5)), 20, 50)
    assert len(market.creators) == 20
    assert list(simulated_viewing(market, 5, str))


def test_shoppers_type_what_there_is_and_read_answers_from_the_top(market):
    texts = search_texts(market)
    assert texts
    rows = list(range(40))
    answers = [Answer(text, rows, 40) for text in texts[:20]] + [Answer("nothing", (), 0)]
    events = list(simulated_searching(market, answers, 3_000, str))
    assert events == list(simulated_searching(market, answers, 3_000, str))
    assert all(e["query_id"].startswith(SIMULATED) for e in events)
    assert len({e["event_key"] for e in events}) == len(events)
    of = {name: [e for e in events if e["action_name"] == name] for name in ACTIONS}
    assert len(of["search"]) == 3_000
    assert len(of["click"]) > len(of["add_to_cart"]) > len(of["purchase"]) > len(of["return"]) > 0
    clicks = Counter(e["position"] for e in of["click"])
    assert max(clicks) <= SHOWN
    assert clicks[1] + clicks[2] > 2 * (clicks[SHOWN - 1] + clicks[SHOWN])
    shown = {e["query_id"]: e["object_ids"] for e in of["search"]}
    for event in of["click"]:
        assert shown[event["query_id"]][event["position"] - 1] == event["object_id"]
    assert not list(simulated_searching(market, (), 10, str))
