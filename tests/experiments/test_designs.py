"""Designs against interference, and restraint: calibrated on simulated markets of known truth."""

from __future__ import annotations

import numpy as np
import pytest

from tandem.contracts.errors import InvalidInput
from tandem.experiments.abtest.designs import (
    cluster_arms,
    cluster_effect,
    period_means,
    switchback,
    switchback_effect,
)
from tandem.experiments.abtest.effects import effect
from tandem.experiments.abtest.restraint import novelty, shrink
from tandem.experiments.abtest.summary import Summary, summaries


def within(share: float, nominal: float, runs: int) -> bool:
    return abs(share - nominal) < 4 * np.sqrt(nominal * (1 - nominal) / runs)


def test_units_of_a_cluster_are_not_independent():
    """Simulated, no effect: buyers of one seller are alike. Counting buyers, false alarms in far
    more than 5%; counting sellers, in 5%."""
    rng = np.random.default_rng(0)
    runs, naive, design = 200, 0, 0
    for _ in range(runs):
        treated = rng.permutation(60) < 30
        cluster = np.repeat(np.arange(60), rng.integers(10, 60, 60))
        outcome = rng.normal(0, 0.5, 60)[cluster] + rng.normal(0, 1, cluster.size)
        arm = treated[cluster]
        rows = outcome[:, None]
        naive += effect(Summary.of(rows[~arm]), Summary.of(rows[arm])).p < 0.05
        design += cluster_effect(outcome, cluster, treated).p < 0.05
    assert naive / runs > 0.3
    assert within(design / runs, 0.05, runs)


def market(rng, treated_now, before, n=200):
    """One period of a simulated market: buyers compete for what there is, so what the treated gain
    the others lose; in the first quarter after a switch the former arm still has its hold."""
    into = np.sort(rng.random(n))
    hold = np.where((into < 0.25) & (treated_now != before), before, treated_now)
    return 1.0 + 0.3 * hold + rng.normal(0, 1, n) + rng.normal(0, 0.2), into


def test_a_switchback_is_right_where_units_share_what_there_is():
    """Simulated: treating everybody truly gains 0.3. Half of the buyers treated at a time gain 0.3
    and take it from the others, so that the naive difference is 0.6."""
    rng = np.random.default_rng(1)
    runs, covered, estimates, naive = 150, 0, [], []
    for run in range(runs):
        plan = switchback(str(run), ["a", "b"], 20)
        outcome, place, period, into = [], [], [], []
        for p in range(2):
            for t in range(20):
                y, x = market(rng, plan[p, t], plan[p, max(t - 1, 0)], 60)
                outcome.append(y)
                into.append(x)
                place.append(np.full(60, p))
                period.append(np.full(60, t))
        data = [np.concatenate(c) for c in (outcome, place, period, into)]
        data[0] = data[0][:, None]
        found = switchback_effect(period_means(*data, plan))
        estimates.append(found.difference)
        covered += found.low <= 0.3 <= found.high
        arm = rng.random(1_000) < 0.5
        naive.append((1.0 + np.where(arm, 0.3, -0.3) + rng.normal(0, 1, 1_000))[arm].mean() - 0.7)
    spread = np.std(estimates) / np.sqrt(runs)
    assert abs(np.mean(estimates) - 0.3) < 4 * spread
    assert within(covered / runs, 0.95, runs)
    assert np.mean(naive) > 0.5
    without = switchback_effect(period_means(*data, plan, burn_in=0.0)).difference
    assert without < found.difference, "what was carried over counts against the effect"


def test_a_plan_is_balanced_and_the_same_everywhere():
    plan = switchback("salt", ["a", "b", "c"], 40)
    assert (plan.sum(axis=1) == 20).all()
    assert (plan == switchback("salt", ["a", "b", "c"], 40)).all()
    assert (plan[0] != plan[1]).any()
    with pytest.raises(InvalidInput, match="clusters"):
        cluster_effect(np.ones(4), np.arange(4), np.array([True, False, True, False]))


def test_clusters_are_drawn_in_pairs_of_one_size():
    names = [f"m{i}" for i in range(41)]
    sizes = [float(i % 7) for i in range(41)]
    arms = cluster_arms("salt", names, sizes)
    assert (arms == cluster_arms("salt", names, sizes)).all()
    assert arms.sum() in (20, 21)
    weight = np.array(sizes)
    assert abs(weight[arms].sum() - weight[~arms].sum()) <= max(sizes)
    drawn = np.mean([cluster_arms(str(s), names, sizes) for s in range(400)], axis=0)
    assert (abs(drawn - 0.5) < 0.13).all(), "every cluster is as likely to be treated"


def test_shrunk_effects_are_nearer_the_truth_and_cover_it():
    """Simulated segments whose true effects differ a little: noise is taken out, and intervals
    hold 95% of the truths."""
    rng = np.random.default_rng(2)
    runs, inside, plain, shrunk = 300, 0, 0.0, 0.0
    for _ in range(runs):
        truth = rng.normal(1.0, 0.3, 12)
        errors = rng.uniform(0.2, 1.0, 12)
        seen = truth + rng.normal(0, errors)
        found = shrink(seen, errors)
        plain += ((seen - truth) ** 2).sum()
        shrunk += ((np.array(found.shrunk) - truth) ** 2).sum()
        inside += ((np.array(found.low) <= truth) & (truth <= np.array(found.high))).sum()
    assert shrunk < 0.4 * plain
    # The least width makes them a little wider than they would have to be.
    assert inside / (12 * runs) > 0.93
    assert shrink([1.0], [0.1]) is None


def test_cochrans_q_keeps_its_level():
    rng = np.random.default_rng(3)
    errors = np.array([0.1, 0.3, 0.5, 0.2, 0.4])
    runs = 1_000
    alarms = sum(shrink(rng.normal(0.2, errors), errors).q_p < 0.05 for _ in range(runs))
    assert within(alarms / runs, 0.05, runs)


def test_novelty_that_fades_is_seen_and_none_is_not():
    rng = np.random.default_rng(4)

    def simulated(effect_by_day, seed):
        rng = np.random.default_rng(seed)
        day = rng.integers(0, 14, 6_000)
        treated = rng.random(6_000) < 0.5
        return rng.normal(0, 1, 6_000) + treated * effect_by_day[day], day, treated

    fading = novelty(*simulated(np.exp(-np.arange(14) / 3), 0))
    assert fading.fades
    assert not fading.grows
    alarms = sum(novelty(*simulated(np.full(14, 0.3), s)).p < 0.05 for s in range(300))
    assert within(alarms / 300, 0.05, 300)
    with pytest.raises(InvalidInput, match="days"):
        novelty(rng.normal(size=50), np.zeros(50, np.int64), rng.random(50) < 0.5)


def test_an_arm_in_which_nothing_happened_is_zero_and_no_rounding_error():
    rng = np.random.default_rng(6)
    arm = (rng.random(60_000) < 0.5).astype(np.intp)
    orders = np.where(arm == 1, rng.poisson(1.58, arm.size), 0).astype(float)
    control, treatment = summaries([orders, orders * 0.1], arm, 2)
    assert control.mean.tolist() == [0.0, 0.0]
    assert effect(control, treatment).relative is None
    assert treatment.mean[0] == pytest.approx(orders[arm == 1].mean(), rel=1e-12)


def test_summaries_of_groups_are_those_of_each_alone():
    rng = np.random.default_rng(5)
    a, b = rng.normal(1e6, 1, 200_000), rng.exponential(size=200_000)
    a[rng.random(a.size) < 0.01] = np.nan
    codes = rng.integers(-1, 3, a.size)
    for g, found in enumerate(summaries([a, b], codes, 4)):
        rows = np.column_stack([a, b])[(codes == g) & ~np.isnan(a)]
        expected = Summary.of(rows)
        assert found.n == expected.n
        assert found.mean == pytest.approx(expected.mean, nan_ok=True)
        assert found.covariance == pytest.approx(expected.covariance, nan_ok=True, rel=1e-6)
