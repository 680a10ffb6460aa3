"""The trial of regions: by hand, against a randomisation test, and how often intervals hold."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tandem.collaboration.regions import (
    FEWEST_PAIRS,
    FOUND,
    detectable,
    missed,
    region_effect,
)
from tandem.contracts.errors import InvalidInput


def simulated(rng: np.random.Generator, pairs: int, share: float, spread: float = 0.15):
    """Simulated orders before and after in pairs of like size, of which one saw a campaign that
    adds `share` of the usual; and what it added in truth. Regions grow differently."""
    size = np.sort(rng.lognormal(5.3, 0.8, 2 * pairs))[::-1].reshape(pairs, 2)
    lot = rng.integers(0, 2, (pairs, 1)) == 1
    size = np.where(lot, size, size[:, ::-1]).T
    grown = 1.3 * np.exp(rng.normal(0, spread, size.shape))
    grown[0] += share
    return rng.poisson(size).astype(float), rng.poisson(size * grown).astype(float), share * size[0]


def test_the_effect_is_a_difference_in_differences():
    before = np.array([[100.0, 50, 40, 30, 20], [100.0, 50, 40, 30, 20]])
    after = 2 * before
    after[0] += 0.5 * before[0]
    found = region_effect(before, after)
    assert found.share == pytest.approx(0.5)
    assert found.before == 240
    assert found.usual == pytest.approx(2 * 240)
    assert found.added == pytest.approx((120, 120, 120))
    # A larger region grows by more: no effect.
    uneven = np.array([[100.0, 50, 40, 30, 20], [80.0, 40, 30, 25, 10]])
    assert region_effect(uneven, 3 * uneven).share == pytest.approx(0)


def test_the_interval_is_what_a_randomisation_test_does_not_refuse():
    """By scipy's exact test of the pairs' differences, at the interval's ends and beyond."""
    before, after, _ = simulated(np.random.default_rng(5), 8, 0.3)
    found = region_effect(before, after)

    def tails(share: float) -> float:
        left = after - share * np.array([before[0], np.zeros(8)])
        growth = left.sum() / before.sum()
        rest = left - growth * before
        result = stats.permutation_test(
            (rest[0] - rest[1],), np.sum, permutation_type="samples", n_resamples=np.inf
        )
        return float(result.pvalue)

    width = found.high - found.low
    assert tails(found.low - 0.01 * width) <= 0.1 < tails(found.low + 0.01 * width)
    assert tails(found.high + 0.01 * width) <= 0.1 < tails(found.high - 0.01 * width)


@pytest.mark.parametrize(("pairs", "share"), [(5, 0.0), (8, 0.2), (16, 0.2)])
def test_intervals_hold_the_truth_as_often_as_they_say(pairs, share):
    rng = np.random.default_rng(pairs)
    held, off = [], []
    for _ in range(300):
        before, after, true = simulated(rng, pairs, share)
        added, low, high = region_effect(before, after).added
        held.append(low <= true.sum() <= high)
        off.append((added - true.sum()) / before[0].sum())
    assert 0.86 <= np.mean(held) <= 0.98
    assert abs(np.mean(off)) < 3 * np.std(off) / np.sqrt(len(off))


def test_what_can_be_found_is_found_as_often_as_said():
    rng = np.random.default_rng(11)
    past = [simulated(rng, 8, 0.0)[:2] for _ in range(300)]
    share = detectable(missed(past))
    found = [region_effect(*simulated(rng, 8, share)[:2]).low > 0 for _ in range(300)]
    assert np.mean(found) == pytest.approx(FOUND, abs=0.08)
    # Adding a share of the orders before moves the interval by just that.
    before, after = past[0]
    more = after + np.array([0.25 * before[0], np.zeros(8)])
    one, two = region_effect(before, after), region_effect(before, more)
    assert (two.low - one.low, two.share - one.share) == pytest.approx((0.25, 0.25))
    assert missed([(before, after)])[0] == pytest.approx(-one.low)


def test_too_few_pairs_give_no_answer():
    rng = np.random.default_rng(1)
    before, after, _ = simulated(rng, FEWEST_PAIRS - 1, 0.0)
    assert region_effect(before, after) is None
    assert missed([(before, after)]) is None
    assert missed([]) is None
    assert region_effect(np.zeros((2, 9)), np.ones((2, 9))) is None
    # Every pair had orders, but all on one side.
    for one_sided in (np.stack([np.ones(9), np.zeros(9)]), np.stack([np.zeros(9), np.ones(9)])):
        assert region_effect(one_sided, np.ones((2, 9))) is None
        assert missed([(one_sided, np.ones((2, 9)))]) is None
    with pytest.raises(InvalidInput, match="two rows"):
        region_effect(before, after[:, :1])


def test_pairs_without_orders_before_are_not_told_apart():
    """Orders there since are in both what was shown and what is usual: no difference is theirs."""
    before, after, _ = simulated(np.random.default_rng(3), 9, 0.2)
    before[:, 8] = 0
    after[0, 8] = 7
    found = region_effect(before, after)
    assert found.usual + found.added[0] == pytest.approx(after[0].sum())
    assert found.share == region_effect(before[:, :8], after[:, :8]).share
