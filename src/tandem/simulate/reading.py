"""Simulated shoppers of known taste who read lists from the top: for tests of experiments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray


@dataclass(frozen=True)
class Shoppers:
    """Position-based clicks: looked at with chance (1 / place)^bias, then clicked by attraction.

    attraction: chance of a click when seen, by relevance 0 to 3 (what is clicked by chance first).
    """

    bias: float = 1.0
    attraction: tuple[float, ...] = (0.05, 0.15, 0.3, 0.5)

    def clicks(self, relevance: Sequence[int], rng: Generator) -> NDArray[np.bool_]:
        """(places,) which of the shown products, of these relevances, are clicked."""
        seen = (1 / np.arange(1, len(relevance) + 1)) ** self.bias
        clicked: NDArray[np.bool_] = rng.random(len(relevance)) < seen * np.take(
            self.attraction, relevance
        )
        return clicked


def noisy_ranking(relevance: NDArray[np.int64], noise: float, rng: Generator) -> list[int]:
    """Indexes of products ordered by relevance plus normal noise: less noise, better ranker."""
    return [int(i) for i in np.argsort(-(relevance + rng.normal(0, noise, relevance.size)))]
