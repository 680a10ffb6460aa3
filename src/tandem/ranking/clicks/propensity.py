"""How likely a place is looked at, out of a log of clicks: five ways, from sure to assuming.

| way | needs | source |
|---|---|---|
| `lot` | places that were drawn with known chances, as a shop does that explores | \
Horvitz & Thompson 1952 |
| `swaps` | lists whose first product changed places with another by lot | Joachims et al. 2017 |
| `harvest` | products that stood at several places for one query | Agarwal et al. 2019 |
| `em` | the same | Chuklin et al. 2015, section 4.1 |
| `regression-em` | features of the products; a list that never changes will do | Wang et al. 2018 |

All give P(examined) by place relative to place 1: only ratios can be known from clicks. A place
that the log says nothing about is NaN.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from tandem.contracts.candidates import Floats as Features
from tandem.contracts.clicks import ClickLog, Floats, Ints, totals
from tandem.contracts.errors import InvalidInput
from tandem.insights.clicks import examination_by_em

WAYS = ("harvest", "em", "regression-em")
"""The ways that need nothing but a log, as served."""

_ROUNDS = 40
_TREES = 15


@dataclass(frozen=True)
class Propensities:
    """examination: (places,) relative to place 1, NaN where unknown. support: (places,) the
    impressions that each rests on. way: how it was estimated, or `known`. low, high: (places,) a
    95% interval, None where the way has none."""

    examination: Floats
    support: Floats
    way: str
    low: Floats | None = None
    high: Floats | None = None

    def at(self, place: Ints, least: float) -> Floats:
        """(m,) examination at places, at least `least`: an unknown place counts as the last known
        one before it, since people do not look more often at what is further down."""
        known = np.where(np.isnan(self.examination), np.inf, self.examination)
        filled = np.minimum.accumulate(known)
        filled = np.where(np.isfinite(filled), filled, 1.0)
        within = np.minimum(place, filled.size - 1)
        return np.asarray(np.maximum(filled[within], least), np.float64)


@dataclass(frozen=True)
class Lots:
    """Places whose product was drawn. list, place (from 0), clicked, chance: (m,), where `chance`
    is the probability with which this product came to this place. Only products that could have
    come to each of the drawn places are in it. lists: how many lists there are."""

    list: Ints
    place: Ints
    clicked: Floats
    chance: Floats
    lists: int
    simulated: bool = False


def by_lot(lots: Lots, *, resamples: int = 500, seed: int = 7) -> Propensities:
    """Clicks at each place, weighed by one over the chance with which their product came there: the
    lot knows nothing of query and product, so what is left of the difference is examination.

    The interval is of a Poisson bootstrap over lists. InvalidInput without two drawn places.
    """
    places = int(lots.place.max(initial=-1)) + 1
    if places < 2 or not lots.clicked.any():
        raise InvalidInput(
            f"{lots.lists:,} lists with drawn places, {int(lots.clicked.sum()):,} clicks on them",
            field="propensities",
            remedy="let a share of the searches be drawn: tandem experiment explore --method swap",
        )
    weight = 1 / lots.chance
    cell = lots.list * places + lots.place
    clicks, shown = (
        np.bincount(cell, weight * x, lots.lists * places).reshape(-1, places)
        for x in (lots.clicked, np.ones(lots.clicked.size))
    )

    def relative(times: Floats) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            rate = (times @ clicks) / (times @ shown)
        return _relative(np.asarray(rate, np.float64))

    found = relative(np.ones(lots.lists))
    rng = np.random.default_rng(seed)
    drawn = np.stack(
        [relative(rng.poisson(1.0, lots.lists).astype(np.float64)) for _ in range(resamples)]
    )
    drawn = np.where(np.isfinite(drawn), drawn, np.nan)
    low, high = np.nanquantile(drawn, (0.025, 0.975), axis=0)
    support = totals(lots.place, np.ones(lots.place.size), places)
    return Propensities(found, support, "lot", low, high)


def further(first: Propensities, rest: Propensities) -> Propensities:
    """Places that `first` says nothing of, by `rest`: in relation to the last place both know."""
    n, places = first.examination.size, rest.examination.size
    both = np.flatnonzero(
        np.isfinite(first.examination[:places]) & np.isfinite(rest.examination[:n])
    )
    if places <= n or not both.size or not rest.examination[both[-1]] > 0:
        return first
    scale = first.examination[both[-1]] / rest.examination[both[-1]]
    unknown = np.full(places - n, np.nan)
    return Propensities(
        np.concatenate([first.examination, rest.examination[n:] * scale]),
        np.concatenate([first.support, rest.support[n:]]),
        f"{first.way}, further down {rest.way}",
        None if first.low is None else np.concatenate([first.low, unknown]),
        None if first.high is None else np.concatenate([first.high, unknown]),
    )


def by_swaps(log: ClickLog, first: Mapping[str, str]) -> Propensities:
    """From lists in which the product that ranked first was shown at a place drawn by lot.

    log: those lists alone. first: by query, the product that ranked first before the swap. As the
    lot knows nothing of the query, its clicks at each place differ by examination alone.
    """
    number = {q: i for i, q in enumerate(log.queries)}
    product = {p: i for i, p in enumerate(log.products)}
    tops = np.full(len(log.queries), -1, np.int64)
    for query, top in first.items():
        if query in number and top in product:
            tops[number[query]] = product[top]
    rows = log.product == tops[log.query]
    shown = totals(log.place[rows], log.shown[rows], log.places)
    clicked = totals(log.place[rows], log.clicked[rows], log.places)
    with np.errstate(invalid="ignore", divide="ignore"):
        rate = clicked / shown
        return Propensities(_relative(rate), shown, "swaps")


def by_harvest(log: ClickLog) -> Propensities:
    """Intervention harvesting, all pairs of places (Agarwal, Zaitsev, Wang, Li, Najork & Joachims,
    WSDM 2019).

    Query and product that stood at two places are an experiment that nobody planned. Their clicks
    at place k are P(look at k) x r, with r the same at both places. Each is weighed as Mantel &
    Haenszel (1959) weigh strata, so that many impressions at one place do not outweigh few at the
    other. It takes for granted that where a product stands does not go with how its relevance
    changes over time.
    """
    places = log.places
    pairs = int(log.pair.max(initial=-1)) + 1
    if not pairs:
        return Propensities(np.empty(0), np.empty(0), "harvest")
    shown = np.zeros((pairs, places))
    clicked = np.zeros((pairs, places))
    np.add.at(shown, (log.pair, log.place), log.shown)
    np.add.at(clicked, (log.pair, log.place), log.clicked)
    several = (shown > 0).sum(1) > 1
    shown, clicked = shown[several], clicked[several]
    rate = np.divide(clicked, shown, out=np.zeros_like(clicked), where=shown > 0)
    one, two = np.triu_indices(places, 1)
    weight = np.zeros((places, places))
    clicks = np.zeros((places, places))  # [k, k']: weighed clicks at k of what stood at both
    for k in range(places):
        both = shown[:, [k]] * shown / np.maximum(shown[:, [k]] + shown, 1e-12)
        weight[k] = both.sum(0)
        clicks[k] = (both * rate[:, [k]]).sum(0)
    known = weight[one, two] > 0
    one, two = one[known], two[known]
    support = totals(one, weight[one, two], places) + np.bincount(two, weight[one, two], places)
    if not one.size:
        return Propensities(np.full(places, np.nan), support, "harvest")
    total = weight[one, two]
    seen, seen_too = clicks[one, two], clicks[two, one]

    def loss(x: Floats) -> tuple[float, Floats]:
        """Negative log likelihood; x: log odds of examination by place, then of r by pair."""
        p, r = _sigmoid(x[:places]), _sigmoid(x[places:])
        value = 0.0
        slope = np.zeros_like(x)
        for k, c in ((one, seen), (two, seen_too)):
            q = np.clip(p[k] * r, 1e-9, 1 - 1e-9)
            value -= float((c * np.log(q) + (total - c) * np.log1p(-q)).sum())
            d = -(c / q - (total - c) / (1 - q)) * q
            np.add.at(slope, k, d * (1 - p[k]))
            slope[places:] += d * (1 - r)
        return value / total.sum(), slope / total.sum()

    start = np.concatenate([-0.5 * np.log(np.arange(places) + 1.0), np.full(one.size, -1.0)])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 2_000})
    examination = _sigmoid(found.x[:places])
    examination[support == 0] = np.nan
    return Propensities(_relative(examination), support, "harvest")


def by_em(log: ClickLog) -> Propensities:
    """The position-based model by expectation-maximisation, a free attraction for each pair."""
    several = np.bincount(log.pair) > 1
    rows = several[log.pair]
    pair = np.unique(log.pair[rows], return_inverse=True)[1].astype(np.int64)
    examination, _ = examination_by_em(
        pair, log.place[rows], log.shown[rows], log.clicked[rows], log.places
    )
    support = totals(log.place[rows], log.shown[rows], log.places)
    return Propensities(_relative(examination), support, "em")


def by_regression_em(log: ClickLog, features: Features, seed: int = 7) -> Propensities:
    """EM in which attraction is not free by pair but a function of features (Wang, Golbandi,
    Bendersky, Metzler & Najork, WSDM 2018).

    features: (pairs, f), as `log.pair` numbers them. Products that look alike share what they
    attract, so that no product needs to have stood at two places. The function is boosted trees
    with cross-entropy on the expected attraction, where the paper draws labels from it.
    """
    import lightgbm

    place, pair, n, c = log.place, log.pair, log.shown, log.clicked
    by_place = totals(place, n, log.places)
    by_pair = totals(pair, n)
    examination = 1.0 / np.sqrt(np.arange(1, log.places + 1))
    attraction = np.full(by_pair.size, float(np.clip(c.sum() / n.sum(), 1e-3, 0.5)))
    parameters = {
        "objective": "cross_entropy",
        "learning_rate": 0.2,
        "num_leaves": 15,
        "min_data_in_leaf": 20,
        "lambda_l2": 1.0,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "seed": seed,
        "verbosity": -1,
    }
    for _ in range(_ROUNDS):
        e, a = examination[place], attraction[pair]
        unclicked = (n - c) / np.maximum(1 - e * a, 1e-12)
        looked = c + unclicked * e * (1 - a)
        liked = c + unclicked * a * (1 - e)
        examination = totals(place, looked, log.places) / np.maximum(by_place, 1e-12)
        target = np.clip(totals(pair, liked) / by_pair, 0, 1)
        data = lightgbm.Dataset(features, label=target, weight=by_pair)
        model = lightgbm.train(parameters, data, _TREES)
        attraction = np.clip(np.asarray(model.predict(features, num_threads=1)), 1e-6, 1 - 1e-6)
    examination = np.where(by_place > 0, examination, np.nan)
    return Propensities(_relative(examination), by_place, "regression-em")


def estimate(
    log: ClickLog, way: str, features: Features | None = None, seed: int = 7
) -> Propensities:
    """Propensities by one of `WAYS`. InvalidInput for another, or where the log says nothing."""
    if way == "harvest":
        found = by_harvest(log)
    elif way == "em":
        found = by_em(log)
    elif way == "regression-em" and features is not None:
        found = by_regression_em(log, features, seed)
    else:
        raise InvalidInput(
            f"propensities cannot be estimated by '{way}'",
            field="propensities",
            remedy=f"use one of: {', '.join(WAYS)}",
        )
    if np.isfinite(found.examination).sum() < 2:
        raise InvalidInput(
            "the log cannot tell how far people look: no product was shown at two places for one "
            "query",
            field="propensities",
            remedy="use regression-em, or let the order change (another ranker for some searches)",
        )
    return found


def _relative(examination: Floats) -> Floats:
    """Divided by place 1, or by the highest where nothing is known of place 1."""
    if not examination.size or not np.isfinite(examination).any():
        return examination
    top = examination[0]
    return examination / (top if np.isfinite(top) and top > 0 else np.nanmax(examination))


def _sigmoid(x: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -30, 30))))
