"""What a feed wants of each place, as calibrated probabilities: watched, clicked, bought, liked.

One logistic regression for each objective over the same features, its output mapped by isotonic
regression (Zadrozny & Elkan, KDD 2002) to the frequency that was seen on impressions of later than
those it learned from; how far the two lie apart is measured on impressions of later still
(expected calibration error in ten bins of equal size, Naeini et al., AAAI 2015).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.errors import InvalidInput

OBJECTIVES = ("watch", "click", "buy", "satisfaction")
RIDGE = 1.0
BINS = 10
FEWEST = 10  # impressions with and without the outcome, below which nothing is learned
WEIGHTS, MANIFEST = "weights.json", "manifest.json"

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Objective:
    """weights: (f,) of standardised features, `bias`, and the isotonic steps: scores `at` (s,),
    ascending, and what was seen there, `seen` (s,)."""

    weights: Array
    bias: float
    at: Array
    seen: Array

    def probability(self, features: Array) -> Array:
        """(n,) calibrated, between the steps by straight lines."""
        score = features @ self.weights + self.bias
        return np.asarray(np.interp(score, self.at, self.seen), np.float64)


@dataclass(frozen=True)
class FeedManifest:
    """Where a feed ranker came from, and how well its probabilities hold on the last impressions:
    per objective `rate`, `ece`, `brier`, `brier_of_rate` and `auc`."""

    trained_at: str
    data: str
    impressions: int
    simulated: bool
    code_version: str
    metrics: dict[str, Any]


@dataclass(frozen=True)
class FeedRanker:
    """names: of the features in their order. mean, spread: (f,) to standardise by. An objective
    that was hardly ever seen is missing."""

    names: tuple[str, ...]
    mean: Array
    spread: Array
    objectives: Mapping[str, Objective]

    @classmethod
    def fit(
        cls, names: Sequence[str], features: Array, labels: Mapping[str, Array]
    ) -> tuple[FeedRanker, dict[str, Any]]:
        """Learn, and measure. Rows are impressions in order of time; a label is 1, 0, or NaN where
        the outcome cannot be (nobody watches a picture). Three fifths teach, a fifth calibrates, a
        fifth measures. InvalidInput where no objective can be learned."""
        mean, spread = features.mean(0), np.maximum(features.std(0), 1e-6)
        scaled = (features - mean) / spread
        learned: dict[str, Objective] = {}
        metrics: dict[str, Any] = {}
        for name in OBJECTIVES:
            label = labels[name]
            known = np.flatnonzero(~np.isnan(label))
            x, y = scaled[known], label[known]
            first, second = int(0.6 * y.size), int(0.8 * y.size)
            parts = (y[:first], y[first:second], y[second:])
            if any(min(p.sum(), p.size - p.sum()) < FEWEST for p in parts):
                metrics[name] = None
                continue
            weights, bias = _logistic(x[:first], y[:first])
            score = x @ weights + bias
            at, seen = _isotonic(score[first:second], y[first:second])
            learned[name] = Objective(weights, bias, at, seen)
            metrics[name] = calibration(np.interp(score[second:], at, seen), y[second:])
        if not learned:
            raise InvalidInput(
                "too few impressions with and without an outcome to learn from",
                remedy="let the feed run for longer",
            )
        return cls(tuple(names), mean, spread, learned), metrics

    def probabilities(self, features: Array) -> dict[str, Array]:
        """(n,) each. features: (n, f) in the order of `names`."""
        scaled = (features - self.mean) / self.spread
        return {name: o.probability(scaled) for name, o in self.objectives.items()}

    def save(self, directory: Path, manifest: FeedManifest) -> None:
        values = {
            "names": self.names,
            "mean": self.mean.tolist(),
            "spread": self.spread.tolist(),
            "objectives": {
                name: {
                    "weights": o.weights.tolist(),
                    "bias": o.bias,
                    "at": o.at.tolist(),
                    "seen": o.seen.tolist(),
                }
                for name, o in self.objectives.items()
            },
        }
        for file, content in ((WEIGHTS, values), (MANIFEST, asdict(manifest))):
            (directory / file).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def load_feed_ranker(directory: Path, names: Sequence[str]) -> tuple[FeedRanker, FeedManifest]:
    """Read what `FeedRanker.save` wrote. InvalidInput where it does not hold together, or reads
    other features than `names`."""
    try:
        values, manifest = (
            json.loads((directory / file).read_text(encoding="utf-8"))
            for file in (WEIGHTS, MANIFEST)
        )
        objectives = {
            str(name): Objective(
                np.array(o["weights"], float),
                float(o["bias"]),
                np.array(o["at"], float),
                np.array(o["seen"], float),
            )
            for name, o in values["objectives"].items()
        }
        ranker = FeedRanker(
            tuple(values["names"]),
            np.array(values["mean"], float),
            np.array(values["spread"], float),
            objectives,
        )
        if ranker.names != tuple(names):
            raise ValueError("it reads other features than this version computes")
        sound = all(
            o.weights.shape == (len(names),)
            and o.at.shape == o.seen.shape
            and o.at.size
            and (np.diff(o.at) >= 0).all()
            for o in objectives.values()
        )
        if not sound or not objectives or not set(objectives) <= set(OBJECTIVES):
            raise ValueError("its parts do not fit")
        return ranker, FeedManifest(**manifest)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(
            f"not a feed ranker that can be used: {error}",
            file=str(directory),
            remedy="train it again, or go back with: tandem rollback feeds",
        ) from None


def calibration(probability: Array, label: Array) -> dict[str, float]:
    """How well probabilities hold: expected calibration error, Brier score beside that of the plain
    rate, and area under the ROC curve."""
    from scipy.stats import rankdata

    order = np.argsort(probability, kind="stable")
    gaps = [
        abs(probability[part].mean() - label[part].mean()) * part.size
        for part in np.array_split(order, min(BINS, label.size))
    ]
    ranks = rankdata(probability)  # ties share their mean rank
    positives = label.sum()
    negatives = label.size - positives
    auc = (ranks[label == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives)
    rate = float(label.mean())
    return {
        "impressions": int(label.size),
        "rate": round(rate, 5),
        "ece": round(float(sum(gaps) / label.size), 5),
        "brier": round(float(((probability - label) ** 2).mean()), 5),
        "brier_of_rate": round(rate * (1 - rate), 5),
        "auc": round(float(auc), 4),
    }


def _logistic(x: Array, y: Array) -> tuple[Array, float]:
    from scipy.optimize import minimize

    def loss(w: Array) -> tuple[float, Array]:
        score = x @ w[:-1] + w[-1]
        value = np.logaddexp(0, score).sum() - y @ score + 0.5 * RIDGE * (w[:-1] @ w[:-1])
        wrong = 1 / (1 + np.exp(-score)) - y
        return float(value), np.append(x.T @ wrong + RIDGE * w[:-1], wrong.sum())

    first = np.zeros(x.shape[1] + 1)
    first[-1] = np.log(y.mean() / (1 - y.mean()))
    found = minimize(loss, first, jac=True, method="L-BFGS-B")
    return found.x[:-1], float(found.x[-1])


def _isotonic(score: Array, label: Array) -> tuple[Array, Array]:
    """Steps of the isotonic regression of labels on scores, each at the middle of its scores; half
    an outcome of either kind is added to each, so that nothing is certain."""
    from scipy.optimize import isotonic_regression

    order = np.argsort(score, kind="stable")
    fitted = isotonic_regression(label[order])
    blocks = fitted.blocks
    at, seen = [], []
    for start, end in zip(blocks[:-1].tolist(), blocks[1:].tolist(), strict=True):
        hits = label[order][start:end].sum()
        at.append(float(score[order][start:end].mean()))
        seen.append(float((hits + 0.5 * label.mean()) / (end - start + 0.5)))
    return np.array(at), np.maximum.accumulate(np.array(seen))
