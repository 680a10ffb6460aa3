"""Lift against simulated sales whose lift is known: intervals cover as often as they say."""

from __future__ import annotations

import numpy as np
import pytest

from tandem.collaboration.lift import Lift, NoLift, lift
from tandem.contracts.errors import InvalidInput


def simulated(seed: int, added: float, days: int = 10, before: int = 120):
    """Simulated daily sales: products share seasons and shocks; ours gains `added` a day."""
    rng = np.random.default_rng(seed)
    total = before + days
    t = np.arange(total)
    shared = 40 + 8 * np.sin(2 * np.pi * t / 7) + np.cumsum(rng.normal(0, 0.6, total))
    controls = rng.poisson(np.maximum(shared[:, None] * rng.uniform(0.4, 1.6, 6), 1)).astype(float)
    expected = np.maximum(shared, 1)
    expected[before:] += added
    return rng.poisson(expected).astype(float), controls, before


def test_intervals_cover_the_truth_as_often_as_they_say():
    added, runs = 8.0, 100
    hits, effects = 0, []
    for seed in range(runs):
        found = lift(*simulated(seed, added), confidence=0.9)
        assert isinstance(found, Lift)
        effects.append(found.effect)
        hits += found.low <= 10 * added <= found.high
    assert np.mean(effects) == pytest.approx(80, abs=8)
    assert 0.82 <= hits / runs <= 0.98  # 90% nominal, three standard errors


def test_without_an_effect_zero_is_mostly_inside():
    inside = [
        f.low <= 0 <= f.high
        for seed in range(80)
        if isinstance(f := lift(*simulated(1000 + seed, 0.0)), Lift)
    ]
    assert np.mean(inside) >= 0.81


def test_a_rising_market_is_no_lift():
    """Everything sells twice as much after the day: last year's figure would call it success."""
    rng = np.random.default_rng(3)
    level = np.r_[np.full(90, 30.0), np.full(10, 60.0)] * np.exp(rng.normal(0, 0.2, 100))
    controls = rng.poisson(level[:, None] * np.array([1.0, 0.7, 1.4])).astype(float)
    sales = rng.poisson(level).astype(float)
    found = lift(sales, controls, 90)
    assert isinstance(found, Lift)
    naive = sales[90:].sum() - 10 * sales[:90].mean()
    assert abs(found.effect) < 0.4 * naive
    assert found.effect == pytest.approx(found.observed - found.expected)
    assert found.low <= found.effect <= found.high
    assert len(found.assumptions) == 4


def test_too_little_to_go_by_is_refused_and_not_guessed():
    sales, controls, _ = simulated(1, 5.0)
    assert isinstance(lift(sales, controls, 20), NoLift)
    assert isinstance(lift(sales, controls[:, :0], 120), NoLift)
    narrow, wide = (lift(sales, controls, 120, confidence=c) for c in (0.8, 0.99))
    assert isinstance(narrow, Lift)
    assert isinstance(wide, Lift)
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)
    for live in (0, len(sales)):
        with pytest.raises(InvalidInput, match="live"):
            lift(sales, controls, live)
    with pytest.raises(InvalidInput, match="controls"):
        lift(sales, controls[:-1], 120)
    with pytest.raises(InvalidInput, match="missing"):
        lift(np.where(np.arange(len(sales)) == 3, np.nan, sales), controls, 120)


def test_a_control_that_explains_nothing_is_warned_of():
    sales, controls, live = simulated(2, 0.0)
    noise = np.random.default_rng(0).poisson(10, controls.shape).astype(float)
    found = lift(sales, noise, live)
    assert isinstance(found, Lift)
    assert any("hardly explain" in w for w in found.warnings)
