"""Shuffling the first places of a list so that what is logged can be learned from.

Both methods know the probability of everything that they may show, so that a log of them answers
questions about other orders (`experiments.offpolicy`) and about places (intervention harvesting).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from tandem.contracts.experiment import Exploration

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Drawn:
    """An order of the first places. places: for each place, the rank (from 0) that is shown there.

    pscore: probability of that rank at the place, given the places above.
    marginal: its probability at the place, whatever stands elsewhere.
    """

    places: tuple[int, ...]
    pscore: tuple[float, ...]
    marginal: tuple[float, ...]


def draw(policy: Exploration, rng: Generator) -> Drawn:
    """One order of the first `policy.top` ranks."""
    k = policy.top
    if policy.method == "swap":
        other = int(rng.integers(k))
        places = list(range(k))
        places[0], places[other] = places[other], places[0]
    else:
        # The largest of w_r / E_r with E exponential: Plackett-Luce by Gumbel's trick.
        keys = np.log(_weights(k, policy.steepness)) - np.log(rng.exponential(size=k))
        places = np.argsort(-keys).tolist()
    table = marginals(policy)
    return Drawn(
        tuple(places),
        conditional(policy, tuple(places)),
        tuple(float(table[place, rank]) for place, rank in enumerate(places)),
    )


def conditional(policy: Exploration, places: tuple[int, ...]) -> tuple[float, ...]:
    """Probability of each place's rank given those above, under `policy`; 0 from the first place
    on that it never fills so."""
    if policy.method == "swap":
        k = len(places)
        swapped = list(range(k))
        swapped[0], swapped[places[0]] = swapped[places[0]], swapped[0]
        return (1 / k, *(float(places[i] == swapped[i]) for i in range(1, k)))
    weights = _weights(len(places), policy.steepness)
    # What is left below each place, summed from the end: no rounding to below 0.
    left = np.cumsum(weights[list(places)][::-1])[::-1]
    return tuple(float(weights[rank] / rest) for rank, rest in zip(places, left, strict=True))


def marginals(policy: Exploration) -> Array:
    """(k, k) probability that a place (row) shows a rank (column), by enumeration of all orders."""
    return _marginals(policy.method, policy.top, policy.steepness)


@lru_cache(maxsize=64)
def _marginals(method: str, k: int, steepness: float) -> Array:
    table = np.zeros((k, k))
    if method == "swap":
        table[0] = 1 / k
        for place in range(1, k):
            table[place, 0], table[place, place] = 1 / k, 1 - 1 / k
        return table
    weights = _weights(k, steepness)
    for order in permutations(range(k)):
        ordered = weights[list(order)]
        chance = float(np.prod(ordered / np.cumsum(ordered[::-1])[::-1]))
        table[np.arange(k), list(order)] += chance
    return table


def _weights(k: int, steepness: float) -> Array:
    weights: Array = np.arange(1.0, k + 1) ** np.float64(-steepness)
    return weights
