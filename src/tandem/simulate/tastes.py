"""Simulated shoppers with tastes: brands, colours and a price level that they prefer.

Every shopper comes for a few kinds of things and searches for them by name. What is of the kind
attracts, and more so the better it suits the shopper; a share of shoppers has no taste at all.
Clicks follow the position-based model of `tandem.simulate.shoppers`. Everything here is simulated
and known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.product import Product
from tandem.simulate.shoppers import PBM_EXAMINATION, SHOWN

BRANDS = 0.2  # share of the brands that a shopper with taste prefers
KINDS = 4  # kinds of things that a shopper comes for
TASTELESS = 0.3  # share of shoppers to whom all products of a kind are alike
LIKED = 0.9  # P(attracted) by what suits in all ways …
PLAIN = 0.05  # … and by what suits in none
ODD = 0.02  # by what is of another kind
BOUGHT = 0.35  # of what attracted and was looked at


@dataclass(frozen=True)
class TastefulShop:
    """The products as shoppers see them. kind, brand, colour: (n,) codes; level: (n,) where its
    price stands among its kind, 0 … 1. names: what each kind is called."""

    ids: tuple[str, ...]
    names: tuple[str, ...]
    kind: NDArray[np.int64]
    brand: NDArray[np.int64]
    colour: NDArray[np.int64]
    level: NDArray[np.float64]

    @classmethod
    def of(cls, products: Sequence[Product]) -> TastefulShop:
        kinds = np.array([p.category[-1] if p.category else "" for p in products])
        names, kind = np.unique(kinds, return_inverse=True)
        _, brand = np.unique([p.brand or "" for p in products], return_inverse=True)
        colours = [str(p.attributes.get("colour", "")) for p in products]
        _, colour = np.unique(colours, return_inverse=True)
        price = np.array([float(p.price.amount) if p.price else np.nan for p in products])
        level = np.full(len(products), 0.5)
        for code in range(len(names)):
            here = np.flatnonzero((kind == code) & ~np.isnan(price))
            level[here] = np.argsort(np.argsort(price[here])) / max(1, here.size - 1)
        return cls(tuple(p.id for p in products), tuple(names.tolist()), kind, brand, colour, level)


@dataclass(frozen=True)
class Shoppers:
    """brands: (s, b) codes. kinds: (s, 4) codes. colour, level: (s,). tasteless: (s,) of bool."""

    brands: NDArray[np.int64]
    kinds: NDArray[np.int64]
    colour: NDArray[np.int64]
    level: NDArray[np.float64]
    tasteless: NDArray[np.bool_]

    @classmethod
    def draw(cls, shop: TastefulShop, size: int, rng: np.random.Generator) -> Shoppers:
        frequency = np.bincount(shop.brand)
        few = max(1, round(BRANDS * frequency.size))
        # Known brands are liked more often: exponential races, the first few to arrive.
        arrival = rng.exponential(size=(size, frequency.size)) / frequency
        brands = np.argsort(arrival, axis=1)[:, :few]
        kinds = np.argsort(rng.random((size, len(shop.names))), axis=1)[:, :KINDS]
        return cls(
            brands,
            kinds,
            rng.integers(0, int(shop.colour.max()) + 1, size),
            rng.random(size),
            rng.random(size) < TASTELESS,
        )

    def attraction(
        self, shop: TastefulShop, who: int, wanted: int, products: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """(n,) P(attracted) of a shopper who wants a kind, by each product; -1: any of the kinds
        that the shopper comes for."""
        suits = (
            0.6 * np.isin(shop.brand[products], self.brands[who])
            + 0.1 * (shop.colour[products] == self.colour[who])
            + 0.3 * (1 - np.abs(shop.level[products] - self.level[who]))
        )
        if self.tasteless[who]:
            suits = np.full(products.size, 0.35)
        kinds = self.kinds[who] if wanted < 0 else np.array([wanted])
        right = np.isin(shop.kind[products], kinds)
        return np.where(right, PLAIN + (LIKED - PLAIN) * suits, ODD)

    def shop(
        self,
        shop: TastefulShop,
        who: int,
        wanted: int,
        products: NDArray[np.int64],
        rng: np.random.Generator,
    ) -> tuple[NDArray[np.int64], int]:
        """What of a list (products in order) was clicked, and how much of it bought."""
        shown = products[:SHOWN]
        attracted = rng.random(shown.size) < self.attraction(shop, who, wanted, shown)
        clicked = shown[attracted & (rng.random(shown.size) < PBM_EXAMINATION[: shown.size])]
        return clicked, int((rng.random(clicked.size) < BOUGHT).sum())
