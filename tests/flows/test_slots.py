"""Slots in a running shop: who is tried on, what is noted and learned, guardrails, crashes."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import numpy as np
import pytest

import tandem
from tandem.contracts.consent import Purpose
from tandem.contracts.errors import Conflict, InvalidInput, NotFound
from tandem.contracts.experiment import SearchConfiguration, Variant
from tandem.contracts.recommend import FeedVideo, Kind, Known, RecommendRequest
from tandem.contracts.search import Filters, SearchRequest, Sort
from tandem.contracts.slot import CONTEXT, SlotArm, SlotGuardrails
from tandem.experiments.bandits import ThompsonSampling
from tandem.flows import online
from tandem.flows.consent import decide, subjects_of
from tandem.flows.events import EventIntake
from tandem.flows.experimenting import start, stop
from tandem.flows.explored import evaluate_slot
from tandem.flows.online import Online
from tandem.flows.slots import (
    Slots,
    context_of,
    slot_of,
    slot_standing,
    start_slot,
    stop_slot,
)
from tandem.flows.tracing import trace
from tandem.registry.slots import SlotStore
from tandem.storage.layout import Layout, Settings

WHO = {"who": "tester", "why": "a drill"}
FREE = SlotGuardrails(budget=1.0, harm=None)
RANKERS = (SlotArm(name="ltr", value="ltr"), SlotArm(name="words", value="bm25"))
BANNERS = (SlotArm(name="plain"), SlotArm(name="summer", value="/summer"))
WORTH = {"plain": 0.1, "summer": 0.5}
Q = SearchRequest(q="shoes", size=10)


@pytest.fixture
def layout(tmp_path) -> Layout:
    return Layout.create(tmp_path / "shop", Settings(simulated=True))


@pytest.fixture
def shop(simulated_shop, tmp_path):
    with tandem.open(shutil.copytree(simulated_shop, tmp_path / "shop")) as shop:
        yield shop


@pytest.fixture
def server(shop, monkeypatch):
    monkeypatch.setattr(online, "BELIEVED", 0.0)
    server = Online(shop, seed=1)
    yield server
    server.close()


def click(query_id, client, object_id="P1", at=None, key="k", **more):
    return {
        "kind": "event",
        "event_id": f"{key}-{query_id}",
        "timestamp": (at or datetime.now(UTC)).isoformat(),
        "client_id": client,
        "action_name": "click",
        "query_id": query_id,
        "object_id": object_id,
        **more,
    }


def shown_to_many(layout, slot, n, worth=WORTH, seed=3):
    """n simulated visitors of a page, who click with a chance that depends on the arm; clicks come
    in together, as a page sends them."""
    rng = np.random.default_rng(seed)
    slots, intake = Slots(layout, seed), EventIntake(layout)
    waiting = []
    for i in range(n):
        showing = slots.show(slot, f"u{i}", f"q{seed}-{i}")
        arm = slot.arms[showing.arm].name if showing else slot.arms[0].name
        if rng.random() < worth[arm]:
            waiting.append(click(f"q{seed}-{i}", f"c{i}"))
        if len(waiting) >= 25:
            intake.take(waiting)
            waiting = []
        slot = slot_of(layout, slot.name)
    intake.take(waiting)
    slots.refreshed()
    slots.close()
    intake.close()


# What may be started


def test_what_cannot_be_a_slot_is_refused(layout):
    with pytest.raises(InvalidInput, match="no system"):
        start_slot(layout, "a", "search", BANNERS, **WHO)
    with pytest.raises(InvalidInput, match="needs a place"):
        start_slot(layout, "a", "feed", BANNERS, **WHO)
    with pytest.raises(InvalidInput, match="same value"):
        start_slot(layout, "a", "page", (BANNERS[0], SlotArm(name="b")), **WHO)
    better = SlotArm(name="b", value="x", relevance=1.0)
    with pytest.raises(InvalidInput, match="most relevant"):
        start_slot(layout, "a", "page", (BANNERS[0], better), **WHO)
    start_slot(layout, "a", "search", RANKERS, **WHO)
    with pytest.raises(Conflict, match="in that place"):
        start_slot(layout, "b", "search", RANKERS, **WHO)
    stop_slot(layout, "a", **WHO)
    with pytest.raises(Conflict, match="before"):
        start_slot(layout, "a", "search", RANKERS, **WHO)
    with pytest.raises(Conflict, match="already"):
        stop_slot(layout, "a", **WHO)
    with pytest.raises(NotFound):
        stop_slot(layout, "c", **WHO)


# What is noted and learned


@pytest.mark.parametrize("bandit", ["thompson", "linucb"])
def test_a_slot_learns_from_events_and_another_process_goes_on(layout, bandit):
    slot = start_slot(layout, "banner", "page", BANNERS, bandit=bandit, guardrails=FREE, **WHO)
    shown_to_many(layout, slot, 150)
    first = slot_standing(layout, slot)
    assert first.simulated
    assert first.arms[1].chance > 0.7
    assert first.arms[1].rate > first.arms[0].rate
    assert first.showings == 150 == sum(a.showings for a in first.arms)
    shown_to_many(layout, slot, 50, seed=4)
    again = slot_standing(layout, slot)
    assert again.showings == 200
    state = json.loads(SlotStore(layout.slots).state("banner"))
    assert state["best"]["showings"] + state["others"]["showings"] == 200
    assert state["best"]["total"] == again.arms[0].rewards


def test_its_probabilities_are_noted_before_it_is_shown_and_are_those_it_draws_from(layout):
    slot = start_slot(
        layout, "banner", "page", BANNERS, guardrails=SlotGuardrails(budget=0.3), **WHO
    )
    slots = Slots(layout, 1)
    showings = [slots.show(slot, f"u{i}", f"q{i}") for i in range(200)]
    assert list(SlotStore(layout.slots).showings("banner")) == showings
    explored = [s for s in showings if s.explored]
    assert max(s.pscore for s in explored) <= 0.3 + 1e-9
    expected = sum(s.pscore if s.explored else 1 - s.pscore for s in showings)
    assert abs(len(explored) - expected) < 4 * np.sqrt(expected)
    assert all(len(s.context) == len(CONTEXT) for s in showings)
    slots.close()


def test_a_reward_counts_once_in_time_and_from_whom_analytics_may_read(layout):
    slot = start_slot(layout, "banner", "page", BANNERS, window=5, guardrails=FREE, **WHO)
    slots, intake = Slots(layout, 1), EventIntake(layout)
    for name in ("good", "late", "bot", "objects", "other"):
        assert slots.show(slot, name, name) is not None
    subjects = subjects_of(layout, "shy", "client")
    decide(layout, subjects, [Purpose.ANALYTICS], "withdrawn", actor="tester")
    later = datetime.now(UTC) + timedelta(minutes=5, seconds=-1)
    for _ in range(2):  # sent again, as after a crash
        intake.take([click("good", "c1"), click("good", "c1", key="second", object_id="P2")])
    intake.take(
        [
            click("bot", "c2", user_agent="Googlebot/2.1"),
            click("objects", "shy"),
            click("unknown", "c3"),
            {**click("other", "c4"), "action_name": "impression"},
        ]
    )
    assert [s.query_id for s in SlotStore(layout.slots).showings("banner") if s.reward] == ["good"]
    # The window is over by the sender's clock, which may run as far ahead as the door lets it.
    with SlotStore(layout.slots)._transaction() as connection:
        connection.execute("UPDATE showings SET at = at - 2 WHERE query_id = 'late'")
    intake.take([click("late", "c1", at=later)])
    assert sum(a.rewards for a in slot_standing(layout, slot).arms) == 1
    slots.close()
    intake.close()


def test_the_same_person_sees_the_same_and_its_clicks_count_for_the_first_time(layout):
    slot = start_slot(layout, "banner", "page", BANNERS, guardrails=FREE, **WHO)
    slots, intake = Slots(layout, 1), EventIntake(layout)
    first = [slots.show(slot, f"u{i}", f"a{i}") for i in range(20)]
    again = [slots.show(slot, f"u{i}", f"b{i}") for i in range(20)]
    assert again == first
    assert slot_standing(layout, slot).showings == 20
    intake.take([click("b3", "c3"), click("a3", "c3", key="x")])
    assert sum(a.rewards for a in slot_standing(layout, slot).arms) == 1
    assert slots.show(slot, "new", "p2", further=True) is None, "a later page of nothing known"
    slots.close()
    intake.close()


def test_what_was_shown_just_before_a_stop_is_still_rewarded(layout):
    slot = start_slot(layout, "banner", "page", BANNERS, window=5, guardrails=FREE, **WHO)
    slots, intake = Slots(layout, 1), EventIntake(layout)
    slots.show(slot, "u", "q")
    stopped = stop_slot(layout, "banner", **WHO)
    intake.take([click("q", "c")])
    assert sum(a.rewards for a in slot_standing(layout, stopped).arms) == 1
    slots.close()
    intake.close()


def test_what_always_showing_an_arm_would_have_earned_is_told_or_refused(layout, monkeypatch):
    slot = start_slot(
        layout, "banner", "page", BANNERS, guardrails=SlotGuardrails(budget=0.4, harm=None), **WHO
    )
    with pytest.raises(InvalidInput, match="nothing yet"):
        evaluate_slot(layout, "banner")
    shown_to_many(layout, slot, 60)
    with pytest.raises(InvalidInput, match="may still be rewarded"):
        evaluate_slot(layout, "banner")
    now = time.time()
    monkeypatch.setattr("tandem.flows.explored.time.time", lambda: now + 60 * slot.window)
    early = evaluate_slot(layout, "banner", resamples=100)
    assert early.policies["summer"].refusal.reason == "small_effective_sample"
    shown_to_many(layout, slot, 600, seed=5)
    found = evaluate_slot(layout, "banner", resamples=200)
    assert 60 <= found.showings < 660 == found.showings + found.open
    now += 3_600
    found = evaluate_slot(layout, "banner", resamples=200)
    assert (found.showings, found.open) == (660, 0)
    for arm, worth in WORTH.items():
        for name in ("IPW", "SNIPW", "DR"):
            e = found.policies[arm].estimates[name]
            error = (e.bootstrap.high - e.bootstrap.low) / 3.92
            assert abs(e.value - worth) < 4 * error, (arm, name)


# Guardrails


def test_a_slot_that_does_harm_stops_for_good_on_record(layout):
    guard = SlotGuardrails(budget=0.5, harm=0.0, least=30)
    worse = {"plain": 0.7, "summer": 0.05}
    slot = start_slot(layout, "banner", "page", BANNERS, guardrails=guard, **WHO)
    # A bandit that prefers the worse arm, as after a change of the season.
    store = SlotStore(layout.slots)
    biased = ThompsonSampling(2, np.array([1.0, 500.0]), np.array([500.0, 1.0]))
    empty = {"showings": 0, "total": 0.0, "squares": 0.0}
    state = {"best": empty, "others": empty, "stopped": None, "bandit": biased.state()}
    with store._transaction() as connection:
        connection.execute("INSERT INTO states VALUES ('banner', ?)", (json.dumps(state),))
    shown_to_many(layout, slot, 200, worse)
    found = slot_of(layout, "banner")
    assert found.state == "stopped"
    assert found.changes[-1].who == "guardrail"
    assert "less a showing" in found.changes[-1].why
    slots = Slots(layout)
    assert slots.show(found, "somebody", "q-new") is None
    assert [a.chance for a in slot_standing(layout, found).arms] == [1.0, 0.0]


def test_what_cannot_be_noted_is_not_tried(layout, monkeypatch):
    slot = start_slot(layout, "banner", "page", BANNERS, guardrails=FREE, **WHO)
    slots = Slots(layout, 1)
    slots.show(slot, "u", "q0")
    monkeypatch.setattr("tandem.registry.slots.BUSY_SECONDS", 0.01)
    with SlotStore(layout.slots)._transaction():
        other = Slots(layout, 1)
        assert other.show(slot, "v", "q1") is None


def test_what_was_noted_is_shown_even_if_old_showings_cannot_be_removed(layout, monkeypatch):
    slot = start_slot(layout, "banner", "page", BANNERS, guardrails=FREE, **WHO)
    slots = Slots(layout, 1)

    def busy(self):
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(SlotStore, "sweep", busy)
    assert slots.show(slot, "u", "q") == next(SlotStore(layout.slots).showings("banner"))
    slots.close()


def test_a_decision_that_could_not_be_kept_stands_in_nobodys_way(layout):
    slot = start_slot(layout, "banner", "page", BANNERS, guardrails=FREE, **WHO)
    slots = Slots(layout, 1)
    slots.show(slot, "u", "q0")
    kept = slots._store._connection()

    class Full:
        """Once, no room is left on the disk."""

        def execute(self, sql, *more):
            if sql == "COMMIT":
                slots._store._local.connection = kept
                raise sqlite3.OperationalError("database or disk is full")
            return kept.execute(sql, *more)

        in_transaction = property(lambda self: kept.in_transaction)

    slots._store._local.connection = Full()
    assert slots.show(slot, "v", "q1") is None
    assert slots.show(slot, "v", "q2") is not None
    assert [s.query_id for s in SlotStore(layout.slots).showings("banner")] == ["q0", "q2"]
    slots.close()


def test_health_is_nobodys_experiment_and_a_moment_tells_nothing_of_a_person(layout):
    slot = start_slot(layout, "banner", "page", BANNERS, guardrails=FREE, **WHO)
    slots = Slots(layout, 1)
    assert slots.show(slot, "u", "q", text="hiv test") is None
    assert slots.show(slot, "u", "q", user_agent="Googlebot/2.1") is None
    saturday = datetime(2026, 3, 7, 6, tzinfo=UTC)
    phone = "Mozilla/5.0 (Linux; Android 15) Mobile"
    assert context_of("usb 3 hub", phone, saturday) == (1.0, 1.0, 0.5, 1.0, 1.0, 0.0, 1.0)


def test_showings_are_forgotten_after_a_month_and_what_they_taught_stays(layout):
    slot = start_slot(layout, "banner", "page", BANNERS, guardrails=FREE, **WHO)
    slots = Slots(layout, 1)
    for i in range(10):
        slots.show(slot, f"u{i}", f"q{i}")
    old = time.time() - 31 * 86_400
    with SlotStore(layout.slots)._transaction() as connection:
        connection.execute("UPDATE showings SET at = ? WHERE query_id < 'q5'", (old,))
    slots.refreshed()
    found = [s.query_id for s in SlotStore(layout.slots).showings("banner")]
    assert sorted(found) == [f"q{i}" for i in range(5, 10)]
    state = json.loads(SlotStore(layout.slots).state("banner"))
    assert state["best"]["showings"] + state["others"]["showings"] == 10
    slots.close()


# In the server


def test_a_choice_among_rankers_is_served_noted_traced_and_paged(shop, server):
    start_slot(shop.layout, "rankers", "search", RANKERS, guardrails=FREE, **WHO)
    answers = {f"visitor-{i}": server.answer(Q, f"visitor-{i}", "Mozilla/5.0") for i in range(30)}
    assert {a.ranker for a in answers.values()} == {"ltr", "bm25"}
    for client, first in answers.items():
        second = server.answer(Q.model_copy(update={"page": 2}), client)
        assert second.ranker == first.ranker, "pages of one list are of one ranker"
    for request, client in (
        (Q, None),
        (SearchRequest(q="shoes", sort=Sort.PRICE_ASC), "d1"),
        (SearchRequest(q="shoes", ranker="dense"), "d2"),
        (SearchRequest(q=""), "d3"),
    ):
        server.answer(request, client)
    found = slot_standing(shop.layout, slot_of(shop.layout, "rankers"))
    assert found.showings == 30
    shop.take_events([click(answers["visitor-4"].query_id, "visitor-4")], None)
    found = slot_standing(shop.layout, slot_of(shop.layout, "rankers"))
    assert sum(a.rewards for a in found.arms) == 1
    shop.close()
    traced = trace(shop.layout, answers["visitor-4"].query_id)
    arm = traced.served.slots["rankers"]
    assert {"ltr": "ltr", "bm25": "words"}[answers["visitor-4"].ranker] == arm.arm
    assert 0 < arm.pscore < 1
    assert [s.name for s in traced.slots] == ["rankers"]
    stored = b"".join(f.read_bytes() for f in shop.layout.root.rglob("registry/*") if f.is_file())
    assert b"visitor-" not in stored


def test_who_is_in_an_experiment_on_the_ranking_is_left_to_it(shop, server):
    start_slot(shop.layout, "rankers", "search", RANKERS, guardrails=FREE, **WHO)
    dense = SearchConfiguration(ranker="dense")
    variants = (Variant(name="control", weight=1), Variant(name="d", weight=1, configuration=dense))
    start(shop.layout, "meaning", variants, **WHO)
    assert {server.answer(Q, f"c{i}").ranker for i in range(20)} == {"ltr", "dense"}
    stop(shop.layout, "meaning", **WHO)
    assert {server.answer(Q, f"c{i}").ranker for i in range(20)} == {"ltr", "bm25"}
    stop_slot(shop.layout, "rankers", **WHO)
    assert {server.answer(Q, f"c{i}").ranker for i in range(20)} == {"ltr"}


def test_a_ranker_that_fails_is_not_shown(shop, server, monkeypatch):
    start_slot(shop.layout, "rankers", "search", RANKERS, guardrails=FREE, **WHO)
    plain = server._ranked

    def failing(view, request, chosen, known):
        if chosen.configuration.ranker == "bm25":
            raise ValueError("broken")
        return plain(view, request, chosen, known)

    monkeypatch.setattr(server, "_ranked", failing)
    answers = [server.answer(Q, f"c{i}") for i in range(20)]
    assert {a.ranker for a in answers} == {"ltr"}
    state = json.loads(SlotStore(shop.layout.slots).state("rankers"))
    assert state["others"]["showings"] > 0, "a failure is a showing without success"
    assert slot_standing(shop.layout, slot_of(shop.layout, "rankers")).explored == 0


def test_a_place_of_the_feed_is_tried_and_recommendations_are_traced(shop, server):
    feed = RecommendRequest(kind=Kind.FEED, size=8)
    plain = server.recommend(feed)
    tried = plain.items[7].product.id
    arms = (SlotArm(name="plain"), SlotArm(name="new", value=tried), SlotArm(name="x", value="?"))
    start_slot(shop.layout, "third", "feed", arms, place=3, guardrails=FREE, **WHO)
    answers = [server.recommend(feed, f"c{i}") for i in range(20)]
    lists = {tuple(i.product.id for i in a.items) for a in answers}
    usual = tuple(i.product.id for i in plain.items)
    assert lists == {usual, (*usual[:2], tried, *usual[2:7])}
    with_it = next(a for a in answers if a.items[2].product.id == tried)
    assert [i.position for i in with_it.items] == list(range(1, 9))
    assert server.recommend(feed).items[2].product.id == usual[2], "nobody in particular"
    shop.take_events([click(with_it.query_id, "c1", object_id=usual[0])], None)
    found = slot_standing(shop.layout, slot_of(shop.layout, "third"))
    assert sum(a.rewards for a in found.arms) == 0, "of another product"
    shop.take_events([click(with_it.query_id, "c1", object_id=tried, key="y")], None)
    found = slot_standing(shop.layout, slot_of(shop.layout, "third"))
    assert [a.rewards for a in found.arms] == [0, 1, 0]
    assert found.arms[2].showings == 0, "a product that is not there is never tried"
    unwanted = feed.model_copy(update={"hidden": (tried,)})
    assert all(server.recommend(unwanted, f"h{i}").items[2].product.id != tried for i in range(20))
    brand = plain.items[0].product.brand
    filtered = feed.model_copy(update={"filters": Filters(brand=(brand,))})
    answers = [server.recommend(filtered, f"f{i}") for i in range(10)]
    assert all(i.product.brand == brand for a in answers for i in a.items)
    server.close()
    shop.close()
    traced = trace(shop.layout, with_it.query_id)
    assert traced.served.kind == "feed"
    assert traced.served.slots["third"].arm == "new"
    assert {p.kind for p in traced.parts} == {"catalog"}
    assert traced.index["products"] > 0


def test_whatever_stands_in_a_place_of_the_feed_is_rewarded(shop, server, monkeypatch):
    feed = RecommendRequest(kind=Kind.FEED, size=8)
    plain = server.recommend(feed)
    arms = (SlotArm(name="plain"), SlotArm(name="gone", value="?"))
    start_slot(shop.layout, "third", "feed", arms, place=3, guardrails=FREE, **WHO)
    product = plain.items[2].product.id
    server.recommend(feed, "c1")
    without = feed.model_copy(update={"hidden": (product,)})
    anew = server.recommend(without, "c1", personal=False)
    there = anew.items[2].product.id
    assert there != product
    shop.take_events([click(anew.query_id, "c1", object_id=there)], None)
    found = slot_standing(shop.layout, slot_of(shop.layout, "third"))
    assert [(a.showings, a.rewards) for a in found.arms] == [(1, 1), (0, 0)]

    # A video's click carries its own id; what is bought is its product.
    clip = FeedVideo(
        id="V1", creator_id="k", kind="video", caption="", duration=None, paid=None, simulated=True
    )
    items = [i.model_copy(update={"video": clip}) for i in plain.items]
    clips = plain.model_copy(update={"items": tuple(items)})
    monkeypatch.setattr(
        shop, "recommend", lambda *_: clips.model_copy(update={"query_id": f"q{uuid4().hex}"})
    )
    shown = server.recommend(feed, "c2")
    shop.take_events([click(shown.query_id, "c2", object_id="V1")], None)
    found = slot_standing(shop.layout, slot_of(shop.layout, "third"))
    assert [(a.showings, a.rewards) for a in found.arms] == [(2, 2), (0, 0)]


def test_what_a_visitor_hid_is_not_tried_beside_what_the_request_hides(shop, server, monkeypatch):
    feed = RecommendRequest(kind=Kind.FEED, size=8)
    items = server.recommend(feed).items
    tried = items[7].product.id
    arms = (SlotArm(name="plain"), SlotArm(name="new", value=tried))
    start_slot(shop.layout, "third", "feed", arms, place=3, guardrails=FREE, **WHO)
    monkeypatch.setattr(shop.visitors, "asking", lambda *_: Known(hidden=(tried,)))
    asked = feed.model_copy(update={"hidden": (items[0].product.id,)})
    answers = [server.recommend(asked, f"c{i}") for i in range(20)]
    assert tried not in {a.items[2].product.id for a in answers}


def test_a_page_asks_for_what_it_is_to_show(shop, server):
    start_slot(shop.layout, "banner", "page", BANNERS, guardrails=FREE, **WHO)
    with pytest.raises(NotFound, match="for pages"):
        server.show("rankers", "c")
    shown = [server.show("banner", f"c{i}") for i in range(20)]
    assert {s.value for s in shown} == {None, "/summer"}
    assert all(0 < s.pscore < 1 for s in shown)
    assert server.show("banner").pscore is None
    stop_slot(shop.layout, "banner", **WHO)
    assert server.show("banner", "c0").arm == "plain"


# Crashes


@pytest.mark.crash
def test_killed_at_any_moment_showings_and_what_was_learned_agree(tmp_path):
    layout = Layout.create(tmp_path / "shop", Settings(simulated=True))
    slot = start_slot(layout, "banner", "page", BANNERS, guardrails=FREE, **WHO)
    code = textwrap.dedent(f"""
        import sys
        from datetime import UTC, datetime
        from pathlib import Path
        from tandem.flows.slots import Slots, slot_of
        from tandem.flows.events import EventIntake
        from tandem.storage.layout import Layout
        layout = Layout.open(Path({str(layout.root)!r}))
        slots, intake, slot = Slots(layout), EventIntake(layout), slot_of(layout, "banner")
        for i in range(10**6):
            name = f"{{sys.argv[1]}}-{{i}}"
            slots.show(slot, name, name)
            print(name, flush=True)
            if i % 3 == 0:
                now = datetime.now(UTC).isoformat()
                clicked = {{"kind": "event", "event_id": name, "timestamp": now}}
                about = {{"client_id": name, "action_name": "click", "query_id": name}}
                intake.take([{{**clicked, **about, "object_id": "P1"}}])
    """)
    said = 0
    for run in range(2):
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(run)], stdout=subprocess.PIPE, text=True
        )
        process.stdout.readline()
        time.sleep(0.15)
        process.send_signal(signal.SIGKILL)
        said += 1 + len(process.communicate()[0].splitlines())
    found = slot_standing(layout, slot)
    state = json.loads(SlotStore(layout.slots).state("banner"))
    assert found.showings >= said, "what was shown is on record"
    assert state["best"]["showings"] + state["others"]["showings"] == found.showings
    assert state["best"]["total"] == found.arms[0].rewards
    assert state["others"]["total"] == found.arms[1].rewards
