"""What is to come, with an interval: exponential smoothing over days or weeks, its errors measured.

Additive error; over days a damped trend and a weekly season, over weeks a level alone (ETS:
Hyndman, Koehler, Ord and Snyder, Forecasting with Exponential Smoothing, 2008), fitted by
statsmodels. The interval is not the
model's own, which takes its parameters for known and its errors for normal: it is widened or
narrowed by how far forecasts made earlier in the same series were off, in units of what the model
said then (split conformal prediction over rolling origins: Vovk et al. 2005; Hyndman and
Athanasopoulos, Forecasting, 3rd edition, section 5.10).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]
WEEK = 7
LEVEL = 0.8
ORIGINS = 9  # earlier forecasts that the interval is measured by
FEWEST_ORIGINS = 3  # of fewer, no width can be read off
PATHS = 500
SEED = 7


@dataclass(frozen=True)
class Rhythm:
    """What one value of a series is of. least: values that a forecast takes. fewest: that an
    earlier forecast of the same series is made of, for the interval's width. apart: between two
    earlier ones, at least. season: after so many values it repeats itself."""

    noun: str
    least: int
    fewest: int
    apart: int
    season: int | None = None


DAYS = Rhythm("days", least=8 * WEEK, fewest=8 * WEEK, apart=WEEK, season=WEEK)
WEEKS = Rhythm("weeks", least=8, fewest=4, apart=1)


@dataclass(frozen=True)
class Outlook:
    """Expected value and interval of each of the next values (h,), and of their sum.

    level: how often the truth is meant to lie inside. origins: how many earlier forecasts of the
    same length the width was measured on; 0: the series is too short, it is the model's own.
    """

    mean: Array
    low: Array
    high: Array
    total: float
    total_low: float
    total_high: float
    level: float
    origins: int


def forecast(series: Array, ahead: int, rhythm: Rhythm = DAYS, *, level: float = LEVEL) -> Outlook:
    """The next values of a series without gaps. ValueError for fewer than its rhythm takes."""
    if len(series) < rhythm.least:
        raise ValueError(f"{len(series)} {rhythm.noun} are too few: it takes {rhythm.least}")
    mean, paths = _ahead(series, ahead, rhythm)
    origins = _origins(len(series), ahead, rhythm)
    errors, totals = [], []
    for origin in origins:
        then, then_paths = _ahead(series[:origin], ahead, rhythm)
        truth = series[origin : origin + ahead]
        errors.append(np.abs(truth - then) / _spread(then_paths))
        totals.append(abs(truth.sum() - then.sum()) / _spread(then_paths.sum(axis=1)))
    usual = float(stats.t.ppf(0.5 + level / 2, len(series) - 2))
    width = _width(np.array(errors).ravel(), level, usual) * _spread(paths)
    total_width = _width(np.array(totals), level, usual) * _spread(paths.sum(axis=1))
    total = float(mean.sum())
    return Outlook(
        mean=mean,
        low=np.maximum(mean - width, 0.0),
        high=mean + width,
        total=total,
        total_low=max(0.0, total - float(total_width)),
        total_high=total + float(total_width),
        level=level,
        origins=len(origins),
    )


def _origins(length: int, ahead: int, rhythm: Rhythm) -> list[int]:
    """Where earlier forecasts begin: apart, or as far as needed to fit ORIGINS of them; none where
    they are too few to measure by."""
    last, first = length - ahead, rhythm.fewest
    if last < first:
        return []
    step = max(rhythm.apart, (last - first) // ORIGINS)
    found = list(range(last, first - 1, -step))[:ORIGINS]
    return found if rhythm.season or len(found) >= FEWEST_ORIGINS else []


def _width(errors: Array, level: float, usual: float) -> float:
    """How many of the model's standard deviations the interval reaches to either side."""
    if not len(errors):
        return usual
    rank = min(len(errors), int(np.ceil((len(errors) + 1) * level - 1e-9)))
    return float(np.sort(errors)[rank - 1])


def _spread(paths: Array) -> Array:
    spread: Array = np.asarray(paths.std(axis=0))
    return np.maximum(spread, 1e-9)


def _ahead(series: Array, ahead: int, rhythm: Rhythm) -> tuple[Array, Array]:
    """Expected values (h,) and simulated paths (PATHS, h); never below zero."""
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    # In units of a usual value: the optimiser's tolerances suit values about one.
    unit = float(np.mean(np.abs(series))) or 1.0
    scaled = series / unit
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = ETSModel(
            scaled,
            error="add",
            # A trend in few weeks is mostly noise.
            trend="add" if rhythm.season else None,
            damped_trend=rhythm.season is not None,
            seasonal="add" if rhythm.season else None,
            seasonal_periods=rhythm.season,
            # The first states from the first values: few parameters to fit.
            **_start(scaled, rhythm),
        )
        fitted = model.fit(disp=False, maxiter=200)
        mean = np.asarray(fitted.forecast(ahead), np.float64)
        paths = np.asarray(
            fitted.simulate(
                ahead,
                anchor="end",
                repetitions=PATHS,
                rng=np.random.default_rng(SEED),
            ),
            np.float64,
        ).T
    mean = np.maximum(mean, 0.0)
    return mean * unit, np.maximum(paths, 0.0) * unit


def _start(scaled: Array, rhythm: Rhythm) -> dict[str, Any]:
    """statsmodels' heuristic takes ten values; a level alone begins at the mean of the first."""
    if rhythm.season:
        return {"initialization_method": "heuristic"}
    return {
        "initialization_method": "known",
        "initial_level": float(scaled[: rhythm.fewest].mean()),
    }
