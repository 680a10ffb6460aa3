"""Items as vectors, by factorising what is clicked near what."""

from __future__ import annotations

import numpy as np

from tandem.recommend.models import Floats, Transitions, unit
from tandem.recommend.sessions import Sessions

POWER_STEPS = 4
OVERSAMPLED = 16
SEED = 1


def item_factors(sessions: Sessions, dimensions: int) -> Floats:
    """(items, dimensions) vectors of length 1, of zeros for an item without neighbours: the leading
    eigenvectors of what is clicked near what, scaled by the roots of their values, by randomised
    subspace iteration (Halko, Martinsson & Tropp 2011)."""
    near = Transitions(backward=1.0, rows=0.5, columns=0.5, reach=5, recency=1.0)
    near.fit(sessions)
    both = ((near.matrix + near.matrix.T) / 2).tocsr()
    both.data = np.sqrt(both.data)
    rng = np.random.default_rng(SEED)
    wide = min(sessions.size, dimensions + OVERSAMPLED)
    space = rng.standard_normal((sessions.size, wide)).astype(np.float32)
    for _ in range(POWER_STEPS):
        space = np.linalg.qr(both @ space)[0].astype(np.float32)
    values, turns = np.linalg.eigh(space.T @ (both @ space))
    best = np.argsort(-values, kind="stable")[:dimensions]
    vectors = np.zeros((sessions.size, dimensions), np.float32)
    vectors[:, : best.size] = space @ turns[:, best] * np.sqrt(np.maximum(values[best], 0))
    vectors[np.asarray(both.getnnz(1)) == 0] = 0  # else rounding errors would count
    return unit(vectors)
