"""What is to come, with an interval: exponential smoothing over days, its errors measured.

Additive error, damped trend and a weekly season (ETS: Hyndman, Koehler, Ord and Snyder,
Forecasting with Exponential Smoothing, 2008), fitted by statsmodels. The interval is not the
model's own, which takes its parameters for known and its errors for normal: it is widened or
narrowed by how far forecasts made earlier in the same series were off, in units of what the model
said then (split conformal prediction over rolling origins: Vovk et al. 2005; Hyndman and
Athanasopoulos, Forecasting, 3rd edition, section 5.10).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]
WEEK = 7
LEAST_DAYS = 8 * WEEK
LEVEL = 0.8
ORIGINS = 9  # earlier forecasts that the interval is measured by
PATHS = 500
SEED = 7


@dataclass(frozen=True)
class Outlook:
    """Expected value and interval of each of the next days (h,), and of their sum.

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


def forecast(series: Array, days: int, *, level: float = LEVEL) -> Outlook:
    """The next `days` of a daily series without gaps. ValueError for fewer than LEAST_DAYS."""
    if len(series) < LEAST_DAYS:
        raise ValueError(f"{len(series)} days are too few: it takes {LEAST_DAYS}")
    mean, paths = _ahead(series, days)
    origins = _origins(len(series), days)
    errors, totals = [], []
    for origin in origins:
        then, then_paths = _ahead(series[:origin], days)
        truth = series[origin : origin + days]
        errors.append(np.abs(truth - then) / _spread(then_paths))
        totals.append(abs(truth.sum() - then.sum()) / _spread(then_paths.sum(axis=1)))
    width = _width(np.array(errors).ravel(), level, len(origins)) * _spread(paths)
    total_width = _width(np.array(totals), level, len(origins)) * _spread(paths.sum(axis=1))
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


def _origins(length: int, days: int) -> list[int]:
    """Where earlier forecasts begin: a week apart, or as far as needed to fit ORIGINS of them."""
    last, first = length - days, LEAST_DAYS
    if last < first:
        return []
    step = max(WEEK, (last - first) // ORIGINS)
    return list(range(last, first - 1, -step))[:ORIGINS]


def _width(errors: Array, level: float, origins: int) -> float:
    """How many of the model's standard deviations the interval reaches to either side."""
    normal = float(stats.norm.ppf(0.5 + level / 2))
    if not origins:
        return normal
    rank = min(len(errors), int(np.ceil((len(errors) + 1) * level - 1e-9)))
    return float(np.sort(errors)[rank - 1])


def _spread(paths: Array) -> Array:
    spread: Array = np.asarray(paths.std(axis=0))
    return np.maximum(spread, 1e-9)


def _ahead(series: Array, days: int) -> tuple[Array, Array]:
    """Expected values (h,) and simulated paths (PATHS, h); never below zero."""
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    # In units of a usual day: the optimiser's tolerances suit values about one.
    unit = float(np.mean(np.abs(series))) or 1.0
    scaled = series / unit
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = ETSModel(
            scaled,
            error="add",
            trend="add",
            damped_trend=True,
            seasonal="add",
            seasonal_periods=WEEK,
            # The first states from the first weeks: four parameters to fit and not fourteen.
            initialization_method="heuristic",
        )
        fitted = model.fit(disp=False, maxiter=200)
        mean = np.asarray(fitted.forecast(days), np.float64)
        paths = np.asarray(
            fitted.simulate(
                days,
                anchor="end",
                repetitions=PATHS,
                rng=np.random.default_rng(SEED),
            ),
            np.float64,
        ).T
    mean = np.maximum(mean, 0.0)
    return mean * unit, np.maximum(paths, 0.0) * unit
