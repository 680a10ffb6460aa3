"""Experiments in a running shop: assignment, exposure, consent, canaries, shadows, exploration."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

import tandem
from tandem.contracts.consent import Purpose
from tandem.contracts.errors import Conflict, InvalidInput, NotFound
from tandem.contracts.experiment import Exploration, SearchConfiguration, Variant
from tandem.contracts.registry import Explored, Served
from tandem.contracts.search import SearchRequest, Sort
from tandem.experiments.exploration import conditional, draw, marginals
from tandem.experiments.offpolicy.diagnostics import Limits, Refusal
from tandem.flows import online
from tandem.flows.artefacts import artefact_of, roll_back_artefact
from tandem.flows.consent import decide, subjects_of
from tandem.flows.experimenting import (
    book_of,
    experiment_of,
    explore,
    exposed,
    harm_of,
    hold_out,
    standing,
    start,
    stop,
    widen,
)
from tandem.flows.explored import evaluate_explored
from tandem.flows.online import Online
from tandem.flows.registry import canary, promote, shadow, withdraw
from tandem.flows.search import answer
from tandem.flows.tracing import trace
from tandem.flows.train import train_ranker
from tandem.registry.served import ServedLog
from tandem.storage.layout import Layout

WORDS = (
    Variant(name="control", weight=1),
    Variant(name="words", weight=1, configuration=SearchConfiguration(ranker="bm25")),
)
WHO = {"who": "tester", "why": "a drill"}
Q = SearchRequest(q="shoes", size=10)


@pytest.fixture(scope="module")
def with_candidate(simulated_shop, tmp_path_factory):
    """The simulated shop with a linear candidate that ranks otherwise than the live model."""
    root = shutil.copytree(simulated_shop, tmp_path_factory.mktemp("online") / "shop")
    report = train_ranker(Layout.open(root), kind="linear", folds=2, live=False, who="tester")
    return root, report.generation


@pytest.fixture
def shop(with_candidate, tmp_path):
    root, _ = with_candidate
    with tandem.open(shutil.copytree(root, tmp_path / "shop")) as shop:
        yield shop


@pytest.fixture
def candidate(with_candidate):
    return with_candidate[1]


@pytest.fixture
def server(shop, monkeypatch):
    monkeypatch.setattr(online, "BELIEVED", 0.0)
    server = Online(shop, seed=1)
    yield server
    server.close()


def test_people_are_assigned_exposed_once_and_traced(shop, server):
    start(shop.layout, "words", WORDS, **WHO)
    answers = {f"c{i}": server.answer(Q, f"c{i}", "Mozilla/5.0") for i in range(24)}
    rankers = {client: a.ranker for client, a in answers.items()}
    assert set(rankers.values()) == {"ltr", "bm25"}
    again = {client: server.answer(Q, client).ranker for client in rankers}
    assert again == rankers

    # No effect, no exposure: no client, another order, a ranker of one's own, no words.
    for request, client in (
        (Q, None),
        (SearchRequest(q="shoes", sort=Sort.PRICE_ASC), "d1"),
        (SearchRequest(q="shoes", ranker="bm25"), "d2"),
        (SearchRequest(q=""), "d3"),
    ):
        server.answer(request, client)
    server.close()
    experiment = experiment_of(shop.layout, "words")
    table = exposed(shop.layout, experiment, actor="tester").table
    assert len(table) == 24
    sizes = table["variant"].value_counts().to_dict()
    assert sizes["words"] == sum(r == "bm25" for r in rankers.values())
    shop.close()
    found = trace(shop.layout, answers["c0"].query_id)
    assert found.served.experiments == {"words": "words" if rankers["c0"] == "bm25" else "control"}
    assert found.experiments == (experiment,)
    stored = b"".join(f.read_bytes() for f in shop.layout.root.rglob("*") if f.is_file())
    assert b'"c17"' not in stored, "the identifier itself is nowhere"


def test_who_objects_is_in_no_experiment(shop, server):
    start(shop.layout, "words", WORDS, **WHO)
    who = next(f"c{i}" for i in range(50) if server.answer(Q, f"c{i}").ranker == "bm25")
    subjects = subjects_of(shop.layout, who, "client")
    decide(shop.layout, subjects, [Purpose.ANALYTICS], "withdrawn", actor="tester")
    assert server.answer(Q, who).ranker == "ltr"


def test_stop_ramp_layers_and_holdout(shop, server):
    layout = shop.layout
    hold_out(layout, 0.2)
    start(layout, "words", WORDS, share=0.5, ramp=0.2, **WHO)

    def served():
        rules = server._current()
        chosen = (server._choose(rules, online.open_to(Q, None), f"c{i}") for i in range(300))
        return {i for i, c in enumerate(chosen) if c.configuration.ranker == "bm25"}

    few = served()
    widen(layout, "words", 1.0, **WHO)
    more = served()
    assert few < more
    assert len(more) < 0.3 * 300
    with pytest.raises(Conflict, match="running"):
        hold_out(layout, 0.3)
    with pytest.raises(Conflict, match="sets ranking too"):
        start(layout, "other", WORDS, layer="elsewhere", **WHO)
    with pytest.raises(Conflict, match="no room"):
        start(layout, "other", WORDS, share=0.6, **WHO)
    other = start(layout, "other", WORDS, share=0.5, **WHO)
    assert other.first == 5_000
    stop(layout, "other", **WHO)
    stop(layout, "words", **WHO)
    assert served() == set()
    with pytest.raises(Conflict, match="there was"):
        start(layout, "words", WORDS, **WHO)
    with pytest.raises(NotFound):
        stop(layout, "nothing", **WHO)
    with pytest.raises(InvalidInput, match="no metric"):
        start(layout, "third", WORDS, success=["happiness"], **WHO)
    with pytest.raises(InvalidInput, match="same search"):
        start(layout, "third", [WORDS[0], Variant(name="b", weight=1)], **WHO)


def shoppers(shop, server, n, chance):
    """Simulated shoppers who search once and click with a chance that depends on the ranker."""
    rng = np.random.default_rng(3)
    records = []
    for i in range(n):
        answer = server.answer(Q, f"s{i}")
        now = datetime.now(UTC) + timedelta(seconds=1)
        base = {"timestamp": now.isoformat(), "client_id": f"s{i}", "query_id": answer.query_id}
        records.append({"kind": "query", "event_id": f"q{i}", "user_query": "shoes", **base})
        if (
            rng.random()
            < chance[answer.ranker, answer.model_generation == shop.layout.models.live()]
        ):
            event = {"kind": "event", "event_id": f"k{i}", "action_name": "click", **base}
            records.append({**event, "object_id": answer.hits[0].product.id})
    server.close()
    outcomes = shop.take_events(records, None)
    assert {o.status for o in outcomes} == {"accepted"}


def test_the_analysis_reads_events_and_exposures(shop, server):
    start(shop.layout, "words", WORDS, planned=120, **WHO)
    shoppers(shop, server, 120, {("ltr", True): 0.2, ("bm25", False): 0.8})
    found = standing(shop.layout, experiment_of(shop.layout, "words"), actor="tester")
    assert sum(found.health.exposed.values()) == 120
    assert not found.health.mismatch
    assert found.simulated
    assert found.verdict == "ship"
    rate = found.analyses["words"]["metrics"]["click_rate"]
    assert rate["control"] == pytest.approx(0.2, abs=0.15)
    assert rate["treatment"] == pytest.approx(0.8, abs=0.15)
    refused = shop.take_events(
        [
            {
                "kind": "event",
                "event_id": "x",
                "action_name": "exposure",
                "client_id": "mallory",
                "timestamp": datetime.now(UTC).isoformat(),
                "object_id": "words:words",
            }
        ],
        None,
    )
    assert refused[0].code == "reserved"


# Canaries and shadows


def test_a_canary_is_served_to_few_and_goes_back_when_people_click_less(shop, server, candidate):
    layout = shop.layout
    gates = ("latency", "quality", "exposure")
    decision = canary(layout, "models", candidate, share=0.4, override=gates, **WHO)
    assert decision.stage == "canary"
    assert artefact_of(layout, "models", candidate).stage == "canary"
    with pytest.raises(Conflict, match="already"):
        canary(layout, "models", candidate, share=0.1, override=gates, **WHO)
    shoppers(shop, server, 120, {("ltr", True): 0.9, ("ltr", False): 0.05})
    experiment = book_of(layout).running()[0]
    assert "click_rate got worse" in harm_of(layout, experiment, actor="tester")
    server.refreshed()
    model = artefact_of(layout, "models", candidate)
    assert model.stage == "candidate"
    assert model.decisions[-1].who == "guardrail"
    assert "went back by itself" in model.decisions[-1].why
    assert not book_of(layout).running()


def test_a_slow_or_failing_canary_goes_back(shop, server, candidate, monkeypatch):
    layout = shop.layout
    gates = ("latency", "quality", "exposure")
    canary(layout, "models", candidate, share=0.5, override=gates, **WHO)
    monkeypatch.setattr(shop, "with_artefact", lambda *_: 1 / 0)
    answers = [server.answer(Q, f"c{i}") for i in range(20)]
    assert {a.model_generation for a in answers} == {layout.models.live()}
    server.refreshed()
    assert "failed in" in artefact_of(layout, "models", candidate).decisions[-1].why
    monkeypatch.undo()

    decision = canary(layout, "models", candidate, share=0.5, override=gates, **WHO)
    name = f"canary-{decision.number}"
    for took, arm in ((9.0, "canary"), (3.0, "control")):
        for _ in range(60):
            server._note(name, arm, took)
    server.refreshed()
    assert "too slow" in artefact_of(layout, "models", candidate).decisions[-1].why


def test_a_shadow_answers_unseen_and_its_agreement_is_on_record(shop, server, candidate):
    layout = shop.layout
    shadow(layout, "models", candidate, share=1.0, **WHO)
    answers = [server.answer(SearchRequest(q=q)) for q in ("shoes", "lamp", "red")]
    assert {a.model_generation for a in answers} == {layout.models.live()}
    server.close()
    model = artefact_of(layout, "models", candidate)
    assert model.stage == "shadow"
    seen = model.shadowed
    assert (seen.requests, seen.failed) == (3, 0)
    assert 0 <= seen.overlap <= 1
    assert seen.shadow_ms > 0
    withdraw(layout, "models", candidate, **WHO)
    assert artefact_of(layout, "models", candidate).stage == "candidate"
    with pytest.raises(NotFound, match="neither"):
        withdraw(layout, "models", candidate, **WHO)


def test_going_live_ends_trials(shop, candidate):
    layout = shop.layout
    live = layout.models.live()
    gates = ("latency", "quality", "exposure")
    canary(layout, "models", candidate, share=0.1, override=gates, **WHO)
    promote(layout, "models", candidate, override=gates, **WHO)
    assert artefact_of(layout, "models", candidate).stage == "live"
    assert not book_of(layout).running()
    roll_back_artefact(layout, "models", live, **WHO)
    assert artefact_of(layout, "models", candidate).stage == "retired"


# Exploration


def test_served_lists_are_drawn_with_the_probability_that_is_logged(shop, server):
    explore(shop.layout, Exploration(top=3, steepness=1.0, share=1.0))
    plain = [h.product.id for h in shop.search(Q).hits]
    counts = np.zeros((3, 3))
    ids = []
    for _ in range(100):
        answer = server.answer(Q)
        shown = [h.product.id for h in answer.hits]
        assert shown[3:] == plain[3:]
        ids.append(answer.query_id)
        for place in range(3):
            counts[place, plain.index(shown[place])] += 1
    shop.close()
    expected = marginals(Exploration(top=3, steepness=1.0)) * 100
    assert ((counts - expected) ** 2 / expected).sum() < 30  # 4 degrees of freedom
    log = {s.query_id: s for s in ServedLog(shop.layout.served).records()}
    explored = log[ids[0]].explored
    assert explored.ranked == tuple(plain[:3])
    assert log[ids[0]].products[:3] == tuple(explored.ranked[r] for r in explored.places)


@pytest.mark.parametrize("method", ["plackett_luce", "swap"])
def test_drawn_orders_follow_their_probabilities(method):
    policy = Exploration(method=method, top=4, steepness=1.3)
    assert marginals(policy).sum(axis=0) == pytest.approx(1)
    assert marginals(policy).sum(axis=1) == pytest.approx(1)
    rng = np.random.default_rng(0)
    seen = {}
    for _ in range(4_000):
        drawn = draw(policy, rng)
        seen.setdefault(drawn.places, []).append(np.prod(drawn.pscore))
    for places, chances in seen.items():
        share, chance = len(chances) / 4_000, chances[0]
        assert abs(share - chance) < 5 * np.sqrt(chance * (1 - chance) / 4_000)
        assert conditional(policy, places) == pytest.approx(draw_again(policy, places))
    assert sum(chances[0] for chances in seen.values()) == pytest.approx(1, abs=0.01)


def draw_again(policy, places):
    """The conditional probabilities, told from the whole distribution by brute force."""
    from itertools import permutations

    def whole(order):
        return float(np.prod(conditional(policy, order)))

    orders = list(permutations(range(policy.top)))
    found = []
    for k in range(len(places)):
        above = sum(whole(o) for o in orders if o[:k] == places[:k])
        found.append(sum(whole(o) for o in orders if o[: k + 1] == places[: k + 1]) / above)
    return found


def test_what_another_model_would_have_earned_is_told_from_drawn_lists(shop, candidate):
    """Simulated clicks: a place is looked at, and a product clicked, each by its own chance, so
    that the truth is known for the candidate's order too."""
    queries = shop.judgment_list().queries[:8]
    looked, top, n = np.array([1.0, 0.5, 0.2]), 3, 1_600
    policy = Exploration(top=top, steepness=0.7)
    rng = np.random.default_rng(0)
    other = shop.with_artefact(shop.view, "models", candidate)
    now, truth, differs, records = datetime.now(UTC), [], [], []
    log, worth = ServedLog(shop.layout.served), {}
    first = {q: [h.product.id for h in shop.search(q, k=top).hits] for q in queries}
    theirs = {}
    for q, ids in first.items():
        hits = answer(other, SearchRequest(q=q, ranker="ltr", size=200)).hits
        theirs[q] = sorted(ids, key=[h.product.id for h in hits].index)
    for i in range(n):
        q = queries[i % len(queries)]
        ranked = tuple(first[q])
        drawn = draw(policy, rng)
        shown = tuple(ranked[rank] for rank in drawn.places)
        chances = np.array([worth.setdefault(p, rng.uniform(0.1, 0.9)) for p in theirs[q]])
        truth.append(float(looked @ chances))
        differs.append(tuple(theirs[q]) != ranked)
        log.put(
            Served(
                query_id=f"q{i}",
                at=now,
                ranker="ltr",
                index_generation=shop.view.generation if i else "g000009-20260101T000000",
                model_generation=None,
                policy=None,
                page=1,
                products=shown,
                scores=(3.0, 2.0, 1.0),
                total=3,
                milliseconds=1.0,
                explored=Explored(
                    method=policy.method,
                    steepness=policy.steepness,
                    ranked=ranked,
                    places=drawn.places,
                    pscore=drawn.pscore,
                    marginal=drawn.marginal,
                ),
            )
        )
        base = {"timestamp": now.isoformat(), "client_id": f"c{i}", "query_id": f"q{i}"}
        asked = {"user_query": q, **({"filters": ["brand"]} if i == 1 else {})}
        records.append({"kind": "query", "event_id": f"s{i}", **asked, **base})
        for place, product in enumerate(shown):
            if rng.random() < looked[place] * worth[product]:
                event = {"kind": "event", "event_id": f"k{i}-{place}", "action_name": "click"}
                records.append({**event, "object_id": product, **base})
    assert any(differs), "the candidate orders otherwise"
    log.close()
    for at in range(0, len(records), 1_000):
        shop.take_events(records[at : at + 1_000], None)
    found = evaluate_explored(shop.layout, model=candidate, actor="tester", resamples=300)
    assert found.lists == n - 2
    assert sum(found.left_out.values()) == 2, "from an index that is gone; by unknown filters"
    assert found.same == pytest.approx(1 - np.mean(differs[2:]))
    assert found.simulated
    for name in ("SIPS", "RIPS", "IIPS"):
        e = found.estimates[name]
        error = (e.interval.high - e.interval.low) / 3.92
        assert abs(e.value - np.mean(truth)) < 4 * error, name
        assert found.diagnostics[name].effective == pytest.approx(e.effective)
    strict = Limits(effective=1e6)
    refused = evaluate_explored(shop.layout, model=candidate, actor="tester", limits=strict)
    assert {type(e) for e in refused.estimates.values()} == {Refusal}
    with pytest.raises(NotFound):
        evaluate_explored(shop.layout, model="g000077-20260101T000000", actor="tester")
