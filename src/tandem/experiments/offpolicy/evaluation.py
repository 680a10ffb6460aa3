"""Feedback in, a typed answer or a typed refusal out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tandem.contracts.errors import InvalidInput
from tandem.experiments.offpolicy.diagnostics import (
    Diagnostics,
    Limits,
    Refusal,
    diagnose,
    refuse,
)
from tandem.experiments.offpolicy.estimators import ESTIMATORS, slope, value
from tandem.experiments.offpolicy.feedback import Feedback
from tandem.experiments.offpolicy.intervals import Interval, bootstrap, empirical_bernstein


@dataclass(frozen=True, slots=True)
class Estimate:
    """An estimate of the evaluation policy's value per decision.

    bernstein: holds at any sample size, if no weight can be larger than the largest one seen;
    None for SNIPW, a ratio, to which it does not apply. threshold: what SLOPE++ picked.
    """

    value: float
    bootstrap: Interval
    bernstein: Interval | None
    threshold: float | None
    source: str


@dataclass(frozen=True)
class Evaluation:
    """`refusal` set: the log cannot answer, and `estimates` is empty.

    logged: mean reward under the logging policy, with its bootstrap interval.
    not_estimated: estimators that were asked for and could not be computed, and why.
    """

    diagnostics: Diagnostics
    refusal: Refusal | None
    logged: float
    logged_interval: Interval | None
    estimates: dict[str, Estimate]
    not_estimated: dict[str, str]
    confidence: float

    def to_json(self) -> dict[str, Any]:
        return {
            "status": "refused" if self.refusal else "answered",
            "refusal": asdict(self.refusal) if self.refusal else None,
            "logged": {
                "value": self.logged,
                "interval": asdict(self.logged_interval) if self.logged_interval else None,
            },
            "estimates": {name: asdict(e) for name, e in self.estimates.items()},
            "not_estimated": self.not_estimated,
            "diagnostics": asdict(self.diagnostics),
            "confidence": self.confidence,
        }


def evaluate(
    feedback: Feedback,
    estimators: Sequence[str] = tuple(ESTIMATORS),
    *,
    limits: Limits = Limits(),
    resamples: int = 1_000,
    confidence: float = 0.95,
    seed: int = 7,
) -> Evaluation:
    """Estimate the evaluation policy's value, or refuse.

    Raises InvalidInput for an unknown estimator.
    """
    unknown = [name for name in estimators if name not in ESTIMATORS]
    if unknown:
        raise InvalidInput(
            f"unknown estimator '{unknown[0]}'",
            field="estimators",
            remedy=f"use: {', '.join(ESTIMATORS)}",
        )
    diagnostics = diagnose(feedback)
    refusal = refuse(diagnostics, feedback, limits)
    logged = float(feedback.reward.mean()) if feedback.rows else float("nan")
    estimates: dict[str, Estimate] = {}
    missing: dict[str, str] = {}
    interval = None
    if refusal is None:
        interval = bootstrap(feedback.reward, resamples=resamples, confidence=confidence, seed=seed)
        for name in estimators:
            estimator = ESTIMATORS[name]
            if estimator.needs_model and feedback.q_logged is None:
                missing[name] = (
                    "needs a reward model, and so the evaluation policy's probability "
                    "of every action (action_dist)"
                )
                continue
            threshold = slope(feedback, estimator) if estimator.tuned else np.inf
            c = estimator.contributions(feedback, threshold)
            estimates[name] = Estimate(
                value(c),
                bootstrap(c, resamples=resamples, confidence=confidence, seed=seed),
                None
                if c.ndim == 2
                else empirical_bernstein(
                    c, _width(feedback, name, threshold), confidence=confidence
                ),
                (None if np.isinf(threshold) else threshold) if estimator.tuned else None,
                estimator.source,
            )
    return Evaluation(diagnostics, refusal, logged, interval, estimates, missing, confidence)


def _width(feedback: Feedback, name: str, threshold: float) -> float:
    """Length of the range of one contribution, given the rewards' range and the largest weight."""
    low, high = float(feedback.reward.min()), float(feedback.reward.max())
    heaviest = float(feedback.weights.max())
    if name in ("IPW", "clipped IPW"):
        return min(heaviest, threshold) * (max(0.0, high) - min(0.0, low))
    q, q_logged = feedback.q_evaluation, feedback.q_logged
    assert q is not None and q_logged is not None  # noqa: PT018
    if name == "DM":
        return float(np.ptp(q))
    if name == "SwitchDR":
        heaviest = min(heaviest, threshold)
    elif name == "DRos":
        heaviest = min(heaviest, np.sqrt(threshold) / 2)
    furthest = max(high - float(q_logged.min()), float(q_logged.max()) - low)
    return float(np.ptp(q)) + 2 * heaviest * furthest
