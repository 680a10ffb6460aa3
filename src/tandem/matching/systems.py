"""Matching systems behind one interface: fit on known collaborations, score a pool.

A pool is the brands and the creators to be matched; nothing about who works with whom in it is
ever given to a system.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tandem.contracts.errors import InvalidInput
from tandem.matching import affinities
from tandem.matching.affinities import AFFINITIES, Scorer, fit_affinities
from tandem.matching.features import BLEND, FEATURES, Feature, Scores, compute
from tandem.matching.market import Array, Collaborations, Market, Rows, leave_brands_out

# Folds that give the second stage honest affinities to learn from, as unseen brands have them.
_FOLDS = 4


@dataclass(frozen=True)
class Lesson:
    """A market, the collaborations that may be learned from, and a seed: all a system gets."""

    market: Market
    known: Collaborations
    seed: int = 7

    def __post_init__(self) -> None:
        if len(self.known.brands) < 2 * _FOLDS:
            raise InvalidInput(
                f"{len(self.known.brands)} brands with collaborations are too few to learn from",
                field="brand",
                remedy=f"give collaborations of {2 * _FOLDS} brands or more",
            )


def random(lesson: Lesson) -> Scorer:
    """No knowledge: the floor that every other system must beat."""

    def scorer(b: Rows, c: Rows) -> Array:
        rng = np.random.default_rng(lesson.seed)
        whole = rng.random((len(lesson.market.brands), len(lesson.market.creators)))
        return whole[np.ix_(b, c)]

    return scorer


def popularity(lesson: Lesson) -> Scorer:
    """How many known collaborations a creator has; the same for every brand."""
    count = np.bincount(lesson.known.pairs[:, 1], minlength=len(lesson.market.creators))
    return lambda b, c: np.tile(count[c].astype(np.float64), (len(b), 1))


def cosine_topics(lesson: Lesson) -> Scorer:
    """Cosine of topic shares."""
    return affinities.cosine_topics(lesson.market)


def hashtags(lesson: Lesson) -> Scorer:
    """Cosine of hashtag embeddings."""
    return affinities.cosine_hashtags(lesson.market)


# Weight of the hashtags' cosine beside that of the topics.
_HASHTAG_WEIGHT = 0.3


def topics_hashtags(lesson: Lesson) -> Scorer:
    """Cosine of topics plus a share of the cosine of hashtags."""
    topics, tags = cosine_topics(lesson), hashtags(lesson)
    return lambda b, c: topics(b, c) + _HASHTAG_WEIGHT * tags(b, c)


def circle(lesson: Lesson) -> Scorer:
    """The two-covariance model on topics and hashtags (`affinities.same_circle`)."""
    views = affinities.Views.of(lesson.market)
    return affinities.same_circle(views.both, lesson.known)


def similar_brands(lesson: Lesson) -> Scorer:
    """Two-step kernel ridge regression (`affinities.similar_brands`)."""
    return affinities.similar_brands(affinities.Views.of(lesson.market), lesson.known)


@dataclass(frozen=True)
class Rehearsal:
    """Pools of brands that the affinities of that pool have not seen: what stage two learns from.

    One entry a fold: scores by affinity, and the (brands, creators) truth.
    """

    pools: tuple[tuple[dict[str, Array], Array], ...]

    @classmethod
    def of(cls, lesson: Lesson) -> Rehearsal:
        pools = []
        for fold in leave_brands_out(lesson.known, _FOLDS, lesson.seed):
            fitted = fit_affinities(lesson.market, fold.train)
            scores = {name: s(fold.brands, fold.creators) for name, s in fitted.items()}
            pools.append((scores, fold.truth.astype(np.float64)))
        return cls(tuple(pools))


@dataclass(frozen=True)
class Logistic:
    """Ridge logistic regression over standardised affinities; a missing one counts as average."""

    mean: Array
    scale: Array
    weights: Array

    @staticmethod
    def columns(scores: Scores) -> Array:
        return np.stack([scores[a.name].ravel() for a in AFFINITIES], axis=1)

    @classmethod
    def fit(cls, rehearsal: Rehearsal, ridge: float = 20.0) -> Logistic:
        """`ridge` is the penalty on squared standardised weights, in units of one pair's loss."""
        from scipy.optimize import minimize
        from scipy.special import expit

        x = np.vstack([cls.columns(scores) for scores, _ in rehearsal.pools])
        y = np.concatenate([truth.ravel() for _, truth in rehearsal.pools])
        mean, scale = np.nanmean(x, axis=0), np.nanstd(x, axis=0) + 1e-12
        z = np.hstack([np.nan_to_num((x - mean) / scale), np.ones((len(x), 1))])
        penalty = np.append(np.full(x.shape[1], ridge), 0.0)

        def loss(w: Array) -> tuple[float, Array]:
            logit = z @ w
            value = np.logaddexp(0, logit).sum() - y @ logit + penalty @ w**2 / 2
            return float(value), z.T @ (expit(logit) - y) + penalty * w

        start = np.append(np.zeros(x.shape[1]), np.log(y.mean() / (1 - y.mean())))
        found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 200})
        return cls(mean, scale, found.x)

    def score(self, scores: Scores) -> Array:
        """(brands, creators) log-odds."""
        z = np.nan_to_num((self.columns(scores) - self.mean) / self.scale)
        shape = next(iter(scores.values())).shape
        out: Array = (z @ self.weights[:-1] + self.weights[-1]).reshape(shape)
        return out


@dataclass(frozen=True)
class Stages:
    """Fitted affinities and the logistic model over them: what logistic and LTR share."""

    scorers: Mapping[str, Scorer]
    logistic: Logistic
    rehearsal: Rehearsal

    @classmethod
    def fit(cls, lesson: Lesson) -> Stages:
        rehearsal = Rehearsal.of(lesson)
        scorers = fit_affinities(lesson.market, lesson.known)
        return cls(scorers, Logistic.fit(rehearsal), rehearsal)

    def scores(self, b: Rows, c: Rows) -> dict[str, Array]:
        return self.blended({name: scorer(b, c) for name, scorer in self.scorers.items()})

    def blended(self, scores: Mapping[str, Array]) -> dict[str, Array]:
        return {**scores, BLEND: self.logistic.score(scores)}


_TREES: Mapping[str, Any] = {
    "objective": "binary",
    "learning_rate": 0.04,
    "num_leaves": 8,
    "min_data_in_leaf": 200,
    "feature_fraction": 0.4,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "lambda_l2": 20.0,
    "max_bin": 63,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}
_ROUNDS = 150


def boosted(stages: Stages, features: tuple[Feature, ...], seed: int) -> Scorer:
    """Boosted trees (LightGBM) over `features`, learned pair by pair from the rehearsal."""
    import lightgbm

    x = np.vstack([compute(stages.blended(s), features) for s, _ in stages.rehearsal.pools])
    y = np.concatenate([truth.ravel() for _, truth in stages.rehearsal.pools])
    # Too small a market has no leaf of 200 pairs; a smaller leaf then lets it learn at all.
    parameters = {**_TREES, "seed": seed, "min_data_in_leaf": min(200, max(5, len(y) // 100))}
    names = [f.name for f in features]
    trees = lightgbm.train(parameters, lightgbm.Dataset(x, y, feature_name=names), _ROUNDS)

    def scorer(b: Rows, c: Rows) -> Array:
        rows = compute(stages.scores(b, c), features)
        logit = np.asarray(trees.predict(rows, raw_score=True, num_threads=1))
        return logit.reshape(len(b), len(c))

    return scorer


SIMPLE: Mapping[str, Callable[[Lesson], Scorer]] = {
    "random": random,
    "popularity": popularity,
    "cosine_topics": cosine_topics,
    "hashtags": hashtags,
    "topics_hashtags": topics_hashtags,
    "circle": circle,
    "similar_brands": similar_brands,
}
STAGED: Mapping[str, Callable[[Stages, int], Scorer]] = {
    "logistic": lambda stages, seed: lambda b, c: stages.scores(b, c)[BLEND],
    "ltr_alone": lambda stages, seed: boosted(
        stages, tuple(f for f in FEATURES if not f.pool), seed
    ),
    "ltr": lambda stages, seed: boosted(stages, FEATURES, seed),
}
SYSTEMS = (*SIMPLE, *STAGED)
"""Names of all systems, from the simplest. `ltr` is the best; `ltr_alone` is the same without the
features that look at the other brands of the pool."""


def fit_systems(lesson: Lesson, names: tuple[str, ...] = SYSTEMS) -> dict[str, Scorer]:
    """Fit systems by name. Raises InvalidInput for an unknown name."""
    unknown = [n for n in names if n not in SYSTEMS]
    if unknown:
        raise InvalidInput(
            f"no matching system '{unknown[0]}'",
            field="systems",
            remedy=f"use some of: {', '.join(SYSTEMS)}",
        )
    fitted: dict[str, Scorer] = {n: SIMPLE[n](lesson) for n in names if n in SIMPLE}
    if any(n in STAGED for n in names):
        stages = Stages.fit(lesson)
        fitted |= {n: STAGED[n](stages, lesson.seed) for n in names if n in STAGED}
    return {n: fitted[n] for n in names}
