"""Personal ranking: the ranker's order, moved by how candidates go with what a visitor looked at.

A linear score over the ranker's own order and the features of taste, learned as a conditional
logit (McFadden 1974) on which of the candidates people chose. Without taste there is nothing to
add, and the order stays as it was: newcomers and people who do not allow it lose nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.candidates import Candidates, Numbers
from tandem.contracts.errors import InvalidInput
from tandem.contracts.search import Contribution
from tandem.features.declarations import FEATURES, TASTE, compute_features
from tandem.features.evidence import standardised
from tandem.retrieval.pipeline import QueryContext

BASE = ("score", "rank")
RIDGE = 5.0
WEIGHTS, MANIFEST = "weights.json", "manifest.json"
SAID = 0.05  # a share of the ranker's spread that is worth a word
_CLIP = 4.0


@dataclass(frozen=True)
class PersonalManifest:
    """Where the weights came from. metrics: on people and times that they had not seen."""

    trained_at: str
    data: str
    choices: int
    people: int
    simulated: bool
    code_version: str
    index_generation: str | None
    metrics: dict[str, Any]


@dataclass(frozen=True)
class Choice:
    """One search that ended in a choice: features (n, 2 + taste) of what there was to choose from,
    and a weight for each place that was chosen: 1, or 1 / P(looked at) where people choose out of
    a list, whose top is looked at most (inverse propensity: Joachims et al., WSDM 2017)."""

    features: NDArray[np.float64]
    chosen: Mapping[int, float]


@dataclass(frozen=True)
class PersonalRanker:
    """weights: of `BASE`, above 0, and of each feature of taste."""

    weights: Mapping[str, float]

    def run(self, context: QueryContext, candidates: Candidates) -> Candidates:
        """Candidates in the visitor's order. Equal scores keep the ranker's order."""
        if context.taste is None or not self.weights or not len(candidates):
            return candidates
        with context.timed("personal"):
            features = personal_features(context, candidates)
            return candidates.rescored((features @ self._vector()).astype(np.float32))

    def contributions(
        self, context: QueryContext, candidates: Candidates, shown: Numbers
    ) -> dict[int, tuple[Contribution, ...]]:
        """Per product number, what taste did to its score, the strongest first; candidates in the
        ranker's order."""
        features = personal_features(context, candidates)
        vector = self._vector()
        found = {}
        for row in np.flatnonzero(np.isin(candidates.numbers, shown)).tolist():
            shares = [
                Contribution(
                    feature=name,
                    value=float(features[row, at]),
                    contribution=float(features[row, at] * vector[at]),
                )
                for at, name in enumerate(TASTE, start=len(BASE))
                if features[row, at] * vector[at]
            ]
            found[int(candidates.numbers[row])] = tuple(
                sorted(shares, key=lambda c: -abs(c.contribution))
            )
        return found

    def _vector(self) -> NDArray[np.float64]:
        return np.array([self.weights.get(name, 0.0) for name in (*BASE, *TASTE)])

    @classmethod
    def fit(cls, choices: Sequence[Choice], ridge: float = RIDGE) -> PersonalRanker:
        """Maximum likelihood of the choices with a ridge. Weights of `BASE` do not fall below a
        quarter of `DEFAULT`'s: choices out of the head of a list say little of why the rest is not
        in it, and a ranker that forgot the query would show what is like the past. InvalidInput
        without choices."""
        from scipy.optimize import minimize

        if not choices:
            raise InvalidInput(
                "nobody chose anything after looking at something",
                remedy="collect more events, or name a file with --events",
            )
        rows = np.concatenate([c.features for c in choices])
        sizes = np.array([len(c.features) for c in choices])
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        target = np.zeros(len(rows))
        for start, choice in zip(starts.tolist(), choices, strict=True):
            for at, weight in choice.chosen.items():
                target[start + at] = weight
        owner = np.repeat(np.arange(sizes.size), sizes)
        scale = np.maximum(rows.std(0), 1e-9)
        scaled = rows / scale
        mass = np.add.reduceat(target, starts)

        def loss(w: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            score = scaled @ w
            score -= np.maximum.reduceat(score, starts)[owner]
            e = np.exp(score)
            total = np.add.reduceat(e, starts)
            value = mass @ np.log(total) - target @ score + 0.5 * ridge * (w @ w)
            slope = scaled.T @ ((mass / total)[owner] * e - target) + ridge * w
            return float(value), slope

        floor = [
            DEFAULT.weights[name] / 4 * s for name, s in zip(BASE, scale.tolist(), strict=False)
        ]
        bounds = [(low, None) for low in floor] + [(None, None)] * len(TASTE)
        first = np.array(floor + [0.0] * len(TASTE))
        found = minimize(loss, first, jac=True, method="L-BFGS-B", bounds=bounds)
        names = (*BASE, *TASTE)
        weights = dict(zip(names, (found.x / scale).tolist(), strict=True))
        # A column that was never filled learned nothing.
        return cls({n: w for n, w in weights.items() if np.isfinite(w) and abs(w) < 1e6})


def personal_features(context: QueryContext, candidates: Candidates) -> NDArray[np.float64]:
    """(n, 2 + taste): the ranker's standardised score and -log(10 + place), then the features of
    taste about their mean over the candidates; what is unknown is at the mean."""
    taste = compute_features(context.personal_evidence(candidates), TASTE).astype(np.float64)
    known = ~np.isnan(taste)
    mean = np.where(known, taste, 0).sum(0) / np.maximum(known.sum(0), 1)
    features = np.empty((len(candidates), len(BASE) + len(TASTE)))
    features[:, 0] = np.clip(standardised(candidates.scores), -_CLIP, _CLIP)
    features[:, 1] = -np.log(10 + np.arange(len(candidates)))
    features[:, len(BASE) :] = np.where(known, taste - mean, 0)
    return features


def reason(contributions: Sequence[Contribution]) -> str | None:
    """In words what moved a product up for a visitor; None where nothing much did."""
    if sum(c.contribution for c in contributions) < SAID:
        return None
    best = max(contributions, key=lambda c: c.contribution)
    says = FEATURES[best.feature].says
    return says[0].upper() + says[1:] + "."


def save_personal(ranker: PersonalRanker, manifest: PersonalManifest, directory: Path) -> None:
    for name, values in ((WEIGHTS, dict(ranker.weights)), (MANIFEST, asdict(manifest))):
        text = json.dumps(values, indent=2, ensure_ascii=False)
        (directory / name).write_text(text + "\n", encoding="utf-8")


def load_personal(directory: Path) -> tuple[PersonalRanker, PersonalManifest]:
    """Read what `save_personal` wrote. InvalidInput where it does not hold together."""
    try:
        values, manifest = (
            json.loads((directory / name).read_text(encoding="utf-8"))
            for name in (WEIGHTS, MANIFEST)
        )
        weights = {str(k): float(v) for k, v in values.items()}
        unknown = [n for n in weights if n not in (*BASE, *TASTE)]
        if unknown or not np.isfinite(list(weights.values())).all():
            raise ValueError(f"weights that do not fit: {', '.join(unknown)}")
        if any(weights.get(n, 0.0) <= 0 for n in BASE):
            raise ValueError("the ranker's own order has no weight")
        return PersonalRanker(weights), PersonalManifest(**manifest)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(
            f"not a personal ranker that can be used: {error}",
            file=str(directory),
            remedy="train it again, or go back with: tandem rollback personal",
        ) from None


# For shops that have no searches of their own to learn from yet: cautious round numbers, about half
# of what was learned from real receipts and from simulated shoppers (docs/recommend.md says how
# they do on both).
DEFAULT = PersonalRanker(
    {
        "score": 1.3,
        "rank": 0.8,
        "session_brand": 0.8,
        "session_category": 0.4,
        "session_price": 0.8,
        "session_meaning": 1.0,
        "session_nearest": 1.5,
        "before_brand": 0.8,
        "before_category": 0.4,
        "before_price": 0.5,
        "before_nearest": 1.0,
        "before_same": 1.0,
    }
)
