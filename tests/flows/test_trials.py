"""Shadows and canaries of what has a say in some answers only: the cross-encoder where it is asked
for, the personal ranker where something is known of who asks, the feed's ranker in the feed."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

import numpy as np
import pytest

import tandem
from small_bert import write_small_model
from tandem.contracts.artefact import Tried
from tandem.contracts.errors import InvalidInput
from tandem.contracts.experiment import Variant
from tandem.contracts.recommend import Kind, RecommendRequest
from tandem.contracts.search import SearchRequest
from tandem.features.declarations import TASTE
from tandem.finetuning.manifest import FinetuneManifest
from tandem.flows import online, registry
from tandem.flows.artefacts import artefact_of, roll_back_artefact
from tandem.flows.experimenting import book_of, start
from tandem.flows.feed import FEATURES
from tandem.flows.generations import publishing
from tandem.flows.online import Online
from tandem.flows.registry import canary, promote, shadow, withdraw
from tandem.flows.tracing import trace
from tandem.ranking.personal import DEFAULT, PersonalManifest, PersonalRanker, save_personal
from tandem.recommend.objectives import FeedManifest, FeedRanker, Objective
from tandem.retrieval.encoders.cross import export_cross_encoder

WHO = {"who": "tester", "why": "a drill"}
AT = "2026-03-01T12:00:00+00:00"
PAIRS = [(q, t) for q in ("red", "usb cable") for t in ("red shoe", "blue", "4k speaker")]
Q = SearchRequest(q="shoes", size=10)


def write_personal(folder, number):
    taste = dict.fromkeys(TASTE, 10.0 * number)
    manifest = PersonalManifest(AT, "made up", 1, 1, True, "0", None, {})
    save_personal(PersonalRanker({**DEFAULT.weights, **taste}), manifest, folder)


def write_feed(folder, number):
    size = len(FEATURES)
    weights = np.where(np.arange(size) % 2 == number, 1.0, 0.0)
    click = Objective(weights, -3.0, np.array([-9.0, 9.0]), np.array([0.01, 0.9]))
    made = FeedRanker(tuple(FEATURES), np.zeros(size), np.ones(size), {"click": click})
    made.save(folder, FeedManifest(AT, "made up", 1, True, "0", {}))


def write_cross_encoder(folder, number):
    write_small_model(folder, seed=3 + number, outputs=1)
    export_cross_encoder(folder, PAIRS)
    FinetuneManifest(
        **{"kind": "cross-encoder", "base": "small", "epochs": 1, "rate": 1e-4, "seed": number},
        **{"data_fingerprint": "0", "judgments": "simulated", "queries": 0, "pairs": 0},
        **{"code_version": "0", "trained_at": AT},
    ).save(folder)


@dataclass(frozen=True)
class Part:
    """A kind, a request in which it has a say, and one in which it has none."""

    kind: Tried
    write: object
    concerned: SearchRequest | RecommendRequest
    other: SearchRequest | RecommendRequest
    personal: bool = False


PARTS = (
    Part("cross-encoders", write_cross_encoder, Q.model_copy(update={"ranker": "cross"}), Q),
    Part("personal", write_personal, Q, SearchRequest(q=""), personal=True),
    Part(
        "feeds",
        write_feed,
        RecommendRequest(kind=Kind.FEED, size=10),
        RecommendRequest(kind=Kind.NEXT, recent=("SIM-0000001",), size=10),
    ),
)


@pytest.fixture(scope="module")
def root(simulated_shop, tmp_path_factory):
    """A shop with two generations of each kind: one that is live, and a candidate."""
    root = shutil.copytree(simulated_shop, tmp_path_factory.mktemp("trials") / "shop")
    with tandem.open(root) as shop:
        for part in PARTS:
            for number in (0, 1):
                with publishing(shop.layout, part.kind, live=not number, who="tester") as (_, to):
                    part.write(to, number)
    return root


@pytest.fixture
def shop(root, tmp_path):
    with tandem.open(shutil.copytree(root, tmp_path / "shop")) as shop:
        yield shop


@pytest.fixture
def server(shop, monkeypatch):
    monkeypatch.setattr(online, "BELIEVED", 0.0)
    # What the gates say of a kind is tested with the kind.
    monkeypatch.setattr(registry, "_asked", lambda *_: ())
    server = Online(shop, seed=1)
    yield server
    server.close()


def ask(server, part, request, client):
    if isinstance(request, RecommendRequest):
        return server.recommend(request, client)
    return server.answer(request, client, recent=("SIM-0000002",) if part.personal else ())


def answered_by(part, answer):
    return answer.model_generation if part.kind == "cross-encoders" else answer.parts.get(part.kind)


@pytest.mark.parametrize("part", PARTS, ids=lambda p: p.kind)
def test_it_is_tried_where_it_has_a_say(shop, server, part):
    layout = shop.layout
    live, candidate = layout.generations(part.kind).names()
    clients = [f"c{i}" for i in range(20)]
    if part.personal:
        for client in clients[:-1]:
            shop.visitors.decide(client, True)
    shadow(layout, part.kind, candidate, share=1.0, **WHO)
    asked = [ask(server, part, r, "c0") for r in (part.concerned, part.other, part.concerned)]
    assert answered_by(part, asked[0]) == live
    server._background.close()
    server._background = online._Background()

    canary(layout, part.kind, candidate, share=0.5, **WHO)
    assert artefact_of(layout, part.kind, candidate).share == 0.5
    answers = {c: ask(server, part, part.concerned, c) for c in clients}
    by = {c: answered_by(part, a) for c, a in answers.items()}
    assert {by[c] for c in clients[:-1]} == {live, candidate}
    assert answered_by(part, ask(server, part, part.concerned, None)) != candidate, "nobody"
    (running,) = book_of(layout).running()
    exposed = {name for _, _, name, _ in server._told}
    assert exposed == set(clients[:-1] if part.personal else clients)
    ask(server, part, part.other, "newcomer")
    assert "newcomer" not in {name for _, _, name, _ in server._told}, "it has no say in that"

    # One that fails is not shown, and counts.
    shutil.rmtree(layout.generations(part.kind).path(candidate))
    shop._tried.clear()
    tried = [c for c in clients if by[c] == candidate][:2] * online.MIN_FAILED
    assert {answered_by(part, ask(server, part, part.concerned, c)) for c in tried} == {live}
    assert server._times[running.name].failed == len(tried)
    server.refreshed()
    assert not book_of(layout).running()
    server.close()
    shop.close()
    traced = trace(layout, next(a for c, a in answers.items() if by[c] == candidate).query_id)
    assert (part.kind, candidate) in [(p.kind, p.generation) for p in traced.parts]
    assert [e.name for e in traced.experiments] == [running.name]


@pytest.mark.parametrize("part", PARTS, ids=lambda p: p.kind)
def test_what_a_shadow_saw_is_told_with_it(shop, server, part):
    layout = shop.layout
    _, candidate = layout.generations(part.kind).names()
    shop.visitors.decide("c0", True)
    shadow(layout, part.kind, candidate, share=1.0, **WHO)
    for request in (part.concerned, part.other, part.concerned):
        ask(server, part, request, "c0")
    server.close()
    found = artefact_of(layout, part.kind, candidate)
    assert (found.stage, found.share) == ("shadow", 1.0)
    assert (found.shadowed.requests, found.shadowed.failed) == (2, 0)
    assert 0 <= found.shadowed.overlap <= 1
    assert "2 real requests unseen" in registry.card(layout, part.kind, candidate).markdown()
    withdraw(layout, part.kind, candidate, **WHO)
    assert not book_of(layout).shadows


def test_nobody_is_in_two_canaries_at_once(shop, server):
    layout = shop.layout
    for kind in ("personal", "cross-encoders"):
        canary(layout, kind, layout.generations(kind).names()[1], share=0.5, **WHO)
    first, second = (e.name for e in book_of(layout).running())
    rules = server._current()
    both = [server._choose(rules, {"personal", "reranking"}, f"c{i}") for i in range(200)]
    tried = [c.configuration.generations.keys() for c in both]
    assert {tuple(t) for t in tried} == {(), ("personal",), ("cross-encoders",)}
    # Who got the first one is not in the second one at all, not even as its control.
    assert all(second not in c.experiments for c in both if c.tried == (first,))
    assert all({first, second} == c.experiments.keys() for c in both if c.tried != (first,))


@pytest.mark.parametrize(
    "gone", [("cross-encoders",), ("personal",), ("cross-encoders", "personal")]
)
def test_of_two_that_are_tried_the_one_that_fails_is_left_out_and_counts(shop, server, gone):
    layout = shop.layout
    personal, cross = (layout.generations(k).names()[1] for k in ("personal", "cross-encoders"))
    shop.visitors.decide("c0", True)
    canary(layout, "personal", personal, share=0.5, **WHO)
    changed = Variant(name="new", configuration={"ranker": "cross", "cross": cross}, weight=1e6)
    start(layout, "reranked", [Variant(name="control", weight=1), changed], **WHO)
    for kind in gone:
        shutil.rmtree(layout.generations(kind).path({"personal": personal}.get(kind, cross)))
    running = next(e.name for e in book_of(layout).running() if e.kind == "canary")
    rules = server._current()
    parts, both = {"personal", "ranking"}, {running: "canary", "reranked": "new"}
    chosen = ((f"c{i}", server._choose(rules, parts, f"c{i}").experiments) for i in range(200))
    client = next(name for name, experiments in chosen if experiments == both)
    shop.visitors.decide(client, True)
    answer = server.answer(Q, client, recent=("SIM-0000002",))
    assert (answer.parts.get("personal") == personal) == ("personal" not in gone)
    assert (answer.model_generation == cross) == ("cross-encoders" not in gone)
    assert server._times.get(running, online._Times()).failed == ("personal" in gone)


def test_what_has_a_file_that_was_changed_does_not_go_live(shop):
    layout = shop.layout
    live, candidate = layout.feeds.names()
    file = layout.feeds.path(candidate) / "weights.json"
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(InvalidInput, match="cut short or changed") as told:
        promote(layout, "feeds", candidate, **WHO)
    assert told.value.file == str(file)
    with pytest.raises(InvalidInput, match="cut short or changed"):
        roll_back_artefact(layout, "feeds", candidate, **WHO)
    assert layout.feeds.live() == live
    assert artefact_of(layout, "feeds", candidate).stage == "candidate"
