"""The statistics that findings are held against."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tandem.insights.findings import Interval

Z95 = 1.959963984540054


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """q-values: the smallest false-discovery rate at which each test would be called.

    Benjamini & Hochberg, J. R. Stat. Soc. B 57 (1995); valid for independent and for positively
    dependent tests (Benjamini & Yekutieli 2001).
    """
    p = np.asarray(p_values, dtype=np.float64)
    if not p.size:
        return []
    order = np.argsort(p, kind="stable")
    scaled = p[order] * p.size / np.arange(1, p.size + 1)
    q = np.empty_like(p)
    q[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return [float(v) for v in q]


def wilson(successes: float, n: float) -> Interval:
    """A share with its 95 % score interval (Wilson 1927). NaN and (0, 1) for n = 0."""
    if n <= 0:
        return Interval(math.nan, 0.0, 1.0)
    p, z2 = successes / n, Z95**2
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return Interval(p, max(0.0, middle - half), min(1.0, middle + half))


def more_often(k: int, n: int, base: float) -> float:
    """One-sided p-value that k of n is no more than the base rate (exact binomial)."""
    from scipy.stats import binom

    return float(binom.sf(k - 1, n, min(max(base, 1e-6), 1 - 1e-6)))


def less_often(k: int, n: int, expected: float, expected_n: float, spread: float) -> float:
    """One-sided p-value that a success rate k / n is no less than `expected`.

    expected_n: how many needs the expectation rests on. spread: standard deviation of true rates
    between groups where nothing is broken; groups differ by themselves, and more data does not make
    that go away.
    """
    from scipy.stats import norm

    pooled = min(max((k + expected * expected_n) / (n + expected_n), 1e-6), 1 - 1e-6)
    deviation = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / expected_n) + spread**2)
    return float(norm.sf((expected - k / n) / deviation))


def psi(before: NDArray[Any], now: NDArray[Any]) -> float:
    """Population stability index of two counts over the same values: the symmetrised
    Kullback-Leibler divergence of their shares; half a case more each, so that what is new or gone
    has a logarithm."""
    return float(psi_terms(before, now).sum())


def psi_terms(before: NDArray[Any], now: NDArray[Any]) -> NDArray[np.float64]:
    """What each value adds to `psi`."""
    j, k = before + 0.5, now + 0.5
    shares = k / k.sum(), j / j.sum()
    return np.asarray((shares[0] - shares[1]) * np.log(shares[0] / shares[1]), np.float64)


def spread_between(successes: NDArray[np.float64], n: NDArray[np.float64]) -> float:
    """Standard deviation of true rates between groups, beyond sampling; robust to a few odd groups.

    From the interquartile range of the observed rates (1.349 standard deviations of a normal), less
    the mean sampling variance. 0 for fewer than four groups.
    """
    if n.size < 4:
        return 0.0
    rates = successes / n
    low, high = np.quantile(rates, [0.25, 0.75])
    mean = successes.sum() / n.sum()
    sampling = float(np.median(mean * (1 - mean) / n))
    return math.sqrt(max(0.0, ((high - low) / 1.349) ** 2 - sampling))
