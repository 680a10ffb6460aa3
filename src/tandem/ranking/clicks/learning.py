"""Rankers out of clicks. Six ways to read them:

| method | a click at place k | source |
|---|---|---|
| `naive` | is a click: what stands on top looks better than it is | the one to beat |
| `ips` | counts 1 / P(looked at k) | Joachims, Swaminathan & Schnabel, WSDM 2017 |
| `dr` | corrects what a regression expects by its error, weighed by how often it was looked at | \
Oosterhuis, ACM TOIS 41(3), 2023 |
| `affine` | as `dr`, with trust in what stands on top taken off as well | Vardasbi, Oosterhuis & \
de Rijke, CIKM 2020 |
| `pairwise` | beats what was not clicked beside it, both places' bias learned on the way | \
Hu, Wang, Peng & Li, WWW 2019 |
| `naive-pairwise` | the same without any bias: what `pairwise` has to beat | |

The first four estimate each product's gain and fit a model that regresses it; the last two grow
LambdaMART's trees on their own gradients.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.candidates import Floats as Features
from tandem.contracts.clicks import ClickLog, Floats, Ints, PairClicks, totals
from tandem.contracts.errors import InvalidInput
from tandem.ranking.clicks.propensity import Propensities
from tandem.ranking.clicks.trust import by_trust
from tandem.ranking.learned import JudgedCandidates
from tandem.ranking.models import REGRESSIONS, LambdaMART, RankingModel, TrainingSet, model_class

METHODS = ("naive", "ips", "dr", "affine", "naive-pairwise", "pairwise")
PAIRWISE = ("naive-pairwise", "pairwise")
"""Those that have trees of their own."""
DEFAULT_METHOD = "pairwise"
LEAST = 0.02
"""Examination below this is taken for this: one click far down must not outweigh hundreds."""
FEW_LOOKS = 10.0
"""Expected looks up to which doubly robust estimates lean on their regression."""
_PAIR_ROUNDS = 80
_SPREAD = 1.0  # exponent 1 / (1 + p) of Hu et al., p = 0


@dataclass(frozen=True)
class Clicked:
    """A log with the features of what was shown.

    features: (pairs, f), as `log.pair` numbers them. names: the f feature names. left_out: share of
    the impressions whose products the first stage does not find today.
    """

    log: ClickLog
    features: Features
    names: tuple[str, ...]
    left_out: float

    def rows(self, keep: NDArray[np.bool_]) -> Clicked:
        """Some rows of the log, with the features of what is left in them."""
        return Clicked(
            self.log.rows(keep),
            self.features[np.unique(self.log.pair[keep])],
            self.names,
            self.left_out,
        )

    def sums(self, values: Floats) -> Floats:
        """(pairs,) sums of a value by row of the log."""
        return totals(self.log.pair, values)


def join_features(
    log: ClickLog, rows: Mapping[str, JudgedCandidates], names: tuple[str, ...]
) -> Clicked:
    """Features of what was shown, as the ranker would see it today: by the same code, among all
    candidates of the query. What is not among them is left out."""
    place: dict[tuple[int, int], tuple[str, int]] = {}
    product = {p: i for i, p in enumerate(log.products)}
    for number, query in enumerate(log.queries):
        if query in rows:
            for at, id_ in enumerate(rows[query].ids):
                if id_ in product:
                    place[number, product[id_]] = (query, at)
    keys = list(zip(log.query.tolist(), log.product.tolist(), strict=True))
    known = np.array([key in place for key in keys], bool)
    if not known.any():
        raise InvalidInput(
            "nothing that was shown is found by the search today",
            field="clicks",
            remedy="check that the events' product ids are those of the catalogue",
        )
    shown = log.shown.sum()
    kept = log.rows(known)
    first = np.unique(kept.pair, return_index=True)[1]
    found = [
        place[key]
        for key in zip(kept.query[first].tolist(), kept.product[first].tolist(), strict=True)
    ]
    features = np.stack([rows[query].features[at] for query, at in found])
    return Clicked(kept, features, names, float(1 - kept.shown.sum() / shown))


def fit_from_clicks(
    clicked: Clicked,
    method: str,
    propensities: Propensities,
    kind: str,
    seed: int = 7,
) -> RankingModel:
    """Learn a ranking model from clicks by one of `METHODS`.

    kind: out of `REGRESSIONS`; those of `PAIRWISE` do not ask. InvalidInput for
    an unknown method or kind, and for a log without clicks.
    """
    if method not in METHODS or (method not in PAIRWISE and kind not in REGRESSIONS):
        raise InvalidInput(
            f"cannot learn a '{kind}' from clicks by '{method}'",
            field="method",
            remedy=f"methods: {', '.join(METHODS)}; models: {', '.join(REGRESSIONS)}",
        )
    if not clicked.log.clicks:
        raise InvalidInput(
            "nobody clicked", field="clicks", remedy="wait for more searches with clicks"
        )
    if method in PAIRWISE:
        return _pairwise(clicked, seed, unbiased=method == "pairwise")
    gains, weights = gains_from_clicks(clicked, method, propensities, kind, seed)
    return _regression(clicked, gains, weights, kind, seed)


def gains_from_clicks(
    clicked: Clicked, method: str, propensities: Propensities, kind: str, seed: int = 7
) -> tuple[Floats, Floats]:
    """(pairs,) chance of a click on whoever looks, as the method estimates it, and weights."""
    log = clicked.log
    look = propensities.at(log.place, LEAST)
    shown, clicks = clicked.sums(log.shown), clicked.sums(log.clicked)
    if method == "affine":
        return _affine(clicked, kind, seed)
    if method == "naive":
        return clicks / shown, shown
    if method == "ips":
        return clicked.sums(log.clicked / look) / shown, shown
    looks = clicked.sums(log.shown * look)
    # A direct estimate first, in which what was looked at often counts for more; then its own error
    # on what was clicked, as far as there were looks to tell.
    expected = _expected(clicked, clicks / looks, looks, kind, seed)
    error = clicks - looks * expected
    return expected + error / np.maximum(looks, FEW_LOOKS), np.ones(shown.size)


def _affine(clicked: Clicked, kind: str, seed: int) -> tuple[Floats, Floats]:
    """Clicks at place k are a(k) g + b(k): g by least squares over the places of each product,
    leaning on a regression where they are few, as doubly robust estimates do."""
    log = clicked.log
    slope, floor = by_trust(log).at(log.place)
    slope = np.maximum(slope, LEAST)
    looks = clicked.sums(log.shown * slope**2)
    told = clicked.sums(slope * (log.clicked - log.shown * floor))
    expected = _expected(clicked, np.clip(told / looks, -0.2, 1.2), looks, kind, seed)
    error = told - looks * expected
    return expected + error / np.maximum(looks, FEW_LOOKS), np.ones(looks.size)


def _expected(clicked: Clicked, rate: Floats, looks: Floats, kind: str, seed: int) -> Floats:
    """(pairs,) what a regression on the features expects, 0 to 1; looks: how much each counts."""
    direct = _regression(clicked, rate, looks, kind, seed)
    expected = np.clip(direct.score(clicked.features).astype(np.float64), 0, 1)
    if kind == "linear":  # it scores without a constant
        expected = np.clip(expected + np.average(rate - expected, weights=looks), 0, 1)
    return expected


def _regression(
    clicked: Clicked, gains: Floats, weights: Floats, kind: str, seed: int
) -> RankingModel:
    groups = np.bincount(clicked.log.query[np.unique(clicked.log.pair, return_index=True)[1]])
    return model_class(kind).fit(
        TrainingSet(
            clicked.features,
            np.zeros(gains.size, np.float32),
            groups[groups > 0],
            clicked.names,
            estimated=gains,
            weights=weights,
        ),
        seed,
    )


# --- Pairwise debiasing ---------------------------------------------------------------------------


def _pairwise(clicked: Clicked, seed: int, *, unbiased: bool) -> LambdaMART:
    """Unbiased LambdaMART. The chance that a click at place a means relevance, and that none at
    place b means irrelevance, are learned beside the trees: each round the gradients are divided by
    both, then both follow from the loss that remains."""
    import lightgbm

    log, pairs = clicked.log, _known(clicked.log)
    number = np.full((len(log.queries), len(log.products)), -1, np.int64)
    first = np.unique(log.pair, return_index=True)[1]
    number[log.query[first], log.product[first]] = log.pair[first]
    winner, loser = number[pairs.query, pairs.winner], number[pairs.query, pairs.loser]
    query = log.query[first]
    clicks, losses = np.ones(log.places), np.ones(log.places)
    weight = pairs.count / pairs.count.mean()

    def gradients(scores: np.ndarray, _: Any) -> tuple[np.ndarray, np.ndarray]:
        nonlocal clicks, losses
        discount = 1 / np.log2(2 + _ranks(scores, query))
        bias = clicks[pairs.winner_place] * losses[pairs.loser_place]
        swing = weight * np.abs(discount[winner] - discount[loser]) / np.maximum(bias, 1e-3)
        margin = np.clip(scores[winner] - scores[loser], -30, 30)
        wrong = 1 / (1 + np.exp(margin))
        gradient = totals(loser, swing * wrong, scores.size)
        gradient -= totals(winner, swing * wrong, scores.size)
        curve = swing * wrong * (1 - wrong)
        hessian = totals(winner, curve, scores.size) + totals(loser, curve, scores.size)
        if not unbiased:
            return gradient, hessian + 1e-6
        loss = weight * np.log1p(np.exp(-margin))
        fresh = totals(pairs.winner_place, loss / losses[pairs.loser_place], log.places)
        other = totals(pairs.loser_place, loss / clicks[pairs.winner_place], log.places)
        clicks, losses = _bias(fresh), _bias(other)
        return gradient, hessian + 1e-6

    parameters = {
        **{k: v for k, v in LambdaMART.parameters.items() if not k.startswith("lambdarank")},
        "objective": gradients,
        "seed": seed,
    }
    parameters.pop("label_gain")
    data = lightgbm.Dataset(
        clicked.features,
        label=np.zeros(len(clicked.features)),
        feature_name=[f"f{i}" for i in range(len(clicked.names))],
    )
    return LambdaMART(clicked.names, (lightgbm.train(parameters, data, _PAIR_ROUNDS),))


def _known(log: ClickLog) -> PairClicks:
    if log.pairs is None or not log.pairs.count.size:
        raise InvalidInput(
            "the log says nothing of what was clicked beside what",
            field="clicks",
            remedy="learn by another method, or wait for more clicks",
        )
    return log.pairs


def _ranks(scores: np.ndarray, query: Ints) -> Floats:
    """(n,) place of each score within its query, from 0."""
    order = np.lexsort((-scores, query))
    starts = np.flatnonzero(np.r_[True, np.diff(query[order]) != 0])
    run = np.arange(order.size) - np.repeat(starts, np.diff(np.r_[starts, order.size]))
    ranks = np.empty(order.size)
    ranks[order] = run
    return ranks


def _bias(loss: Floats) -> Floats:
    """Relative to the first place; a place without pairs has none."""
    top = loss[0] if loss[0] > 0 else max(float(loss.max(initial=0)), 1e-12)
    return np.where(loss > 0, (loss / top) ** _SPREAD, 1.0)
