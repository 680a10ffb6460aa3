"""Learning from clicks: what the estimators say where the truth is known, being simulated."""

from __future__ import annotations

import numpy as np
import pytest

from tandem.contracts.clicks import ClickLog
from tandem.contracts.errors import InvalidInput
from tandem.contracts.experiment import Exploration
from tandem.contracts.judgment import JudgmentList
from tandem.experiments.exploration import draw
from tandem.ranking.clicks.judging import judgments_from_clicks
from tandem.ranking.clicks.learning import Clicked, fit_from_clicks, gains_from_clicks
from tandem.ranking.clicks.models import MODELS, Lists, compare_models, fit_clicks
from tandem.ranking.clicks.propensity import (
    Lots,
    Propensities,
    by_em,
    by_harvest,
    by_lot,
    by_regression_em,
    by_swaps,
    estimate,
    further,
)
from tandem.ranking.clicks.trust import by_trust
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


def drawn_lots(policy: Exploration, searches: int, seed: int = 0) -> Lots:
    """Lists whose first products attract the more the higher they rank, looked at with 1 / place:
    clicks as they are would say that people look even less further down."""
    rng = np.random.default_rng(seed)
    lists, place, clicked, chance = [], [], [], []
    for number in range(searches):
        drawn = draw(policy, rng)
        for at, rank in enumerate(drawn.places):
            if policy.method == "swap" and rank:
                continue
            looked = rng.random() < 1 / (at + 1)
            lists.append(number)
            place.append(at)
            clicked.append(float(looked and rng.random() < 0.7 - 0.15 * rank))
            chance.append(drawn.marginal[at])
    return Lots(
        *(np.array(c, np.int64) for c in (lists, place)),
        *(np.array(c) for c in (clicked, chance)),
        searches,
    )


@pytest.mark.parametrize("method", ["swap", "plackett_luce"])
def test_drawn_places_tell_how_far_people_look(method):
    found = by_lot(drawn_lots(Exploration(method=method, top=4, steepness=1.0), 8_000))
    truth = 1 / np.arange(1, 5)
    assert found.low is not None
    assert found.high is not None
    assert ((found.low <= truth) & (truth <= found.high)).all()
    assert np.abs(found.examination - truth).max() < 0.08
    assert found.examination[0] == 1


def test_intervals_of_drawn_places_hold_the_truth_as_often_as_they_say():
    policy = Exploration(method="swap", top=3)
    inside = 0
    for seed in range(80):
        found = by_lot(drawn_lots(policy, 1_500, seed), resamples=200)
        inside += bool(found.low[1] <= 1 / 2 <= found.high[1])
    assert inside / 80 > 0.87, "95%, within Monte-Carlo error"


def test_nothing_drawn_is_refused_and_further_places_follow_another_way():
    empty = np.zeros(0, np.int64)
    with pytest.raises(InvalidInput, match="drawn"):
        by_lot(Lots(empty, empty, empty.astype(float), empty.astype(float), 0))
    near = Propensities(np.array([1.0, 0.6]), np.ones(2), "lot")
    far = Propensities(np.array([1.0, 0.5, 0.25, np.nan]), np.ones(4), "harvest")
    both = further(near, far)
    assert both.examination == pytest.approx([1.0, 0.6, 0.3, np.nan], nan_ok=True)


def test_trust_is_told_from_a_log_and_is_not_where_there_is_none(shop):
    judgments, _ = shop
    rng = np.random.default_rng(9)
    rankers = [
        {f"q{q}": [f"q{q}p{p}" for p in rng.permutation(PRODUCTS)] for q in range(QUERIES)}
        for _ in range(4)
    ]
    trusting = ClickBehaviour(shown=PLACES, severity=0.7, noise=0.05, trust=0.5, swapped=0.0)
    made = simulated_clicks(rankers, judgments, 60_000, 1, trusting)
    found = by_trust(made.log)
    # Told beside the first place: click rates of what attracts nobody, and of what everybody likes.
    none, all_ = trusting.chance(np.zeros(PLACES)), trusting.chance(np.ones(PLACES))
    slope = (all_ - none) / (all_ - none)[0]
    floor = none - none[0] * slope
    assert found.p < 0.001
    assert found.slope == pytest.approx(slope, abs=0.08)
    assert found.floor == pytest.approx(floor, abs=0.05)
    plain = ClickBehaviour(shown=PLACES, severity=0.7, noise=0.05, swapped=0.0)
    without = by_trust(simulated_clicks(rankers, judgments, 60_000, 2, plain).log)
    assert np.abs(without.floor).max() < 0.05
    assert without.p > 0.001


def test_taking_trust_off_brings_the_gains_nearer_to_the_truth(shop):
    judgments, relevance = shop
    rng = np.random.default_rng(11)
    rankers = []
    for noise in (2.0, 9.0):
        scores = relevance + rng.normal(0, noise, relevance.shape)
        rankers.append(
            {f"q{q}": [f"q{q}p{p}" for p in np.argsort(-scores[q])] for q in range(QUERIES)}
        )
    how = ClickBehaviour(shown=PLACES, severity=0.7, noise=0.05, trust=0.6, swapped=0.0)
    log = simulated_clicks(rankers, judgments, 200_000, 4, how).log
    first = np.unique(log.pair, return_index=True)[1]
    truth = np.array([_truth(log, i, relevance) for i in first])
    features = np.random.default_rng(1).normal(size=(truth.size, 1)).astype(np.float32)
    clicked = Clicked(log, features, ("x",), 0.0)
    look = by_harvest(log)
    error = {}
    for method in ("ips", "dr", "affine"):
        gains, _ = gains_from_clicks(clicked, method, look, "linear")
        # On one scale: what counts is the order and its distances.
        error[method] = 1 - np.corrcoef(gains, (2**truth - 1) / 7)[0, 1]
    assert error["affine"] < 0.8 * min(error["ips"], error["dr"])


def read_lists(name: str, searches: int = 6_000, seed: int = 0) -> tuple[Lists, np.ndarray]:
    """Simulated readers of lists of eight out of twelve products for each of twenty queries, by one
    of the models; and the true attraction."""
    rng = np.random.default_rng(seed)
    attraction = rng.beta(1.2, 3, (20, 12))
    query = rng.integers(0, 20, searches)
    shown = np.argsort(rng.random((searches, 12)), axis=1)[:, :8]
    pair = query[:, None] * 12 + shown
    likes = rng.random(pair.shape) < attraction.ravel()[pair]
    clicked = np.zeros(pair.shape, bool)
    if name == "pbm":
        clicked = likes & (rng.random(pair.shape) < 1 / np.arange(1, 9))
    else:
        onward = np.zeros(8) if name == "cascade" else np.linspace(0.8, 0.4, 8)
        reading = np.ones(searches, bool)
        for k in range(8):
            clicked[:, k] = reading & likes[:, k]
            reading &= ~clicked[:, k] | (rng.random(searches) < onward[k])
    return Lists(pair, clicked, 240), attraction.ravel()


@pytest.mark.parametrize("name", MODELS)
def test_the_model_that_people_follow_foretells_unseen_lists_best(name):
    lists, attraction = read_lists(name)
    fits = compare_models(lists)
    assert min(fits.values(), key=lambda f: f.given).name == name
    assert all(f.perplexity >= 1 for f in fits.values())
    found = fit_clicks(lists, name)
    sure = found.looks > 60
    assert np.corrcoef(found.attraction[sure], attraction[sure])[0, 1] > 0.9
    if name == "pbm":
        assert found.places == pytest.approx(1 / np.arange(1, 9), abs=0.06)
    if name == "dcm":
        assert found.places[:6] == pytest.approx(np.linspace(0.8, 0.4, 8)[:6], abs=0.06)


def test_short_lists_and_few_lists_are_no_clicks():
    lists, _ = read_lists("dcm", 900)
    pair, clicked = lists.pair.copy(), lists.clicked.copy()
    pair[::2, 5:], clicked[::2, 5:] = -1, False
    short = Lists(pair, clicked, lists.pairs)
    for name in MODELS:
        alone, given = fit_clicks(short, name).chances(short)
        assert not alone[::2, 5:].any()
        assert not given[::2, 5:].any()
    with pytest.raises(InvalidInput, match="lists"):
        compare_models(short.rows(np.arange(900) < 100))
    with pytest.raises(InvalidInput, match="no click model"):
        fit_clicks(short, "magic")
