"""Personalised search: whoever allows it gets a list of their own, everybody else the same one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

from tandem.contracts.candidates import Candidates
from tandem.contracts.errors import InvalidInput, NotFound
from tandem.contracts.recommend import Known, Visit
from tandem.contracts.search import SearchRequest
from tandem.features.declarations import LTR_FEATURES, TASTE, compute_features
from tandem.flows.generations import roll_back
from tandem.flows.personal_search import (
    TAIL,
    Compared,
    Episode,
    Pools,
    choices,
    compare,
    episodes_of,
    evaluate_receipts,
    products_of,
    read_lines,
    summary,
)
from tandem.flows.personal_trial import run_trial
from tandem.flows.train_personal import episodes_of_events
from tandem.flows.workspace import Workspace, open_workspace
from tandem.http.app import create_app
from tandem.http.settings import ServerSettings
from tandem.ranking.personal import (
    BASE,
    DEFAULT,
    PersonalManifest,
    PersonalRanker,
    load_personal,
    personal_features,
    save_personal,
)
from tandem.storage.layout import Layout

ANNA = "a-client-that-is-anna"
QUERY = "shoes"


@pytest.fixture
def shop(shop_copy: Path) -> Iterator[Workspace]:
    with open_workspace(shop_copy) as shop:
        yield shop


@pytest.fixture
def client(shop: Workspace) -> Iterator[TestClient]:
    with TestClient(create_app(shop, ServerSettings(refresh_seconds=0))) as client:
        yield client


def ids(response) -> list[str]:
    return [h.product.id for h in response.hits]


def of_one_brand(shop: Workspace, query: str = QUERY) -> tuple[str, list[str]]:
    """A brand that several hits have which are not on top, and these."""
    hits = shop.search(query, k=40).hits[5:]
    brands = [h.product.brand for h in hits]
    brand = max(set(brands), key=brands.count)
    return brand, [h.product.id for h in hits if h.product.brand == brand]


def body(response) -> dict:
    """A response as it is sent, without what differs between two equal requests."""
    found = response.json()
    for name in ("query_id", "timings_ms"):
        found.pop(name)
    return found


# --- Whoever allows it ------------------------------------------------------------------------


def test_what_was_looked_at_moves_the_list_and_says_so(shop):
    brand, theirs = of_one_brand(shop)
    everybodys = shop.search(QUERY, k=40)
    shop.visitors.decide(ANNA, True)
    shop.visitors.visit(ANNA, [Visit(product_id=p) for p in theirs[:2]])
    own = shop.search(QUERY, k=40, client_id=ANNA)
    assert own.personal
    assert not everybodys.personal

    def places(found):
        return [i for i, h in enumerate(found.hits) if h.product.brand == brand]

    assert np.mean(places(own)) < np.mean(places(everybodys))
    said = [h.because for h in own.hits if h.product.brand == brand and h.because]
    assert said
    assert all(text.startswith("You looked at") or "like" in text for text in said)
    assert {h.because for h in everybodys.hits} == {None}
    explained = shop.search(QUERY, k=5, client_id=ANNA, explain=True).hits
    assert any(c.feature in TASTE for c in explained[0].explanation.contributions)
    assert ids(own) == ids(shop.search(QUERY, k=40, client_id=ANNA))


def test_the_next_search_knows_the_event_and_a_reset_forgets_it(shop):
    _, theirs = of_one_brand(shop)
    everybodys = ids(shop.search(QUERY, k=30))
    shop.visitors.decide(ANNA, True)
    assert ids(shop.search(QUERY, k=30, client_id=ANNA)) == everybodys
    shop.visitors.visit(ANNA, [Visit(product_id=p) for p in theirs[:2]])
    assert ids(shop.search(QUERY, k=30, client_id=ANNA)) != everybodys
    shop.visitors.forget(ANNA)
    assert ids(shop.search(QUERY, k=30, client_id=ANNA)) == everybodys
    found = shop.search(QUERY, k=30, client_id=ANNA, recent=theirs[:2])
    assert found.personal  # the request says what this session looked at


def test_what_is_not_wanted_comes_last(shop):
    shop.visitors.decide(ANNA, True)
    everybodys = shop.search(QUERY, k=100)
    first = ids(everybodys)[0]
    shop.visitors.visit(ANNA, [Visit(product_id=first, action="not_interested")])
    found = shop.search(QUERY, k=100, client_id=ANNA)
    assert ids(found)[:99] == ids(everybodys)[1:]
    assert found.total == everybodys.total
    deepest = SearchRequest(q=QUERY, size=100, page=3)
    assert ids(shop.search(deepest, client_id=ANNA))[-1] == first


def test_a_shopper_chosen_order_is_left_alone(shop):
    _, theirs = of_one_brand(shop)
    shop.visitors.decide(ANNA, True)
    shop.visitors.visit(ANNA, [Visit(product_id=p) for p in theirs])
    for options in ({"sort": "price_asc"}, {"q": ""}):
        request = SearchRequest.model_validate({"q": QUERY, "size": 30, **options})
        own = shop.search(request, client_id=ANNA)
        assert ids(own) == ids(shop.search(request))
        assert not own.personal


def test_pages_of_an_own_order_neither_repeat_nor_lose(shop):
    _, theirs = of_one_brand(shop)
    shop.visitors.decide(ANNA, True)
    shop.visitors.visit(ANNA, [Visit(product_id=p) for p in theirs[:3]])
    whole = ids(shop.search(QUERY, k=60, client_id=ANNA))
    paged = []
    for page in (1, 2, 3):
        request = SearchRequest(q=QUERY, size=20, page=page)
        paged += ids(shop.search(request, client_id=ANNA))
    assert paged == whole


# --- Everybody else ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "context"),
    [
        ({}, {"client_id": "somebody else", "recent_products": ["SIM-0000001"]}),
        ({}, {"recent_products": ["SIM-0000001", "SIM-0000002"]}),  # incognito: no client
        ({"Sec-GPC": "1"}, {"client_id": ANNA}),
        ({"DNT": "1"}, {"client_id": ANNA}),
        ({}, {"client_id": ANNA, "personal": False}),
    ],
)
def test_who_does_not_allow_it_gets_everybodys_list_byte_for_byte(shop, client, headers, context):
    _, theirs = of_one_brand(shop)
    shop.visitors.decide(ANNA, True)
    shop.visitors.visit(ANNA, [Visit(product_id=p) for p in theirs[:3]])
    before = {p: p.read_bytes() for p in shop.layout.root.rglob("*") if kept(p)}
    asked = {"q": QUERY, "size": 30, "explain": True, "facets": ["brand"]}
    plain = client.post("/v1/search", json=asked)
    other = client.post("/v1/search", json={**asked, "context": context}, headers=headers)
    assert json.dumps(body(plain)) == json.dumps(body(other))
    assert not plain.json()["personal"]
    own = client.post("/v1/search", json={**asked, "context": {"client_id": ANNA}})
    assert own.json()["personal"]
    assert body(own) != body(plain)
    assert {p: p.read_bytes() for p in shop.layout.root.rglob("*") if kept(p)} == before


def kept(path: Path) -> bool:
    """A file of what is kept: not what was served, which names no client, nor SQLite's marks of who
    is reading."""
    return path.is_file() and path.parts[-2] != "served" and not path.name.endswith("-shm")


def test_a_browser_that_asks_not_to_be_tracked_is_taken_at_its_word(shop, client):
    who, path = {"client_id": ANNA}, "/v1/recommend/visitor"
    for headers in ({"Sec-GPC": "1"}, {"DNT": "1"}):
        granted = client.put(f"{path}/consent", json={**who, "granted": True}, headers=headers)
        assert granted.status_code == 409
    assert not shop.layout.visitors.exists()
    client.put(f"{path}/consent", json={**who, "granted": True})
    events = {**who, "events": [{"product_id": "SIM-0000001"}]}
    sent = client.post(f"{path}/events", json=events, headers={"Sec-GPC": "1"})
    assert sent.json()["recorded"] == 0
    assert shop.visitors.known(ANNA).recent == ()
    withdrawn = client.put(
        f"{path}/consent", json={**who, "granted": False}, headers={"Sec-GPC": "1"}
    )
    assert withdrawn.status_code == 200
    for kind in ("feed", "next"):
        plain = client.post(f"/v1/recommend/{kind}", json={"size": 10})
        context = {"client_id": ANNA, "recent_products": ["SIM-0000001"]}
        other = client.post(
            f"/v1/recommend/{kind}", json={"size": 10, "context": context}, headers={"DNT": "1"}
        )
        assert body(other) == body(plain)


# --- Interests --------------------------------------------------------------------------------


def test_interests_are_told_in_words_and_can_be_removed(shop, client):
    brand, theirs = of_one_brand(shop)
    shop.visitors.decide(ANNA, True)
    shop.visitors.visit(ANNA, [Visit(product_id=p) for p in theirs[:3]])
    told = client.post("/v1/recommend/visitor/interests", json={"client_id": ANNA}).json()
    of_brand = next(i for i in told["interests"] if i["kind"] == "brand")
    assert of_brand["value"] == brand
    assert set(of_brand["products"]) == set(theirs[:3])
    assert [p["id"] for p in told["products"]] == theirs[:3][::-1]
    removed = client.post(
        "/v1/recommend/visitor/remove",
        json={"client_id": ANNA, "product_ids": of_brand["products"]},
    ).json()
    assert removed["visitor"]["recent"] == []
    assert shop.interests(ANNA) == ()
    assert shop.interests("somebody else") == ()
    assert not shop.search(QUERY, client_id=ANNA).personal


# --- The ranker -------------------------------------------------------------------------------


def test_features_of_taste_are_the_same_offline_and_online(shop):
    """Training reads what serving reads, to the bit."""
    _, theirs = of_one_brand(shop)
    pools = Pools(shop.view)
    episode = Episode(0, QUERY, tuple(theirs[:1]), ("SIM-0000007",), frozenset(theirs[1:2]))
    (choice,) = choices(pools, [episode])
    understanding = shop.view.understand(SearchRequest(q=QUERY))
    context = shop.view.context(understanding, understanding.filters)
    pool = shop.view.stages()[shop.view.default_system()].run(context, None)
    context.taste = shop.view.taste(episode.known)
    online = personal_features(context, pool)
    assert np.array_equal(choice.features, online)
    assert not set(TASTE) & {n.removesuffix("~") for n in LTR_FEATURES}
    context.taste = None
    assert np.isnan(compute_features(context.personal_evidence(pool), TASTE)).all()


def test_without_taste_the_order_is_the_rankers(shop):
    understanding = shop.view.understand(SearchRequest(q=QUERY))
    context = shop.view.context(understanding, understanding.filters)
    pool = shop.view.stages()["hybrid"].run(context, None)
    assert DEFAULT.run(context, pool) is pool
    context.taste = shop.view.taste(Known(session=("SIM-0000001",)))
    base_only = PersonalRanker({"score": 0.3, "rank": 0.2})
    assert np.array_equal(base_only.run(context, pool).numbers, pool.numbers)
    assert shop.view.taste(Known(session=("NOT-HERE",))) is None
    assert len(DEFAULT.run(context, Candidates.empty())) == 0


def test_the_ranker_learns_what_people_choose(shop):
    """Simulated people who always choose what is of the brand that they looked at."""
    rng = np.random.default_rng(0)
    pools = Pools(shop.view)
    _, pool = pools.of(QUERY)
    products = shop.view.snapshot.products(pool.numbers)
    by_brand: dict[str, list[str]] = {}
    for product in products:
        by_brand.setdefault(str(product.brand), []).append(product.id)
    groups = [g for g in by_brand.values() if len(g) > 2]
    episodes = []
    for person in range(150):
        own = rng.permutation(groups[person % len(groups)]).tolist()
        episodes.append(Episode(person, QUERY, (own[0],), (own[1],), frozenset({own[2]})))
    ranker = PersonalRanker.fit(choices(pools, episodes[:100]))
    assert ranker.weights["session_brand"] + ranker.weights["before_brand"] > 0
    assert all(ranker.weights[name] > DEFAULT.weights[name] / 5 for name in BASE)
    found = compare(pools, ranker, episodes[100:])
    gain = summary(found)["all"]["nDCG@10"]
    assert gain["gain"] > 0.05
    assert gain["interval"][0] > 0
    with pytest.raises(InvalidInput, match="nobody chose"):
        PersonalRanker.fit([])


def test_measures_of_a_search():
    values = np.zeros((4, 2, 2))
    values[:, 1] = [[0.5, 0.4], [0.5, 0.4], [0.0, 0.0], [1.0, 1.0]]
    labels = {"query": np.array(["broad", "broad", "narrow", "narrow"])}
    person = np.array([1, 1, 2, 3])
    found = summary(Compared(values, person, labels, np.array([1, 1, 0, 1], bool), 0.0))
    assert found["all"]["nDCG@10"]["personal"] == pytest.approx(0.5)  # means of people
    assert found["all"]["people"] == 3
    assert found["query: narrow"]["nDCG@10"]["gain"] == pytest.approx(0.5)


def test_what_is_published_comes_back_and_switches(shop, tmp_path):
    layout: Layout = shop.layout
    manifest = PersonalManifest("t", "d", 1, 1, True, "v", None, {})
    for number, weight in ((1, 5.0), (2, 9.0)):
        folder = layout.personal.root / f"g00000{number}-20260101T000000"
        folder.mkdir(parents=True)
        weights = {"score": 1.0, "rank": 1.0, "session_brand": weight}
        save_personal(PersonalRanker(weights), manifest, folder)
        layout.personal.switch(folder.name)
    assert shop.refresh()
    assert shop.view.personal.weights["session_brand"] == 9.0
    roll_back(layout, "personal")
    assert shop.refresh()
    assert shop.view.personal.weights["session_brand"] == 5.0
    assert load_personal(folder) == (PersonalRanker(weights), manifest)
    for wrong in ('{"score": -1}', '{"other": 1}', '{"score": "x"}', "{", '{"score": NaN}'):
        (folder / "weights.json").write_text(wrong)
        with pytest.raises(InvalidInput, match="not a personal ranker"):
            load_personal(folder)


def test_what_stood_low_counts_more_and_what_was_not_shown_not_at_all(shop):
    pools = Pools(shop.view)
    _, pool = pools.of(QUERY)
    shown = tuple(shop.view.snapshot.ids(pool.numbers[:4]))
    episode = Episode(0, QUERY, ("SIM-0000007",), (), frozenset(shown[::3]), (*shown, "GONE"))
    (choice,) = choices(pools, [episode])
    assert choice.features.shape == (4 + TAIL, len(BASE) + len(TASTE))
    assert choice.chosen == {0: 1.0, 3: pytest.approx(4**0.8)}


# --- What people did --------------------------------------------------------------------------


def event(client: str, second: int, action: str, **values: object) -> dict[str, object]:
    empty = dict.fromkeys(("object_id", "query_id", "user_query", "object_ids"))
    return {
        **empty,
        "client": client,
        "action_name": action,
        "timestamp": second * 1_000_000,
        "traffic": "shopper",
        **values,
    }


def test_episodes_know_what_came_before_the_search_and_nothing_later():
    day = 86_400
    rows = [
        event("a", 0, "view", object_id="1"),
        event("a", day, "view", object_id="2"),
        event("b", day + 1, "view", object_id="9"),
        event("a", day + 60, "search", query_id="q1", user_query="shoes", object_ids=["8", "3"]),
        event("a", day + 70, "click", query_id="q1", object_id="3"),
        event("a", day + 80, "search", query_id="q2", user_query="hats"),
        event("a", day + 90, "impression", query_id="q2", object_id="4"),
        event("a", day + 100, "search", query_id="q3", user_query="socks"),
        event("a", day + 110, "purchase", query_id="q3", object_id="5"),
        event("a", day + 120, "view", object_id="6"),
    ]
    first, second = episodes_of_events(rows)
    assert (first.query, first.session, first.before) == ("shoes", ("2",), ("1",))
    assert (first.wanted, first.shown) == ({"3"}, ("8", "3"))
    assert second.session == ("2", "3")
    assert second.wanted == {"5"}
    assert {first.person, second.person} == {0}


@pytest.mark.data
def test_a_receipt_that_comes_later_changes_no_episode(retail_lines):
    """Nothing of an episode comes from after it."""
    lines = retail_lines
    split = lines.day.max() - 28
    early = episodes_of(lines, split - 7, split, 2, 50, seed=1)
    assert early
    bought: dict[int, set[str]] = {}
    for item, person, day in zip(lines.item, lines.person, lines.day, strict=True):
        if day < split:
            bought.setdefault(int(person), set()).add(lines.ids[int(item)])
    for episode in early:
        assert set(episode.before) | set(episode.session) <= bought[episode.person]
        assert not set(episode.session) & episode.wanted
    known = {p.id for p in products_of(lines, lines.day < split)}
    assert set().union(*bought.values()) <= known


@pytest.fixture(scope="module")
def retail_lines():
    from tandem.flows.recommend import dataset_file

    try:
        return read_lines(dataset_file("retail", "transactions.parquet", None))
    except NotFound:
        pytest.skip("needs the shared data sets: set TANDEM_DATA")


@pytest.mark.data
@pytest.mark.slow
def test_real_purchases_are_found_sooner(retail_lines):
    found = evaluate_receipts(people=150)
    gain = found["segments"]["all"]["nDCG@10"]
    assert not found["simulated"]
    assert gain["interval"][0] > 0
    newcomers = found["segments"].get("visitor: newcomer")
    assert newcomers is None or newcomers["changed"] == 0


def test_a_trial_on_simulated_shoppers_says_that_it_is_one():
    trial = run_trial(60, logged=10, products=120)
    assert trial.overall.simulated
    assert trial.newcomers.simulated
    assert trial.learned_from > 0
    assert {s.value for s in trial.overall.segments if s.column == "taste"} == {"none", "has one"}
    assert trial.overall.effects["clicks"].control > 0
