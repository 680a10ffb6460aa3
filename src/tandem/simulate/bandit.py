"""A simulated contextual bandit with known truth: the synthetic setting of Open Bandit Pipeline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SimulatedBandit:
    """n logged decisions over A actions, and what is true of them.

    context (n, d), action (n,), reward (n,) 0 or 1, pscore (n,). expected (n, A): the true chance
    of a reward. evaluation (n, A): the policy to evaluate; `truth`: its value on these contexts.
    """

    context: Array
    action: NDArray[np.int64]
    reward: Array
    pscore: Array
    expected: Array
    evaluation: Array
    truth: float


def simulate_bandit(
    rows: int = 10_000, actions: int = 30, dimensions: int = 5, beta: float = -3.0, seed: int = 0
) -> SimulatedBandit:
    """Draw a world, a training log and a test log; learn the evaluation policy on the first.

    Rewards are Bernoulli, their chances logistic in the context with coefficients of each action's
    own, uniform on (0, 1). The logging policy is softmax(beta x expected reward): a negative beta
    prefers bad actions. The evaluation policy is the softmax of a multinomial classifier's
    probabilities, trained to predict the action with weights reward / pscore (Saito et al. 2021).
    """
    rng = np.random.default_rng(seed)
    coefficients = rng.uniform(size=(dimensions, actions))
    intercepts = rng.uniform(size=actions)

    def draw() -> tuple[Array, NDArray[np.int64], Array, Array, Array]:
        context = rng.normal(size=(rows, dimensions))
        logits = context @ coefficients + intercepts
        expected = 1 / (1 + np.exp(-logits))
        logging = _softmax(beta * expected)
        drawn = (logging.cumsum(axis=1) < rng.random((rows, 1))).sum(axis=1)
        action = np.minimum(drawn, actions - 1)
        here = np.arange(rows)
        reward = (rng.random(rows) < expected[here, action]).astype(np.float64)
        return context, action, reward, logging[here, action], expected

    context, action, reward, pscore, _ = draw()
    classifier = _multinomial(context, action, reward / pscore, actions)
    context, action, reward, pscore, expected = draw()
    evaluation = _softmax(_softmax(np.column_stack([context, np.ones(rows)]) @ classifier))
    truth = float((expected * evaluation).sum(axis=1).mean())
    return SimulatedBandit(context, action, reward, pscore, expected, evaluation, truth)


def _softmax(logits: Array) -> Array:
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    out: Array = e / e.sum(axis=1, keepdims=True)
    return out


def _multinomial(x: Array, y: NDArray[np.int64], weight: Array, classes: int) -> Array:
    """(d + 1, classes) coefficients of weighted softmax regression, intercept last, C = 100."""
    from scipy.optimize import minimize

    use = weight > 0
    design = np.column_stack([x[use], np.ones(int(use.sum()))])
    y, weight = y[use], weight[use]
    penalised = np.ones((design.shape[1], 1))
    penalised[-1] = 0.0

    def loss(flat: Array) -> tuple[float, Array]:
        b = flat.reshape(design.shape[1], classes)
        p = _softmax(design @ b)
        picked = p[np.arange(y.size), y]
        ridge = penalised * b / 100.0
        residual = p
        residual[np.arange(y.size), y] -= 1
        gradient = design.T @ (residual * weight[:, None]) + ridge
        total = -float(weight @ np.log(picked)) + float((ridge * b).sum() / 2)
        return total / y.size, gradient.ravel() / y.size

    start = np.zeros(design.shape[1] * classes)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 50})
    coefficients: Array = found.x.reshape(design.shape[1], classes)
    return coefficients
