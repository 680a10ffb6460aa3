"""Intervals and paired tests over queries: arrays in, arrays out.

The unit of sampling is the query: what is asked is how the next queries of the same kind will fare.
NaN marks a query that says nothing about a column (missing, not zero); it takes no part in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.errors import InvalidInput

Array = NDArray[np.float64]
CORRECTIONS = ("holm", "none")

# Values this close are equal: they differ by rounding.
_EQUAL = 1e-9

# Resamples per matrix product: bounds memory at some 10 MB per 1,000 queries.
_BLOCK = 512


@dataclass(frozen=True, slots=True)
class Intervals:
    """Per column: `mean`, `low`, `high`, each (c,) float64, and `n` (c,) int64 queries behind it.

    NaN mean: no query speaks about the column.
    """

    mean: Array
    low: Array
    high: Array
    n: NDArray[np.int64]


def bootstrap_intervals(
    values: Array,
    bounds: tuple[float, float],
    *,
    resamples: int = 10_000,
    confidence: float = 0.95,
    seed: int = 7,
) -> Intervals:
    """Bias-corrected and accelerated (BCa) bootstrap intervals of column means.

    values: (n, c), one row per query. bounds: the range that a mean cannot leave.
    All columns share the resampled queries. BCa (Efron, JASA 1987) corrects the percentile
    interval for the skew that measures bounded in [0, 1] have. Fewer than two queries say nothing
    about spread: the interval is then `bounds`. Where all values are equal it has no width.
    """
    from scipy.stats import norm

    here = ~np.isnan(values)
    filled = np.where(here, values, 0.0)
    n = here.sum(axis=0).astype(np.int64)
    with np.errstate(invalid="ignore"):
        mean = filled.sum(axis=0) / n
    low, high = mean.copy(), mean.copy()
    few = n < 2
    low[few], high[few] = bounds
    spread = np.where(here, values, -np.inf).max(axis=0, initial=-np.inf) - np.where(
        here, values, np.inf
    ).min(axis=0, initial=np.inf)
    todo = np.flatnonzero(~few & (spread > _EQUAL))
    if todo.size:
        means = _resampled_means(filled[:, todo], here[:, todo], resamples, seed)
        # Bias: how far the estimate stands from the median of its resamples. Half of the ties
        # count as below, and the count stays off 0 and 1, where the normal quantile is infinite.
        ties = np.isclose(means, mean[todo], rtol=0, atol=1e-12)
        below = ((means < mean[todo]) & ~ties).mean(axis=0) + ties.mean(axis=0) / 2
        z0 = norm.ppf(np.clip(below, 1 / resamples, 1 - 1 / resamples))
        # Acceleration of a mean, from the jackknife: skewness / (6 sqrt(n)).
        centred = np.where(here[:, todo], values[:, todo] - mean[todo], 0.0)
        acceleration = (centred**3).sum(axis=0) / (6 * (centred**2).sum(axis=0) ** 1.5)
        for tail, target in (((1 - confidence) / 2, low), ((1 + confidence) / 2, high)):
            z = z0 + norm.ppf(tail)
            level = norm.cdf(z0 + z / (1 - acceleration * z))
            target[todo] = [np.quantile(means[:, i], level[i]) for i in range(todo.size)]
        low[todo] = np.minimum(low[todo], mean[todo])
        high[todo] = np.maximum(high[todo], mean[todo])
    return Intervals(mean, np.maximum(low, bounds[0]), np.minimum(high, bounds[1]), n)


def _resampled_means(
    filled: Array, here: NDArray[np.bool_], resamples: int, seed: int
) -> NDArray[np.float64]:
    """(resamples, c) means over queries drawn with replacement."""
    rng = np.random.default_rng(seed)
    n = filled.shape[0]
    complete = bool(here.all())
    out = np.empty((resamples, filled.shape[1]))
    for start in range(0, resamples, _BLOCK):
        size = min(_BLOCK, resamples - start)
        # How often each query was drawn: a row of counts makes a mean a matrix product.
        drawn = rng.integers(0, n, size=(size, n)) + n * np.arange(size)[:, None]
        times = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n).astype(np.float64)
        counts = float(n) if complete else times @ here
        with np.errstate(invalid="ignore"):
            out[start : start + size] = times @ filled / counts
    if not complete:  # a resample without any query of a column: leave it at the column's mean
        out = np.where(np.isnan(out), filled.sum(axis=0) / here.sum(axis=0), out)
    return out


def permutation_test(
    differences: Array, *, permutations: int = 10_000, seed: int = 7
) -> NDArray[np.float64]:
    """Two-sided p-values (c,) of the paired randomisation test on the mean difference.

    differences: (n, c), one row per query. If the systems were equal, the sign of each query's
    difference would be a coin toss (Fisher 1935; Smucker, Allan & Carterette, CIKM 2007). All 2^n
    signs are tried where that is at most `permutations`; otherwise that many are drawn, and
    p = (1 + as extreme) / (1 + permutations), which is valid and never 0 (Phipson & Smyth 2010).
    NaN where no query speaks about a column.
    """
    here = ~np.isnan(differences)
    filled = np.where(here, differences, 0.0)
    n = filled.shape[0]
    # Rows of the signs may cover queries without a difference: their sign changes nothing.
    observed = np.abs(filled.sum(axis=0)) - 1e-12 * np.maximum(1, n)
    extreme = np.zeros(filled.shape[1])
    exact = n <= np.log2(permutations)
    total = 2**n if exact else permutations
    rng = np.random.default_rng(seed)
    for start in range(0, total, _BLOCK):
        size = min(_BLOCK, total - start)
        if exact:
            bits = (np.arange(start, start + size)[:, None] >> np.arange(n)) & 1
        else:
            bits = rng.integers(0, 2, size=(size, n), dtype=np.int8)
        signs = 1.0 - 2.0 * bits
        extreme += (np.abs(signs @ filled) >= observed).sum(axis=0)
    p = extreme / total if exact else (1 + extreme) / (1 + total)
    return np.where(here.any(axis=0), p, np.nan)


def effect_size(differences: Array) -> Array:
    """Standardised mean difference d_z = mean / standard deviation of the differences, (c,).

    Cohen 1988; 0.2 is called small, 0.5 medium, 0.8 large. 0 where all differences are 0; NaN where
    it is undefined: fewer than two queries, or every query differs by the same amount.
    """
    out = np.full(differences.shape[1], np.nan)
    for i, column in enumerate(differences.T):
        d = column[~np.isnan(column)]
        if d.size and not d.any():
            out[i] = 0.0
        elif d.size > 1 and float(np.ptp(d)) > _EQUAL:
            out[i] = d.mean() / d.std(ddof=1)
    return out


def adjust(p_values: Array, correction: str) -> Array:
    """p-values adjusted for the number of comparisons made.

    `holm` bounds the chance of even one false alarm, under any dependence (Holm, Scand. J. Stat.
    1979). `none` changes nothing. NaN (no test) is not counted. Raises InvalidInput otherwise.
    """
    if correction not in CORRECTIONS:
        raise InvalidInput(
            f"unknown correction '{correction}'",
            field="correction",
            remedy=f"use one of: {', '.join(CORRECTIONS)}",
        )
    adjusted = p_values.copy()
    tests = np.flatnonzero(~np.isnan(p_values))
    if correction == "holm" and tests.size:
        order = tests[np.argsort(p_values[tests], kind="stable")]
        factors = np.arange(order.size, 0, -1)
        adjusted[order] = np.minimum(np.maximum.accumulate(p_values[order] * factors), 1.0)
    return adjusted
