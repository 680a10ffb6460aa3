"""What creators choose to show, and what that hides: the pairs that were never shown.

Creators show what suits them, for reasons that the features tell only in part. A weak match that
was shown is mostly better than it looks; the same match proposed by somebody else is mostly as bad.
What was learned from showings alone promises such pairs double and more.

Trees over showings and products drawn by lot tell how many times likelier than by chance a creator
shows a product: the intensity. A pair suits or does not (a latent class). Creators show what suits
`most` times as often as chance, and what does not `least` times as often: part of what is shown is
not chosen for fit (mixture proportion: Blanchard, Lee & Scott, JMLR 2010). So

    unfit among showings  = least × (1 − fit) / intensity
    fit among all pairs   = (intensity − least) / (most − least)

and the clicks per impression of both classes and `least` follow from the showings' clicks by
maximum likelihood (two negative binomials): the selection model whose latent class is the fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tandem.matching.pairs import FEATURES, Floats

if TYPE_CHECKING:
    import lightgbm

Doubles = NDArray[np.float64]
Flags = NDArray[np.bool_]

CHOSEN_BY = (
    *("profile_fit", "shown_fit", "closest_shown", "similar_shown", "same_category"),
    *("same_merchant", "audience_fit", "viewed_fit", "hashtag_fit", "price_distance", "pieces"),
)
_COLUMNS = [FEATURES.index(name) for name in CHOSEN_BY]
_ROUNDS = 150
_SUREST = 0.85
"""Quantile of the showings' intensity about where pairs surely suit."""
_MOST_LESSONS = 20_000
FEWEST_IN_LEAF = 30
TREES: Mapping[str, Any] = {
    "learning_rate": 0.05,
    "num_leaves": 15,
    "feature_fraction": 0.7,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}
"""What all trees of the matcher have in common."""


def choice_trees(features: Floats, shown: Flags, seed: int) -> lightgbm.Booster:
    """Trees whose raw score is the log intensity. shown: (n,), else drawn by lot."""
    import lightgbm

    # As many of both, by weight: the score is then free of how many were drawn.
    weight = np.where(shown, 1.0, shown.sum() / max((~shown).sum(), 1))
    data = lightgbm.Dataset(features[:, _COLUMNS], shown.astype(np.float64), weight=weight)
    own = {"objective": "binary", "min_data_in_leaf": FEWEST_IN_LEAF, "seed": seed}
    return lightgbm.train({**TREES, **own}, data, _ROUNDS)


def intensity(trees: lightgbm.Booster, features: Floats) -> Doubles:
    """(n,) how many times likelier than by chance such a pair is shown."""
    raw = trees.predict(features[:, _COLUMNS], raw_score=True, num_threads=1)
    found: Doubles = np.exp(np.asarray(raw, np.float64))
    return found


@dataclass(frozen=True)
class Fit:
    """least, most: intensity of pairs that do not suit, and that surely do. low, high: clicks per
    impression of both classes, the latter at `most`; it goes with the `slope`th power of intensity.
    spread_low, spread_high: variance of their rates, relative."""

    least: float
    most: float
    low: float
    high: float
    slope: float
    spread_low: float
    spread_high: float

    @classmethod
    def of(cls, intensity: Doubles, clicks: Doubles, shown: Doubles) -> Fit:
        """clicks: (n,) of showings that were `shown` so often."""
        from scipy.optimize import minimize

        if len(clicks) > _MOST_LESSONS:
            some = np.linspace(0, len(clicks) - 1, _MOST_LESSONS).astype(np.int64)
            intensity, clicks, shown = intensity[some], clicks[some], shown[some]
        surest = np.log(max(float(np.quantile(intensity, _SUREST)), 1.5))
        usual = max(float((clicks / shown).mean()), 1e-9)

        def fit(t: Doubles) -> Fit:
            low = usual * np.exp(-np.exp(t[1]) + t[0])
            return cls(0.95 / (1 + np.exp(-t[2])), np.exp(surest + t[6]), low,
                       usual * np.exp(t[0]), t[3], np.exp(t[4]), np.exp(t[5]))  # fmt: skip

        # Where to look first, and how far off it may be. Pairs that do not suit are much alike:
        # were they let differ, those that suit a little would count as such.
        start = np.array([0.3, 0.0, -1.0, 0.1, -2.3, -0.7, 0.0])
        ease = np.array([1.0, 0.7, 1.0, 0.3, 0.2, 1.0, 0.5])

        def missed(t: Doubles) -> float:
            unfit, low, high = fit(t).likelihoods(intensity, clicks, shown)
            both = np.logaddexp(np.log(unfit) + low, np.log1p(-unfit) + high)
            return float(-both.sum() + 0.5 * (((t - start) / ease) ** 2).sum())

        return fit(minimize(missed, start, method="L-BFGS-B", options={"maxiter": 200}).x)

    def suits(self, intensity: Doubles) -> Doubles:
        """(n,) the chance that a pair suits, of all pairs that look like it."""
        return np.clip((intensity - self.least) / (self.most - self.least), 0.0, 1.0)

    def unfit_if_shown(self, intensity: Doubles) -> Doubles:
        """(n,) the chance that a showing does not suit."""
        found = self.least * (1 - self.suits(intensity)) / intensity
        return np.clip(found, 1e-4, 1 - 1e-4)

    def rates(self, intensity: Doubles) -> tuple[Doubles, Doubles]:
        """(n,) clicks per impression of both classes."""
        high = self.high * np.minimum(intensity / self.most, 1.0) ** self.slope
        return np.full(len(intensity), self.low), np.maximum(high, self.low)

    def likelihoods(
        self, intensity: Doubles, clicks: Doubles, shown: Doubles
    ) -> tuple[Doubles, Doubles, Doubles]:
        """(n,) prior chance that a showing does not suit; log likelihoods of its clicks."""
        low, high = self.rates(intensity)
        return (
            self.unfit_if_shown(intensity),
            negative_binomial(clicks, low * shown, self.spread_low),
            negative_binomial(clicks, high * shown, self.spread_high),
        )

    def unfit(self, intensity: Doubles, clicks: Doubles, shown: Doubles) -> Doubles:
        """(n,) the chance that a showing does not suit, its clicks known."""
        return posterior(*self.likelihoods(intensity, clicks, shown))


def posterior(prior: Doubles, low: Doubles, high: Doubles) -> Doubles:
    """(n,) the chance of the first of two, from its prior one and both log likelihoods."""
    found: Doubles = 1 / (1 + np.exp(np.clip(high - low, -50, 50)) * (1 - prior) / prior)
    return found


def negative_binomial(counts: Doubles, mean: Doubles, spread: Doubles | float) -> Doubles:
    """(n,) log likelihood, but for a constant of the counts. spread: relative variance of means."""
    from scipy.special import gammaln

    shape = 1 / spread
    mean = np.maximum(mean, 1e-9)
    found: Doubles = (
        gammaln(counts + shape)
        - gammaln(shape)
        - shape * np.log1p(mean / shape)
        + counts * (np.log(mean) - np.log(shape + mean))
    )
    return found
