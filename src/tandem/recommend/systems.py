"""The recommenders that are compared, by name."""

from __future__ import annotations

from collections.abc import Callable

from tandem.contracts.errors import InvalidInput
from tandem.recommend.models import ItemKNN, Popularity, Recommender, SessionKNN, Transitions
from tandem.recommend.stacking import Stacked

SYSTEMS: dict[str, Callable[[], Recommender]] = {
    "popularity": Popularity,
    "item-knn": ItemKNN,
    "transitions": Transitions,
    "session-knn": SessionKNN,
    "stacked": Stacked,
}


def system(name: str) -> Recommender:
    """A recommender that has learned nothing yet; InvalidInput names the choices."""
    if name not in SYSTEMS:
        raise InvalidInput(
            f"unknown recommender '{name}'",
            field="systems",
            remedy=f"use some of: {', '.join(SYSTEMS)}",
        )
    return SYSTEMS[name]()
