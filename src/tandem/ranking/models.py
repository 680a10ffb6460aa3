"""Ranking models behind one interface: fit on (features, gains, query groups), score, explain.

Every model persists in its own safe format (LightGBM and CatBoost model files, JSON), never by
pickle, and says how much each feature contributed to a score.
"""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.candidates import Floats
from tandem.contracts.errors import InvalidInput
from tandem.ranking.trees import read_trees


@dataclass(frozen=True)
class TrainingSet:
    """Candidates of all training queries, laid end to end.

    features: (m, f) float32, NaN where unknown. relevance: (m,) 0..3, unjudged counts as 0.
    groups: (q,) candidates per query, in order. names: the f feature names.
    estimated: (m,) gains that were estimated, from clicks say, in place of those of the relevance;
    only models that regress the gain can take them. weights: (m,) how much each row counts.
    """

    features: Floats
    relevance: NDArray[np.float32]
    groups: NDArray[np.int64]
    names: tuple[str, ...]
    estimated: NDArray[np.float64] | None = None
    weights: NDArray[np.float64] | None = None

    @property
    def gains(self) -> NDArray[np.float64]:
        """(m,) exponential gain scaled to 0..1: (2^rel - 1) / 7, or as estimated."""
        if self.estimated is not None:
            return self.estimated
        return (np.exp2(self.relevance.astype(np.float64)) - 1) / 7


class RankingModel(ABC):
    """A scoring function over feature matrices."""

    kind: ClassVar[str]
    names: tuple[str, ...]

    @classmethod
    @abstractmethod
    def fit(cls, data: TrainingSet, seed: int) -> Self:
        """Train. Same data, same seed: same model."""

    @abstractmethod
    def score(self, features: Floats) -> Floats:
        """(n,) scores; more is better, comparable within one query only."""

    @abstractmethod
    def contributions(self, features: Floats) -> NDArray[np.float64]:
        """(n, f) shares of the score by feature; with the model's mean they add up to it."""

    @abstractmethod
    def save(self, directory: Path) -> None: ...

    @classmethod
    @abstractmethod
    def load(cls, directory: Path, names: tuple[str, ...]) -> Self: ...


@dataclass(frozen=True)
class LinearModel(RankingModel):
    """Ridge regression of the gain on standardised features (Hoerl & Kennard 1970)."""

    kind: ClassVar[str] = "linear"
    names: tuple[str, ...]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    weights: NDArray[np.float64]

    @classmethod
    def fit(cls, data: TrainingSet, seed: int = 0, penalty: float = 100.0) -> Self:
        x = data.features.astype(np.float64)
        known = ~np.isnan(x)
        count = np.maximum(known.sum(0), 1)
        mean = np.where(known, x, 0).sum(0) / count
        scale = np.sqrt(np.where(known, (x - mean) ** 2, 0).sum(0) / count) + 1e-9
        z = np.where(known, (x - mean) / scale, 0)
        if data.weights is None:
            y = data.gains - data.gains.mean()
            weights = np.linalg.solve(z.T @ z + penalty * np.eye(z.shape[1]), z.T @ y)
            return cls(data.names, mean, scale, weights)
        share = data.weights / data.weights.mean()
        z = z - np.average(z, axis=0, weights=share)
        y = data.gains - np.average(data.gains, weights=share)
        ridge = (z * share[:, None]).T @ z + penalty * np.eye(z.shape[1])
        return cls(data.names, mean, scale, np.linalg.solve(ridge, z.T @ (share * y)))

    def contributions(self, features: Floats) -> NDArray[np.float64]:
        z = (features.astype(np.float64) - self.mean) / self.scale
        return np.where(np.isnan(z), 0, z) * self.weights

    def score(self, features: Floats) -> Floats:
        return np.asarray(self.contributions(features).sum(1), np.float32)

    def save(self, directory: Path) -> None:
        values = {"mean": self.mean, "scale": self.scale, "weights": self.weights}
        text = json.dumps({k: v.tolist() for k, v in values.items()})
        (directory / "linear.json").write_text(text)

    @classmethod
    def load(cls, directory: Path, names: tuple[str, ...]) -> Self:
        values = json.loads((directory / "linear.json").read_text())
        return cls(names, *(np.asarray(values[k]) for k in ("mean", "scale", "weights")))


@dataclass(frozen=True)
class LambdaMART(RankingModel):
    """LambdaMART (Burges 2010) by LightGBM (Ke et al. 2017), averaged over seeds.

    Extremely randomised splits (Geurts, Ernst & Wehenkel 2006) and the average over seeds keep a
    model steady that has learned from about a hundred queries.
    """

    kind: ClassVar[str] = "lambdamart"
    names: tuple[str, ...]
    boosters: tuple[Any, ...] = field(repr=False)
    bag: ClassVar[int] = 4
    rounds: ClassVar[int] = 80
    parameters: ClassVar[dict[str, Any]] = {
        "objective": "lambdarank",
        "label_gain": [0, 1, 3, 7],
        "lambdarank_truncation_level": 20,
        "learning_rate": 0.05,
        "num_leaves": 31,
        "min_data_in_leaf": 20,
        "feature_fraction": 0.4,
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "lambda_l2": 10.0,
        "extra_trees": True,
        "deterministic": True,
        "force_row_wise": True,
        # The members of a bag train side by side instead: threads inside one small model spend
        # their time waiting for each other, on a busy machine ten times longer than working.
        "num_threads": 1,
        "verbosity": -1,
    }

    @classmethod
    def fit(cls, data: TrainingSet, seed: int = 0) -> Self:
        import lightgbm

        def member(number: int) -> Any:
            dataset = lightgbm.Dataset(
                data.features,
                label=data.relevance.astype(np.float64),
                group=data.groups,
                feature_name=[f"f{i}" for i in range(len(data.names))],
            )
            seeded = {**cls.parameters, "seed": seed * 1000 + number}
            return lightgbm.train(seeded, dataset, cls.rounds)

        with ThreadPoolExecutor(max_workers=min(cls.bag, os.cpu_count() or 1)) as workers:
            return cls(data.names, tuple(workers.map(member, range(cls.bag))))

    def score(self, features: Floats) -> Floats:
        total = np.zeros(len(features))
        for booster in self.boosters:
            total += booster.predict(features, num_threads=1)
        return (total / len(self.boosters)).astype(np.float32)

    def contributions(self, features: Floats) -> NDArray[np.float64]:
        total = np.zeros((len(features), len(self.names) + 1))
        for booster in self.boosters:
            total += np.asarray(booster.predict(features, pred_contrib=True, num_threads=1))
        shares: NDArray[np.float64] = total[:, :-1] / len(self.boosters)
        return shares

    def save(self, directory: Path) -> None:
        for member, booster in enumerate(self.boosters):
            booster.save_model(str(directory / f"{self.kind}-{member}.txt"))

    @classmethod
    def load(cls, directory: Path, names: tuple[str, ...]) -> Self:
        files = sorted(directory.glob(f"{cls.kind}-*.txt"))
        if not files:
            raise InvalidInput(
                "the model's trees are missing",
                file=str(directory),
                remedy="roll back to an older model, or run: tandem train ranker",
            )
        return cls(names, tuple(read_trees(f, len(names)) for f in files))


@dataclass(frozen=True)
class CatBoostModel(RankingModel):
    """Boosted symmetric trees (Prokhorenkova et al. 2018), which score a few hundred candidates in
    a fraction of a millisecond; subclasses set the loss."""

    names: tuple[str, ...]
    model: Any = field(repr=False)
    parameters: ClassVar[dict[str, Any]] = {
        "iterations": 300,
        "learning_rate": 0.05,
        "l2_leaf_reg": 10,
        "verbose": False,
        "allow_writing_files": False,
    }
    loss: ClassVar[dict[str, Any]] = {}

    @classmethod
    def fit(cls, data: TrainingSet, seed: int = 0) -> Self:
        import catboost

        threads = os.cpu_count() or 1
        settings = {**cls.parameters, **cls.loss, "random_seed": seed, "thread_count": threads}
        if data.estimated is not None:
            # Gains out of clicks are noisier than any step between borders, and 254 of them take
            # almost six times as long as 32.
            settings["border_count"] = 32
        model = catboost.CatBoost(settings)
        groups = np.repeat(np.arange(data.groups.size), data.groups)
        model.fit(
            catboost.Pool(data.features, label=data.gains, group_id=groups, weight=data.weights)
        )
        return cls(data.names, model)

    def score(self, features: Floats) -> Floats:
        return np.asarray(self.model.predict(features, thread_count=1), np.float32)

    def contributions(self, features: Floats) -> NDArray[np.float64]:
        import catboost

        # Shares along the path through each tree (Saabas 2014). They add up exactly as TreeSHAP's
        # do, correlate with them (r = .94 on Icecat), and take 4 ms for a page where those take 90.
        shares = self.model.get_feature_importance(
            catboost.Pool(features),
            type="ShapValues",
            shap_calc_type="Approximate",
            thread_count=1,
        )
        return np.asarray(shares, np.float64)[:, :-1]

    def save(self, directory: Path) -> None:
        self.model.save_model(str(directory / f"{self.kind}.cbm"))

    @classmethod
    def load(cls, directory: Path, names: tuple[str, ...]) -> Self:
        import catboost

        file = directory / f"{cls.kind}.cbm"
        model = catboost.CatBoost()
        try:
            model.load_model(str(file))
        except catboost.CatBoostError as error:
            raise InvalidInput(
                f"the model's trees cannot be read: {error}",
                file=str(file),
                remedy="roll back to an older model, or run: tandem train ranker",
            ) from None
        return cls(names, model)


@dataclass(frozen=True)
class GainRegression(CatBoostModel):
    """Pointwise regression of the gain: with few judged queries it learns from every pair."""

    kind: ClassVar[str] = "gain-regression"
    loss: ClassVar[dict[str, Any]] = {"loss_function": "RMSE", "depth": 6}


@dataclass(frozen=True)
class YetiRank(CatBoostModel):
    """YetiRank (Gulin, Kuralenok & Pavlov 2011)."""

    kind: ClassVar[str] = "yetirank"
    loss: ClassVar[dict[str, Any]] = {"loss_function": "YetiRank", "depth": 5}


MODELS: dict[str, type[RankingModel]] = {
    model.kind: model for model in (GainRegression, LambdaMART, YetiRank, LinearModel)
}
DEFAULT_MODEL = GainRegression.kind
REGRESSIONS = (GainRegression.kind, LinearModel.kind)
"""The kinds that can learn from estimated gains."""


def model_class(kind: str) -> type[RankingModel]:
    """The model class of a kind; InvalidInput names the choices."""
    if kind not in MODELS:
        raise InvalidInput(
            f"unknown ranking model '{kind}'", remedy=f"use one of: {', '.join(MODELS)}"
        )
    return MODELS[kind]
