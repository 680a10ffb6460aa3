"""Learning from clicks: what the estimators say where the truth is known, being simulated."""

from __future__ import annotations

import numpy as np
import pytest

from tandem.contracts.clicks import ClickLog
from tandem.contracts.errors import InvalidInput
from tandem.contracts.judgment import JudgmentList
from tandem.ranking.clicks.judging import judgments_from_clicks
from tandem.ranking.clicks.learning import Clicked, fit_from_clicks, gains_from_clicks
from tandem.ranking.clicks.propensity import (
    Propensities,
    by_em,
    by_harvest,
    by_regression_em,
    by_swaps,
    estimate,
)
from tandem.simulate.clicks import ClickBehaviour, simulated_clicks

QUERIES, PRODUCTS, PLACES = 30, 12, 8
HOW = ClickBehaviour(shown=PLACES, severity=1.0, noise=0.1, swapped=0.3)


@pytest.fixture(scope="module")
def shop():
    """Judgments, the attraction behind them, and features that half tell it."""
    rng = np.random.default_rng(5)
    relevance = rng.integers(0, 4, (QUERIES, PRODUCTS))
    judged = {
        f"q{q}": {f"q{q}p{p}": int(relevance[q, p]) for p in range(PRODUCTS)}
        for q in range(QUERIES)
    }
    return JudgmentList(judged), relevance


@pytest.fixture(scope="module")
def made(shop):
    """Clicks on two rankers: a poor one, and one without any sense."""
    judgments, relevance = shop
    rng = np.random.default_rng(6)
    rankers = []
    for noise in (2.0, 9.0):
        scores = relevance + rng.normal(0, noise, relevance.shape)
        rankers.append(
            {f"q{q}": [f"q{q}p{p}" for p in np.argsort(-scores[q])] for q in range(QUERIES)}
        )
    return simulated_clicks(rankers, judgments, 60_000, 3, HOW, pairs=True)


@pytest.fixture(scope="module")
def clicked(made, shop) -> Clicked:
    """The log with two features: relevance under noise, and nothing."""
    log, (_, relevance) = made.log, shop
    rng = np.random.default_rng(7)
    first = np.unique(log.pair, return_index=True)[1]
    truth = np.array([_truth(log, i, relevance) for i in first], np.float32)
    features = np.stack([truth + rng.normal(0, 0.3, truth.size), rng.normal(size=truth.size)], 1)
    return Clicked(log, features.astype(np.float32), ("tells", "noise"), 0.0)


def _truth(log: ClickLog, row: int, relevance: np.ndarray) -> float:
    query, product = log.queries[log.query[row]], log.products[log.product[row]]
    return float(relevance[int(query[1:]), int(product.partition("p")[2])])


def test_no_click_without_a_look_and_the_sums_add_up(made):
    log = made.log
    assert log.simulated
    assert log.lists == 60_000
    assert log.shown[log.place == 0].sum() == 60_000
    assert log.pairs is not None
    # Each click beats every product of its list that was not clicked.
    assert log.pairs.count.sum() <= log.clicks * (PLACES - 1)
    part = log.of(["q0", "q1"])
    assert set(part.query) == {0, 1}
    assert set(part.pairs.query) == {0, 1}


@pytest.mark.parametrize("way", ["swaps", "harvest", "em"])
def test_propensities_are_found_within_their_noise(made, way):
    if way == "swaps":
        found = by_swaps(made.swaps, made.first)
        tolerance = 0.06  # fewer clicks: of one product, in a third of the lists
    else:
        found = {"harvest": by_harvest, "em": by_em}[way](made.log)
        tolerance = 0.04
    np.testing.assert_allclose(found.examination, HOW.examination, atol=tolerance)
    assert found.way == way


def test_regression_em_needs_no_product_at_two_places(shop):
    judgments, relevance = shop
    rng = np.random.default_rng(8)
    scores = relevance + rng.normal(0, 3, relevance.shape)
    ranker = {f"q{q}": [f"q{q}p{p}" for p in np.argsort(-scores[q])] for q in range(QUERIES)}
    still = ClickBehaviour(PLACES, swapped=0.0)
    log = simulated_clicks([ranker], judgments, 60_000, 4, still).log
    first = np.unique(log.pair, return_index=True)[1]
    features = np.array([[_truth(log, i, relevance)] for i in first], np.float32)
    with pytest.raises(InvalidInput, match="two places"):
        estimate(log, "harvest")
    found = by_regression_em(log, features)
    np.testing.assert_allclose(found.examination, HOW.examination, atol=0.1)
    with pytest.raises(InvalidInput, match="regression-em"):
        estimate(log, "regression-em")


def test_ips_and_dr_estimate_attraction_and_naive_does_not(made, clicked, shop):
    log, (_, relevance) = made.log, shop
    known = Propensities(HOW.examination, HOW.examination, "known")
    first = np.unique(log.pair, return_index=True)[1]
    rel = np.array([_truth(log, i, relevance) for i in first])
    truth = 0.1 + 0.9 * (np.exp2(rel) - 1) / 7
    error = {}
    for method in ("naive", "ips", "dr"):
        gains, weights = gains_from_clicks(clicked, method, known, "linear")
        assert weights.shape == gains.shape == truth.shape
        error[method] = float(np.sqrt(np.mean((gains - truth) ** 2)))
    assert error["ips"] < 0.08
    assert error["dr"] < 0.08
    assert error["naive"] > 0.25


@pytest.mark.parametrize("method", ["ips", "dr", "pairwise"])
def test_what_is_learned_orders_by_relevance(clicked, made, method):
    found = by_harvest(made.log)
    model = fit_from_clicks(clicked, method, found, "linear", 3)
    scores = model.score(clicked.features)
    assert np.corrcoef(scores, clicked.features[:, 0])[0, 1] > 0.9
    again = fit_from_clicks(clicked, method, found, "linear", 3)
    np.testing.assert_allclose(again.score(clicked.features), scores)


def test_clicks_become_judgments_only_where_there_is_support(made, shop):
    judgments, _ = shop
    found = by_harvest(made.log)
    judged = judgments_from_clicks(made.log, found)
    assert judged.source == "clicks"
    pairs = [(j.relevance, judgments.by_query[j.query][j.product_id]) for j in judged]
    theirs, truth = np.array(pairs).T
    assert np.mean(theirs == truth) > 0.8
    about = judged.provenance[next((j.query, j.product_id) for j in judged)]
    assert about.source == "clicks"
    assert about.looks is not None
    assert about.looks >= 20
    assert about.judge is not None
    assert about.judge.endswith("simulated")
    few = judgments_from_clicks(made.log, found, least_looks=200)
    assert 0 < len(few) < len(judged)
    assert len(judgments_from_clicks(made.log, found, least_looks=1e9)) == 0


def test_what_cannot_be_learned_is_said(clicked, made):
    known = Propensities(HOW.examination, HOW.examination, "known")
    with pytest.raises(InvalidInput, match="methods: naive"):
        fit_from_clicks(clicked, "magic", known, "linear")
    with pytest.raises(InvalidInput, match="models: gain-regression"):
        fit_from_clicks(clicked, "ips", known, "lambdamart")
    with pytest.raises(InvalidInput, match="use one of: harvest"):
        estimate(made.log, "guess")
    log = made.log
    with pytest.raises(InvalidInput, match="more clicks than impressions"):
        ClickLog(
            log.queries, log.products, log.query, log.product, log.place, log.clicked, log.shown, 1
        )
    unseen = np.zeros_like(log.clicked)
    silent = ClickLog(
        log.queries, log.products, log.query, log.product, log.place, log.shown, unseen, 1
    )
    with pytest.raises(InvalidInput, match="nobody clicked"):
        fit_from_clicks(
            Clicked(silent, clicked.features, clicked.names, 0.0), "ips", known, "linear"
        )
