"""Features of a (brand, creator) pair: declared once, computed the same way to learn and to score.

Each affinity gives its value and the creator's place among the candidates of the brand. *Pool*
features also look at the other brands of the pool, which compete for the creator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tandem.matching.affinities import AFFINITIES
from tandem.matching.market import Array
from tandem.matching.pool import balanced, place

Scores = Mapping[str, Array]
"""By affinity name, (brands, creators) of one pool."""

BLEND = "blend"


@dataclass(frozen=True)
class Feature:
    """One column. `pool` features depend on which other brands are in the pool."""

    name: str
    meaning: str
    pool: bool
    value: Callable[[Scores], Array]


def _declared() -> tuple[Feature, ...]:
    sources = [(a.name, a.meaning) for a in AFFINITIES]
    sources.append((BLEND, "the logistic model's log-odds of a collaboration"))
    features: list[Feature] = []
    for name, meaning in sources:
        features += [
            Feature(name, meaning, False, _source(name)),
            Feature(
                f"{name}_place",
                f"{meaning}: place among the candidates",
                False,
                _source(name, lambda scores: place(scores, axis=1)),
            ),
        ]
        if name == "past_brands":  # missing for most creators: no pool to speak of
            continue
        features += [
            Feature(
                f"{name}_rivals",
                f"{meaning}: place of the brand among the brands for this creator",
                True,
                _source(name, lambda scores: place(scores, axis=0)),
            ),
            Feature(
                f"{name}_balanced",
                f"{meaning}: after balancing brands and creators",
                True,
                _source(name, balanced),
            ),
        ]
    return tuple(features)


def _source(name: str, change: Callable[[Array], Array] = np.asarray) -> Callable[[Scores], Array]:
    return lambda scores: change(scores[name])


FEATURES = _declared()


def compute(scores: Scores, features: tuple[Feature, ...]) -> NDArray[np.float32]:
    """(brands x creators, features) float32, brand by brand; NaN is missing."""
    columns = [f.value(scores).ravel() for f in features]
    return np.stack(columns, axis=1).astype(np.float32)
