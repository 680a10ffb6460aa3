"""Position bias with trust: people click more readily on what stands on top, relevant or not.

P(click on a product at place k) = a(k) g + b(k), with g its chance of a click at place 1 (so that
a(1) = 1 and b(1) = 0). Without trust b is 0 and a the examination. With it b is above 0 on top and
so, relative to place 1, below 0 further down. Agarwal, Wang, Li, Bendersky & Najork, *Addressing
Trust Bias for Unbiased Learning-to-Rank*, WWW 2019; affine in g after Vardasbi, Oosterhuis & de
Rijke, *When Inverse Propensity Scoring does not Work*, CIKM 2020.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tandem.contracts.clicks import ClickLog, Floats, Ints
from tandem.contracts.errors import InvalidInput

_GRID = np.concatenate([[0.003, 0.006, 0.012, 0.025, 0.04], np.linspace(0.05, 0.995, 120)])
_ROUNDS = 500
MOST_PAIRS = 20_000  # products of queries with the most impressions
_TOLERANCE = 1e-3  # of the log-likelihood, in a round
_LEAST = 1e-4  # no click is impossible, and none is sure


@dataclass(frozen=True)
class Trust:
    """slope, floor: (places,), a and b; NaN where the log says nothing of a place. support:
    (places,) impressions behind each. gain: the log-likelihood that b adds, with one more number
    for each place; by twice of it chi-squared says whether trust is there at all."""

    slope: Floats
    floor: Floats
    support: Floats
    gain: float

    @property
    def p(self) -> float:
        """p-value that there is none: likelihood ratio."""
        from scipy.stats import chi2

        free = int(np.isfinite(self.floor).sum()) - 1
        return float(chi2.sf(2 * max(self.gain, 0.0), max(free, 1)))

    def at(self, place: Ints) -> tuple[Floats, Floats]:
        """(m,) slope and floor at places; an unknown one counts as the last known before it."""
        known = np.isfinite(self.slope)
        last = np.maximum.accumulate(np.where(known, np.arange(known.size), 0))
        at = last[np.minimum(place, known.size - 1)]
        slope = np.where(known[at], self.slope[at], 1.0)
        return slope, np.where(known[at], self.floor[at], 0.0)


def by_trust(log: ClickLog) -> Trust:
    """Fitted to products that stood at several places for one query, by expectation-maximisation.

    Each product's g is drawn from a distribution on a grid that is fitted too, so that many
    products with few impressions do not drown the places. InvalidInput where no product stood at
    two places.
    """
    several = np.bincount(log.pair) > 1
    rows = several[log.pair] if log.pair.size else np.zeros(0, bool)
    if not rows.any():
        raise InvalidInput(
            "no product was shown at two places for one query",
            field="trust",
            remedy="let the order change: another ranker for some searches, or exploration",
        )
    pair = np.unique(log.pair[rows], return_inverse=True)[1].astype(np.int64)
    n, c = np.zeros((2, int(pair.max()) + 1, log.places))
    np.add.at(n, (pair, log.place[rows]), log.shown[rows])
    np.add.at(c, (pair, log.place[rows]), log.clicked[rows])
    if len(n) > MOST_PAIRS:
        most = np.argsort(-n.sum(1), kind="stable")[:MOST_PAIRS]
        n, c = n[most], c[most]
    plain = _fit(n, c, trust=False)
    slope, floor, likelihood = _fit(n, c, trust=True, start=_by_rates(n, c))
    support = n.sum(0)
    known = support > 0
    # The grid is of the click rate at the first place that is known; the rest is told beside it.
    top = int(np.flatnonzero(known)[0])
    a, b = slope / slope[top], floor - floor[top] * slope / slope[top]
    return Trust(
        np.where(known, a, np.nan), np.where(known, b, np.nan), support, likelihood - plain[2]
    )


def _fit(
    n: Floats, c: Floats, *, trust: bool, start: tuple[Floats, Floats] | None = None
) -> tuple[Floats, Floats, float]:
    """slope, floor (places,) and the log-likelihood; n shown, c clicked: (pairs, places)."""
    places = n.shape[1]
    first = int(np.flatnonzero(n.sum(0))[0])
    a, b = start or (1 / np.sqrt(np.arange(1.0, places + 1)), np.zeros(places))
    share = np.full(_GRID.size, 1 / _GRID.size)
    before = -np.inf
    for _ in range(_ROUNDS):
        chance = np.clip(a[:, None] * _GRID + b[:, None], _LEAST, 1 - _LEAST)
        given = c @ np.log(chance) + (n - c) @ np.log1p(-chance)
        given += np.log(np.maximum(share, 1e-12))
        most = given.max(1, keepdims=True)
        weight = np.exp(given - most)
        total = weight.sum(1, keepdims=True)
        likelihood = float((most[:, 0] + np.log(total[:, 0])).sum())
        weight /= total
        share = weight.mean(0)
        a, b = _line(n.T @ weight, c.T @ weight, a, b, first, trust)
        if likelihood - before < _TOLERANCE:
            break
        before = likelihood
    return a, b, likelihood


def _by_rates(n: Floats, c: Floats) -> tuple[Floats, Floats]:
    """Where to begin: each place's click rates on those of the first, over the products that stood
    at both. Few impressions at the first make these lines too flat."""
    rate = c / np.maximum(n, 1)
    places = n.shape[1]
    a, b = 1 / np.sqrt(np.arange(1.0, places + 1)), np.zeros(places)
    first = int(np.flatnonzero(n.sum(0))[0])
    for k in range(places):
        w = n[:, first] * n[:, k] / np.maximum(n[:, first] + n[:, k], 1)
        if k == first or (w > 0).sum() < 3:
            continue
        x, y = rate[:, first], rate[:, k]
        mx, my = w @ x / w.sum(), w @ y / w.sum()
        spread = float(w @ (x - mx) ** 2)
        if spread > 0:
            a[k] = np.clip(w @ ((x - mx) * (y - my)) / spread, 1e-3, 1.5)
            b[k] = my - a[k] * mx
    return a, b


def _line(
    shown: Floats, clicked: Floats, a: Floats, b: Floats, first: int, trust: bool
) -> tuple[Floats, Floats]:
    """One weighted least-squares step of a binomial regression on the line a g + b, by place; the
    first place is the line that all others are told beside."""
    chance = np.clip(a[:, None] * _GRID + b[:, None], _LEAST, 1 - _LEAST)
    w = shown / (chance * (1 - chance))
    rate = np.divide(clicked, shown, out=np.zeros_like(clicked), where=shown > 0)
    sw, sg, sr = w.sum(1), (w * _GRID).sum(1), (w * rate).sum(1)
    sgg, sgr = (w * _GRID**2).sum(1), (w * _GRID * rate).sum(1)
    if trust:
        bottom = sw * sgg - sg**2
        safe = bottom > 1e-9 * sw * sgg
        slope = np.where(safe, (sw * sgr - sg * sr) / np.where(safe, bottom, 1.0), a)
        floor = np.where(safe, (sr - slope * sg) / np.maximum(sw, 1e-12), b)
    else:
        slope = np.where(sgg > 0, sgr / np.maximum(sgg, 1e-12), a)
        floor = np.zeros_like(b)
    slope = np.clip(slope, 1e-3, 1.5)
    slope[first], floor[first] = 1.0, 0.0
    return slope, floor
