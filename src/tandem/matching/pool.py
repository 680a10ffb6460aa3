"""How a score stands among the others of its pool: rivals for a creator, rivals for a brand."""

from __future__ import annotations

import numpy as np

from tandem.matching.market import Array

_ROUNDS = 30


def place(scores: Array, axis: int) -> Array:
    """Share of the others along `axis` that score lower: 1 for the best, 0 for the worst.

    Equal scores share the mean place. NaN stays NaN and counts for no one. A lone entry is 1.
    """
    from scipy.stats import rankdata

    ranks: Array = rankdata(scores, axis=axis, nan_policy="omit")
    rivals = np.maximum((~np.isnan(scores)).sum(axis=axis, keepdims=True) - 1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        out: Array = np.where(
            rivals > 0, (ranks - 1) / rivals, np.where(np.isnan(scores), np.nan, 1)
        )
    return out


def balanced(scores: Array) -> Array:
    """Log-probabilities after every creator spreads one unit over brands that take equal shares.

    Sinkhorn's scaling (Sinkhorn & Knopp 1967; entropic transport: Cuturi, NeurIPS 2013) of
    exp(scores), which are first brought to unit variance. It takes back what a brand gains by
    resembling everybody, and what a creator gains by resembling every brand. Finite scores only.
    """
    from scipy.special import logsumexp

    spread = scores.std()
    logs: Array = (scores - scores.mean()) / (spread if spread > 0 else 1.0)
    for _ in range(_ROUNDS):
        logs = logs - logsumexp(logs, axis=1, keepdims=True)
        logs = logs - logsumexp(logs, axis=0, keepdims=True)
    return logs
