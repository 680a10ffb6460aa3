"""Estimators of a policy's value from another policy's log, each a few lines from its paper.

Every estimator but SNIPW is the mean of one contribution per row, which `contributions` returns:
intervals, tuning and resampling need nothing else. SNIPW is a ratio of two means.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tandem.experiments.offpolicy.feedback import Array, Feedback

# Thresholds tried by `slope`; infinity is the estimator without any threshold.
THRESHOLDS = (10.0, 50.0, 100.0, 500.0, 1_000.0, 5_000.0, 10_000.0, np.inf)


@dataclass(frozen=True)
class Estimator:
    """`contributions(feedback, threshold)` is (n,), or (n, 2) as numerator and denominator.

    needs_model: it reads the reward model's columns. tuned: it has a threshold on the weights.
    """

    name: str
    contributions: Callable[[Feedback, float], Array]
    needs_model: bool
    tuned: bool
    source: str


def _ipw(feedback: Feedback, _: float) -> Array:
    return feedback.weights * feedback.reward


def _snipw(feedback: Feedback, _: float) -> Array:
    pair: Array = np.stack([feedback.weights * feedback.reward, feedback.weights], axis=1)
    return pair


def _clipped(feedback: Feedback, threshold: float) -> Array:
    return np.minimum(feedback.weights, threshold) * feedback.reward


def _dm(feedback: Feedback, _: float) -> Array:
    return _model(feedback)[1]


def _dr(feedback: Feedback, _: float) -> Array:
    return _corrected(feedback, feedback.weights)


def _switch_dr(feedback: Feedback, threshold: float) -> Array:
    w = feedback.weights
    return _corrected(feedback, np.where(w <= threshold, w, 0.0))


def _dros(feedback: Feedback, threshold: float) -> Array:
    w = feedback.weights
    # The limit at infinity is w itself, and inf / inf is not a number.
    return _corrected(feedback, w if np.isinf(threshold) else threshold * w / (w * w + threshold))


def _corrected(feedback: Feedback, weights: Array) -> Array:
    q_logged, q_evaluation = _model(feedback)
    return q_evaluation + weights * (feedback.reward - q_logged)


def _model(feedback: Feedback) -> tuple[Array, Array]:
    assert feedback.q_logged is not None and feedback.q_evaluation is not None  # noqa: PT018
    return feedback.q_logged, feedback.q_evaluation


ESTIMATORS = {
    e.name: e
    for e in (
        Estimator("DM", _dm, True, False, "Beygelzimer & Langford, KDD 2009"),
        Estimator("IPW", _ipw, False, False, "Horvitz & Thompson, JASA 1952"),
        Estimator("SNIPW", _snipw, False, False, "Swaminathan & Joachims, NIPS 2015"),
        Estimator("clipped IPW", _clipped, False, True, "Ionides, JCGS 2008"),
        Estimator("DR", _dr, True, False, "Dudík, Langford & Li, ICML 2011"),
        Estimator("SwitchDR", _switch_dr, True, True, "Wang, Agarwal & Dudík, ICML 2017"),
        Estimator("DRos", _dros, True, True, "Su, Dimakopoulou, Krishnamurthy & Dudík, ICML 2020"),
    )
}


def value(contributions: Array) -> float:
    """The estimate behind contributions (n,), or (n, 2) of a ratio. NaN if all weights are 0."""
    if contributions.ndim == 1:
        return float(contributions.mean())
    numerator, denominator = contributions.mean(axis=0)
    return float(numerator / denominator) if denominator > 0 else float("nan")


def slope(
    feedback: Feedback,
    estimator: Estimator,
    thresholds: Sequence[float] = THRESHOLDS,
    *,
    delta: float = 0.1,
) -> float:
    """The threshold that SLOPE++ picks (Su, Srinath & Krishnamurthy, ICML 2020; Tucker & Lee 2021).

    Candidates in order of falling width of their one-sided Student interval: the last one whose
    estimate still agrees with all wider ones. Less variance is taken until bias shows.
    """
    from scipy.stats import t

    n = feedback.rows
    found = []
    for threshold in thresholds:
        c = estimator.contributions(feedback, threshold)
        width = float(c.std() / np.sqrt(n - 1) * t.ppf(1 - delta, n - 1))
        found.append((width, threshold, float(c.mean())))
    # Equal widths keep the order given from its end: of two that agree, the stricter is last.
    found.reverse()
    found.sort(key=lambda f: -f[0])
    agreement = np.sqrt(6) - 1
    chosen = found[0]
    for i, candidate in enumerate(found):
        if any(
            abs(wider[2] - candidate[2]) > candidate[0] + agreement * wider[0]
            for wider in found[:i]
        ):
            break
        chosen = candidate
    return chosen[1]
