"""Intervals of an off-policy estimate: bootstrap over decisions, and empirical Bernstein."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tandem.experiments.offpolicy.feedback import Array

# Resampling more units than this costs much and changes nothing that shows.
_UNITS = 5_000
_BLOCK = 64


@dataclass(frozen=True, slots=True)
class Interval:
    low: float
    high: float


def bootstrap(
    contributions: Array, *, resamples: int = 1_000, confidence: float = 0.95, seed: int = 7
) -> Interval:
    """Percentile bootstrap of the mean of (n,), or of the ratio of the means of (n, 2).

    Above 5,000 rows, rows are dealt at random into that many equal heaps and heaps are drawn:
    the sum of a heap of independent rows has as many times a row's variance as it has rows, so
    the mean's spread is the same. Rows left over (fewer than there are heaps) are not drawn.
    """
    rng = np.random.default_rng(seed)
    columns = contributions.reshape(contributions.shape[0], -1)
    n = columns.shape[0]
    if n > _UNITS:
        size = n // _UNITS
        order = rng.permutation(n)[: size * _UNITS]
        columns = columns[order].reshape(_UNITS, size, columns.shape[1]).mean(axis=1)
        n = _UNITS
    out = np.empty(resamples)
    for start in range(0, resamples, _BLOCK):
        k = min(_BLOCK, resamples - start)
        drawn = rng.integers(0, n, size=(k, n)) + n * np.arange(k)[:, None]
        times = np.bincount(drawn.ravel(), minlength=k * n).reshape(k, n).astype(np.float64)
        sums = times @ columns
        with np.errstate(invalid="ignore", divide="ignore"):
            out[start : start + k] = (
                sums[:, 0] / n if columns.shape[1] == 1 else sums[:, 0] / sums[:, 1]
            )
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(out, [tail, 1 - tail])
    return Interval(float(low), float(high))


def empirical_bernstein(
    contributions: Array, width: float, *, confidence: float = 0.95
) -> Interval:
    """Two-sided interval of the mean of (n,) that holds at every sample size, not only large ones.

    width: the length of the range that no contribution can leave. Maurer & Pontil, COLT 2009,
    theorem 4, for each side at half the error.
    """
    n = contributions.size
    log_term = np.log(4 / (1 - confidence))
    half = np.sqrt(2 * contributions.var(ddof=1) * log_term / n) + 7 * width * log_term / (
        3 * (n - 1)
    )
    mean = float(contributions.mean())
    return Interval(mean - float(half), mean + float(half))
