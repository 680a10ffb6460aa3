"""One behaviour for both stores of visitors' state: SQLite here, and a real Redis."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redis_server import redis_server
from tandem.contracts.errors import InvalidInput, TandemError
from tandem.contracts.events import Pseudonym
from tandem.contracts.recommend import Kind, RecommendRequest, Visit
from tandem.flows import rights
from tandem.flows.visitors import Visitors
from tandem.flows.workspace import open_workspace
from tandem.governance.audit import AuditLog
from tandem.governance.pseudonyms import Pseudonyms, open_ring
from tandem.governance.retention import retain
from tandem.storage.atomic import write_atomic
from tandem.storage.layout import Layout, Settings
from tandem.storage.redis_visitors import RedisVisitors
from tandem.storage.visitor_state import (
    MOST_HIDDEN,
    MOST_RECENT,
    MOST_SHOWN,
    Change,
    Seen,
    VisitorStore,
    changed,
    newest,
)
from tandem.storage.visitors import open_visitors

ANNA, OLD_ANNA, BEN = Pseudonym("k2.anna"), Pseudonym("k1.anna"), Pseudonym("k1.ben")


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as address:
        yield address


@pytest.fixture(params=["sqlite", "redis"])
def layout(request: pytest.FixtureRequest, tmp_path: Path) -> Layout:
    """A workspace that keeps visitors in one of the two."""
    where = request.getfixturevalue("redis") if request.param == "redis" else None
    return Layout.create(tmp_path / "ws", Settings(name=tmp_path.name, visitors=where))


@pytest.fixture
def store(layout: Layout) -> Iterator[VisitorStore]:
    store = open_visitors(layout, 30)
    yield store
    store.forget([ANNA, OLD_ANNA, BEN])
    store.close()


def saw(*products: str) -> Change:
    return Change(seen=[Seen(p, "view", int(time.time())) for p in products])


def products(store: VisitorStore, *subjects: Pseudonym) -> list[str]:
    state = store.get(subjects)
    return [s.product for s in state.recent] if state else []


def test_what_is_kept_comes_back(store):
    assert store.get([ANNA]) is None
    store.change([ANNA], saw("1", "2", "1"))
    store.change([ANNA], Change(hidden=["9"], shown=["3", "3", "4"]))
    state = store.get([ANNA])
    assert [s.product for s in state.recent] == ["2", "1"]
    assert state.hidden == ("9",)
    assert state.shown == {"3": 2, "4": 1}
    assert abs(state.recent[0].at - time.time()) < 60
    assert store.get([BEN]) is None


def test_what_is_opened_was_not_shown_in_vain(store):
    store.change([ANNA], Change(shown=["3", "4"]))
    store.change([ANNA], saw("3"))
    assert store.get([ANNA]).shown == {"4": 1}


def test_products_can_be_taken_out_of_everything(store):
    store.change([ANNA], saw("1", "2"))
    store.change([ANNA], Change(hidden=["3", "4"], shown=["5", "6"]))
    store.change([ANNA], Change(removed=["1", "3", "5", "not there"]))
    state = store.get([ANNA])
    assert ([s.product for s in state.recent], state.hidden, dict(state.shown)) == (
        ["2"],
        ("4",),
        {"6": 1},
    )


def test_a_new_pseudonym_takes_over(store):
    store.change([OLD_ANNA], saw("1"))
    store.change([ANNA, OLD_ANNA], saw("2"))
    assert products(store, ANNA) == ["1", "2"]
    assert products(store, OLD_ANNA) == []


def test_forgotten_is_gone_and_nobody_else(store):
    store.change([ANNA], saw("1"))
    store.change([BEN], saw("2"))
    assert store.forget([ANNA, OLD_ANNA]) == 1
    assert store.forget([ANNA]) == 0
    assert store.get([ANNA]) is None
    assert products(store, BEN) == ["2"]


def test_retention_ends_it(layout, store):
    short = open_visitors(layout, 1e-5)
    short.change([ANNA], saw("1"))
    store.change([BEN], saw("2"))
    time.sleep(1)
    assert short.get([ANNA]) is None
    short.expire()  # Ben falls under the shorter period as well
    assert products(store, ANNA) == products(store, BEN) == []
    assert short.expire() == 0
    short.close()


def test_many_at_once_lose_nothing(store):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: store.change([ANNA], saw(str(n))), range(40)))
    assert set(products(store, ANNA)) == {str(n) for n in range(40)}


def test_state_outlives_the_process(layout, store):
    store.change([ANNA], saw("1"))
    again = open_visitors(layout, 30)
    assert products(again, ANNA) == ["1"]
    again.close()


def test_consent_retention_and_erasure_reach_it(layout):
    """A visitor's whole way, from consent to erasure by request."""
    visitors = Visitors(layout)
    assert visitors.visit("c-anna", [Visit(product_id="1")]) == 0
    visitors.decide("c-anna", True)
    visitors.visit("c-anna", [Visit(product_id="1"), Visit(product_id="2", action="impression")])
    assert visitors.known("c-anna").shown == {"2": 1}
    assert visitors.asking("c-anna").session == ("1",)
    retain(layout, actor="test")
    assert visitors.known("c-anna").recent == ("1",)
    subject = Pseudonyms(open_ring(layout)).of("client", "c-anna")
    copy = rights.export(layout, [subject])["visitor"]
    assert [s["product"] for s in copy["recent"]] == ["1"]
    assert copy["shown"] == {"2": 1}
    done = rights.erase(layout, [subject])
    assert done.counts["visitors"] == 1
    assert visitors.known("c-anna").recent == ()
    assert rights.export(layout, [subject])["visitor"] is None
    visitors.visit("c-anna", [Visit(product_id="1")])
    visitors.decide("c-anna", False)
    visitors.decide("c-anna", True)
    assert visitors.known("c-anna").recent == ()
    assert AuditLog(layout).verify().ok
    visitors.close()


def test_two_shops_share_a_redis_and_not_their_visitors(redis):
    one, other = (RedisVisitors(redis, name, 30) for name in ("one", "o*e"))
    one.change([ANNA], saw("1"))
    assert other.get([ANNA]) is None
    assert RedisVisitors(redis, "o*e", 1e-9).expire() == 0
    assert products(one, ANNA) == ["1"]
    one.forget([ANNA])


def test_a_redis_that_is_down_costs_the_personal_part_and_not_the_answer(shop_copy):
    layout = Layout.open(shop_copy)
    settings = replace(layout.settings(), visitors="redis://127.0.0.1:1/0")
    write_atomic(layout.settings_file, settings.to_toml().encode())
    assert layout.settings() == settings
    with open_workspace(shop_copy) as shop:
        shop.visitors.decide("c", True)
        with pytest.raises(TandemError, match="Redis cannot be used"):
            shop.visitors.visit("c", [Visit(product_id="1")])
        shop.visitors.follow([{"action_name": "click", "object_id": "1", "client_id": "c"}])
        found = shop.recommend(RecommendRequest(kind=Kind.FEED, size=5), "c")
    assert len(found.items) == 5
    assert not found.personal


def test_an_address_that_is_none_is_refused():
    with pytest.raises(InvalidInput, match="redis://"):
        RedisVisitors("http://example", "shop", 30)


@given(st.lists(st.lists(st.integers(0, 400), max_size=60), max_size=12))
def test_state_is_bounded_whatever_happens(batches):
    state = None
    for batch in batches:
        ids = [str(n) for n in batch]
        change = Change(seen=[Seen(i, "view", 1) for i in ids], hidden=ids * 2, shown=ids)
        state = changed(state, ANNA, change)
        assert len(state.recent) <= MOST_RECENT
        assert len(state.hidden) <= MOST_HIDDEN
        assert len(state.shown) <= MOST_SHOWN
        assert not {s.product for s in state.recent[-len(set(ids)) :]} & set(state.shown) or not ids


@given(st.lists(st.sampled_from("abcde")), st.integers(1, 6))
def test_newest_keeps_each_where_it_came_last(items, most):
    kept = newest(items, most)
    assert len(kept) == len(set(kept)) == min(most, len(set(items)))
    assert kept == tuple(sorted(kept, key=lambda i: len(items) - 1 - items[::-1].index(i)))
    assert not items or kept[-1] == items[-1]
