"""What results say about the pairs of a plan, and about the other pairs of the same creators.

A pair's worth is value × (1 + u + v): u is what is wrong with everything expected of a creator, v
what is wrong with this pair alone; both are normal around 0. What a piece brought is that worth
plus noise in proportion to the value. The posterior is exact: partial pooling in a normal model of
two levels (Gelman et al., Bayesian Data Analysis, 3rd ed., chapter 5). It is linear because sales
of a piece are often 0, of which there is no logarithm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tandem.contracts.errors import InvalidInput
from tandem.matching.allocation.problem import Allocation, Floats, Ints

SHARED = 0.5
OUTCOME_NOISE = 0.5


@dataclass(frozen=True)
class Belief:
    """value, spread: (E,) mean and standard deviation of what each pair is worth now."""

    value: Floats
    spread: Floats


def learn(
    a: Allocation,
    spread: Floats,
    pair: Ints,
    brought: Floats,
    *,
    shared: float = SHARED,
    noise: float = OUTCOME_NOISE,
) -> Belief:
    """`a.value` and its `spread` after results.

    spread: (E,) standard deviation of each value, before any result. pair: (R,) which pair a piece
    of content belonged to; brought: (R,) what it brought, in the unit of `value`. shared: share of
    the variance that is common to all pairs of a creator. noise: standard deviation of what a piece
    brings, in values of its pair. A pair that is expected to bring nothing stays as it is. Raises
    InvalidInput.
    """
    if spread.shape != a.value.shape or (spread < 0).any():
        raise InvalidInput(
            "does not fit the pairs, or is negative",
            field="spread",
            remedy="give one spread from 0 for each pair",
        )
    if pair.shape != brought.shape or (
        len(pair) and not 0 <= pair.min() <= pair.max() < len(spread)
    ):
        raise InvalidInput(
            "does not fit the pairs", field="pair", remedy="give the number of a pair a result"
        )
    if not 0 <= shared <= 1 or not noise > 0 or not np.isfinite(brought).all():
        raise InvalidInput(
            "is out of bounds", field="shared", remedy="shared from 0 to 1, noise above 0"
        )
    scale = np.abs(a.value)
    known = scale > 0
    relative = np.divide(spread, scale, out=np.zeros_like(spread), where=known)
    alone = (1 - shared) * relative**2
    creators = len(a.slots)
    pairs_of = np.maximum(np.bincount(a.creator, weights=known, minlength=creators), 1)
    together = shared * (np.bincount(a.creator, weights=relative**2, minlength=creators) / pairs_of)

    count = np.bincount(pair, minlength=len(scale)).astype(np.float64) * known
    total = np.bincount(pair, weights=brought, minlength=len(scale))
    seen = count > 0
    # Mean error of a pair's results, in values of the pair, and its variance given u and v.
    error = np.zeros_like(scale)
    error[seen] = (total[seen] / count[seen] - a.value[seen]) / scale[seen]
    around = np.full_like(scale, np.inf)
    around[seen] = noise**2 / count[seen]

    precision = np.where(seen, 1 / (alone + around), 0.0)
    heard = np.bincount(a.creator, weights=precision, minlength=creators)
    said = np.bincount(a.creator, weights=precision * error, minlength=creators)
    var_u = together / (1 + together * heard)
    u = var_u * said
    trust = np.where(seen, alone / (alone + around), 0.0)
    mean = u[a.creator] + trust * (error - u[a.creator])
    variance = var_u[a.creator] * (1 - trust) ** 2 + alone * (1 - trust)
    return Belief(a.value + scale * mean, scale * np.sqrt(variance))
