"""Do judges agree? Cohen's kappa for pairs, Krippendorff's alpha for all, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.errors import InvalidInput

Array = NDArray[np.float64]
Level = Literal["nominal", "ordinal", "interval"]
LEVELS: tuple[Level, ...] = ("nominal", "ordinal", "interval")


@dataclass(frozen=True, slots=True)
class Pair:
    """Two judges on the items that both rated: share of equal ratings, and Cohen's kappa.

    weighted: kappa with quadratic weights, which forgives near misses. NaN: both always said one
    and the same, and chance alone explains that.
    """

    first: str
    second: str
    items: int
    equal: float
    kappa: float
    weighted: float


@dataclass(frozen=True)
class Agreement:
    """alpha: level → Krippendorff's alpha; low, high: its 95% bootstrap interval over items.

    1 is perfect, 0 is chance. Krippendorff asks for 0.8, and 0.667 for tentative conclusions.
    """

    items: int
    raters: tuple[str, ...]
    pairs: tuple[Pair, ...]
    alpha: dict[str, float]
    low: dict[str, float]
    high: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        return {
            "items": self.items,
            "raters": list(self.raters),
            "cohen_kappa": [asdict(p) for p in self.pairs],
            "krippendorff_alpha": {
                level: {"alpha": a, "low": self.low[level], "high": self.high[level]}
                for level, a in self.alpha.items()
            },
        }


def agreement(
    ratings: Array, raters: Sequence[str], *, resamples: int = 1_000, seed: int = 7
) -> Agreement:
    """ratings: (items, raters), NaN where a judge did not rate. Raises InvalidInput if nobody
    rated what another one did."""
    if ratings.shape[1] < 2 or not (np.sum(~np.isnan(ratings), axis=1) >= 2).any():
        raise InvalidInput(
            "no item has two ratings", field="raters", remedy="give two judges the same items"
        )
    tables = _value_counts(ratings)
    alpha: dict[str, float] = {level: krippendorff_alpha(ratings, level) for level in LEVELS}
    rng = np.random.default_rng(seed)
    n = ratings.shape[0]
    drawn: dict[str, list[float]] = {level: [] for level in LEVELS}
    values, counts = tables
    for _ in range(resamples):
        sample = counts[rng.integers(0, n, n)]
        for level in LEVELS:
            drawn[level].append(_alpha(values, sample, level))
    bounds = {level: np.nanquantile(d, [0.025, 0.975]) for level, d in drawn.items()}
    return Agreement(
        n,
        tuple(raters),
        tuple(
            _pair(ratings[:, i], ratings[:, j], raters[i], raters[j])
            for i, j in combinations(range(len(raters)), 2)
        ),
        alpha,
        {level: float(b[0]) for level, b in bounds.items()},
        {level: float(b[1]) for level, b in bounds.items()},
    )


def cohen_kappa(first: Array, second: Array, *, weighted: bool = False) -> float:
    """Agreement of two judges beyond chance (Cohen 1960; quadratic weights, Cohen 1968).

    first, second: (n,) ratings of the same items. NaN where chance agreement is complete.
    """
    values = np.unique(np.concatenate([first, second]))
    table = np.zeros((values.size, values.size))
    np.add.at(table, (np.searchsorted(values, first), np.searchsorted(values, second)), 1.0)
    table /= table.sum()
    expected = np.outer(table.sum(axis=1), table.sum(axis=0))
    cost = (values[:, None] - values) ** 2 if weighted else 1.0 - np.eye(values.size)
    by_chance = float((expected * cost).sum())
    return 1 - float((table * cost).sum()) / by_chance if by_chance > 0 else float("nan")


def krippendorff_alpha(ratings: Array, level: Level = "ordinal") -> float:
    """1 - observed / expected disagreement over all pairs of ratings of one item.

    ratings: (items, raters), NaN where missing; any number of judges. Krippendorff, Content
    Analysis, 4th ed. 2018, chapter 12. NaN where all ratings are one and the same.
    """
    return _alpha(*_value_counts(ratings), level)


def _value_counts(ratings: Array) -> tuple[Array, Array]:
    """Values (v,), and how often each item got each of them (items, v)."""
    values = np.unique(ratings[~np.isnan(ratings)])
    return values, np.stack([(ratings == v).sum(axis=1) for v in values], axis=1).astype(float)


def _alpha(values: Array, counts: Array, level: Level) -> float:
    m = counts.sum(axis=1)
    counts = counts[m >= 2]  # an item with one rating has no pair to agree
    m = m[m >= 2]
    # Coincidences: every ordered pair of ratings of an item, each rating weighing 1 in all.
    pairs = (counts / (m - 1)[:, None]).T @ counts
    pairs[np.diag_indices_from(pairs)] -= (counts / (m - 1)[:, None]).sum(axis=0)
    totals = pairs.sum(axis=1)
    n = totals.sum()
    cost = _cost(values, totals, level)
    expected = float((np.outer(totals, totals) * cost).sum()) / (n - 1) if n > 1 else 0.0
    return 1 - float((pairs * cost).sum()) / expected if expected > 0 else float("nan")


def _cost(values: Array, totals: Array, level: Level) -> Array:
    if level == "nominal":
        return 1.0 - np.eye(values.size)
    if level == "interval":
        between: Array = (values[:, None] - values) ** 2
        return between
    # Ordinal: how many ratings lie between two values, half of those at either end.
    middle = np.cumsum(totals) - totals / 2
    ranks: Array = (middle[:, None] - middle) ** 2
    return ranks


def _pair(first: Array, second: Array, name: str, other: str) -> Pair:
    both = ~np.isnan(first) & ~np.isnan(second)
    a, b = first[both], second[both]
    if not a.size:
        return Pair(name, other, 0, *(float("nan"),) * 3)
    return Pair(
        name,
        other,
        int(a.size),
        float((a == b).mean()),
        cohen_kappa(a, b),
        cohen_kappa(a, b, weighted=True),
    )
