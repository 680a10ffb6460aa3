"""Estimators for lists against the truth of a small world, by enumeration of all lists."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from tandem.contracts.errors import InvalidInput
from tandem.experiments.offpolicy.diagnostics import Refusal
from tandem.experiments.offpolicy.slates import SLATE_ESTIMATORS, SlateFeedback, evaluate_slates

LOGGING = np.array([[0.5, 0.3, 0.2], [0.3, 0.4, 0.3], [0.2, 0.3, 0.5]])
EVALUATION = np.array([[0.2, 0.3, 0.5], [0.5, 0.3, 0.2], [0.4, 0.4, 0.2]])
ATTRACTION = np.array([0.2, 0.4, 0.7])


def chance(actions: tuple[int, ...], cascade: bool) -> np.ndarray:
    """Chance of a click at each place; in a cascade a good product above takes clicks away."""
    out = []
    for k, a in enumerate(actions):
        above = np.prod([1 - ATTRACTION[b] for b in actions[:k]]) if cascade else 1.0
        out.append(ATTRACTION[a] * above)
    return np.array(out)


def truth(cascade: bool) -> float:
    return sum(
        np.prod([EVALUATION[k, a] for k, a in enumerate(actions)]) * chance(actions, cascade).sum()
        for actions in product(range(3), repeat=3)
    )


def from_here(actions: tuple[int, ...], cascade: bool) -> float:
    """True reward from the last given place down, if the evaluation policy fills the rest."""
    k = len(actions) - 1
    return sum(
        np.prod([EVALUATION[k + 1 + j, a] for j, a in enumerate(rest)])
        * chance((*actions, *rest), cascade)[k:].sum()
        for rest in product(range(3), repeat=2 - k)
    )


def logged(n: int, cascade: bool, seed: int = 0, model: bool = True) -> SlateFeedback:
    rng = np.random.default_rng(seed)
    actions = np.column_stack([rng.choice(3, n, p=LOGGING[k]) for k in range(3)])
    places = np.arange(3)
    table = {a: chance(a, cascade) for a in product(range(3), repeat=3)}
    chances = np.array([table[tuple(a)] for a in actions.tolist()])
    q_logged = q_evaluation = None
    if model:
        q = {a: from_here(a, cascade) for k in (1, 2, 3) for a in product(range(3), repeat=k)}
        q_logged = np.array([[q[tuple(a[: k + 1])] for k in places] for a in actions.tolist()])
        q_evaluation = np.array(
            [
                [sum(EVALUATION[k, b] * q[(*a[:k], b)] for b in range(3)) for k in places]
                for a in actions.tolist()
            ]
        )
    return SlateFeedback(
        (rng.random((n, 3)) < chances).astype(float),
        LOGGING[places, actions],
        EVALUATION[places, actions],
        q_logged,
        q_evaluation,
    )


@pytest.mark.parametrize("cascade", [False, True])
def test_each_estimator_is_right_where_its_assumption_holds(cascade):
    f = logged(30_000, cascade)
    for name, estimator in SLATE_ESTIMATORS.items():
        c = estimator.contributions(f)
        off = abs(c.mean() - truth(cascade)) / (c.std() / np.sqrt(c.size))
        if cascade and name == "IIPS":
            assert off > 4, "places do depend on each other here"
        else:
            assert off < 4, name


def test_stronger_assumptions_and_a_model_take_out_variance():
    f = logged(30_000, cascade=False)
    spread = {name: e.contributions(f).std() for name, e in SLATE_ESTIMATORS.items()}
    assert spread["IIPS"] < spread["RIPS"] < spread["SIPS"]
    assert spread["cascade-DR"] < spread["RIPS"]


def test_answers_have_intervals_and_thin_logs_are_refused():
    found = evaluate_slates(logged(4_000, True, model=False), resamples=100)
    assert set(found) == {"SIPS", "IIPS", "RIPS"}
    for e in found.values():
        assert e.interval.low < e.value < e.interval.high
    thin = evaluate_slates(logged(250, True, model=False), resamples=100)
    assert isinstance(thin["SIPS"], Refusal)
    assert not isinstance(thin["IIPS"], Refusal)


def test_bad_input_is_named():
    ones = np.ones((2, 3))
    with pytest.raises(InvalidInput, match="pscore"):
        SlateFeedback(ones, ones[:, :2], ones)
    with pytest.raises(InvalidInput, match="unknown estimator"):
        evaluate_slates(SlateFeedback(ones, ones, ones), ["magic"])
