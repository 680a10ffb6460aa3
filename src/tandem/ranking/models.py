"""Ranking models behind one interface: fit on (features, gains, query groups), score, explain.

Every model persists in its own safe format (LightGBM and CatBoost model files, JSON), never by
pickle, and says how much each feature contributed to a score.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.candidates import Floats
from tandem.contracts.errors import InvalidInput
from tandem.features.declarations import FEATURES


@dataclass(frozen=True)
class TrainingSet:
    """Candidates of all training queries, laid end to end.

    features: (m, f) float32, NaN where unknown. relevance: (m,) 0..3, unjudged counts as 0.
    groups: (q,) candidates per query, in order. names: the f feature names.
    """

    features: Floats
    relevance: NDArray[np.float32]
    groups: NDArray[np.int64]
    names: tuple[str, ...]

    @property
    def gains(self) -> NDArray[np.float64]:
        """(m,) exponential gain scaled to 0..1: (2^rel - 1) / 7."""
        return (np.exp2(self.relevance.astype(np.float64)) - 1) / 7


class RankingModel(ABC):
    """A scoring function over feature matrices."""

    kind: ClassVar[str]
    names: tuple[str, ...]

    @classmethod
    @abstractmethod
    def fit(cls, data: TrainingSet, seed: int) -> RankingModel:
        """Train. Same data, same seed: same model."""

    @abstractmethod
    def score(self, features: Floats) -> Floats:
        """(n,) scores; more is better, comparable within one query only."""

    @abstractmethod
    def contributions(self, features: Floats) -> NDArray[np.float64]:
        """(n, f) additive shares of the score by feature (TreeSHAP for trees)."""

    @abstractmethod
    def save(self, directory: Path) -> None: ...

    @classmethod
    @abstractmethod
    def load(cls, directory: Path, names: tuple[str, ...]) -> RankingModel: ...


@dataclass(frozen=True)
class LinearModel(RankingModel):
    """Ridge regression of the gain on standardised features (Hoerl & Kennard 1970)."""

    kind: ClassVar[str] = "linear"
    names: tuple[str, ...]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    weights: NDArray[np.float64]

    @classmethod
    def fit(cls, data: TrainingSet, seed: int = 0, penalty: float = 100.0) -> LinearModel:
        x = data.features.astype(np.float64)
        known = ~np.isnan(x)
        count = np.maximum(known.sum(0), 1)
        mean = np.where(known, x, 0).sum(0) / count
        scale = np.sqrt(np.where(known, (x - mean) ** 2, 0).sum(0) / count) + 1e-9
        z = np.where(known, (x - mean) / scale, 0)
        y = data.gains - data.gains.mean()
        weights = np.linalg.solve(z.T @ z + penalty * np.eye(z.shape[1]), z.T @ y)
        return cls(data.names, mean, scale, weights)

    def contributions(self, features: Floats) -> NDArray[np.float64]:
        z = (features.astype(np.float64) - self.mean) / self.scale
        return np.where(np.isnan(z), 0, z) * self.weights

    def score(self, features: Floats) -> Floats:
        return self.contributions(features).sum(1).astype(np.float32)

    def save(self, directory: Path) -> None:
        values = {"mean": self.mean, "scale": self.scale, "weights": self.weights}
        text = json.dumps({k: v.tolist() for k, v in values.items()})
        (directory / "linear.json").write_text(text)

    @classmethod
    def load(cls, directory: Path, names: tuple[str, ...]) -> LinearModel:
        values = json.loads((directory / "linear.json").read_text())
        return cls(names, *(np.asarray(values[k]) for k in ("mean", "scale", "weights")))


def _monotone(names: Sequence[str]) -> list[int]:
    return [FEATURES[n].monotone if n in FEATURES else 0 for n in names]


@dataclass(frozen=True)
class LightGBMModel(RankingModel):
    """Gradient-boosted trees (Ke et al. 2017); `objective` and sizes are set by subclasses."""

    names: tuple[str, ...]
    booster: Any = field(repr=False)
    parameters: ClassVar[dict[str, Any]] = {}
    rounds: ClassVar[int] = 300

    @classmethod
    def target(cls, data: TrainingSet) -> NDArray[np.float64]:
        raise NotImplementedError

    @classmethod
    def fit(cls, data: TrainingSet, seed: int = 0) -> LightGBMModel:
        import lightgbm

        ranking = cls.parameters["objective"] == "lambdarank"
        dataset = lightgbm.Dataset(
            data.features,
            label=cls.target(data),
            group=data.groups if ranking else None,
            feature_name=list(data.names),
            free_raw_data=False,
        )
        parameters = {
            **cls.parameters,
            "seed": seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 2,
            "verbosity": -1,
        }
        return cls(data.names, lightgbm.train(parameters, dataset, cls.rounds))

    def score(self, features: Floats) -> Floats:
        return np.asarray(self.booster.predict(features, num_threads=1), np.float32)

    def contributions(self, features: Floats) -> NDArray[np.float64]:
        shap = np.asarray(self.booster.predict(features, pred_contrib=True, num_threads=1))
        return shap[:, :-1]

    def save(self, directory: Path) -> None:
        self.booster.save_model(str(directory / f"{self.kind}.txt"))

    @classmethod
    def load(cls, directory: Path, names: tuple[str, ...]) -> LightGBMModel:
        import lightgbm

        return cls(names, lightgbm.Booster(model_file=str(directory / f"{cls.kind}.txt")))


@dataclass(frozen=True)
class LambdaMART(LightGBMModel):
    """LambdaMART (Burges 2010) with extremely randomised splits against overfitting."""

    kind: ClassVar[str] = "lambdamart"
    parameters: ClassVar[dict[str, Any]] = {
        "objective": "lambdarank",
        "label_gain": [0, 1, 3, 7],
        "lambdarank_truncation_level": 20,
        "learning_rate": 0.05,
        "num_leaves": 15,
        "min_data_in_leaf": 50,
        "feature_fraction": 0.4,
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "lambda_l2": 10.0,
        "extra_trees": True,
    }

    @classmethod
    def target(cls, data: TrainingSet) -> NDArray[np.float64]:
        return data.relevance.astype(np.float64)


@dataclass(frozen=True)
class GainRegression(LightGBMModel):
    """Pointwise regression of the gain: with few judged queries it learns from every pair."""

    kind: ClassVar[str] = "gain-regression"
    parameters: ClassVar[dict[str, Any]] = {
        **{k: v for k, v in LambdaMART.parameters.items() if not k.startswith("l")},
        "objective": "regression",
        "learning_rate": 0.05,
        "lambda_l2": 10.0,
    }

    @classmethod
    def target(cls, data: TrainingSet) -> NDArray[np.float64]:
        return data.gains


@dataclass(frozen=True)
class YetiRank(RankingModel):
    """CatBoost's YetiRank (Gulin, Kuralenok & Pavlov 2011)."""

    kind: ClassVar[str] = "yetirank"
    names: tuple[str, ...]
    model: Any = field(repr=False)

    @classmethod
    def fit(cls, data: TrainingSet, seed: int = 0) -> YetiRank:
        import catboost

        model = catboost.CatBoost(
            {
                "loss_function": "YetiRank",
                "iterations": 300,
                "depth": 5,
                "learning_rate": 0.05,
                "l2_leaf_reg": 10,
                "random_seed": seed,
                "thread_count": 2,
                "verbose": False,
                "allow_writing_files": False,
            }
        )
        model.fit(cls._pool(data))
        return cls(data.names, model)

    @staticmethod
    def _pool(data: TrainingSet) -> Any:
        import catboost

        groups = np.repeat(np.arange(data.groups.size), data.groups)
        return catboost.Pool(data.features, label=data.gains, group_id=groups)

    def score(self, features: Floats) -> Floats:
        return np.asarray(self.model.predict(features, thread_count=1), np.float32)

    def contributions(self, features: Floats) -> NDArray[np.float64]:
        import catboost

        pool = catboost.Pool(features)
        shap = self.model.get_feature_importance(pool, type="ShapValues", thread_count=1)
        return np.asarray(shap, np.float64)[:, :-1]

    def save(self, directory: Path) -> None:
        self.model.save_model(str(directory / "yetirank.cbm"))

    @classmethod
    def load(cls, directory: Path, names: tuple[str, ...]) -> YetiRank:
        import catboost

        model = catboost.CatBoost()
        model.load_model(str(directory / "yetirank.cbm"))
        return cls(names, model)


@dataclass(frozen=True)
class Ensemble(RankingModel):
    """Mean of member scores, each scaled by its spread on the training candidates.

    The scale is fixed at training time, so that a score does not depend on the other candidates.
    """

    kind: ClassVar[str] = "ensemble"
    members_of: ClassVar[tuple[type[RankingModel], ...]] = (LambdaMART, GainRegression)
    names: tuple[str, ...]
    members: tuple[RankingModel, ...]
    scales: tuple[float, ...]

    @classmethod
    def fit(cls, data: TrainingSet, seed: int = 0) -> Ensemble:
        members = tuple(kind.fit(data, seed) for kind in cls.members_of)
        scales = tuple(float(np.std(m.score(data.features))) or 1.0 for m in members)
        return cls(data.names, members, scales)

    def score(self, features: Floats) -> Floats:
        parts = [m.score(features) / s for m, s in zip(self.members, self.scales, strict=True)]
        return (np.sum(parts, axis=0) / len(parts)).astype(np.float32)

    def contributions(self, features: Floats) -> NDArray[np.float64]:
        parts = [
            m.contributions(features) / s for m, s in zip(self.members, self.scales, strict=True)
        ]
        return np.asarray(np.sum(parts, axis=0) / len(parts), np.float64)

    def save(self, directory: Path) -> None:
        for member in self.members:
            member.save(directory)
        text = json.dumps({"members": [m.kind for m in self.members], "scales": list(self.scales)})
        (directory / "ensemble.json").write_text(text)

    @classmethod
    def load(cls, directory: Path, names: tuple[str, ...]) -> Ensemble:
        values = json.loads((directory / "ensemble.json").read_text())
        members = tuple(MODELS[kind].load(directory, names) for kind in values["members"])
        return cls(names, members, tuple(values["scales"]))


MODELS: dict[str, type[RankingModel]] = {
    model.kind: model for model in (LinearModel, LambdaMART, GainRegression, YetiRank, Ensemble)
}
DEFAULT_MODEL = Ensemble.kind


def model_class(kind: str) -> type[RankingModel]:
    """The model class of a kind; InvalidInput names the choices."""
    if kind not in MODELS:
        raise InvalidInput(
            f"unknown ranking model '{kind}'", remedy=f"use one of: {', '.join(MODELS)}"
        )
    return MODELS[kind]
