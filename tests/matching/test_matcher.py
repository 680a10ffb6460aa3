"""A matcher learned from a simulated market: what it chooses, expects, and forgets on disk."""

from __future__ import annotations

import numpy as np
import pytest

from tandem.contracts.errors import InvalidInput
from tandem.matching import expectation
from tandem.matching.evidence import Profiles, product_table, profile_numbers, showings_of
from tandem.matching.evidence import usual_rates as rates_of
from tandem.matching.expectation import CHOICE, ExpectationModel, Line
from tandem.matching.matcher import (
    FORMAT,
    LIKENESS,
    Matcher,
    MatcherManifest,
    chosen_likeness,
)
from tandem.matching.nearest import Nearest
from tandem.matching.pairs import FEATURES, pair_features, unit
from tandem.matching.reasons import reasons
from tandem.matching.words import WordVectors
from tandem.simulate.catalogue import simulated_products
from tandem.simulate.creators import simulated_market

CREATORS, PIECES = 80, 1_600
MANIFEST = MatcherManifest(
    FORMAT, "2026-03-01", "words", 1, 1, 1, 1, True, False, "0", "g", "g", "g", {"known": {}}
)


@pytest.fixture(scope="module", autouse=True)
def _few_trees():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tandem.matching.expectation._ROUNDS", 40)
        yield


@pytest.fixture(scope="module")
def market():
    return simulated_market(list(simulated_products(500)), CREATORS, PIECES)


@pytest.fixture(scope="module")
def learned(market):
    words = WordVectors()
    vectors = words.encode([f"{p.title} {' '.join(p.category)}" for p in market.products])
    profile = words.encode([" ".join(c.topics) for c in market.creators])
    blank = np.zeros_like(profile)
    profiles = Profiles(profile, blank, blank, blank, profile_numbers(market.creators))
    creators = {c.id: i for i, c in enumerate(market.creators)}
    products = {p.id: i for i, p in enumerate(market.products)}
    shown = showings_of(market.content, creators, products, np.ones(CREATORS, np.bool_))
    table = product_table(market.products, vectors, shown, rates_of(shown))
    matcher, metrics = Matcher.fit(profiles, table, shown, list(creators), list(products))
    return matcher, metrics, profiles, table, shown


def truth_of(market, creator, product):
    return np.nan_to_num(market.truth.expected(creator, product)[2])


def test_its_choices_are_worth_much_more_than_chance(market, learned):
    matcher = learned[0]
    everybody = np.arange(CREATORS)
    shares, chance = [], []
    for product in range(0, 500, 10):
        gmv = truth_of(market, everybody, np.full(CREATORS, product))
        best = np.sort(gmv)[-10:].sum()
        shares.append(gmv[matcher.creators_for(product, 10).creator].sum() / best)
        chance.append(gmv.mean() * 10 / best)
    assert np.mean(shares) > 2 * np.mean(chance)


def test_expected_and_seen_agree_over_all_showings(learned):
    matcher, _, _, _, shown = learned
    order = np.argsort(shown.creator, kind="stable")
    found = matcher.pairs(shown.creator[order], shown.product[order])
    assert found.clicks.sum() == pytest.approx(shown.clicks.sum(), rel=0.15)
    assert found.orders.sum() == pytest.approx(shown.orders.sum(), rel=0.3)
    assert (found.clicks_low <= found.clicks_high).all()
    assert ((found.orders_low >= 0) & (found.orders_high >= found.orders_low)).all()


def test_fresh_outcomes_lie_in_the_intervals(market, learned):
    matcher = learned[0]
    rng = np.random.default_rng(3)
    creator = np.sort(rng.integers(0, CREATORS, 4_000))
    product = rng.integers(0, 500, 4_000)
    _, clicks, orders = market.truth.draw(creator, product, rng)
    found = matcher.pairs(creator, product)
    for level in (0.8, 0.9):
        for target, seen, expected in (
            ("clicks", clicks, found.clicks),
            ("orders", orders, found.orders),
        ):
            interval = matcher.model.calibration.interval
            low, high = interval(target, expected, found.new, level)
            assert ((seen >= low) & (seen <= high)).mean() > level - 0.06


def test_fresh_outcomes_of_what_is_proposed_first_lie_in_the_intervals(market, learned):
    matcher = learned[0]
    rng = np.random.default_rng(4)
    inside, as_any_pair, promised, true = [], [], 0.0, 0.0
    for product in range(0, 500, 5):
        found = matcher.creators_for(product, 10)
        _, clicks, _ = market.truth.draw(found.creator, found.product, rng)
        inside.append((clicks >= found.clicks_low) & (clicks <= found.clicks_high))
        pairs = matcher.pairs(found.creator, found.product)
        as_any_pair.append((clicks >= pairs.clicks_low) & (clicks <= pairs.clicks_high))
        promised += np.array([found.clicks.sum(), pairs.clicks.sum()])
        true += market.truth.expected(found.creator, found.product)[0].sum()
    assert np.mean(inside) > max(0.8 - 0.06, np.mean(as_any_pair) + 0.02)
    assert promised[0] < promised[1]
    assert abs(np.log(promised[0] / true)) < abs(np.log(promised[1] / true))


def test_proposals_are_calibrated_with_showings_that_resemble_them():
    rng = np.random.default_rng(6)
    residual = np.r_[rng.normal(0, 1, 4_000), rng.normal(-2, 1, 400)]
    weight = np.r_[np.full(4_000, 1e-6), np.ones(400)]
    low, high = expectation._weighted_ends(residual, weight, 0.8, 4.0)
    fresh = rng.normal(-2, 1, 20_000)
    assert ((fresh >= low) & (fresh <= high)).mean() > 0.8
    assert ((fresh > high).mean()) == pytest.approx(0.1, abs=0.04)
    assert (fresh < low).mean() < 0.08  # lower than the tenth that outcomes alone would ask for
    low, _ = expectation._weighted_ends(residual, weight, 0.8, 1.0)
    assert (fresh < low).mean() == pytest.approx(0.1, abs=0.04)


def test_what_creators_choose_tells_of_creators_and_not_of_their_products(learned):
    matcher = learned[0]
    calibration = matcher.model.calibration
    for target in ("clicks", "orders"):
        key = f"{target}/known"
        of = {side: calibration.chosen_factor[f"{key}/{side}"] for side in CHOICE}
        assert of["creators"] < of["products"] <= 1
    found = matcher.creators_for(0, 5)
    several = matcher.creators_for_any(np.arange(5), 5)
    assert len(several.creator) == len(found.creator) == 5
    assert len(set(several.creator.tolist())) == 5
    assert (np.diff(several.score) <= 0).all()


def test_similarity_counts_as_much_as_finds_most_of_what_was_held_out():
    shares = [np.array([[0.1, 0.2, 0.5, 0.4, 0.3]]), np.array([[0.0, 0.2, 0.3, 0.3, 0.3]])]
    weight, told = chosen_likeness(shares)
    assert weight == told["likeness"] == LIKENESS[2]
    assert told["creators"] == 2
    assert chosen_likeness([np.zeros((3, len(LIKENESS)))])[0] == 0.0


def test_products_for_creators_are_worth_no_less_than_the_most_similar_ones(market, learned):
    matcher, metrics = learned[:2]
    assert matcher.likeness == metrics["products_for_creators"]["likeness"]
    own, near = 0.0, 0.0
    known = np.flatnonzero(np.isfinite(matcher.creators.numbers["creator_ctr"]))
    for creator in known.tolist():
        gmv = truth_of(market, np.full(500, creator), np.arange(500))
        best = np.sort(gmv)[-10:].sum()
        own += gmv[matcher.products_for(creator, 10).product].sum() / best
        fit = np.asarray(matcher.products.vectors) @ np.asarray(matcher.creators.shown[creator])
        near += gmv[np.argsort(-fit)[:10]].sum() / best
    assert own > near


def test_creators_without_history_are_marked_and_estimated(market, learned):
    matcher = learned[0]
    active = {c.creator_id for c in market.content}
    found = matcher.pairs(np.arange(CREATORS), np.zeros(CREATORS, np.int64))
    new = np.array([c.id not in active for c in market.creators])
    assert new.any()
    assert (found.new == new).all()
    assert np.isfinite(found.clicks).all()
    assert reasons(found.features[new][0], True)[-1].startswith("No measured content yet")


def test_features_do_not_depend_on_how_pairs_are_arranged(learned):
    matcher = learned[0]
    rng = np.random.default_rng(5)
    creator, product = rng.integers(0, CREATORS, 300), rng.integers(0, 500, 300)
    mixed = pair_features(matcher.creators, matcher.products, creator, product)
    order = np.argsort(creator, kind="stable")
    sorted_ = pair_features(matcher.creators, matcher.products, creator[order], product[order])
    np.testing.assert_allclose(mixed[order], sorted_, rtol=1e-4, atol=1e-5)


def test_whose_figures_may_not_be_used_have_no_measured_history(market):
    creators = {c.id: i for i, c in enumerate(market.creators)}
    products = {p.id: i for i, p in enumerate(market.products)}
    agreed = np.arange(CREATORS) % 2 == 0
    shown = showings_of(market.content, creators, products, agreed)
    silent = ~agreed[shown.creator]
    assert silent.any()
    assert not shown.measured[silent].any()
    for name in ("impressions", "clicks", "orders", "hook", "hold"):
        assert np.isnan(getattr(shown, name)[silent]).all()


def test_what_is_saved_says_the_same(tmp_path, learned):
    matcher = learned[0]
    matcher.save(tmp_path, MANIFEST)
    again, manifest = Matcher.load(tmp_path)
    assert manifest == MANIFEST
    assert again.likeness == matcher.likeness
    assert again.model.calibration == matcher.model.calibration
    first, second = matcher.creators_for(3, 10), again.creators_for(3, 10)
    assert first.creator.tolist() == second.creator.tolist()
    np.testing.assert_allclose(first.clicks, second.clicks, rtol=0.05)  # vectors in half precision
    (tmp_path / "ids.json").write_text("{")
    with pytest.raises(InvalidInput, match="train again"):
        Matcher.load(tmp_path)


def test_who_is_barred_is_not_proposed(learned):
    matcher = learned[0]
    best = matcher.creators_for(3, 5).creator
    barred = np.zeros(CREATORS, np.bool_)
    barred[best] = True
    assert not set(matcher.creators_for(3, 5, barred=barred).creator) & set(best)


def test_too_little_to_learn_from_is_said(learned):
    _, _, profiles, table, shown = learned
    few = shown.take(np.arange(50))
    with pytest.raises(InvalidInput, match="too few"):
        Matcher.fit(profiles, table, few, ["c"] * CREATORS, ["p"] * 500)


def test_many_rows_are_searched_by_an_inverted_file(monkeypatch):
    rng = np.random.default_rng(1)
    rows = unit(rng.normal(size=(3_000, 16)))
    exact = Nearest(rows)
    monkeypatch.setattr("tandem.matching.nearest.EXACT", 100)
    near = Nearest(rows)
    barred = rng.random(3_000) < 0.5
    found = near(rows[7], 20)
    assert found[0] == 7
    assert len(set(found) & set(exact(rows[7], 20))) >= 12
    assert not barred[near(rows[7], 20, barred)].any()


def test_a_line_finds_the_rate_it_was_drawn_from_and_keeps_falling_with_the_price():
    rng = np.random.default_rng(2)
    features = np.full((4_000, len(FEATURES)), np.nan, np.float32)
    distance = rng.uniform(0, 2, 4_000)
    features[:, FEATURES.index("price_distance")] = distance
    features[:, FEATURES.index("shown_fit")] = rng.uniform(0, 1, 4_000)
    clicks = rng.integers(5, 50, 4_000).astype(float)
    orders = rng.binomial(clicks.astype(int), 0.2 * np.exp(-0.5 * distance**2)).astype(float)
    line = Line.fit("ctor", features, orders, clicks)
    at = np.full((3, len(FEATURES)), np.nan, np.float32)
    at[:, FEATURES.index("price_distance")] = (0, 1, 5)
    rate = np.exp(line(at))
    assert rate[0] == pytest.approx(0.2, rel=0.1)
    assert rate[1] == pytest.approx(0.2 * np.exp(-0.5), rel=0.1)
    assert rate[2] < 0.001


def test_an_expectation_model_of_no_pairs_expects_nothing(learned):
    model: ExpectationModel = learned[0].model
    found = model.expected(np.empty((0, len(FEATURES)), np.float32), np.empty(0, np.bool_))
    assert len(found.clicks) == len(found.orders) == 0
