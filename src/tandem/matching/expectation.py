"""What a piece of content is expected to bring: clicks, orders, and how sure that is.

    clicks = impressions × clicks per impression,    orders = clicks × orders per click

Impressions are a creator's own (`reach`). The two rates are those of pairs that suit and of pairs
that do not (`choice`), each times a line (Poisson regression) and trees (LightGBM) over what is
known of the creator and of the product. Showings tell rates of what creators chose to show; an
expectation is that of any pair, chosen by whomever. What may come of it is in `predictive`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tandem.matching.choice import (
    FEWEST_IN_LEAF,
    TREES,
    Fit,
    choice_trees,
    intensity,
    negative_binomial,
    posterior,
)
from tandem.matching.pairs import FEATURES, MOST_TOLD, Floats
from tandem.matching.predictive import (
    TARGETS,
    Calibration,
    Expected,
    Predicted,
    click_spreads,
    order_spreads,
    squared_distance,
)

if TYPE_CHECKING:
    import lightgbm

Doubles = NDArray[np.float64]
Flags = NDArray[np.bool_]
MODELS = ("choice", "ctr", "ctor")
FEWEST_ALONE = 200
"""Showings with a piece to themselves from which on no others are learned from."""
_ROUNDS = 40
_USUAL_SPREAD = 0.3
_OF_RATES = (
    *("similar_ctr", "similar_ctor", "price_distance", "price", "creator_price", "followers"),
    *("reach", "hook_rate", "hold_rate", "pieces", "creator_ctr", "creator_ctor"),
    *("product_pieces", "product_ctr", "product_ctor", "rating", "rating_count"),
)
"""What the rates' trees see. How well the two suit each other is told by the choice alone: learned
from showings, it would be what creators' choice makes of it."""
_COLUMNS = [FEATURES.index(name) for name in _OF_RATES]
_RISING = frozenset(
    {"similar_ctr", "similar_ctor", "creator_ctr", "creator_ctor", "product_ctr", "product_ctor"}
)
_FALLING = frozenset({"price_distance"})
"""More of these never lowers, or raises, what is expected: what is known needs not be learned."""


@dataclass(frozen=True)
class Lessons:
    """What is learned from: features (n, F) of pairs as of before, whether they were shown or drawn
    by lot, whose they are, and whether that creator has no measured history. impressions: of the
    piece; share: the product's part of it; these and the counts are NaN where unknown. fold: (n,)
    part of a piece."""

    features: Floats
    creator: NDArray[np.int64]
    shown: Flags
    impressions: Doubles
    share: Doubles
    clicks: Doubles
    orders: Doubles
    new: Flags
    fold: NDArray[np.int64]

    def take(self, rows: Flags) -> Lessons:
        return Lessons(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    @property
    def exposed(self) -> Doubles:
        """(n,) impressions that are the product's."""
        return self.impressions * self.share

    @property
    def measured(self) -> Flags:
        """(n,) showings whose figures are known."""
        known = np.isfinite(self.impressions) & np.isfinite(self.clicks)
        found: Flags = self.shown & known & np.isfinite(self.orders)
        return found


@dataclass(frozen=True)
class Line:
    """A Poisson regression of a rate on few features: it goes on where trees end.

    Trees say of a price far from all that were tried what they say of the farthest one; demand
    does not stop falling there. names: features, `…²` squared; unknown values are the mean.
    """

    names: tuple[str, ...]
    mean: list[float]
    scale: list[float]
    weights: list[float]

    @classmethod
    def fit(
        cls, rate: str, features: Floats, counts: Doubles, shown: Doubles, weight: Doubles
    ) -> Line:
        """Newton's method with a small ridge; signs that cannot be are taken out."""
        names = _LINES[rate]
        x = _columns(features, names)
        known = np.isfinite(x)
        number = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known, x, 0).sum(axis=0) / number
        scale = np.sqrt(np.where(known, (x - mean) ** 2, 0).sum(axis=0) / number)
        scale[scale < 1e-6] = 1.0
        z = np.nan_to_num((x - mean) / scale)
        used = np.ones(len(names), np.bool_)
        falling = np.array([name in _FALLING_LINES for name in names])
        while True:
            design = np.column_stack([np.ones(len(z)), z * used])
            weights = np.zeros(design.shape[1])
            weights[0] = np.log(((weight * counts).sum() + 1e-9) / (weight * shown).sum())
            for _ in range(_STEPS):
                expected = weight * shown * np.exp(np.clip(design @ weights, -30, 5))
                ridge = np.r_[0.0, np.full(len(names), _RIDGE)]
                slope = design.T @ (weight * counts - expected) - ridge * weights
                bend = (design * expected[:, None]).T @ design + np.diag(ridge + 1e-9)
                weights = weights + np.clip(np.linalg.solve(bend, slope), -1, 1)
            wrong = used & np.where(falling, weights[1:] > 0, weights[1:] < 0)
            if not wrong.any():
                break
            used &= ~wrong
        return cls(names, mean.tolist(), scale.tolist(), weights.tolist())

    def __call__(self, features: Floats) -> Doubles:
        """(n,) log of the rate."""
        z = np.nan_to_num((_columns(features, self.names) - self.mean) / np.array(self.scale))
        weights = np.array(self.weights)
        found: Doubles = np.clip(weights[0] + z @ weights[1:], -30, 5)
        return found


_LINES: Mapping[str, tuple[str, ...]] = {
    "ctr": ("creator_ctr", "product_ctr"),
    "ctor": ("creator_ctor", "product_ctor", "price_distance", "price_distance²"),
}
_FALLING_LINES = frozenset({"price_distance", "price_distance²"})
_RIDGE = 5.0
_STEPS = 25


def _columns(features: Floats, names: tuple[str, ...]) -> Doubles:
    columns = []
    for name in names:
        values = features[:, FEATURES.index(name.removesuffix("²"))].astype(np.float64)
        columns.append(values**2 if name.endswith("²") else values)
    return np.column_stack(columns)


class ExpectationModel:
    """Expected clicks and orders of pairs, and intervals around them.

    fit: both classes' clicks per impression; ctor: their orders per click; lines and boosters tell
    what is more or less than usual.
    """

    def __init__(
        self,
        boosters: Mapping[str, lightgbm.Booster],
        lines: Mapping[str, Line],
        fit: Fit,
        ctor: tuple[float, float],
        calibration: Calibration,
    ) -> None:
        self._boosters, self._lines = dict(boosters), dict(lines)
        self._fit, self._ctor = fit, ctor
        self.calibration = calibration

    @classmethod
    def fit(
        cls, lessons: Lessons, seed: int = 7
    ) -> tuple[ExpectationModel, dict[str, Any], dict[int, ExpectationModel]]:
        """The model of all lessons, what its out-of-fold predictions are like, and the models that
        saw all folds but one."""
        choice: dict[int, lightgbm.Booster] = {}
        chosen = np.zeros(len(lessons.new))
        for fold in np.unique(lessons.fold).tolist():
            held = lessons.fold == fold
            choice[fold] = choice_trees(lessons.features[~held], lessons.shown[~held], seed)
            chosen[held] = intensity(choice[fold], lessons.features[held])
        of_all = choice_trees(lessons.features, lessons.shown, seed)
        known = lessons.measured
        # Of several products in a piece nobody knows whose the clicks were.
        alone = known & (lessons.share == 1)
        known = alone if alone.sum() >= FEWEST_ALONE else known
        lessons, chosen = lessons.take(known), chosen[known]
        told = ~lessons.new if (~lessons.new).sum() >= FEWEST_ALONE else lessons.shown
        fit = Fit.of(chosen[told], lessons.clicks[told], lessons.exposed[told])
        unfit = fit.unfit(chosen, lessons.clicks, lessons.exposed)
        ctor = _orders_per_click(lessons, unfit)
        calibration = Calibration(fit.spread_low, fit.spread_high, _USUAL_SPREAD, 0.0)

        def learned(rows: Flags, trees: lightgbm.Booster) -> ExpectationModel:
            some = lessons.take(rows)
            boosters, lines = _rates(some, chosen[rows], unfit[rows], fit, ctor, seed)
            return cls({"choice": trees, **boosters}, lines, fit, ctor, calibration)

        of_fold: dict[int, ExpectationModel] = {}
        more = np.ones((len(chosen), 2))
        for fold, trees in choice.items():
            held = lessons.fold == fold
            of_fold[fold] = learned(~held, trees)
            more[held] = of_fold[fold]._more(lessons.features[held])
        model = learned(np.ones(len(chosen), np.bool_), of_all)
        model.calibration, metrics = _calibrated(lessons, chosen, more, fit, ctor, seed)
        for one in of_fold.values():
            one.calibration = model.calibration
        return model, metrics, of_fold

    def expected(self, features: Floats) -> Expected:
        return self.predicted(features).expected()

    def predicted(self, features: Floats) -> Predicted:
        """Of any pairs, whoever chose them."""
        if not len(features):
            none, two = np.zeros(0), np.zeros((0, 2))
            return Predicted(none, two, two, dict.fromkeys(TARGETS, (two, two)))
        chosen = intensity(self._boosters["choice"], features)
        more = self._more(features)
        unfit = 1 - self._fit.suits(chosen)
        return _predicted(features, chosen, unfit, more, self._fit, self._ctor, self.calibration)

    def _more(self, features: Floats) -> Doubles:
        """(n, 2) what clicks per impression and orders per click are multiplied by."""
        found = []
        for name in ("ctr", "ctor"):
            raw = self._boosters[name].predict(features[:, _COLUMNS], raw_score=True, num_threads=1)
            found.append(np.exp(np.asarray(raw, np.float64) + self._lines[name](features)))
        return np.column_stack(found)

    def save(self, folder: Path) -> None:
        for name in MODELS:
            self._boosters[name].save_model(str(folder / f"{name}.txt"))
        value = {
            "lines": {name: asdict(line) for name, line in self._lines.items()},
            "fit": asdict(self._fit),
            "ctor": self._ctor,
            "calibration": asdict(self.calibration),
        }
        (folder / "expectation.json").write_text(json.dumps(value))

    @classmethod
    def load(cls, folder: Path) -> ExpectationModel:
        import lightgbm

        value = json.loads((folder / "expectation.json").read_bytes())
        boosters = {n: lightgbm.Booster(model_file=str(folder / f"{n}.txt")) for n in MODELS}
        lines = {name: Line(**line) for name, line in value["lines"].items()}
        ctor = (float(value["ctor"][0]), float(value["ctor"][1]))
        return cls(boosters, lines, Fit(**value["fit"]), ctor, Calibration(**value["calibration"]))


def _orders_per_click(lessons: Lessons, unfit: Doubles) -> tuple[float, float]:
    """Of pairs that do not suit, and that do; no showing with its many clicks decides alone, and
    those that may suit a little say little of what does not."""
    total = max(float(lessons.clicks.sum()), 1e-9)
    usual = max(float(lessons.orders.sum()) / total, 1e-6)
    weight = 1 / (1 + usual * lessons.clicks / MOST_TOLD)
    found = []
    for own in (unfit**2, 1 - unfit):
        clicks = float((own * weight * lessons.clicks).sum()) + 1 / usual
        found.append((float((own * weight * lessons.orders).sum()) + 1) / clicks)
    return min(found), found[1]


def _rates(
    lessons: Lessons, chosen: Doubles, unfit: Doubles, fit: Fit, ctor: tuple[float, float],
    seed: int,
) -> tuple[dict[str, lightgbm.Booster], dict[str, Line]]:  # fmt: skip
    """Trees and lines of both rates, over what the choice lets expect. unfit: (n,) the chance that
    a showing does not suit, its clicks known."""
    import lightgbm

    low, high = fit.rates(chosen)
    before = fit.unfit_if_shown(chosen)
    usual = {
        "ctr": lessons.exposed * (before * low + (1 - before) * high),
        "ctor": np.maximum(lessons.clicks, 1) * (unfit * ctor[0] + (1 - unfit) * ctor[1]),
    }
    signs = [1 if n in _RISING else -1 if n in _FALLING else 0 for n in _OF_RATES]
    boosters, lines = {}, {}
    for name, counts, rows, spread in (
        ("ctr", lessons.clicks, np.ones(len(chosen), np.bool_), fit.spread_high),
        ("ctor", lessons.orders, lessons.clicks > 0, _USUAL_SPREAD),
    ):
        features, y, expected = lessons.features[rows], counts[rows], usual[name][rows]
        # Counts vary more than by their own chance: a thousand clicks of one piece must not count
        # as much as a hundred pieces (negative binomial weights).
        weight = 1 / (1 + spread * expected)
        lines[name] = Line.fit(name, features, y, expected, weight)
        data = lightgbm.Dataset(
            features[:, _COLUMNS],
            y,
            weight=weight,
            init_score=np.log(expected) + lines[name](features),
        )
        least = min(FEWEST_IN_LEAF, max(int(rows.sum()) // 20, 1))
        parameters = {
            **TREES,
            "objective": "poisson",
            "seed": seed,
            "monotone_constraints": signs,
            "min_data_in_leaf": least,
        }  # fmt: skip
        boosters[name] = lightgbm.train(parameters, data, _ROUNDS)
    return boosters, lines


def _predicted(
    features: Floats, chosen: Doubles, unfit: Doubles, more: Doubles, fit: Fit,
    ctor: tuple[float, float], calibration: Calibration,
) -> Predicted:  # fmt: skip
    reach, unsure = (
        features[:, FEATURES.index(name)].astype(np.float64) for name in ("reach", "reach_spread")
    )
    impressions = np.exp(reach + unsure / 2)
    clicks = (impressions * more[:, 0])[:, None] * np.column_stack(fit.rates(chosen))
    rates = np.minimum(more[:, 1][:, None] * np.array(ctor), 1.0)
    spread = calibration.spreads(unsure, squared_distance(features))
    return Predicted(unfit, clicks, clicks * rates, spread)


def _calibrated(
    lessons: Lessons, chosen: Doubles, more: Doubles, fit: Fit, ctor: tuple[float, float], seed: int
) -> tuple[Calibration, dict[str, Any]]:
    """more: (n, 2) out of fold."""
    low, high = (rate * more[:, 0] * lessons.exposed for rate in fit.rates(chosen))
    before = fit.unfit_if_shown(chosen)
    spreads = click_spreads(lessons.clicks, before, low, high)
    unfit = posterior(before, *map(negative_binomial, (lessons.clicks,) * 2, (low, high), spreads))
    rate = np.minimum(more[:, 1] * (unfit * ctor[0] + (1 - unfit) * ctor[1]), 1.0)
    far = squared_distance(lessons.features)
    calibration = Calibration(*spreads, *order_spreads(lessons.orders, rate * lessons.clicks, far))
    found = _predicted(lessons.features, chosen, before, more, fit, ctor, calibration)
    found = found.times(lessons.share, lessons.share)
    seen = {"clicks": lessons.clicks, "orders": lessons.orders}
    rng = np.random.default_rng(seed)
    calibration.learn(found, seen, lessons.new, lessons.creator, rng)
    expected = found.expected()
    metrics: dict[str, Any] = {}
    for history, name in ((False, "known"), (True, "new")):
        here = lessons.new == history
        metrics[name] = {"pairs": int(here.sum())} | {
            target: _told(seen[target][here], getattr(expected, target)[here]) for target in TARGETS
        }
    return calibration, metrics


def _told(seen: Doubles, expected: Doubles) -> dict[str, float]:
    """Spearman's correlation of expected and seen, and the share of Poisson deviance explained
    beyond the mean."""
    from scipy.stats import spearmanr

    return {
        "spearman": round(float(spearmanr(expected, seen).statistic), 4) if len(seen) else 0.0,
        "deviance_explained": round(_explained(seen, expected), 4) if len(seen) else 0.0,
    }


def _explained(seen: Doubles, expected: Doubles) -> float:
    def deviance(mean: Doubles) -> float:
        logs = np.where(seen > 0, seen * np.log(np.maximum(seen, 1e-12) / mean), 0.0)
        return float(2 * (logs - (seen - mean)).sum())

    usual = deviance(np.full(len(seen), max(float(seen.mean()), 1e-9)))
    return 1 - deviance(np.maximum(expected, 1e-9)) / usual if usual > 0 else 0.0
