"""Off-policy evaluation of a log, and the published figures that it is held against."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tandem.contracts.errors import InvalidInput
from tandem.experiments.offpolicy.diagnostics import Limits
from tandem.experiments.offpolicy.estimators import ESTIMATORS, slope, value
from tandem.experiments.offpolicy.evaluation import Evaluation, evaluate
from tandem.experiments.offpolicy.feedback import Array, Feedback
from tandem.experiments.offpolicy.open_bandit import (
    CAMPAIGNS,
    production_thompson,
    read_open_bandit,
)
from tandem.experiments.offpolicy.rewards import cross_fit
from tandem.ingest.tables import read_table
from tandem.simulate.bandit import simulate_bandit

Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True, slots=True)
class Published:
    """Mean and standard deviation, over runs, of an estimator's relative error."""

    mean: float
    std: float


# Open Bandit Pipeline's examples: examples/obd (30 runs) and examples/synthetic (20 runs).
PUBLISHED_OPEN_BANDIT = {
    "DM": Published(0.156876, 0.109898),
    "IPW": Published(0.311082, 0.311170),
    "SNIPW": Published(0.311795, 0.334736),
    "DR": Published(0.292464, 0.315485),
    "SwitchDR": Published(0.258410, 0.160598),
    "DRos": Published(0.159520, 0.109660),
}
PUBLISHED_SYNTHETIC = {
    "DM": Published(0.074390, 0.024525),
    "IPW": Published(0.009481, 0.006899),
    "SNIPW": Published(0.006665, 0.004541),
    "DR": Published(0.006175, 0.004245),
    "SwitchDR": Published(0.006175, 0.004245),
    "DRos": Published(0.021951, 0.013337),
}


@dataclass(frozen=True)
class Reproduced:
    """Relative error |estimate - truth| / truth of one estimator over `runs` runs.

    within: the mean lies within the published mean and deviation over runs (None: no figure).
    """

    mean: float
    std: float
    runs: int
    published: Published | None

    @property
    def within(self) -> bool | None:
        if self.published is None:
            return None
        return abs(self.mean - self.published.mean) <= self.published.std


@dataclass(frozen=True)
class Reproduction:
    """Estimators held against a known truth in one setting."""

    setting: str
    simulated: bool
    truth: float
    estimators: dict[str, Reproduced]

    def to_json(self) -> dict[str, Any]:
        return {
            "setting": self.setting,
            "simulated": self.simulated,
            "truth": self.truth,
            "estimators": {
                name: {
                    "mean": r.mean,
                    "std": r.std,
                    "runs": r.runs,
                    "published": asdict(r.published) if r.published else None,
                    "within_spread": r.within,
                }
                for name, r in self.estimators.items()
            },
        }


def open_bandit_folder(data: Path | None) -> Path:
    """`data` itself or its open_bandit/, else under `TANDEM_DATA`, else `../shared/data`."""
    if data is not None:
        bases = [data]
    else:
        named = os.environ.get("TANDEM_DATA")
        repository = Path(__file__).resolve().parents[3]
        bases = [Path(named)] if named else []
        bases += [base.parent / "shared" / "data" for base in (repository, Path.cwd())]
    for base in bases:
        for folder in (base / "open_bandit", base):
            if (folder / "random").is_dir():
                return folder
    return bases[0]


def campaigns_present(folder: Path) -> tuple[str, ...]:
    """Campaigns of which both policies' impressions are in the folder."""
    return tuple(
        c
        for c in CAMPAIGNS
        if all((folder / policy / c / f"{c}.csv").is_file() for policy in ("random", "bts"))
    )


def reproduce_open_bandit(
    folder: Path,
    campaign: str = "all",
    *,
    runs: int = 30,
    seed: int = 7,
    progress: Progress = lambda *_: None,
) -> Reproduction:
    """Evaluate Thompson sampling from the random policy's log, over bootstrap samples of the log.

    The truth is what Thompson sampling earned in its own log. Raises NotFound without the data.
    """
    log = read_open_bandit(folder, "random", campaign)
    truth = float(read_open_bandit(folder, "bts", campaign).reward.mean())
    policy = production_thompson(campaign)
    errors: dict[str, list[float]] = {name: [] for name in ESTIMATORS}
    for run in range(runs):
        drawn = np.random.default_rng((seed, run)).integers(0, log.reward.size, log.reward.size)
        sample = log.rows(drawn)
        q_logged, q_evaluation = cross_fit(
            context=sample.context,
            action=sample.action,
            action_features=sample.action_features,
            reward=sample.reward,
            group=sample.place,
            action_dist=policy,
            dist_row=sample.place,
            seed=seed,
        )
        feedback = Feedback(
            sample.reward,
            sample.pscore,
            policy[sample.place, sample.action],
            q_logged,
            q_evaluation,
        )
        _record(errors, feedback, truth)
        progress(f"open bandit, {campaign}", run + 1, runs)
    published = PUBLISHED_OPEN_BANDIT if campaign == "all" else {}
    return Reproduction(
        f"Open Bandit small sample, random → BTS, {campaign}",
        False,
        truth,
        _summary(errors, published),
    )


def reproduce_synthetic(
    *, runs: int = 20, rows: int = 10_000, seed: int = 0, progress: Progress = lambda *_: None
) -> Reproduction:
    """The synthetic setting, 30 actions, a logging policy that prefers bad actions (beta -3)."""
    errors: dict[str, list[float]] = {name: [] for name in ESTIMATORS}
    truths = []
    for run in range(runs):
        bandit = simulate_bandit(rows, seed=seed + run)
        here = np.arange(rows)
        q_logged, q_evaluation = cross_fit(
            context=bandit.context,
            action=bandit.action,
            action_features=np.eye(bandit.evaluation.shape[1]),
            reward=bandit.reward,
            group=np.zeros(rows, np.int64),
            action_dist=bandit.evaluation,
            dist_row=here,
            seed=seed,
        )
        feedback = Feedback(
            bandit.reward,
            bandit.pscore,
            bandit.evaluation[here, bandit.action],
            q_logged,
            q_evaluation,
        )
        _record(errors, feedback, bandit.truth)
        truths.append(bandit.truth)
        progress("synthetic", run + 1, runs)
    return Reproduction(
        f"synthetic, {rows:,} rows, 30 actions, beta -3",
        True,
        float(np.mean(truths)),
        _summary(errors, PUBLISHED_SYNTHETIC if rows == 10_000 else {}),
    )


def _record(errors: dict[str, list[float]], feedback: Feedback, truth: float) -> None:
    for name, estimator in ESTIMATORS.items():
        threshold = slope(feedback, estimator) if estimator.tuned else np.inf
        estimate = value(estimator.contributions(feedback, threshold))
        errors[name].append(abs(estimate - truth) / truth)


def _summary(
    errors: dict[str, list[float]], published: dict[str, Published]
) -> dict[str, Reproduced]:
    return {
        name: Reproduced(
            float(np.mean(e)),
            float(np.std(e, ddof=1)) if len(e) > 1 else float("nan"),
            len(e),
            published.get(name),
        )
        for name, e in errors.items()
    }


CONTEXT = "context_"
REQUIRED = ("reward", "pscore")


def read_feedback(path: Path, *, folds: int = 3, seed: int = 7) -> Feedback:
    """Read a log of decisions: CSV, JSON lines or Parquet, by its ending.

    Columns: reward; pscore; and evaluation_pscore, or action and action_dist (the evaluation
    policy's probability of every action, as an object). With action_dist a reward model is fitted
    on the action, on `context_…` columns (numbers) and, one model each, on `position`.
    Raises InvalidInput with the row and column that do not fit.
    """
    table = read_table(path, texts=("action",))
    name = str(path)
    for column in REQUIRED:
        if column not in table:
            raise InvalidInput(
                "the column is missing",
                file=name,
                field=column,
                remedy="log the reward and the probability of every decision",
            )
    numbers = {c: _numbers(table, c, name) for c in REQUIRED}
    if "action_dist" not in table:
        if "evaluation_pscore" not in table:
            raise InvalidInput(
                "the column is missing, and there is no action_dist",
                file=name,
                field="evaluation_pscore",
                remedy="give the evaluation policy's probability of each logged action",
            )
        return Feedback(
            numbers["reward"], numbers["pscore"], _numbers(table, "evaluation_pscore", name)
        )
    if "action" not in table:
        raise InvalidInput(
            "the column is missing", file=name, field="action", remedy="name the action taken"
        )
    actions, dist, dist_row = _distributions(table, name)
    at = {a: i for i, a in enumerate(actions)}
    action = np.array([at[a] for a in table["action"].astype(str)], dtype=np.int64)
    context = [_numbers(table, c, name) for c in table.columns if c.startswith(CONTEXT)]
    n = len(table)
    group = (
        np.unique(table["position"].to_numpy(), return_inverse=True)[1].astype(np.int64)
        if "position" in table
        else np.zeros(n, np.int64)
    )
    q_logged, q_evaluation = cross_fit(
        context=np.column_stack(context) if context else np.zeros((n, 0)),
        action=action,
        action_features=np.eye(len(actions)),
        reward=numbers["reward"],
        group=group,
        action_dist=dist,
        dist_row=dist_row,
        folds=folds,
        seed=seed,
    )
    return Feedback(
        numbers["reward"], numbers["pscore"], dist[dist_row, action], q_logged, q_evaluation
    )


def evaluate_file(
    path: Path,
    estimators: Sequence[str] = tuple(ESTIMATORS),
    *,
    limits: Limits = Limits(),
    resamples: int = 1_000,
    seed: int = 7,
) -> Evaluation:
    """Read a log and evaluate the policy described in it. Raises InvalidInput for a bad file."""
    return evaluate(
        read_feedback(path, seed=seed), estimators, limits=limits, resamples=resamples, seed=seed
    )


def _numbers(table: Any, column: str, file: str) -> Array:
    import pandas as pd

    values: Array = pd.to_numeric(table[column], errors="coerce").to_numpy(np.float64)
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raise InvalidInput(
            f"'{table[column].iloc[bad[0]]}' is not a number",
            file=file,
            line=int(bad[0]) + 2,
            field=column,
            remedy="leave out decisions whose values are not known",
        )
    return values


def _distributions(table: Any, file: str) -> tuple[list[str], Array, Any]:
    """Action names, the distinct distributions (m, A), and each row's (n,)."""
    parsed: dict[str, dict[str, float]] = {}
    keys = []
    for row, cell in enumerate(table["action_dist"]):
        if isinstance(cell, dict):
            key = json.dumps({k: v for k, v in cell.items() if v is not None}, sort_keys=True)
        else:
            key = str(cell)
        if key not in parsed:
            parsed[key] = _distribution(key, file, row)
        keys.append(key)
    logged = table["action"].astype(str)
    actions = sorted(set().union(*parsed.values(), logged) if parsed else set(logged))
    at = {a: i for i, a in enumerate(actions)}
    rows = {key: i for i, key in enumerate(parsed)}
    dist = np.zeros((len(parsed), len(actions)))
    for key, given in parsed.items():
        for a, p in given.items():
            dist[rows[key], at[a]] = p
    return actions, dist, np.array([rows[k] for k in keys], dtype=np.int64)


def _distribution(text: str, file: str, row: int) -> dict[str, float]:
    try:
        given = {str(a): float(p) for a, p in json.loads(text).items()}
    except (ValueError, AttributeError, TypeError):
        given = {}
    if not given or min(given.values()) < 0 or abs(sum(given.values()) - 1) > 1e-3:
        raise InvalidInput(
            f"'{text[:60]}' is not an object of probabilities that sum to 1",
            file=file,
            line=row + 2,
            field="action_dist",
            remedy='write it as {"action": probability, …}',
        )
    total = sum(given.values())
    return {a: p / total for a, p in given.items()}
