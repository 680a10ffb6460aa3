"""A reward model for DM and DR: logistic regression, cross-fitted. A nuisance, not a ranker."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tandem.experiments.offpolicy.feedback import Array

_CHUNK = 4_096


def cross_fit(
    *,
    context: Array,
    action: NDArray[np.int64],
    action_features: Array,
    reward: Array,
    group: NDArray[np.int64],
    action_dist: Array,
    dist_row: NDArray[np.int64],
    folds: int = 3,
    inverse_penalty: float = 100.0,
    seed: int = 7,
) -> tuple[Array, Array]:
    """(q_logged, q_evaluation), each (n,), from models that did not see the row.

    context (n, d); action (n,) rows of action_features (A, k); reward (n,); group (n,): one model
    per value (a place on the page). action_dist (m, A): the evaluation policy, and dist_row (n,)
    which of its rows holds for a decision. One model: context and action features, no products of
    them. Rewards other than 0 and 1 get ridge regression in place of logistic.
    Cross-fitting: Chernozhukov et al., Econometrics J. 2018.
    """
    n = reward.size
    logistic = bool(np.isin(reward, (0.0, 1.0)).all())
    q_logged, q_evaluation = np.zeros(n), np.zeros(n)
    parts = np.random.default_rng(seed).permutation(np.arange(n) % folds)
    d = context.shape[1]
    for fold in range(folds):
        for g in np.unique(group):
            here = group == g
            train, held = np.flatnonzero(here & (parts != fold)), here & (parts == fold)
            x = np.column_stack([context[train], action_features[action[train]]])
            coefficients = fit_linear(x, reward[train], logistic, inverse_penalty)
            of_action = action_features @ coefficients[d:-1] + coefficients[-1]
            rows = np.flatnonzero(held)
            for start in range(0, rows.size, _CHUNK):
                i = rows[start : start + _CHUNK]
                z = (context[i] @ coefficients[:d])[:, None] + of_action
                q = _sigmoid(z) if logistic else z
                q_logged[i] = q[np.arange(i.size), action[i]]
                q_evaluation[i] = np.einsum("ij,ij->i", q, action_dist[dist_row[i]])
    return q_logged, q_evaluation


def fit_linear(x: Array, y: Array, logistic: bool, inverse_penalty: float) -> Array:
    """(k + 1,) coefficients, the intercept last and unpenalised, by Newton's method.

    Minimises the summed log loss (or half the squared error) plus |b|^2 / (2 inverse_penalty).
    """
    design = np.column_stack([x, np.ones(x.shape[0])])
    ridge = np.full(design.shape[1], 1 / inverse_penalty)
    ridge[-1] = 0.0
    # A constant column adds nothing to the intercept, and a single class has no finite optimum.
    floor = 1e-9 * np.eye(design.shape[1])
    if not logistic:
        gram = design.T @ design + np.diag(ridge) + floor
        solution: Array = np.linalg.solve(gram, design.T @ y)
        return solution
    b = np.zeros(design.shape[1])
    rate = np.clip(y.mean(), 1e-6, 1 - 1e-6) if y.size else 0.5
    b[-1] = np.log(rate / (1 - rate))
    if y.size == 0 or np.ptp(y) == 0:
        return b
    for _ in range(50):
        p = _sigmoid(design @ b)
        gradient = design.T @ (p - y) + ridge * b
        hessian = (design * (p * (1 - p))[:, None]).T @ design + np.diag(ridge) + floor
        step = np.linalg.solve(hessian, gradient)
        # Newton overshoots where the loss is flat: halve the step until the loss falls.
        loss, scale = _loss(design, y, b, ridge), 1.0
        while scale > 1e-4 and _loss(design, y, b - scale * step, ridge) > loss:
            scale /= 2
        b = b - scale * step
        if float(np.abs(gradient).max()) < 1e-6 * y.size:
            break
    return b


def _loss(design: Array, y: Array, b: Array, ridge: Array) -> float:
    z = design @ b
    return float((np.logaddexp(0, z) - y * z).sum() + (ridge * b * b).sum() / 2)


def _sigmoid(z: Array) -> Array:
    from scipy.special import expit

    out: Array = expit(z)
    return out
