"""Affinities of a brand and a creator, each from what both post about, some of them learned.

Every affinity is fitted on a market and the collaborations that may be learned from, and then
scores any brands against any creators, also those without a single collaboration. Profiles carry
no outcome, so the geometry (centre, spread) is taken from all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tandem.matching.market import Array, Collaborations, Market, Rows

Scorer = Callable[[Rows, Rows], Array]
"""(b,) brand rows, (c,) creator rows -> (b, c) float64; NaN where nothing can be said."""


@dataclass(frozen=True)
class Views:
    """Brands and creators in comparable coordinates, brands first: unit rows, centred by kind.

    Brands and creators post differently as a kind; subtracting each kind's mean leaves what tells
    one brand, or one creator, from the others. Topic shares enter by their square root (Hellinger
    distance). Hashtag directions are scaled by spread^-1/2, half-way to whitening, so that a few
    everyday hashtags do not drown the telling ones.
    """

    topics: tuple[Array, Array]
    hashtags: tuple[Array, Array]

    @classmethod
    def of(cls, market: Market) -> Views:
        roots = [np.sqrt(np.maximum(a.topics, 0)) for a in (market.brands, market.creators)]
        tags = [a.hashtags - a.hashtags.mean(0) for a in (market.brands, market.creators)]
        _, spread, axes = np.linalg.svd(tags[1], full_matrices=False)
        kept = spread > spread.max(initial=0) * 1e-6
        scaled = axes[kept].T / np.sqrt(spread[kept])
        return cls(
            (unit(roots[0] - roots[0].mean(0)), unit(roots[1] - roots[1].mean(0))),
            (unit(tags[0] @ scaled), unit(tags[1] @ scaled)),
        )

    @property
    def both(self) -> tuple[Array, Array]:
        return (
            np.hstack([self.topics[0], self.hashtags[0]]),
            np.hstack([self.topics[1], self.hashtags[1]]),
        )


def unit(x: Array) -> Array:
    """Rows scaled to length 1; a row of zeros stays."""
    out: Array = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    return out


def dot(brands: Array, creators: Array) -> Scorer:
    """Inner products of fixed vectors."""
    return lambda b, c: brands[b] @ creators[c].T


def cosine_topics(market: Market) -> Scorer:
    """Cosine of topic shares."""
    return dot(unit(market.brands.topics), unit(market.creators.topics))


def cosine_hashtags(market: Market) -> Scorer:
    """Cosine of hashtag embeddings."""
    return dot(unit(market.brands.hashtags), unit(market.creators.hashtags))


# Share of the within-brand covariance that is replaced by a sphere of the same size. With some 15
# accounts a brand and 147 coordinates the covariance alone is noise in most directions.
_SHRINKAGE = 0.5


def same_circle(
    view: tuple[Array, Array], known: Collaborations, *, brand_weight: float = 1.0
) -> Scorer:
    """Log-likelihood ratio that a creator belongs to a brand's circle rather than to anyone's.

    The two-covariance model of speaker verification (PLDA: Ioffe, ECCV 2006; Brümmer & de
    Villiers, Odyssey 2010): a brand and its creators scatter around a common centre with one
    within-circle covariance, centres scatter with another, and both are estimated from the known
    circles. `brand_weight` counts the brand's own profile as that many members.
    """
    from scipy.linalg import eigh

    brands, creators = view
    width = brands.shape[1]
    scatter, freedom, centres, sizes = np.zeros((width, width)), 0.0, [], []
    starts = known.pairs[np.argsort(known.pairs[:, 0], kind="stable")]
    groups = np.split(starts, np.flatnonzero(np.diff(starts[:, 0])) + 1)
    for group in groups:
        members = np.vstack([creators[group[:, 1]], brands[group[:1, 0]]])
        weights = np.append(np.ones(len(group)), brand_weight)
        centre = weights @ members / weights.sum()
        apart = (members - centre) * np.sqrt(weights)[:, None]
        scatter += apart.T @ apart
        freedom += weights.sum() - 1
        centres.append(centre)
        sizes.append(weights.sum())
    within = scatter / max(freedom, 1.0)
    between = np.atleast_2d(np.cov(np.array(centres).T)) - within / np.mean(sizes)
    sphere = np.eye(width) * max(np.trace(within) / width, 1e-9)
    within = (1 - _SHRINKAGE) * within + _SHRINKAGE * sphere
    # In this basis the within covariance is the identity and the between covariance diagonal.
    ratio, basis = eigh(between, within)
    telling = ratio > 1e-3
    s, axes = ratio[telling], basis[:, telling]
    t = s + 1
    zb, zc = brands @ axes, creators @ axes
    cross, alone = s / (t * t - s * s), 0.5 * s * s / (t * (t * t - s * s))
    brand_term, creator_term = zb**2 @ alone, zc**2 @ alone
    return lambda b, c: (
        (zb[b] * cross) @ zc[c].T - brand_term[b][:, None] - creator_term[c][None, :]
    )


_WIDTHS = {"topics": 1.5, "hashtags": 0.75}
_RIDGES = {"brands": 1.0, "creators": 10.0}


def similar_brands(views: Views, known: Collaborations) -> Scorer:
    """What similar brands did with similar creators: two-step kernel ridge regression.

    Stock et al., Neural Computation 2018: regress the collaboration matrix on brands, then on
    creators. Kernel: mean of Gaussian kernels on topics and on hashtags.
    """

    def kernel(a: int, rows_a: Rows, rows_b: Rows) -> Array:
        parts = []
        for name, view in (("topics", views.topics), ("hashtags", views.hashtags)):
            x, y = view[a][rows_a], view[a][rows_b]
            squared = (x**2).sum(1)[:, None] + (y**2).sum(1)[None, :] - 2 * x @ y.T
            parts.append(np.exp(-_WIDTHS[name] * squared))
        out: Array = (parts[0] + parts[1]) / 2
        return out

    brands, creators = known.brands, known.creators
    labels = known.matrix(brands, creators).astype(np.float64)
    labels -= labels.mean()
    left = np.linalg.solve(
        kernel(0, brands, brands) + _RIDGES["brands"] * np.eye(len(brands)), labels
    )
    weights = np.linalg.solve(
        kernel(1, creators, creators) + _RIDGES["creators"] * np.eye(len(creators)), left.T
    ).T
    return lambda b, c: kernel(0, b, brands) @ weights @ kernel(1, creators, c)


def past_brands(views: Views, known: Collaborations) -> Scorer:
    """Similarity of the brand to the most similar one that the creator has worked with.

    NaN for a creator without a known collaboration: missing is not zero.
    """
    profiles = views.both[0]
    brands = known.brands

    def scorer(b: Rows, c: Rows) -> Array:
        likeness = profiles[b] @ profiles[brands].T / 2
        worked = known.matrix(brands, np.unique(c))[:, np.searchsorted(np.unique(c), c)]
        out = np.full((len(b), len(c)), np.nan)
        for j in np.flatnonzero(worked.any(axis=0)).tolist():
            out[:, j] = likeness[:, worked[:, j]].max(axis=1)
        return out

    return scorer


@dataclass(frozen=True)
class Affinity:
    """A declared affinity: what it says, in words, and how it is fitted."""

    name: str
    meaning: str
    fit: Callable[[Market, Views, Collaborations], Scorer]


AFFINITIES = (
    Affinity("topics", "posts about the same topics", lambda m, v, k: cosine_topics(m)),
    Affinity(
        "special_topics",
        "shares the topics that set the brand apart",
        lambda m, v, k: dot(*v.topics),
    ),
    Affinity("hashtags", "uses the same hashtags", lambda m, v, k: cosine_hashtags(m)),
    Affinity(
        "special_hashtags",
        "uses the hashtags that set the brand apart",
        lambda m, v, k: dot(*v.hashtags),
    ),
    Affinity(
        "circle",
        "posts as a brand's creators usually do, given the brand's own posts",
        lambda m, v, k: same_circle(v.both, k),
    ),
    Affinity(
        "circle_near_brand",
        "the same, with the brand's own posts in the middle of its circle",
        lambda m, v, k: same_circle(v.both, k, brand_weight=8.0),
    ),
    Affinity("topic_circle", "the same, by topics alone", lambda m, v, k: same_circle(v.topics, k)),
    Affinity(
        "hashtag_circle", "the same, by hashtags alone", lambda m, v, k: same_circle(v.hashtags, k)
    ),
    Affinity(
        "similar_brands",
        "resembles creators who worked with similar brands",
        lambda m, v, k: similar_brands(v, k),
    ),
    Affinity("past_brands", "worked with a similar brand", lambda m, v, k: past_brands(v, k)),
)


def fit_affinities(market: Market, known: Collaborations) -> Mapping[str, Scorer]:
    """All declared affinities, by name, learned from `known`."""
    views = Views.of(market)
    return {a.name: a.fit(market, views, known) for a in AFFINITIES}
