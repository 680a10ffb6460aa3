"""The recommenders that are compared, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tandem.contracts.errors import InvalidInput
from tandem.recommend.blending import Blended
from tandem.recommend.models import ItemKNN, Popularity, Recommender, SessionKNN, Transitions
from tandem.recommend.next_basket import (
    BasketItemKNN,
    BasketRecommender,
    Ease,
    ImplicitALS,
    PeopleKNN,
    PersonalFrequency,
    SellingNow,
)
from tandem.recommend.stacking import Stacked

Made = TypeVar("Made")

SYSTEMS: dict[str, Callable[[], Recommender]] = {
    "popularity": Popularity,
    "item-knn": ItemKNN,
    "transitions": Transitions,
    "session-knn": SessionKNN,
    "stacked": Stacked,
}

BASKET_SYSTEMS: dict[str, Callable[[], BasketRecommender]] = {
    "popularity": SellingNow,
    "personal-frequency": PersonalFrequency,
    "item-knn": BasketItemKNN,
    "user-knn": PeopleKNN,
    "ease": Ease,
    "ials": ImplicitALS,
    "blended": Blended,
}


def system(name: str) -> Recommender:
    """A recommender of the next click that has learned nothing yet; InvalidInput names the
    choices."""
    return _named(name, SYSTEMS)()


def basket_system(name: str) -> BasketRecommender:
    """A recommender of the next basket that has learned nothing yet."""
    return _named(name, BASKET_SYSTEMS)()


def _named(name: str, systems: dict[str, Callable[[], Made]]) -> Callable[[], Made]:
    if name not in systems:
        raise InvalidInput(
            f"unknown recommender '{name}'",
            field="systems",
            remedy=f"use some of: {', '.join(systems)}",
        )
    return systems[name]
