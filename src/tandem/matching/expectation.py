"""What a piece of content is expected to bring: clicks, orders, and how sure that is.

Three gradient boosted models (LightGBM) over the features of a pair: log impressions, clicks per
impression and orders per click (Poisson, over a line with what was shown as offset). Intervals are
conformal: quantiles of what out-of-fold predictions missed by, on the scale log(1 + n), apart for
creators with and without history and by size of the prediction (Mondrian: Vovk, Gammerman &
Shafer, 2005).

What is proposed first was picked for looking best, by luck too, and is unlike what creators chose
to show: it has a calibration of its own (selection-conditional: Jin & Ren, JRSS B 2025). Each
fold's model proposes from its own past, and the held-out showings count as much as they resemble
those proposals (weighted conformal: Tibshirani, Foygel Barber, Candès & Ramdas, NeurIPS 2019).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from tandem.matching.pairs import FEATURES, Floats

if TYPE_CHECKING:
    import lightgbm

Doubles = NDArray[np.float64]
MODELS = ("reach", "ctr", "ctor")
LEVELS = (0.8, 0.9)
SHOWN_LEVEL = 0.8
SIZES = (1 / 3, 2 / 3, 0.9)
"""Quantiles of predictions that divide the classes which intervals are calibrated apart for. The
last is narrow: what is proposed is among the highest."""
FEWEST_ALIKE = 50
"""Showings, by effective number (Kish), that must resemble proposals to calibrate these apart."""
_ROUNDS = 150
Side = Literal["creators", "products"]
CHOICE: Mapping[Side, float] = {"creators": 4.0, "products": 1.0}
"""Odds by which creators rather show what will do well with them, beyond what the features tell:
outcomes below expectation may be that much commoner among proposals than among the showings that
resemble them. Nothing observed can tell it, so it is an assumption (a sensitivity model: Jin, Ren &
Candès, PNAS 2023), by what is proposed: among a creator's own products, ranked by what the creator
shows already, simulated markets show nothing of it."""
_RESEMBLANCE_ROUNDS = 60
_HEAVIEST = 0.995
_PARAMETERS: Mapping[str, Any] = {
    "learning_rate": 0.05,
    "num_leaves": 15,
    "min_data_in_leaf": 30,
    "feature_fraction": 0.7,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}
_RISING = frozenset(
    {"profile_fit", "shown_fit", "closest_shown", "similar_ctr", "similar_ctor", "audience_fit",
     "viewed_fit", "creator_ctr", "creator_ctor", "product_ctr", "product_ctor", "reach",
     "followers"}
)  # fmt: skip
_FALLING = frozenset({"price_distance"})
"""More of these never lowers, or raises, what is expected: what is known needs not be learned."""


@dataclass(frozen=True)
class Expected:
    """(n,) expected clicks and orders of one piece of content."""

    clicks: Doubles
    orders: Doubles


@dataclass(frozen=True)
class Lessons:
    """What is learned from: features (n, F) as of before each showing, counts, and whether the
    creator's history was hidden. fold: (n,) the part of a piece."""

    features: Floats
    impressions: Doubles
    clicks: Doubles
    orders: Doubles
    new: NDArray[np.bool_]
    fold: NDArray[np.int64]

    def take(self, rows: NDArray[np.bool_]) -> Lessons:
        return Lessons(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Calibration:
    """edges: by target and history, sizes of prediction that divide the classes. missed: by target,
    level, history and class, the (low, high) quantiles of log(1 + seen) − log(1 + expected).
    factor: by target and history, seen over expected. chosen_*: the same of proposals, by target,
    history, what is proposed and level, beyond `factor`; empty where nothing like a proposal was
    seen."""

    edges: dict[str, list[float]]
    missed: dict[str, list[float]]
    factor: dict[str, float]
    chosen_missed: dict[str, list[float]] = field(default_factory=dict)
    chosen_factor: dict[str, float] = field(default_factory=dict)

    def factors(self, target: str, new: NDArray[np.bool_]) -> Doubles:
        """(n,) what the models' predictions are multiplied by."""
        return np.where(new, self.factor[f"{target}/new"], self.factor[f"{target}/known"])

    def chosen_factors(self, target: str, new: NDArray[np.bool_], side: Side) -> Doubles:
        """(n,) what expectations of proposals are multiplied by, as they promise too much."""
        known, fresh = (
            self.chosen_factor.get(f"{target}/{h}/{side}", 1.0) for h in ("known", "new")
        )
        return np.where(new, fresh, known)

    def interval(
        self,
        target: str,
        expected: Doubles,
        new: NDArray[np.bool_],
        level: float = SHOWN_LEVEL,
        *,
        chosen: Side | None = None,
    ) -> tuple[Doubles, Doubles]:
        """(n,) whole numbers between which so many of all outcomes lie. chosen: what is proposed,
        with expectations already multiplied by `chosen_factors`; None: pairs of any kind."""
        low, high = np.zeros(len(expected)), np.zeros(len(expected))
        for history in (False, True):
            here = new == history
            key = f"{target}/{'new' if history else 'known'}"
            own = self.chosen_missed.get(f"{key}/{chosen}/{level}") if chosen else None
            if own is not None:
                quantiles = np.tile(own, (int(here.sum()), 1))
            else:
                size = np.searchsorted(self.edges[key], expected[here])
                quantiles = np.array(
                    [self.missed[f"{key}/{level}/{s}"] for s in range(len(self.edges[key]) + 1)]
                )[size]
            scale = np.log1p(expected[here])
            low[here] = np.floor(np.maximum(np.expm1(scale + quantiles[:, 0]), 0))
            high[here] = np.ceil(np.maximum(np.expm1(scale + quantiles[:, 1]), 0))
        return low, high


Proposals = Callable[[int, "ExpectationModel"], Floats]
"""Number and model of a fold -> (n, F) features of what would be proposed with them."""


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
    def fit(cls, rate: str, features: Floats, counts: Doubles, shown: Doubles) -> Line:
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
            weights[0] = np.log(counts.sum() / shown.sum())
            for _ in range(_STEPS):
                expected = shown * np.exp(np.clip(design @ weights, -30, 5))
                ridge = np.r_[0.0, np.full(len(names), _RIDGE)]
                slope = design.T @ (counts - expected) - ridge * weights
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
    "ctr": ("profile_fit", "shown_fit", "closest_shown", "creator_ctr", "product_ctr"),
    "ctor": ("shown_fit", "closest_shown", "creator_ctor", "product_ctor", "price_distance²"),
}
_FALLING_LINES = frozenset({"price_distance²"})
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

    lines: of clicks per impression and of orders per click, which the trees correct.
    """

    def __init__(
        self,
        boosters: Mapping[str, lightgbm.Booster],
        lines: Mapping[str, Line],
        calibration: Calibration,
    ) -> None:
        self._boosters = dict(boosters)
        self._lines = dict(lines)
        self.calibration = calibration

    @classmethod
    def fit(
        cls, lessons: Lessons, seed: int = 7, proposals: Proposals | None = None
    ) -> tuple[ExpectationModel, dict[str, Any]]:
        """The model of all lessons, and what its out-of-fold predictions are like. proposals: what
        a fold's model would propose; without, they are calibrated like any pair."""
        clicks, orders = np.zeros(len(lessons.new)), np.zeros(len(lessons.new))
        blank = Calibration({}, {}, {})
        of_fold: dict[int, ExpectationModel] = {}
        for fold in np.unique(lessons.fold).tolist():
            held = lessons.fold == fold
            of_fold[fold] = cls(*_boosters(lessons.take(~held), seed), blank)
            found = of_fold[fold]._raw(lessons.features[held])
            clicks[held], orders[held] = found.clicks, found.orders
        raw = {"clicks": clicks, "orders": orders}
        seen = {"clicks": lessons.clicks, "orders": lessons.orders}
        calibration = _calibrated(raw, seen, lessons.new)
        if proposals is not None:
            for model in of_fold.values():
                model.calibration = calibration
            told = {fold: proposals(fold, model) for fold, model in of_fold.items()}
            calibration = _of_proposals(calibration, of_fold, told, raw, seen, lessons, seed)
        model = cls(*_boosters(lessons, seed), calibration)
        return model, _measured(raw, seen, lessons, calibration)

    def expected(self, features: Floats, new: NDArray[np.bool_]) -> Expected:
        raw = self._raw(features)
        return Expected(
            raw.clicks * self.calibration.factors("clicks", new),
            raw.orders * self.calibration.factors("orders", new),
        )

    def _raw(self, features: Floats) -> Expected:
        if not len(features):
            return Expected(np.zeros(0), np.zeros(0))
        reach = np.exp(self._predict("reach", features))
        clicks = reach * np.exp(self._predict("ctr", features) + self._lines["ctr"](features))
        rate = np.exp(self._predict("ctor", features) + self._lines["ctor"](features))
        return Expected(clicks, clicks * np.minimum(rate, 1.0))

    def _predict(self, name: str, features: Floats) -> Doubles:
        found = self._boosters[name].predict(features, raw_score=True, num_threads=1)
        return np.asarray(found, np.float64)

    def save(self, folder: Path) -> None:
        for name in MODELS:
            self._boosters[name].save_model(str(folder / f"{name}.txt"))
        lines = {name: asdict(line) for name, line in self._lines.items()}
        value = {"lines": lines, "calibration": asdict(self.calibration)}
        (folder / "expectation.json").write_text(json.dumps(value))

    @classmethod
    def load(cls, folder: Path) -> ExpectationModel:
        import lightgbm

        value = json.loads((folder / "expectation.json").read_bytes())
        boosters = {n: lightgbm.Booster(model_file=str(folder / f"{n}.txt")) for n in MODELS}
        lines = {name: Line(**line) for name, line in value["lines"].items()}
        return cls(boosters, lines, Calibration(**value["calibration"]))


def _boosters(lessons: Lessons, seed: int) -> tuple[dict[str, lightgbm.Booster], dict[str, Line]]:
    import lightgbm

    signs = [1 if n in _RISING else -1 if n in _FALLING else 0 for n in FEATURES]
    shared = {**_PARAMETERS, "seed": seed, "monotone_constraints": signs}

    def trained(
        objective: str, rows: NDArray[np.bool_], y: Doubles, usual: Doubles | None
    ) -> lightgbm.Booster:
        offset = None if usual is None else np.log(usual[rows])
        data = lightgbm.Dataset(lessons.features[rows], y[rows], init_score=offset)
        least = min(_PARAMETERS["min_data_in_leaf"], max(int(rows.sum()) // 20, 1))
        parameters = {**shared, "objective": objective, "min_data_in_leaf": least}
        return lightgbm.train(parameters, data, _ROUNDS)

    everything, clicked = np.ones(len(lessons.new), np.bool_), lessons.clicks > 0
    lines = {
        "ctr": Line.fit("ctr", lessons.features, lessons.clicks, lessons.impressions),
        "ctor": Line.fit(
            "ctor", lessons.features[clicked], lessons.orders[clicked], lessons.clicks[clicked]
        ),
    }
    shown = lessons.impressions * np.exp(lines["ctr"](lessons.features))
    opened = np.maximum(lessons.clicks, 1) * np.exp(lines["ctor"](lessons.features))
    return {
        "reach": trained("regression", everything, np.log(lessons.impressions), None),
        "ctr": trained("poisson", everything, lessons.clicks, shown),
        "ctor": trained("poisson", clicked, lessons.orders, opened),
    }, lines


def _calibrated(
    raw: Mapping[str, Doubles], seen: Mapping[str, Doubles], new: NDArray[np.bool_]
) -> Calibration:
    edges: dict[str, list[float]] = {}
    missed: dict[str, list[float]] = {}
    factor: dict[str, float] = {}
    for target in raw:
        for history, name in ((False, "known"), (True, "new")):
            here = new == history
            key = f"{target}/{name}"
            factor[key] = float(seen[target][here].sum() / max(raw[target][here].sum(), 1e-9))
            expected = raw[target][here] * factor[key]
            cuts = np.quantile(expected, SIZES)
            edges[key] = cuts.tolist()
            size = np.searchsorted(cuts, expected)
            residual = np.log1p(seen[target][here]) - np.log1p(expected)
            for level in LEVELS:
                for s in range(len(SIZES) + 1):
                    missed[f"{key}/{level}/{s}"] = _ends(residual[size == s], level)
    return Calibration(edges, missed, factor)


def _of_proposals(
    calibration: Calibration,
    of_fold: Mapping[int, ExpectationModel],
    told: Mapping[int, Floats],
    raw: Mapping[str, Doubles],
    seen: Mapping[str, Doubles],
    lessons: Lessons,
    seed: int,
) -> Calibration:
    """With the calibration of proposals. told: by fold, (n, F) features of what it proposes."""
    expected = {target: raw[target] * calibration.factors(target, lessons.new) for target in raw}
    own = np.column_stack([lessons.features, *(np.log1p(expected[t]) for t in raw)])
    theirs = {}
    for fold, features in told.items():
        found = of_fold[fold].expected(features, _without_history(features))
        logs = np.log1p(found.clicks), np.log1p(found.orders)
        theirs[fold] = np.column_stack([features, *logs])
    weight = _resemblance(own, theirs, lessons.fold, seed)
    missed: dict[str, list[float]] = {}
    factor: dict[str, float] = {}
    for history, name in ((False, "known"), (True, "new")):
        here = lessons.new == history
        w = weight[here]
        if w.sum() ** 2 < FEWEST_ALIKE * max(float((w**2).sum()), 1e-12):
            continue
        for target, (side, odds) in product(raw, CHOICE.items()):
            key = f"{target}/{name}/{side}"
            usual, counts = expected[target][here], seen[target][here]
            tilted = np.where(counts < usual, odds * w, w)
            factor[key] = min(float((tilted @ counts + 1e-9) / (tilted @ usual + 1e-9)), 1.0)
            residual = np.log1p(counts) - np.log1p(usual * factor[key])
            for level in LEVELS:
                missed[f"{key}/{level}"] = _weighted_ends(residual, w, level, odds)
    return replace(calibration, chosen_missed=missed, chosen_factor=factor)


def _without_history(features: Floats) -> NDArray[np.bool_]:
    return ~np.isfinite(features[:, FEATURES.index("creator_ctr")])


def _resemblance(
    own: Doubles, theirs: Mapping[int, Doubles], fold: NDArray[np.int64], seed: int
) -> Doubles:
    """(n,) odds of being a proposal rather than a showing, told by trees that saw other folds."""
    import lightgbm

    weight = np.zeros(len(own))
    for held in theirs:
        others = fold != held
        proposed = np.concatenate([rows for f, rows in theirs.items() if f != held])
        x = np.concatenate([own[others], proposed])
        y = np.r_[np.zeros(int(others.sum())), np.ones(len(proposed))]
        parameters = {**_PARAMETERS, "objective": "binary", "num_leaves": 7, "seed": seed}
        trees = lightgbm.train(parameters, lightgbm.Dataset(x, y), _RESEMBLANCE_ROUNDS)
        odds = trees.predict(own[~others], raw_score=True, num_threads=1)
        weight[~others] = np.exp(np.clip(np.asarray(odds, np.float64), -12, 12))
    # A few showings that look like proposals above all must not decide alone.
    return np.minimum(weight, np.quantile(weight, _HEAVIEST))


def _weighted_ends(residual: Doubles, weight: Doubles, level: float, odds: float) -> list[float]:
    """Both ends, with one more outcome of the weights' usual size beyond each, like `_ends`; the
    lower as low as the odds of choice allow."""
    order = np.argsort(residual)
    ranked, w = residual[order], weight[order]
    beyond = float((w**2).sum() / w.sum())
    share = np.cumsum(w) / (w.sum() + beyond)
    below = np.cumsum(w[::-1]) / (w.sum() + beyond)
    tail = (1 - level) / 2
    low = int(np.searchsorted(share, tail / (tail + odds * (1 - tail))))
    high = len(ranked) - 1 - int(np.searchsorted(below, tail))
    return [float(ranked[min(low, len(ranked) - 1)]), float(ranked[max(high, 0)])]


def _ends(residual: Doubles, level: float) -> list[float]:
    """Both ends, one rank wider than the sample's, which makes the coverage hold for what comes."""
    if not len(residual):
        return [-50.0, 50.0]
    ranked = np.sort(residual)
    n = len(ranked)
    low = int(np.floor((n + 1) * (1 - level) / 2)) - 1
    high = int(np.ceil((n + 1) * (1 + level) / 2)) - 1
    return [float(ranked[max(low, 0)]), float(ranked[min(high, n - 1)])]


def _measured(
    raw: Mapping[str, Doubles],
    seen: Mapping[str, Doubles],
    lessons: Lessons,
    calibration: Calibration,
) -> dict[str, Any]:
    """Out of fold, apart by history: Spearman's correlation of expected and seen, the share of
    Poisson deviance explained beyond the mean, and how wide the intervals are."""
    from scipy.stats import spearmanr

    out: dict[str, Any] = {}
    for history, name in ((False, "known"), (True, "new")):
        here = lessons.new == history
        found: dict[str, Any] = {"pairs": int(here.sum())}
        for target in raw:
            expected = raw[target][here] * calibration.factor[f"{target}/{name}"]
            counts = seen[target][here]
            found[target] = {
                "spearman": round(float(spearmanr(expected, counts).statistic), 4),
                "deviance_explained": round(_explained(counts, expected), 4),
            }
        out[name] = found
    return out


def _explained(seen: Doubles, expected: Doubles) -> float:
    def deviance(mean: Doubles) -> float:
        logs = np.where(seen > 0, seen * np.log(np.maximum(seen, 1e-12) / mean), 0.0)
        return float(2 * (logs - (seen - mean)).sum())

    usual = deviance(np.full(len(seen), max(float(seen.mean()), 1e-9)))
    return 1 - deviance(np.maximum(expected, 1e-9)) / usual if usual > 0 else 0.0
