"""Candidates of every kind but rankers: gates, stages, shadows, canaries, cards."""

from __future__ import annotations

import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

import tandem
from tandem.contracts.configuration import SearchConfiguration
from tandem.contracts.consent import Basis, Purpose
from tandem.contracts.errors import Conflict, InvalidInput, NotFound
from tandem.contracts.recommend import Kind, RecommendRequest
from tandem.contracts.search import SearchRequest
from tandem.experiments import gates
from tandem.flows import generations, loading, online, registry
from tandem.flows.artefacts import artefact_of, artefacts, roll_back_artefact
from tandem.flows.comparing import _feeds, _same
from tandem.flows.experimenting import book_of
from tandem.flows.generations import go_live, made, retire_generation
from tandem.flows.online import Online
from tandem.flows.registry import canary, card, promote, shadow, withdraw
from tandem.flows.tracing import trace
from tandem.flows.train_recommender import train_recommender
from tandem.governance.consent import ConsentLedger
from tandem.recommend.tables import load_tables
from tandem.storage.configurations import publish_configuration
from tandem.storage.layout import Layout, Settings

WHO = {"who": "tester", "why": "a drill"}
WORSE = SearchConfiguration(field_boosts={"description": 1.0}, words=1.0, meaning=0.0)
SAME = SearchConfiguration(rank_constant=61)
Q = SearchRequest(q="shoes", size=10)


@pytest.fixture
def shop(simulated_shop, tmp_path):
    root = shutil.copytree(simulated_shop, tmp_path / "shop")
    # Without a learned ranker tuned weights answer.
    shutil.rmtree(root / "models")
    with tandem.open(root) as shop:
        yield shop


@pytest.fixture
def server(shop, monkeypatch):
    monkeypatch.setattr(online, "BELIEVED", 0.0)
    server = Online(shop, seed=1)
    yield server
    server.close()


def tuned(layout, configuration):
    with layout.writing():
        evidence = {"trained_at": "2026-03-01T12:00:00+00:00"}
        name = publish_configuration(layout, configuration, evidence)
        made(layout, "configurations", name, live=False, who="tester")
    return name


def gate(decision, name):
    return next(g for g in decision.gates if g.name == name)


def test_lineage_has_no_words_of_the_queries_learned_from(simulated_shop, tmp_path):
    (model,) = artefacts(Layout.open(simulated_shop), ("models",))
    assert model.lineage["queries"] > 0
    assert "trained_on" not in model.lineage
    layout = Layout.create(tmp_path / "shop", Settings())
    path = layout.cross_encoders.root / layout.cross_encoders.next_name()
    path.mkdir(parents=True)
    (path / "manifest.json").write_text(json.dumps({"queries": 1, "trained_on": ["my name"]}))
    assert artefact_of(layout, "cross-encoders", path.name).lineage == {"queries": 1}


# Tuned configurations


def test_tuned_weights_are_candidates_asked_on_judged_queries_and_rolled_back(shop):
    layout = shop.layout
    same, worse = tuned(layout, SAME), tuned(layout, WORSE)
    assert artefact_of(layout, "configurations", worse).stage == "candidate"
    refused = promote(layout, "configurations", worse, override=["latency"], **WHO)
    assert refused.stage == "candidate"
    assert gate(refused, "quality").passed is False
    assert gate(refused, "privacy").passed
    assert "refused by quality" in refused.why
    with pytest.raises(InvalidInput, match="no gate"):
        promote(layout, "configurations", same, override=["luck"], **WHO)
    decision = promote(layout, "configurations", same, override=["latency"], **WHO)
    assert decision.stage == "live"
    assert gate(decision, "exposure").passed
    assert layout.configurations.live() == same
    with pytest.raises(Conflict, match="live already"):
        promote(layout, "configurations", same, **WHO)
    with pytest.raises(NotFound):
        promote(layout, "configurations", "g000099-20260101T000000", **WHO)
    told = card(layout, "configurations", same).markdown()
    assert "is live" in told
    assert "Simulated data" in told
    assert "a drill" in told
    back = roll_back_artefact(layout, "configurations", None, **WHO)
    assert back.generation not in (same, worse), "what was refused is no way back"
    stages = {a.generation: a.stage for a in artefacts(layout, ("configurations",))}
    assert (stages[same], stages[worse]) == ("retired", "candidate")


def test_queries_that_weights_were_tuned_on_are_not_asked(shop):
    layout = shop.layout
    queries = shop.judgment_list().queries
    name = tuned(layout, SAME.model_copy(update={"tuned_on": tuple(queries[:-5])}))
    decision = promote(layout, "configurations", name, **WHO)
    assert gate(decision, "quality").passed is None
    assert "only 5 judged queries" in gate(decision, "quality").says


def test_a_configuration_is_a_shadow_then_a_canary_that_goes_back(shop, server):
    layout = shop.layout
    name = tuned(layout, WORSE)
    shop.refresh()
    shadow(layout, "configurations", name, share=1.0, **WHO)
    answers = [server.answer(SearchRequest(q=q)) for q in ("shoes", "lamp", "red")]
    assert {a.parts["configurations"] for a in answers} == {layout.configurations.live()}
    with pytest.raises(Conflict, match="a shadow already"):
        shadow(layout, "configurations", tuned(layout, SAME), share=0.5, **WHO)
    server._background.close()
    server._background = online._Background()
    assert artefact_of(layout, "configurations", name).stage == "shadow"
    gates_ = ("latency", "quality", "exposure")
    decision = canary(layout, "configurations", name, share=0.5, override=gates_, **WHO)
    assert decision.stage == "canary"
    assert artefact_of(layout, "configurations", name).stage == "canary"
    assert not book_of(layout).shadows
    answers = [server.answer(Q, f"c{i}") for i in range(20)]
    assert {a.parts["configurations"] for a in answers} == {name, layout.configurations.live()}
    experiment = book_of(layout).running()[0].name
    for took, arm in ((9.0, "canary"), (3.0, "control")):
        for _ in range(60):
            server._note(experiment, arm, took)
    server.refreshed()
    found = artefact_of(layout, "configurations", name)
    assert found.stage == "candidate"
    assert "too slow" in found.decisions[-1].why
    server.close()
    shop.close()
    assert "3 real requests unseen" in card(layout, "configurations", name).markdown()
    traced = trace(layout, answers[0].query_id)
    assert {p.kind for p in traced.parts} == {"catalog", "configurations"}


def test_what_has_no_say_is_no_canary(simulated_shop, tmp_path):
    with tandem.open(shutil.copytree(simulated_shop, tmp_path / "shop")) as shop:
        name = tuned(shop.layout, SAME)
        with pytest.raises(Conflict, match="no say"):
            canary(shop.layout, "configurations", name, share=0.1, **WHO)
        with pytest.raises(InvalidInput, match="neither shadow nor canary"):
            shadow(shop.layout, "matchers", name, share=0.1, **WHO)


def test_of_two_who_start_a_canary_at_once_one_is_told_that_the_other_was_first(shop, monkeypatch):
    layout = shop.layout
    names = tuned(layout, SAME), tuned(layout, WORSE)
    both = threading.Barrier(2)
    # Both have asked the gates before either starts.
    monkeypatch.setattr(registry, "_asked", lambda *_: (both.wait(20), ())[1])

    def start(name):
        try:
            return canary(layout, "configurations", name, share=0.1, **WHO).stage
        except Conflict as error:
            return error.message

    with ThreadPoolExecutor(2) as people:
        said = list(people.map(start, names))
    assert sorted(s == "canary" for s in said) == [False, True]
    first = names[said.index("canary")]
    assert f"{first} is a canary already" in said
    assert [e.tried for e in book_of(layout).running()] == [first]
    stages = {a.generation: a.stage for a in artefacts(layout, ("configurations",))}
    assert stages[first] == "canary"


def test_what_was_held_against_another_live_one_is_asked_again(shop, monkeypatch):
    layout = shop.layout
    one, other = tuned(layout, SAME), tuned(layout, WORSE)

    def asked(*_):
        with layout.writing():
            go_live(layout, "configurations", other, **WHO)
        return ()

    monkeypatch.setattr(registry, "_asked", asked)
    for ask in (promote, partial(canary, share=0.1)):
        with pytest.raises(Conflict, match="went live while the gates were asked"):
            ask(layout, "configurations", one, **WHO)
        roll_back_artefact(layout, "configurations", None, **WHO)
    assert not book_of(layout).running()


def test_what_is_trained_and_live_at_once_ends_the_trials_of_its_kind(shop):
    layout = shop.layout
    gates_ = ("latency", "quality", "exposure")
    tried, seen = tuned(layout, SAME), tuned(layout, WORSE)
    canary(layout, "configurations", tried, share=0.1, override=gates_, **WHO)
    shadow(layout, "configurations", seen, share=0.1, **WHO)
    with layout.writing():
        retire_generation(layout, "configurations", seen)
    assert not book_of(layout).shadows, "what is gone answers nothing"
    fresh = tuned(layout, SAME)
    with layout.writing():
        made(layout, "configurations", fresh, who="tester")
    (ended,) = book_of(layout).experiments
    assert ended.state == "stopped"
    assert ended.changes[-1].why == f"{fresh} went live"
    assert artefact_of(layout, "configurations", tried).stage == "candidate"


@pytest.mark.parametrize("goes", [0, 1])
def test_a_canary_that_a_killed_process_left_is_ended(shop, server, monkeypatch, goes):
    layout = shop.layout
    names = tuned(layout, SAME), tuned(layout, WORSE)
    gates_ = ("latency", "quality", "exposure")
    canary(layout, "configurations", names[0], share=0.1, override=gates_, **WHO)
    server.refreshed()
    assert book_of(layout).running()

    def killed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(generations, "end_trials", killed)
    with pytest.raises(KeyboardInterrupt), layout.writing():
        go_live(layout, "configurations", names[goes], **WHO)
    server._checked = 0.0
    server.refreshed()
    (ended,) = book_of(layout).experiments
    assert (ended.state, ended.changes[-1].why) == ("stopped", f"{names[goes]} went live")
    assert artefact_of(layout, "configurations", names[goes]).stage == "live"


def test_no_candidate_goes_live_in_the_place_of_what_is_erased(shop):
    layout = shop.layout
    tuned(layout, WORSE)
    before, live = layout.configurations.names()[0], tuned(layout, SAME)
    with layout.writing():
        go_live(layout, "configurations", live, **WHO)
    tuned(layout, WORSE)
    with layout.writing():
        retire_generation(layout, "configurations", live)
    assert layout.configurations.live() == before
    last = artefact_of(layout, "configurations", before).decisions[-1]
    assert (last.stage, last.instead_of, last.why) == ("live", live, f"{live} was retired")
    with layout.writing():
        retire_generation(layout, "configurations", before)
    assert layout.configurations.live() is None


# Recommenders


@pytest.fixture
def recommenders(shop, tmp_path):
    """A live recommender and a candidate that learned from other sessions: pairs of products that
    follow each other, the candidate's with another partner."""
    products = [h.product.id for h in shop.search(SearchRequest(q="", size=60)).hits]

    def events(name, step):
        rows = []
        for i in range(300):
            first = products[i % 40]
            for at, item in enumerate((first, products[(i % 40 + step) % 60])):
                rows.append(
                    {
                        "session_id": f"s{i}",
                        "item_id": item,
                        "timestamp": 1_700_000_000 + 100 * i + at,
                        "action": "view",
                    }
                )
        file = tmp_path / f"{name}.jsonl"
        file.write_text("".join(json.dumps(r) + "\n" for r in rows))
        return file

    live = train_recommender(shop.layout, events("live", 1)).generation
    candidate = train_recommender(shop.layout, events("candidate", 7), live=False).generation
    shop.refresh()
    return products, live, candidate


def visited(shop, products, step, n=40):
    """Sessions of people who allow learning, after both were trained: first a product, then the one
    `step` further."""
    ledger = ConsentLedger(shop.layout)
    basis = Basis.LEGITIMATE_INTERESTS
    ledger.set_basis(Purpose.MODEL_TRAINING, basis, reason="a drill", source="tester")
    records = []
    for i in range(n):
        at = datetime.now(UTC) + timedelta(seconds=2)
        for place, product in enumerate((products[i % 40], products[(i % 40 + step) % 60])):
            records.append(
                {
                    "kind": "event",
                    "event_id": f"v{step}-{i}-{place}",
                    "timestamp": (at + timedelta(seconds=place)).isoformat(),
                    "client_id": f"v{i}",
                    "session_id": f"v{step}-{i}",
                    "action_name": "click",
                    "object_id": product,
                }
            )
    assert {o.status for o in shop.take_events(records, None)} == {"accepted"}


def test_a_recommender_is_asked_on_what_people_did_since(shop, recommenders):
    layout = shop.layout
    products, live, candidate = recommenders
    fresh = promote(layout, "recommenders", candidate, **WHO)
    assert fresh.stage == "candidate"
    assert gate(fresh, "quality").passed is None
    assert "only 0 sessions since both were trained" in gate(fresh, "quality").says
    assert gate(fresh, "privacy").passed is False
    visited(shop, products, step=1)
    worse = promote(layout, "recommenders", candidate, approved_by="dpo", **WHO)
    assert gate(worse, "quality").passed is False
    assert gate(worse, "privacy").passed
    assert layout.recommenders.live() == live
    visited(shop, products, step=7, n=160)
    better = promote(
        layout,
        "recommenders",
        candidate,
        approved_by="dpo",
        override=["latency", "exposure"],
        **WHO,
    )
    assert gate(better, "quality").passed
    assert better.stage == "live"
    assert layout.recommenders.live() == candidate


def test_a_recommender_is_a_shadow_and_a_canary(shop, server, recommenders):
    layout = shop.layout
    products, live, candidate = recommenders
    asked = RecommendRequest(kind=Kind.NEXT, recent=(products[0],), size=5)
    shadow(layout, "recommenders", candidate, share=1.0, **WHO)
    plain = server.recommend(asked)
    assert plain.items[0].product.id == products[1]
    similar = RecommendRequest(kind=Kind.SIMILAR, product_id=products[0])
    server.recommend(similar)  # no recommender has a say in it
    server._background.close()
    server._background = online._Background()
    withdraw(layout, "recommenders", candidate, **WHO)
    assert artefact_of(layout, "recommenders", candidate).stage == "candidate"
    gates_ = ("latency", "quality", "exposure", "privacy")
    canary(layout, "recommenders", candidate, share=0.5, override=gates_, **WHO)
    answers = [server.recommend(asked, f"c{i}") for i in range(20)]
    assert {a.model_generation for a in answers} == {live, candidate}
    assert server.recommend(asked).model_generation == live, "nobody in particular"
    name = book_of(layout).running()[0].name
    assert book_of(layout).running()[0].of == "recommenders"
    withdraw(layout, "recommenders", name, **WHO)
    assert {server.recommend(asked, f"c{i}").model_generation for i in range(20)} == {live}
    with pytest.raises(NotFound, match="neither"):
        withdraw(layout, "recommenders", candidate, **WHO)
    server.close()
    shop.close()
    assert "1 real requests unseen" in card(layout, "recommenders", candidate).markdown()
    traced = trace(layout, next(a for a in answers if a.model_generation == candidate).query_id)
    part = next(p for p in traced.parts if p.kind == "recommenders")
    assert part.generation == candidate
    assert part.artefact.decisions[-1].stage == "candidate"
    assert traced.experiments[0].name == name


def test_a_live_update_reads_no_candidate_again(shop, recommenders, monkeypatch):
    _, _, candidate = recommenders
    read = []

    def counted(path):
        read.append(path)
        return load_tables(path)

    monkeypatch.setattr(loading, "load_tables", counted)
    before = shop.with_artefact(shop.view, "recommenders", candidate)
    assert shop.with_artefact(shop.view, "recommenders", candidate) is before
    updated = replace(shop.view)
    after = shop.with_artefact(updated, "recommenders", candidate)
    assert after is not before
    assert after.following is before.following
    assert len(read) == 1
    shutil.rmtree(shop.layout.recommenders.path(candidate))
    with pytest.raises(NotFound):
        shop.with_artefact(shop.view, "recommenders", candidate)


def test_a_recommender_that_cannot_be_read_costs_no_answer_and_a_roll_back_ends_its_canary(
    shop, server, recommenders
):
    layout = shop.layout
    products, live, candidate = recommenders
    gates_ = ("latency", "quality", "exposure", "privacy")
    canary(layout, "recommenders", candidate, share=0.5, override=gates_, **WHO)
    name = book_of(layout).running()[0].name
    for file in layout.recommenders.path(candidate).glob("*.safetensors"):
        file.write_bytes(b"broken")
    asked = RecommendRequest(kind=Kind.NEXT, recent=(products[0],), size=5)
    answers = [server.recommend(asked, f"c{i}") for i in range(20)]
    assert {a.model_generation for a in answers} == {live}
    assert server._times[name].failed
    nothing = RecommendRequest(kind=Kind.SIMILAR, product_id="?")
    with pytest.raises(NotFound):
        server.recommend(nothing, "c0")
    roll_back_artefact(layout, "recommenders", live, **WHO)
    assert not book_of(layout).running()


def test_a_feed_ranker_that_foretells_no_clicks_is_not_taken_for_one_that_says_none(tmp_path):
    layout = Layout.create(tmp_path / "shop", Settings())
    knows, knows_not = (
        SimpleNamespace(feed_ranker=SimpleNamespace(objectives=o))
        for o in ({"click": 1}, {"buy": 1})
    )
    assert "too few clicks" in _feeds(layout, knows_not, knows).says
    assert _feeds(layout, knows, knows_not).passed is None


def test_gates_of_cases_that_neither_had_seen():
    rng = np.random.default_rng(0)
    base = rng.random(200)
    assert gates.unseen(base[:10], base[:10], "RR", "sessions").passed is None
    assert gates.unseen(base, base, "RR", "sessions").passed
    assert gates.unseen(base + 0.1, base, "RR", "sessions").passed
    assert gates.unseen(base - 0.02, base, "RR", "sessions").passed is False, "significant"
    noisy = base[:25] + rng.normal(-0.1, 0.6, 25)
    assert gates.unseen(noisy, base[:25], "RR", "sessions").passed is False, "a loss of a tenth"
    assert gates.alone("feeds").passed is None
    assert gates.apart({}, {}, same_data=False).passed is None


def test_two_matchers_that_learned_from_events_are_not_called_the_same():
    names = ("catalog_generation", "creator_generation", "content_generation", "code_version")
    made = dict.fromkeys((*names, "encoder"), "a") | {"showings": 9, "measured_showings": 9}
    mine = SimpleNamespace(**made, learned_from_events=False)
    assert _same(mine, mine)
    assert not _same(
        mine, SimpleNamespace(**{**made, "code_version": "b"}, learned_from_events=False)
    )
    watched = SimpleNamespace(**made, learned_from_events=True)
    assert not _same(watched, watched), "events were stored between the two"
