import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, false_discovery_control

from tandem.insights.statistics import (
    benjamini_hochberg,
    less_often,
    more_often,
    spread_between,
    wilson,
)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_q_values_are_those_of_scipy(p_values):
    assert benjamini_hochberg(p_values) == pytest.approx(false_discovery_control(p_values))


def test_no_tests_have_no_q_values():
    assert benjamini_hochberg([]) == []


@given(st.integers(0, 60), st.integers(1, 60), st.floats(0.01, 0.99))
def test_a_symptom_is_tested_exactly(k, n, base):
    k = min(k, n)
    expected = binomtest(k, n, base, alternative="greater").pvalue
    assert more_often(k, n, base) == pytest.approx(expected)


@given(st.integers(0, 500), st.integers(1, 500))
def test_shares_have_scipys_score_interval(k, n):
    k = min(k, n)
    interval = binomtest(k, n).proportion_ci(method="wilson")
    found = wilson(k, n)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=1e-9)


def test_less_often_holds_its_level():
    """With groups that differ by themselves: as many false alarms as promised, not more."""
    rng = np.random.default_rng(1)
    rates = np.clip(rng.normal(0.4, 0.05, 4_000), 0.01, 0.99)
    k = rng.binomial(300, rates)
    p = np.array([less_often(int(x), 300, 0.4, 1e6, 0.05) for x in k])
    assert 0.03 < (p < 0.05).mean() < 0.07
    naive = np.array([less_often(int(x), 300, 0.4, 1e6, 0.0) for x in k])
    assert (naive < 0.05).mean() > 0.1


def test_the_spread_between_groups_is_found_and_outliers_do_not_matter():
    rng = np.random.default_rng(2)
    n = np.full(400, 500.0)
    rates = np.clip(rng.normal(0.4, 0.05, 400), 0.01, 0.99)
    k = rng.binomial(500, rates).astype(float)
    k[:10] = 0
    assert spread_between(k, n) == pytest.approx(0.05, abs=0.01)
    same = rng.binomial(500, 0.4, 400).astype(float)
    assert spread_between(same, n) < 0.01
    assert spread_between(k[:3], n[:3]) == 0.0
