"""What may come of a pair: a distribution around what is expected, and its intervals.

A log-normal for each class, of pairs that suit and of pairs that do not, with the counts' own
chance. How far the ends of an interval must be out is what held-out showings say (distributional
conformal prediction: Chernozhukov, Wüthrich & Zhu, PNAS 2021).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from numpy.typing import NDArray

from tandem.matching.choice import negative_binomial
from tandem.matching.pairs import FEATURES, Floats

Doubles = NDArray[np.float64]
Flags = NDArray[np.bool_]
Ints = NDArray[np.int64]
TARGETS = ("clicks", "orders")
LEVELS = (0.8, 0.9)
SHOWN_LEVEL = 0.8
SIZES = (2 / 3, 0.9)
"""Quantiles of predictions that divide the classes which intervals are calibrated apart for."""
_HALVINGS = 14
_LEAST_CHANCE = 1e-3
"""No end is farther out than this: few creators say nothing of what is rarer."""
_ROUNDING = 1e-9
_USUAL_SPREADS, _SURE_OF_SPREADS = (0.4, 0.25), 0.3
"""What relative variances of orders per click are usually like, and the deviation of their logs."""
_FARTHEST = 3.0
"""Log units of price distance beyond which nothing becomes less sure."""


@dataclass(frozen=True)
class Expected:
    """(n,) expected clicks and orders of one piece of content."""

    clicks: Doubles
    orders: Doubles


@dataclass(frozen=True)
class Predicted:
    """What is predicted of n pairs. unfit: (n,) the chance that they do not suit. clicks, orders:
    (n, 2) expected, if they do not and if they do. spread: by target, (n, 2) variance of the log
    of what is expected around the truth."""

    unfit: Doubles
    clicks: Doubles
    orders: Doubles
    spread: Mapping[str, tuple[Doubles, Doubles]]

    def expected(self) -> Expected:
        both = np.column_stack([self.unfit, 1 - self.unfit])
        return Expected((both * self.clicks).sum(axis=1), (both * self.orders).sum(axis=1))

    def times(self, clicks: Doubles, orders: Doubles) -> Predicted:
        return Predicted(
            self.unfit, self.clicks * clicks[:, None], self.orders * orders[:, None], self.spread
        )

    def below(self, target: str, counts: Doubles) -> Doubles:
        """(n,) the chance of `counts` or fewer."""
        at = np.log1p(np.maximum(counts, 0))
        found: Doubles = np.where(counts < 0, 0.0, self._below(at, *self._normal(target)))
        return found

    def quantile(self, target: str, chance: Doubles) -> Doubles:
        """(n,) the smallest whole number that so many outcomes do not exceed."""
        from scipy.special import ndtri

        middle, width = self._normal(target)
        ends = middle + width * ndtri(chance)[:, None]
        low, high = ends.min(axis=1), ends.max(axis=1)
        for _ in range(_HALVINGS):
            half = (low + high) / 2
            enough = self._below(half, middle, width) >= chance
            low, high = np.where(enough, low, half), np.where(enough, half, high)
        found: Doubles = np.maximum(np.ceil(np.expm1(high) - 1e-6), 0)
        return found

    def _below(self, at: Doubles, middle: Doubles, width: Doubles) -> Doubles:
        """(n,) the chance of less than `at`, on the scale log(1 + n)."""
        from scipy.special import ndtr

        low, high = ndtr((at[:, None] - middle) / width).T
        found: Doubles = self.unfit * low + (1 - self.unfit) * high
        return found

    def _normal(self, target: str) -> tuple[Doubles, Doubles]:
        """(n, 2) mean and deviation on the scale log(1 + n)."""
        mean = np.maximum(getattr(self, target), 1e-9)
        variance, lower = self.spread[target]
        return np.log(mean) - lower, np.sqrt(variance + 1 / (mean + 0.5))


@dataclass(frozen=True)
class Calibration:
    """spread_low, spread_high: relative variance of clicks per impression of both classes around
    what is predicted; spread_orders, spread_far: of orders per click, and what a squared log unit
    of price distance adds, as nobody knows at which price a creator sells best. edges: by
    target and history, sizes of expectation that divide the classes; ends: by target, history,
    class and level, the chances between which so many held-out outcomes lay (Mondrian: Vovk,
    Gammerman & Shafer, 2005)."""

    spread_low: float
    spread_high: float
    spread_orders: float
    spread_far: float
    edges: dict[str, list[float]] = field(default_factory=dict)
    ends: dict[str, list[float]] = field(default_factory=dict)

    def spreads(self, unsure: Doubles, far: Doubles) -> dict[str, tuple[Doubles, Doubles]]:
        """`Predicted.spread`. unsure: (n,) variance of log impressions; far: (n,) squared price
        distance."""
        from scipy.special import digamma, polygamma

        clicks = unsure[:, None] + np.log1p([self.spread_low, self.spread_high])
        # Orders per click scatter like a gamma: far below where a creator sells at other prices.
        shape = 1 / (self.spread_orders + self.spread_far * far)[:, None]
        lower = clicks / 2 + np.log(shape) - digamma(shape)
        return {"clicks": (clicks, clicks / 2), "orders": (clicks + polygamma(1, shape), lower)}

    def learn(
        self,
        predicted: Predicted,
        seen: Mapping[str, Doubles],
        new: Flags,
        creator: Ints,
        rng: np.random.Generator,
    ) -> None:
        """Ends that hold for these outcomes. seen: by target. creator: (n,) whose they are."""
        expected = predicted.expected()
        for target in TARGETS:
            counts, mean = np.round(seen[target]), getattr(expected, target)
            under = predicted.below(target, counts - 1)
            at = under + rng.random(len(counts)) * (predicted.below(target, counts) - under)
            for history, name in ((False, "known"), (True, "new")):
                here = new == history
                cuts = np.quantile(mean[here], SIZES) if here.any() else np.zeros(len(SIZES))
                self.edges[f"{target}/{name}"] = cuts.tolist()
                size = np.searchsorted(cuts, mean[here])
                for one, level in product(range(len(SIZES) + 1), LEVELS):
                    own = _ends(at[here][size == one], creator[here][size == one], level)
                    self.ends[f"{target}/{name}/{one}/{level}"] = own

    def interval(
        self, target: str, predicted: Predicted, new: Flags, level: float = SHOWN_LEVEL
    ) -> tuple[Doubles, Doubles]:
        """(n,) whole numbers between which so many of all outcomes lie."""
        expected = getattr(predicted.expected(), target)
        chances = np.zeros((len(new), 2))
        for history in (False, True):
            here = new == history
            key = f"{target}/{'new' if history else 'known'}"
            size = np.searchsorted(self.edges[key], expected[here])
            ends = [self.ends[f"{key}/{s}/{level}"] for s in range(len(self.edges[key]) + 1)]
            chances[here] = np.array(ends)[size]
        low, high = (predicted.quantile(target, chance) for chance in chances.T)
        return low, high


def click_spreads(
    counts: Doubles, unfit: Doubles, low: Doubles, high: Doubles
) -> tuple[float, float]:
    """Relative variances of both classes around their means, of greatest likelihood."""
    from scipy.optimize import minimize

    def missed(t: Doubles) -> float:
        likely = (
            negative_binomial(counts, m, np.exp(v)) for m, v in zip((low, high), t, strict=True)
        )
        first, second = likely
        both = np.logaddexp(np.log(unfit) + first, np.log1p(-unfit) + second)
        return float(-both.sum() + 0.5 * ((t + 1.5) ** 2).sum())

    found = minimize(missed, np.array([-1.5, -1.0]), method="L-BFGS-B", bounds=[(-5, 2)] * 2).x
    return float(np.exp(found[0])), float(np.exp(found[1]))


def order_spreads(orders: Doubles, expected: Doubles, far: Doubles) -> tuple[float, float]:
    """Relative variance of orders per click, and what each unit of `far` (n,) adds, most likely
    a posteriori: few showings have the orders that tell."""
    from scipy.optimize import minimize

    def missed(t: Doubles) -> float:
        spread = np.exp(t[0]) + np.exp(t[1]) * far
        likely = negative_binomial(orders, expected, spread)
        return float(-likely.sum() + 0.5 * (((t - usual) / _SURE_OF_SPREADS) ** 2).sum())

    usual = np.log(_USUAL_SPREADS)
    found = np.exp(minimize(missed, usual, method="L-BFGS-B", bounds=[(-5, 2)] * 2).x)
    return float(found[0]), float(found[1])


def squared_distance(features: Floats) -> Doubles:
    """(n,) squared price distance, usual where no price is known."""
    far = features[:, FEATURES.index("price_distance")].astype(np.float64) ** 2
    return np.nan_to_num(np.minimum(far, _FARTHEST**2), nan=1.0)


def _ends(at: Doubles, creator: Ints, level: float) -> list[float]:
    """Both ends, with one creator more beyond each. Every creator counts as one, for what is missed
    of one piece is missed of all (hierarchical conformal prediction: Lee, Barber & Willett,
    2023)."""
    _, of, pieces = np.unique(creator, return_inverse=True, return_counts=True)
    order = np.argsort(at)
    ranked, weight = at[order], 1 / pieces[of][order] / (len(pieces) + 1)
    tail = (1 - level) / 2
    low = int(np.searchsorted(np.cumsum(weight), tail - _ROUNDING, side="right")) - 1
    high = int(np.searchsorted(np.cumsum(weight[::-1]), tail - _ROUNDING, side="right")) - 1
    ends = [ranked[low] if low >= 0 else 0.0, ranked[-1 - high] if high >= 0 else 1.0]
    return [float(np.clip(end, _LEAST_CHANCE, 1 - _LEAST_CHANCE)) for end in ends]
