"""Sufficient statistics: all that an analysis needs to know of ten million units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Codes = NDArray[np.intp]

_BLOCK = 1 << 16  # units at once: what is added up stays in the cache, and sums stay exact


@dataclass(frozen=True)
class Summary:
    """n units, their mean (k,) and covariance (k, k; divisor n - 1) over k columns."""

    n: int
    mean: Array
    covariance: Array

    @classmethod
    def of(cls, values: Array) -> Summary:
        """values: (n, k), one row per unit."""
        n, k = values.shape
        mean = values.mean(axis=0) if n else np.full(k, np.nan)
        centred = values - mean
        covariance = centred.T @ centred / (n - 1) if n > 1 else np.full((k, k), np.nan)
        return cls(n, mean, covariance)

    def __add__(self, other: Summary) -> Summary:
        """The summary of both sets of units together (Chan, Golub & LeVeque 1983)."""
        if not self.n or not other.n:
            return self if self.n else other
        n = self.n + other.n
        delta = other.mean - self.mean
        squares = _squares(self) + _squares(other) + np.outer(delta, delta) * self.n * other.n / n
        return Summary(n, self.mean + delta * other.n / n, squares / max(n - 1, 1))


def _squares(s: Summary) -> Array:
    return s.covariance * (s.n - 1) if s.n > 1 else np.zeros_like(s.covariance)


def summaries(columns: Sequence[Array], codes: Codes, groups: int) -> list[Summary]:
    """Summaries of groups 0 to groups - 1 over k columns, in one pass over all units.

    columns: k of (n,). codes (n,): each unit's group; below 0: in none. A unit that is NaN in any
    column is left out. Sums are taken around the columns' means, so that none cancels.
    """
    k = len(columns)
    centre = [float(c) if np.isfinite(c) else 0.0 for c in map(_rough_mean, columns)]
    counts = np.zeros(groups)
    sums = np.zeros((k, groups))
    squares = np.zeros((k, k, groups))
    for start in range(0, codes.size, _BLOCK):
        here = codes[start : start + _BLOCK]
        x = [c[start : start + _BLOCK] - m for c, m in zip(columns, centre, strict=True)]
        # NaN in a sum says that there is one; looking for it in every unit costs more.
        if not all(np.isfinite(v.sum()) for v in x) or here.min(initial=0) < 0:
            known = (here >= 0) & np.logical_and.reduce([~np.isnan(v) for v in x])
            here, x = here[known], [v[known] for v in x]
        counts += np.bincount(here, minlength=groups)
        for i in range(k):
            sums[i] += np.bincount(here, x[i], minlength=groups)
            for j in range(i + 1):
                squares[i, j] += np.bincount(here, x[i] * x[j], minlength=groups)
    found = []
    for g in range(groups):
        n = int(counts[g])
        if n == 0:
            found.append(Summary.of(np.empty((0, k))))
            continue
        mean = sums[:, g] / n
        lower = squares[:, :, g]
        whole = lower + np.tril(lower, -1).T - n * np.outer(mean, mean)
        covariance = whole / (n - 1) if n > 1 else np.full((k, k), np.nan)
        found.append(Summary(n, mean + np.array(centre), covariance))
    return found


def _rough_mean(column: Array) -> Any:
    """Of the first known units: near enough to sum around. It has eight bits, so that counts, and
    the zeros of an arm in which nothing happened, add up without any rounding."""
    head = column[:_BLOCK]
    known = head[~np.isnan(head)]
    if not known.size:
        return np.nan
    part, power = np.frexp(known.mean())
    return np.ldexp(np.round(part * 256) / 256, power)
