"""A matcher learned from a simulated market: what it chooses, expects, and forgets on disk."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from tandem.contracts.errors import InvalidInput
from tandem.matching.choice import Fit
from tandem.matching.evidence import Hashtags, Profiles, product_table, profile_numbers, showings_of
from tandem.matching.evidence import usual_rates as rates_of
from tandem.matching.expectation import ExpectationModel, Line
from tandem.matching.matcher import (
    FORMAT,
    LIKENESS,
    Matcher,
    MatcherManifest,
    chosen_likeness,
)
from tandem.matching.matcher import _lessons as lessons_of
from tandem.matching.nearest import Nearest
from tandem.matching.pairs import FEATURES, centred, pair_features, unit
from tandem.matching.predictive import Calibration, Predicted
from tandem.matching.reach import ReachModel
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
        patch.setattr("tandem.matching.expectation._ROUNDS", 20)
        yield


@pytest.fixture(scope="module")
def market():
    return simulated_market(list(simulated_products(500)), CREATORS, PIECES)


@pytest.fixture(scope="module")
def learned(market):
    words = WordVectors()
    vectors = centred(words.encode([f"{p.title} {' '.join(p.category)}" for p in market.products]))
    profile = centred(words.encode([" ".join(c.topics) for c in market.creators]))
    blank = np.zeros_like(profile)
    tags = Hashtags(csr_matrix((len(market.content), 1)), blank[:1])
    profiles = Profiles(profile, blank, blank, tags, profile_numbers(market.creators))
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


def test_expected_and_true_agree_over_pairs_by_lot_and_over_proposals(market, learned):
    """Creators show what suits them: what is learned from showings must not be promised of pairs
    that nobody chose to show, be it any or the most promising ones."""
    matcher, _, _, _, shown = learned
    rng = np.random.default_rng(3)
    seen = shown.clicks.sum() / market.truth.expected(shown.creator, shown.product)[0].sum()
    assert seen == pytest.approx(1, rel=0.2)
    by_lot = np.sort(rng.integers(0, CREATORS, 4_000)), rng.integers(0, 500, 4_000)
    found = [matcher.creators_for(product, 10) for product in range(0, 500, 5)]
    proposed = tuple(np.concatenate([getattr(f, n) for f in found]) for n in ("creator", "product"))
    for creator, product in (by_lot, proposed):
        told = matcher.pairs(creator, product)
        clicks, orders, _ = market.truth.expected(creator, product)
        assert 0.7 < told.clicks.sum() / clicks.sum() < 1.4
        assert 0.6 < told.orders.sum() / np.nansum(orders) < 1.7


def test_fresh_outcomes_lie_in_the_intervals(market, learned):
    matcher = learned[0]
    rng = np.random.default_rng(3)
    creator = np.sort(rng.integers(0, CREATORS, 4_000))
    product = rng.integers(0, 500, 4_000)
    _, clicks, orders = market.truth.draw(creator, product, rng)
    found = matcher.pairs(creator, product)
    predicted = matcher.model.predicted(found.features)
    for level in (0.8, 0.9):
        for target, seen in (("clicks", clicks), ("orders", orders)):
            interval = matcher.model.calibration.interval
            low, high = interval(target, predicted, found.new, level)
            assert ((seen >= low) & (seen <= high)).mean() > level - 0.06
    assert ((found.clicks_low <= found.clicks_high) & (found.clicks_low >= 0)).all()
    assert ((found.orders_low <= found.orders_high) & (found.orders_low >= 0)).all()


def test_fresh_outcomes_of_what_is_proposed_first_lie_in_the_intervals(market, learned):
    matcher = learned[0]
    rng = np.random.default_rng(4)
    inside = []
    for product in range(0, 500, 5):
        found = matcher.creators_for(product, 10)
        _, clicks, _ = market.truth.draw(found.creator, found.product, rng)
        inside.append((clicks >= found.clicks_low) & (clicks <= found.clicks_high))
    assert np.mean(inside) > 0.7


def test_nobody_is_promised_the_reach_of_a_giant():
    """One giant with most impressions; who has a third of their followers and one lucky piece is
    expected to reach what the followers let expect, and a little more."""
    rng = np.random.default_rng(5)
    level = np.r_[rng.normal(8, 1.2, 300), 14.0]
    followers = level + rng.normal(0.8, 0.5, 301)
    pieces = np.r_[rng.integers(0, 4, 300), 40].astype(float)
    mean = level + rng.normal(0, 0.5, 301) / np.sqrt(np.maximum(pieces, 1))
    within = 0.25 * float(np.maximum(pieces - 1, 0).sum())
    nothing = np.full(301, np.nan)
    model = ReachModel.fit(pieces, mean, within, followers, nothing)
    assert model.chance == pytest.approx(0.25, rel=0.1)
    found, unsure = model(pieces, mean, followers, nothing)
    missed = found - level
    highest = np.argsort(-found)[:20]  # picked for being high
    assert abs(missed[highest].mean()) < 0.2
    assert missed.std() < 0.5
    assert (unsure >= model.chance - 1e-6).all()
    assert unsure[300] < unsure[pieces == 0].min()
    lucky, _ = model(np.ones(1), np.array([12.0]), np.array([10.0]), nothing[:1])
    assert 9.2 < lucky[0] < 11.5
    declared, _ = model(np.zeros(1), np.zeros(1), np.array([10.0]), np.array([12.0]))
    assert declared[0] == pytest.approx(lucky[0], abs=1e-3)


def test_what_suits_is_told_from_what_was_shown_without_suiting():
    """Fits are shown 16 times as often as chance, the rest a quarter of it; clicks tell."""
    rng = np.random.default_rng(8)
    suits = rng.random(200_000) < 0.05
    told = rng.normal(0, 1, 200_000) + 2.5 * suits
    shown = rng.random(200_000) < np.where(suits, 0.64, 0.01)
    chance = 1 / (1 + np.exp(-2.5 * told + 3.125) * 0.95 / 0.05)
    intensity = (0.01 + 0.63 * chance) / shown.mean()
    exposed = np.exp(rng.normal(8, 1, 200_000))
    rate = np.where(suits, 0.008, 0.0012) * rng.gamma(8, 1 / 8, 200_000)
    clicks = rng.poisson(exposed * rate).astype(float)
    fit = Fit.of(intensity[shown][:4_000], clicks[shown][:4_000], exposed[shown][:4_000])
    assert fit.low == pytest.approx(0.0012, rel=0.25)
    assert fit.high == pytest.approx(0.008, rel=0.25)
    low, high = fit.rates(intensity)
    expected = exposed * (low + fit.suits(intensity) * (high - low))
    assert expected.sum() == pytest.approx(clicks.sum(), rel=0.25)
    # What showings alone let expect of the rest, where it looks least like a fit.
    far = intensity < np.quantile(intensity, 0.5)
    alone = clicks[far & shown].sum() / exposed[far & shown].sum()
    assert expected[far].sum() < alone * exposed[far].sum()


def test_quantiles_are_where_the_chances_say():
    two = np.array([[3.0, 40.0]] * 3)
    spread = {"clicks": (np.full((3, 2), 0.3), np.full((3, 2), 0.15))}
    found = Predicted(np.array([0.0, 0.5, 1.0]), two, two, spread)
    for chance in (0.1, 0.5, 0.9):
        at = found.quantile("clicks", np.full(3, chance))
        assert (found.below("clicks", at) >= chance - 1e-3).all()
        assert (found.below("clicks", at - 1) <= chance + 1e-3).all()
        assert at[0] > at[2]
    assert (found.below("clicks", np.full(3, -1.0)) == 0).all()
    few = Predicted(found.unfit, two / 40, two / 40, spread)
    assert (few.below("clicks", np.zeros(3)) > 0.3).all()
    assert (few.quantile("clicks", np.full(3, 0.3)) == 0).all()


def test_every_creator_counts_as_one_when_intervals_are_calibrated():
    """A creator with a hundred pieces, all below what was expected, does not decide for fifty
    others of whom one piece each was seen."""
    rng = np.random.default_rng(9)
    creator = np.r_[np.arange(50), np.full(100, 50)]
    mean = np.full((150, 2), 100.0)
    spread = {t: (np.full((150, 2), 0.3), np.full((150, 2), 0.15)) for t in ("clicks", "orders")}
    predicted = Predicted(np.full(150, 0.5), mean, mean, spread)
    counts = np.r_[np.round(np.exp(rng.normal(np.log(100) - 0.15, 0.55, 50))), np.full(100, 5.0)]
    calibration = Calibration(0.1, 0.2, 0.3, 0.1)
    seen = {"clicks": counts, "orders": counts}
    calibration.learn(predicted, seen, np.zeros(150, np.bool_), creator, rng)
    low, _ = calibration.interval("clicks", predicted, np.zeros(150, np.bool_))
    assert 20 < low[0] < 70


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


def test_what_is_asked_about_a_piece_does_not_know_that_piece(market, learned):
    """Its own figures and hashtags would be the answer; a proposal has none yet."""
    _, _, profiles, table, shown = learned
    piece = int(shown.piece[np.argmax(shown.clicks)])
    own = shown.piece == piece
    louder = replace(
        shown,
        impressions=np.where(own, 9 * shown.impressions, shown.impressions),
        clicks=np.where(own, 50 * shown.clicks, shown.clicks),
        orders=np.where(own, 7.0, shown.orders).astype(np.float32),
    )
    other = csr_matrix(([1.0], ([piece], [0])), profiles.hashtags.of_piece.shape)
    tagged = replace(profiles, hashtags=Hashtags(other, np.ones((1, 256), np.float32)))
    rates = rates_of(shown)
    before, _, _ = lessons_of(profiles, table, shown, rates, 7)
    after, _, _ = lessons_of(tagged, table, louder, rates, 7)
    changed = after.shown & (before.clicks != after.clicks) & np.isfinite(after.clicks)
    assert changed.any()
    np.testing.assert_array_equal(before.features[changed], after.features[changed])
    kinds = before.features[before.shown & (before.creator == shown.creator[own][0])]
    assert np.isfinite(kinds[:, FEATURES.index("creator_ctr")]).any()


def test_creators_who_show_figures_to_nobody_are_learned_from_as_such(learned):
    """Known by what they showed and the reach they declare, not by how it went: some whose figures
    are known stand in for them, as others do for who has published nothing."""
    _, _, profiles, table, shown = learned
    lessons, _, _ = lessons_of(profiles, table, shown, rates_of(shown), 7)
    told = lessons.measured & lessons.new
    history = np.isfinite(lessons.features[:, FEATURES.index("shown_fit")])
    assert (told & history).sum() > 100
    assert (told & ~history).sum() > 100
    spread = lessons.features[:, FEATURES.index("reach_spread")]
    measured = lessons.measured & ~lessons.new
    assert spread[measured].mean() < spread[told & history].mean()
    assert spread[told & history].mean() < spread[told & ~history].mean()


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


def test_creators_for_several_products_come_once_each(learned):
    several = learned[0].creators_for_any(np.arange(5), 5)
    assert len(set(several.creator.tolist())) == len(several.creator) == 5
    assert (np.diff(several.score) <= 0).all()


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
    clicks = rng.integers(5, 50, 4_000).astype(float)
    orders = rng.binomial(clicks.astype(int), 0.2 * np.exp(-0.5 * distance**2)).astype(float)
    line = Line.fit("ctor", features, orders, clicks, np.ones(4_000))
    at = np.full((3, len(FEATURES)), np.nan, np.float32)
    at[:, FEATURES.index("price_distance")] = (0, 1, 5)
    rate = np.exp(line(at))
    assert rate[0] == pytest.approx(0.2, rel=0.1)
    assert rate[1] == pytest.approx(0.2 * np.exp(-0.5), rel=0.1)
    assert rate[2] < 0.001


def test_an_expectation_model_of_no_pairs_expects_nothing(learned):
    model: ExpectationModel = learned[0].model
    found = model.expected(np.empty((0, len(FEATURES)), np.float32))
    assert len(found.clicks) == len(found.orders) == 0
