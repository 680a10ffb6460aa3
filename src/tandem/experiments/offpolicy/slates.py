"""Off-policy evaluation of whole lists: how much a list earns, place by place.

A list of K products is one decision with more outcomes than any log covers. Each estimator assumes
how places depend on each other, and is unbiased where that holds: the stronger the assumption, the
smaller the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tandem.contracts.errors import InvalidInput
from tandem.experiments.offpolicy.diagnostics import Diagnostics, Limits, Refusal, diagnose, refuse
from tandem.experiments.offpolicy.feedback import Array, Feedback
from tandem.experiments.offpolicy.intervals import Interval, bootstrap


@dataclass(frozen=True)
class SlateFeedback:
    """One row per list; all arrays (n, K) float64, K places.

    reward: by place. pscore, evaluation_pscore: probability of the product at a place, given those
    at the places above it, under the logging and the evaluation policy. Where the policies fill
    places independently these are also the probabilities regardless of the others, which IIPS
    needs. q_logged: a model's expectation of the reward from this place down, given the products
    down to here; q_evaluation: its average over the evaluation policy's products for this place,
    given those above. Both None without a model; cross-fit them (see Feedback).
    """

    reward: Array
    pscore: Array
    evaluation_pscore: Array
    q_logged: Array | None = None
    q_evaluation: Array | None = None

    def __post_init__(self) -> None:
        for name in ("reward", "pscore", "evaluation_pscore", "q_logged", "q_evaluation"):
            values = getattr(self, name)
            if values is not None and (values.ndim != 2 or values.shape != self.reward.shape):
                raise InvalidInput(
                    f"shape {values.shape}, where rewards are {self.reward.shape}",
                    field=name,
                    remedy="give one number for each place of each list",
                )
        # The same laws hold at every place as for single decisions.
        for k in range(self.reward.shape[1]):
            Feedback(self.reward[:, k], self.pscore[:, k], self.evaluation_pscore[:, k])

    @property
    def weights(self) -> Array:
        """(n, K) importance weight of each place alone."""
        ratio: Array = self.evaluation_pscore / self.pscore
        return ratio

    @property
    def weights_to_here(self) -> Array:
        """(n, K) importance weight of all places down to each."""
        cumulated: Array = np.multiply.accumulate(self.weights, axis=1)
        return cumulated


@dataclass(frozen=True)
class SlateEstimator:
    """`contributions(feedback)` is (n,): their mean is the estimate. `assumes`: in words."""

    name: str
    contributions: Callable[[SlateFeedback], Array]
    decisive: Callable[[SlateFeedback], Array]
    needs_model: bool
    assumes: str
    source: str


def _sips(f: SlateFeedback) -> Array:
    out: Array = f.weights_to_here[:, -1] * f.reward.sum(axis=1)
    return out


def _iips(f: SlateFeedback) -> Array:
    out: Array = (f.weights * f.reward).sum(axis=1)
    return out


def _rips(f: SlateFeedback) -> Array:
    out: Array = (f.weights_to_here * f.reward).sum(axis=1)
    return out


def _cascade_dr(f: SlateFeedback) -> Array:
    assert f.q_logged is not None and f.q_evaluation is not None  # noqa: PT018
    here = f.weights_to_here
    above = np.column_stack([np.ones(here.shape[0]), here[:, :-1]])
    out: Array = (here * (f.reward - f.q_logged) + above * f.q_evaluation).sum(axis=1)
    return out


def _all_places(f: SlateFeedback) -> Array:
    return f.weights_to_here[:, -1]


def _worst_place(f: SlateFeedback) -> Array:
    w = f.weights
    effective = w.sum(axis=0) ** 2 / np.maximum((w**2).sum(axis=0), 1e-300)
    return w[:, int(effective.argmin())]


SLATE_ESTIMATORS = {
    e.name: e
    for e in (
        SlateEstimator(
            "SIPS", _sips, _all_places, False, "nothing", "Swaminathan et al., NIPS 2017"
        ),
        SlateEstimator(
            "IIPS", _iips, _worst_place, False, "a place depends on itself", "Li et al., KDD 2018"
        ),
        SlateEstimator(
            "RIPS",
            _rips,
            _all_places,
            False,
            "a place depends on itself and those above",
            "McInerney et al., KDD 2020",
        ),
        SlateEstimator(
            "cascade-DR",
            _cascade_dr,
            _all_places,
            True,
            "a place depends on itself and those above",
            "Kiyohara et al., WSDM 2022",
        ),
    )
}


@dataclass(frozen=True, slots=True)
class SlateEstimate:
    """Reward of a whole list under the evaluation policy, with its bootstrap interval."""

    value: float
    interval: Interval
    effective: float
    assumes: str


def evaluate_slates(
    feedback: SlateFeedback,
    estimators: Sequence[str] = tuple(SLATE_ESTIMATORS),
    *,
    limits: Limits = Limits(),
    resamples: int = 1_000,
    seed: int = 7,
) -> dict[str, SlateEstimate | Refusal]:
    """Each estimator's answer, or its refusal: what the log says of one place it may not say of
    all together. Estimators that need a model are left out without one. Raises InvalidInput for an
    unknown estimator."""
    found: dict[str, SlateEstimate | Refusal] = {}
    for name in estimators:
        if name not in SLATE_ESTIMATORS:
            raise InvalidInput(
                f"unknown estimator '{name}'",
                field="estimators",
                remedy=f"use: {', '.join(SLATE_ESTIMATORS)}",
            )
        estimator = SLATE_ESTIMATORS[name]
        if estimator.needs_model and feedback.q_logged is None:
            continue
        single = _single(feedback, name)
        d = diagnose(single)
        refusal = refuse(d, single, limits)
        if refusal is not None:
            found[name] = refusal
            continue
        c = estimator.contributions(feedback)
        found[name] = SlateEstimate(
            float(c.mean()),
            bootstrap(c, resamples=resamples, seed=seed),
            d.effective,
            estimator.assumes,
        )
    return found


def slate_diagnostics(feedback: SlateFeedback, name: str) -> Diagnostics:
    """What the weights of an estimator say about the log, answered or refused."""
    return diagnose(_single(feedback, name))


def _single(feedback: SlateFeedback, name: str) -> Feedback:
    """Lists as single decisions with the weights that decide for an estimator."""
    w = SLATE_ESTIMATORS[name].decisive(feedback)
    # The scale keeps probabilities at most 1.
    scale = 1 / max(float(w.max(initial=0.0)), 1.0)
    return Feedback(feedback.reward.sum(axis=1), np.full(w.size, scale), w * scale)
