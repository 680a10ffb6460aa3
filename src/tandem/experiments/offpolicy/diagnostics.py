"""Can this log answer the question? Support, effective sample size, tails, and the refusal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tandem.experiments.offpolicy.feedback import Array, Feedback

Reason = Literal[
    "no_data",
    "no_support",
    "propensities_disagree",
    "small_effective_sample",
    "single_rows_decide",
    "no_variation",
]


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on the answer is refused. The defaults are conventions, not laws.

    effective: least effective sample size. share: the most of all weight that a single row may
    carry. z: how many standard errors the mean weight may stand from 1.
    """

    effective: float = 100.0
    share: float = 0.05
    z: float = 4.0


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """What the weights say about the log, before any estimate is believed.

    mean_weight: 1 in expectation, if the logging policy can take whatever the evaluation policy
    takes and the propensities are right; `mean_weight_error` is its standard error.
    effective: Kish's effective sample size (sum w)^2 / sum w^2, in rows.
    zero_share: rows whose action the evaluation policy never takes.
    largest_share: the heaviest row's share of all weight. p99: the 99th percentile of the weights.
    pareto_k: shape of the weights' tail (Zhang & Stephens 2009; Vehtari et al. 2024); above 0.7
    the estimates converge slowly; None: too few distinct weights to fit a tail.
    """

    rows: int
    rewarded: int
    mean_weight: float
    mean_weight_error: float
    effective: float
    zero_share: float
    largest: float
    largest_share: float
    p99: float
    pareto_k: float | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """The log cannot answer, and why. Never a number that looks like an answer."""

    reason: Reason
    message: str
    remedy: str


def diagnose(feedback: Feedback) -> Diagnostics:
    w = feedback.weights
    n = feedback.rows
    total = float(w.sum())
    return Diagnostics(
        rows=n,
        rewarded=int(np.count_nonzero(feedback.reward)),
        mean_weight=total / n if n else float("nan"),
        mean_weight_error=float(w.std(ddof=1) / np.sqrt(n)) if n > 1 else float("nan"),
        effective=total**2 / float(w @ w) if total else 0.0,
        zero_share=float((w == 0).mean()) if n else float("nan"),
        largest=float(w.max(initial=0.0)),
        largest_share=float(w.max(initial=0.0)) / total if total else float("nan"),
        p99=float(np.quantile(w, 0.99)) if n else float("nan"),
        pareto_k=pareto_k(w),
    )


def refuse(d: Diagnostics, feedback: Feedback, limits: Limits = Limits()) -> Refusal | None:
    """The first reason why the log cannot answer; None when it can."""
    if d.rows < 2:
        return Refusal("no_data", f"{d.rows} logged decisions", "log more decisions")
    if d.effective == 0:
        return Refusal(
            "no_support",
            "no logged action is one that the evaluation policy would take",
            "let the logging policy explore, or run the new policy on a share of the traffic",
        )
    # Even where the spread of the weights is 0 the mean may be off by more than rounding.
    off = d.mean_weight - 1
    if abs(off) > limits.z * d.mean_weight_error + 1e-6:
        if off < 0:
            return Refusal(
                "no_support",
                f"the weights average {d.mean_weight:.3f} where 1 is expected: about "
                f"{-off:.0%} of what the evaluation policy does was never tried",
                "let the logging policy explore those actions, or run an A/B test",
            )
        return Refusal(
            "propensities_disagree",
            f"the weights average {d.mean_weight:.3f} where 1 is expected: "
            "the logged probabilities cannot be the ones that were used",
            "check how pscore is logged; it must be the probability at the time of the decision",
        )
    if d.effective < limits.effective:
        return Refusal(
            "small_effective_sample",
            f"{d.rows:,} rows weigh as much as {d.effective:.0f}; "
            f"{limits.effective:.0f} are asked for",
            "log more decisions, or evaluate a policy closer to the logging one",
        )
    if d.largest_share > limits.share:
        return Refusal(
            "single_rows_decide",
            f"one row carries {d.largest_share:.0%} of all weight",
            "log more decisions, or evaluate a policy closer to the logging one",
        )
    if float(np.ptp(feedback.reward)) == 0:
        return Refusal(
            "no_variation",
            "every logged reward is the same",
            "log longer, until there are rewards of more than one kind",
        )
    return None


def pareto_k(weights: Array) -> float | None:
    """Shape k of a generalised Pareto fitted to the largest weights; None with too few of them.

    Tail of min(n / 5, 3 sqrt(n)) rows; profile posterior mean of Zhang & Stephens (Technometrics
    2009), shrunk towards 0.5 as in Pareto-smoothed importance sampling (Vehtari et al. 2024).
    """
    n = weights.size
    tail = int(min(n / 5, 3 * np.sqrt(n)))
    if tail < 5:
        return None
    top = np.partition(weights, n - tail - 1)[n - tail - 1 :]
    x = np.sort(top)[1:] - top.min()
    x = x[x > 0]
    if x.size < 5 or np.unique(x).size < 5:
        return None
    grid = 30 + int(np.sqrt(x.size))
    prior = 3.0
    quartile = x[int(x.size / 4 + 0.5) - 1]
    b = 1 - np.sqrt(grid / (np.arange(1, grid + 1) - 0.5))
    b = b / (prior * quartile) + 1 / x[-1]
    k = np.log1p(-b[:, None] * x).mean(axis=1)
    likelihood = x.size * (np.log(-b / k) - k - 1)
    posterior = np.exp(likelihood - likelihood.max())
    best = float(posterior @ b / posterior.sum())
    shape = float(np.log1p(-best * x).mean())
    return float((x.size * shape + 10 * 0.5) / (x.size + 10))
