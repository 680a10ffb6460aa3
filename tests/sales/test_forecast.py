"""Forecasts of days: a known course is found, and intervals hold what they are meant to."""

from __future__ import annotations

import numpy as np
import pytest

from tandem.sales.forecast import DAYS, WEEKS, forecast


def shop(seed: int, days: int) -> np.ndarray:
    """Daily sales with a weekly course, drifting slowly, and chance."""
    rng = np.random.default_rng(seed)
    week = np.array([1.0, 0.9, 0.95, 1.0, 1.2, 1.5, 0.6])
    level = 1_000 * np.exp(np.cumsum(rng.normal(0, 0.01, days)))
    return level * np.resize(week, days) * rng.lognormal(0, 0.15, days)


def test_a_course_without_chance_goes_on():
    weeks = np.resize([10.0, 20, 30, 40, 50, 60, 70], 12 * 7)
    ahead = forecast(weeks, 14)
    assert np.allclose(ahead.mean, np.resize(weeks[:7], 14), rtol=0.05)
    assert ahead.total == pytest.approx(ahead.mean.sum())
    assert (ahead.low <= ahead.mean).all()
    assert (ahead.mean <= ahead.high).all()


def test_intervals_hold_about_as_often_as_they_say():
    inside, totals = [], []
    for seed in range(6):
        series = shop(seed, 180)
        ahead = forecast(series[:152], 28)
        truth = series[152:]
        inside.append(((ahead.low <= truth) & (truth <= ahead.high)).mean())
        totals.append(ahead.total_low <= truth.sum() <= ahead.total_high)
        assert ahead.origins == 9
    # 80% is meant; benchmarks/forecast.py measures it on real sales. Here: no factor is missing.
    assert 0.6 < np.mean(inside) < 0.95
    assert np.mean(totals) >= 0.5


def test_little_history_says_that_nothing_was_measured():
    ahead = forecast(shop(1, DAYS.least), 14)
    assert ahead.origins == 0
    assert ahead.total_low < ahead.total < ahead.total_high
    with pytest.raises(ValueError, match="too few"):
        forecast(shop(1, DAYS.least - 1), 14)


def test_sales_are_never_below_zero():
    series = np.zeros(100)
    series[::9] = 50.0
    ahead = forecast(series, 28)
    assert (ahead.low >= 0).all()
    assert ahead.total_low >= 0
    assert np.isfinite(ahead.high).all()
    assert forecast(np.zeros(70), 7).total == 0


def test_weeks_are_told_from_eight_on():
    rng = np.random.default_rng(3)
    inside = []
    for _ in range(40):
        weeks = 1_000 * rng.lognormal(0, 0.2, 20)
        ahead = forecast(weeks[:16], 4, WEEKS)
        assert ahead.origins == 9
        inside.append(ahead.total_low <= weeks[16:].sum() <= ahead.total_high)
    assert 0.6 < np.mean(inside) < 0.97
    short = forecast(weeks[:8], 4, WEEKS)
    assert short.origins == 0
    assert 0 < short.total_low < short.total < short.total_high
    with pytest.raises(ValueError, match="weeks are too few"):
        forecast(weeks[:7], 4, WEEKS)
