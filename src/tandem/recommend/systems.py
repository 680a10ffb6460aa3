"""The recommenders that are compared, by name."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from tandem.contracts.errors import InvalidInput
from tandem.recommend.blending import Blended
from tandem.recommend.content import ContentBased
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
from tandem.recommend.semantic import SemanticIds
from tandem.recommend.sequence import SelfAttention
from tandem.recommend.stacking import Stacked
from tandem.recommend.two_tower import TwoTower

Made = TypeVar("Made")

SYSTEMS: dict[str, Callable[[], Recommender]] = {
    "popularity": Popularity,
    "item-knn": ItemKNN,
    "transitions": Transitions,
    "session-knn": SessionKNN,
    "stacked": Stacked,
    "stacked-network": partial(Stacked, name="stacked-network", network=True),
    "vs-knn": partial(SessionKNN, name="vs-knn", rarity=0.0, length=0.5, nearness=0.0, before=1.0),
    "stan": partial(SessionKNN, name="stan", rarity=0.0, popularity=0.0),
    "sasrec": SelfAttention,
    "gsasrec": partial(SelfAttention, name="gsasrec", loss="gbce"),
    "semantic-ids": SemanticIds,
}

NETWORKS = ("stacked-network", "sasrec", "gsasrec", "semantic-ids", "two-tower")
ON_REQUEST: dict[str, str] = {
    **dict.fromkeys(NETWORKS, "learns for minutes, with torch; name it with --systems"),
    **dict.fromkeys(("vs-knn", "stan"), "a variant of session-knn; name it with --systems"),
}
"""Who is compared only when named, and on the leaderboard; and why."""

BASKET_SYSTEMS: dict[str, Callable[[], BasketRecommender]] = {
    "popularity": SellingNow,
    "personal-frequency": PersonalFrequency,
    "item-knn": BasketItemKNN,
    "user-knn": PeopleKNN,
    "content": ContentBased,
    "ease": Ease,
    "ials": ImplicitALS,
    "blended": Blended,
    "two-tower": TwoTower,
}


def recommenders() -> dict[str, Callable[[], Recommender]]:
    """Recommenders of the next click by name: Tandem's own, and those that installed packages
    announce under the entry point `tandem.recommenders`."""
    return {**SYSTEMS, **_announced("tandem.recommenders", SYSTEMS)}


def basket_recommenders() -> dict[str, Callable[[], BasketRecommender]]:
    """Recommenders of the next basket; entry point `tandem.basket_recommenders`."""
    return {**BASKET_SYSTEMS, **_announced("tandem.basket_recommenders", BASKET_SYSTEMS)}


def system(name: str) -> Recommender:
    """A recommender of the next click that has learned nothing yet; InvalidInput names the
    choices."""
    return _named(name, recommenders())()


def basket_system(name: str) -> BasketRecommender:
    """A recommender of the next basket that has learned nothing yet."""
    return _named(name, basket_recommenders())()


def _announced(group: str, own: Collection[str]) -> dict[str, Callable[[], Any]]:
    return {
        point.name: partial(_loaded, point)
        for point in entry_points(group=group)
        if point.name not in own
    }


def _loaded(point: EntryPoint) -> Any:
    """What an entry point makes; read only when it is asked for."""
    try:
        return point.load()()
    except (ImportError, AttributeError, TypeError) as error:
        raise InvalidInput(
            f"'{point.name}' cannot be loaded from {point.value}: {error}",
            field="systems",
            remedy="correct the entry point of the package that announces it",
        ) from error


def _named(name: str, systems: dict[str, Callable[[], Made]]) -> Callable[[], Made]:
    if name not in systems:
        raise InvalidInput(
            f"unknown recommender '{name}'",
            field="systems",
            remedy=f"use some of: {', '.join(systems)}",
        )
    return systems[name]
