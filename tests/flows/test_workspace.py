"""A workspace in use: search, update, roll back, switch, explain, stay consistent."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest

import tandem
from tandem.contracts.errors import InvalidInput, NotFound
from tandem.contracts.product import Product
from tandem.contracts.search import Filters, SearchRequest, Sort
from tandem.features.declarations import LTR_FEATURES
from tandem.flows.evaluate import evaluate_systems
from tandem.flows.generations import roll_back
from tandem.flows.index import build_index
from tandem.flows.train import train_ranker
from tandem.flows.view import candidates
from tandem.ranking.learned import judge_candidates, load_ranker
from tandem.storage.layout import Layout


@pytest.fixture(scope="module")
def shop(simulated_shop):
    with tandem.open(simulated_shop) as shop:
        yield shop


@pytest.fixture
def query(shop) -> str:
    return next(q for q, j in shop.judgment_list().by_query.items() if max(j.values()) == 3)


def test_a_search_answers_traces_and_counts(shop, query):
    response = shop.search(query, k=5, facets=("brand", "category"))
    assert 0 < len(response.hits) <= 5
    assert [h.position for h in response.hits] == list(range(1, len(response.hits) + 1))
    assert response.ranker == "ltr"
    assert response.simulated
    assert response.index_generation == shop.layout.index.live()
    assert response.model_generation == shop.layout.models.live()
    assert response.timings_ms["total"] > 0
    for facet in ("brand", "category"):
        for counted in response.facets[facet][:3]:
            narrowed = shop.search(
                query, filters=Filters.model_validate({facet: [counted.value]}), k=1
            )
            assert narrowed.total == counted.count


def test_pages_neither_repeat_nor_lose_products(shop, query):
    whole = [h.product.id for h in shop.search(query, k=200).hits]
    paged = [
        h.product.id
        for page in range(1, 6)
        for h in shop.search(SearchRequest(q=query, page=page, size=40)).hits
    ]
    assert paged == whole
    assert len(set(paged)) == len(paged)


def test_the_same_request_gives_the_same_answer(shop, query):
    first, second = (shop.search(query, k=20, explain=True) for _ in range(2))
    assert first.hits == second.hits


def test_explanations_add_up_to_the_order(shop, query):
    hits = shop.search(query, k=10, explain=True).hits
    totals = [sum(c.contribution for c in h.explanation.contributions) for h in hits]
    scores = [h.score for h in hits]
    offsets = [s - t for s, t in zip(scores, totals, strict=True)]
    assert np.ptp(offsets) < 1e-4  # TreeSHAP: contributions and a constant make the score
    assert all(h.explanation.sentence for h in hits)


def test_orders_and_browsing(shop):
    cheap = shop.search("", sort=Sort.PRICE_ASC, k=50).hits
    prices = [h.product.price.amount for h in cheap if h.product.price]
    assert prices == sorted(prices)
    assert shop.search("", k=1).total == shop.status()["products"]


def test_unknown_names_are_refused_with_a_choice(shop):
    with pytest.raises(InvalidInput, match="bm25, dense, hybrid, ltr"):
        shop.search("lamp", ranker="magic")
    with pytest.raises(InvalidInput, match="bm25"):
        shop.pipeline("magic")


def test_offline_and_online_features_are_equal(shop):
    """The skew test: what training reads is what serving computes, to the last bit."""
    judgments = shop.judgment_list()
    some = judgments.subset(judgments.queries[:5])
    pool = candidates(with_dense=True)
    offline = judge_candidates(pool, LTR_FEATURES, some, shop.context)
    for row in offline:
        view = shop.view
        request = SearchRequest(q=row.query)
        context = view.context(view.understand(request), request.filters)
        found = pool.run(context, None)
        online = view.ranker.features(context, found)
        assert context.snapshot.ids(found.numbers) == list(row.ids)
        np.testing.assert_array_equal(online, row.features)
        served = shop.search(SearchRequest(q=row.query, size=10))
        scores = np.sort(view.ranker.model.score(online))[::-1][: len(served.hits)]
        np.testing.assert_allclose([h.score for h in served.hits], scores, rtol=1e-6)


def test_pipelines_compose_and_evaluate(shop):
    judgments = shop.judgment_list()
    some = judgments.subset(judgments.queries[:12])
    composed = (shop.bm25 % 100 >> shop.reranker).named("bm25+ltr")
    mixed = (shop.bm25 * 0.4 + shop.dense * 0.6).named("sum")
    fused = (shop.bm25 | shop.dense).named("rrf")
    result = tandem.evaluate(
        [shop.bm25, composed, mixed, fused, shop.ltr], some, ["nDCG@10", "R@100"], baseline=0
    )
    assert [s.name for s in result.systems] == ["bm25", "bm25+ltr", "sum", "rrf", "ltr"]
    assert not result.failures
    assert result["ltr"].estimates["nDCG@10"].mean > 0.3
    with pytest.raises(InvalidInput, match="% 100"):
        shop.bm25 % 0


def test_evaluation_says_when_the_ranker_has_seen_the_queries(shop):
    result = evaluate_systems(shop, None, ["bm25", "ltr"], ["nDCG@10"])
    assert any("learned from" in w for w in result.warnings)
    assert set(result.to_json()) >= {"systems", "queries", "coverage"}
    unseen = evaluate_systems(shop, None, ["bm25"], ["nDCG@10"])
    assert not any("learned from" in w for w in unseen.warnings)


def new(product_id: str, title: str) -> Product:
    return Product(id=product_id, title=title, brand="Zyxomma", language="en")


def test_updates_are_visible_at_once_durable_and_folded_into_the_next_index(shop_copy):
    with tandem.open(shop_copy) as shop:
        before = shop.status()["products"]
        gone = shop.search("", k=1).hits[0].product.id
        assert shop.upsert([new("n1", "zyxomma flugelhorn")]) == 1
        found = shop.search("flugelhorn", k=5, ranker="hybrid")
        assert (found.hits[0].product.id, found.total) == ("n1", 1)
        assert shop.delete([gone, "never-there"]) == 1
        assert shop.product(gone) is None
        assert shop.status()["products"] == before
    with tandem.open(shop_copy) as shop:  # a fresh process replays the journal
        assert shop.product("n1").title == "zyxomma flugelhorn"
        assert shop.product(gone) is None
    layout = Layout.open(shop_copy)
    old = layout.index.live()
    build_index(layout)
    with tandem.open(shop_copy) as shop:
        assert shop.product("n1") is not None
        assert shop.product(gone) is None
        assert shop.status()["products"] == before
    roll_back(layout, "index")
    assert layout.index.live() == old
    with tandem.open(shop_copy) as shop:  # the older generation catches up from the journal
        assert shop.product("n1") is not None
        assert shop.product(gone) is None


def test_a_pin_is_first_and_obeys_filters(shop_copy):
    with tandem.open(shop_copy) as shop:
        query = shop.judgment_queries()[0]
        last = shop.search(query, k=200).hits[-1].product
        rule = {"id": "r", "kind": "pin", "query": "*", "products": [last.id]}
        shop.layout.rules_file.write_text(json.dumps({"rules": [rule]}))
        shop.refresh()
        first = shop.search(query, k=3, explain=True).hits[0]
        assert first.product.id == last.id
        assert first.explanation.rules == ("r",)
        elsewhere = shop.search(query, k=3, filters=Filters(brand=("no such brand",)))
        assert last.id not in [h.product.id for h in elsewhere.hits]


def test_switching_generations_under_load_loses_no_request(shop_copy):
    layout = Layout.open(shop_copy)
    old = layout.index.live()
    build_index(layout)
    new_generation = layout.index.live()
    with tandem.open(shop_copy) as shop:
        query = shop.judgment_queries()[0]
        stop = threading.Event()
        errors: list[BaseException] = []
        seen: set[str] = set()

        def hammer() -> None:
            while not stop.is_set():
                try:
                    response = shop.search(query, k=5)
                    assert response.hits
                    seen.add(response.index_generation)
                except BaseException as error:
                    errors.append(error)
                    return

        threads = [threading.Thread(target=hammer) for _ in range(3)]
        for t in threads:
            t.start()
        for target in (old, new_generation, old, new_generation):
            layout.index.switch(target)
            shop.refresh()
        stop.set()
        for t in threads:
            t.join()
    assert not errors
    assert seen <= {old, new_generation}
    assert len(seen) == 2


def test_a_workspace_without_an_encoder_searches_by_words(tmp_path):
    from tandem.flows.import_ import create_workspace, import_simulated

    layout = create_workspace(tmp_path / "shop", encoder=None)
    import_simulated(layout, 120)
    build_index(layout)
    report = train_ranker(layout, folds=2)
    assert [s.name for s in report.evaluation.systems] == ["bm25", "ltr"]
    with tandem.open(tmp_path / "shop") as shop:
        assert shop.status()["rankers"] == ["bm25", "ltr"]
        assert shop.search(shop.judgment_queries()[0], k=3).hits


def test_training_twice_gives_the_same_model(shop_copy):
    layout = Layout.open(shop_copy)
    first = layout.models.live_path()
    train_ranker(layout, folds=2)
    second = layout.models.live_path()
    assert first != second
    rankers = [load_ranker(path)[0] for path in (first, second)]
    features = np.random.default_rng(0).normal(size=(50, len(LTR_FEATURES))).astype(np.float32)
    one, other = (r.model.score(features) for r in rankers)
    np.testing.assert_array_equal(one, other)
    assert one.std() > 0


def test_training_mends_a_ranker_that_cannot_be_read(shop_copy):
    layout = Layout.open(shop_copy)
    (layout.models.live_path() / "lessons.json").write_text("{")
    with pytest.raises(InvalidInput, match="train ranker"):
        tandem.open(shop_copy)
    train_ranker(layout, folds=2)
    tandem.open(shop_copy).close()


def test_the_kind_of_model_can_be_chosen_by_nested_cross_validation(shop_copy, monkeypatch):
    from tandem.flows import train
    from tandem.ranking.models import MODELS

    quick = {k: MODELS[k] for k in ("linear", "gain-regression")}
    monkeypatch.setattr(train, "MODELS", quick)
    report = train_ranker(Layout.open(shop_copy), kind="auto", folds=2)
    assert report.manifest.model in quick
    assert "cross-validation" in report.evaluation.protocol
    with pytest.raises(InvalidInput, match="unknown ranking model"):
        train_ranker(Layout.open(shop_copy), kind="oracle", folds=2)


def test_nothing_to_open_says_what_to_do(tmp_path):
    with pytest.raises(NotFound, match="tandem init"):
        tandem.open(tmp_path)
    from tandem.flows.import_ import create_workspace

    layout = create_workspace(tmp_path / "shop", encoder=None)
    with pytest.raises(NotFound, match="tandem index"):
        tandem.open(tmp_path / "shop")
    with pytest.raises(NotFound, match="tandem import catalog"):
        build_index(layout)
