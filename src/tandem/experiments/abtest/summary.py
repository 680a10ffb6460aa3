"""Sufficient statistics: all that an analysis needs to know of ten million units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


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
