"""Intervals and tests: hand-computed values, and simulations with known truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tandem.contracts.errors import InvalidInput
from tandem.experiments.inference import (
    adjust,
    bootstrap_intervals,
    effect_size,
    permutation_test,
)

NAN = float("nan")


def column(*values: float) -> np.ndarray:
    return np.array(values, float)[:, None]


def test_interval_agrees_with_scipy() -> None:
    from scipy.stats import bootstrap

    sample = np.random.default_rng(1).beta(2, 1, 60)
    ours = bootstrap_intervals(sample[:, None], (0, 1), resamples=20_000)
    theirs = bootstrap((sample,), np.mean, method="BCa", n_resamples=20_000, rng=2)
    assert ours.mean[0] == pytest.approx(sample.mean())
    assert ours.low[0] == pytest.approx(theirs.confidence_interval.low, abs=0.004)
    assert ours.high[0] == pytest.approx(theirs.confidence_interval.high, abs=0.004)


def test_intervals_hold_the_true_mean_about_95_times_in_100() -> None:
    # Skewed like nDCG: many perfect queries, a long tail below.
    rng = np.random.default_rng(5)
    trials, n = 600, 50
    samples = np.minimum(rng.beta(2, 0.9, (n, trials)) * 1.1, 1.0)
    truth = np.minimum(rng.beta(2, 0.9, 1_000_000) * 1.1, 1.0).mean()
    found = bootstrap_intervals(samples, (0, 1), resamples=1000)
    held = np.mean((found.low <= truth) & (truth <= found.high))
    assert 0.92 <= held <= 0.98


def test_one_query_says_nothing_and_equal_queries_have_no_width() -> None:
    one = bootstrap_intervals(column(0.4, NAN), (0, 1))
    assert (one.mean[0], one.low[0], one.high[0], one.n[0]) == (0.4, 0, 1, 1)
    none = bootstrap_intervals(column(NAN, NAN), (0, 1))
    assert np.isnan(none.mean[0])
    assert none.n[0] == 0
    equal = bootstrap_intervals(column(0.3, 0.3, 0.3), (0, 1))
    assert equal.low[0] == equal.mean[0] == equal.high[0] == pytest.approx(0.3)


def test_nan_is_left_out_not_zero() -> None:
    values = np.random.default_rng(2).random((40, 1))
    padded = np.vstack([values, np.full((40, 1), NAN)])
    plain, missing = (bootstrap_intervals(v, (0, 1)) for v in (values, padded))
    assert missing.mean[0] == pytest.approx(plain.mean[0])
    assert missing.low[0] == pytest.approx(plain.low[0], abs=0.01)
    assert permutation_test(column(1, 1, 1, NAN))[0] == permutation_test(column(1, 1, 1))[0]


@settings(max_examples=60, deadline=None)
@given(arrays(float, st.tuples(st.integers(1, 12), st.integers(1, 3)), elements=st.floats(0, 1)))
def test_intervals_hold_the_mean_and_stay_in_bounds(values: np.ndarray) -> None:
    found = bootstrap_intervals(values, (0, 1), resamples=200)
    assert np.all(found.low >= 0)
    assert np.all(found.high <= 1)
    assert np.all(found.low <= found.mean + 1e-12)
    assert np.all(found.mean <= found.high + 1e-12)


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.random.default_rng(0).random((30, 2))
    a, b, c = (bootstrap_intervals(values, (0, 1), seed=s) for s in (1, 1, 2))
    assert a.low.tolist() == b.low.tolist()
    assert a.low.tolist() != c.low.tolist()


def test_exact_permutation_by_hand() -> None:
    # Of the 8 signs of (1, 2, 3) only +++ and --- reach a sum of 6.
    assert permutation_test(column(1, 2, 3))[0] == 2 / 8
    # Sums of at least 4: +++, -++ and their opposites.
    assert permutation_test(column(-1, 2, 3))[0] == 4 / 8
    assert permutation_test(column(0, 0, 0))[0] == 1.0
    assert np.isnan(permutation_test(column(NAN))[0])


def test_drawn_permutations_agree_with_all_of_them() -> None:
    differences = np.random.default_rng(4).normal(0.3, 1, (12, 1))
    exact = permutation_test(differences, permutations=4096)[0]
    drawn = permutation_test(differences, permutations=4095)[0]
    assert drawn == pytest.approx(exact, abs=0.03)
    assert permutation_test(np.ones((40, 1)), permutations=999)[0] == 1 / 1000


def test_false_alarms_are_as_rare_as_promised() -> None:
    rng = np.random.default_rng(6)
    null = rng.normal(0, 1, (30, 2000)) * rng.random((30, 1))
    p = permutation_test(null, permutations=999)
    assert 0.037 <= np.mean(p <= 0.05) <= 0.063
    assert 0.46 <= np.mean(p <= 0.5) <= 0.54


def test_a_real_difference_is_found() -> None:
    rng = np.random.default_rng(7)
    assert np.mean(permutation_test(rng.normal(0.6, 1, (50, 200)), permutations=999) < 0.05) > 0.9


def test_holm_by_hand() -> None:
    p = np.array([0.01, 0.04, NAN, 0.03])
    assert adjust(p, "holm")[[0, 1, 3]].tolist() == pytest.approx([0.03, 0.06, 0.06])
    assert np.isnan(adjust(p, "holm")[2])
    assert adjust(np.array([0.9, 0.8]), "holm").tolist() == [1.0, 1.0]
    assert adjust(p, "none")[[0, 1, 3]].tolist() == [0.01, 0.04, 0.03]
    with pytest.raises(InvalidInput, match="holm"):
        adjust(p, "sidak")


def test_holm_bounds_the_chance_of_any_false_alarm() -> None:
    p = np.random.default_rng(8).random((4000, 9))
    any_alarm = np.mean([adjust(row, "holm").min() < 0.05 for row in p])
    assert 0.03 <= any_alarm <= 0.06


def test_effect_size_by_hand() -> None:
    assert effect_size(column(1, 2, 3))[0] == pytest.approx(2.0)
    assert effect_size(column(0, 0))[0] == 0.0
    assert np.isnan(effect_size(column(0.5, 0.5))[0])
    assert np.isnan(effect_size(column(0.5))[0])
