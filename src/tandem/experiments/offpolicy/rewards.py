"""A reward model for DM and DR: logistic regression, cross-fitted. A nuisance, not a ranker."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from tandem.experiments.offpolicy.feedback import Array

_CHUNK = 4_096
_ROWS = 1 << 17


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

            def block(start: int, train: NDArray[np.int64] = train) -> tuple[Array, Array] | None:
                i = train[start : start + _ROWS]
                if not i.size and start:
                    return None
                x = np.column_stack([context[i], action_features[action[i]], np.ones(i.size)])
                return x, reward[i]

            coefficients = _fit(block, logistic, inverse_penalty)
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
    whole = np.column_stack([x, np.ones(x.shape[0])])

    def block(start: int) -> tuple[Array, Array] | None:
        if start and start >= x.shape[0]:
            return None
        return whole[start : start + _ROWS], y[start : start + _ROWS]

    return _fit(block, logistic, inverse_penalty)


def _fit(
    block: Callable[[int], tuple[Array, Array] | None], logistic: bool, inverse_penalty: float
) -> Array:
    """`fit_linear` over rows that come in blocks: block(start) is (design, y) from a row on, the
    last column of the design all ones, and None behind the end. So no design of ten million rows
    has to exist."""

    def blocks() -> Iterator[tuple[Array, Array]]:
        start = 0
        while (found := block(start)) is not None:
            yield found
            start += _ROWS

    size = next(blocks())[0].shape[1]
    ridge: Array = np.full(size, 1 / inverse_penalty)
    ridge[-1] = 0.0
    # A constant column adds nothing to the intercept, and a single class has no finite optimum.
    floor: Array = 1e-9 * np.eye(size)
    if not logistic:
        gram = np.asarray(np.diag(ridge) + floor, np.float64)
        moment: Array = np.zeros(size)
        for design, y in blocks():
            gram += design.T @ design
            moment += design.T @ y
        return np.asarray(np.linalg.solve(gram, moment), np.float64)
    rows, ones = (
        float(sum(t)) for t in zip(*((y.size, y.sum()) for _, y in blocks()), strict=True)
    )
    b = np.zeros(size, np.float64)
    rate = np.clip(ones / rows, 1e-6, 1 - 1e-6) if rows else 0.5
    b[-1] = np.log(rate / (1 - rate))
    if ones in (0.0, rows):
        return b
    loss = np.inf
    for _ in range(50):
        gradient, hessian = ridge * b, np.diag(ridge) + floor
        loss = float((ridge * b * b).sum() / 2)
        for design, y in blocks():
            z = design @ b
            p = _sigmoid(z)
            gradient = gradient + design.T @ (p - y)
            hessian = hessian + (design * (p * (1 - p))[:, None]).T @ design
            loss += float((np.logaddexp(0, z) - y * z).sum())
        step = np.linalg.solve(hessian, gradient)
        # Newton overshoots where the loss is flat: halve the step until the loss falls.
        scale = 1.0
        while scale > 1e-4 and _loss(blocks(), b - scale * step, ridge) > loss:
            scale /= 2
        b = b - scale * step
        if float(np.abs(gradient).max()) < 1e-6 * rows:
            break
    return b


def _loss(blocks: Iterator[tuple[Array, Array]], b: Array, ridge: Array) -> float:
    total = float((ridge * b * b).sum() / 2)
    for design, y in blocks:
        z = design @ b
        total += float((np.logaddexp(0, z) - y * z).sum())
    return total


def _sigmoid(z: Array) -> Array:
    from scipy.special import expit

    out: Array = expit(z)
    return out
