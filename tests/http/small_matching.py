"""A match office in memory: one creator and the products of small merchants."""

from __future__ import annotations

from tandem.contracts.errors import NotFound
from tandem.contracts.matching import (
    BrandMatch,
    BrandMatches,
    CreatorMatch,
    CreatorMatches,
    Estimate,
    Expectation,
    ProductMatch,
    ProductMatches,
)
from tandem.contracts.parties import Creator

MERCHANTS = {"A-1": "Acme", "B-1": "Borealis", "N-1": None}
CREATORS = ("Acme", "mia")
"""One creator is named as a merchant is: the role decides, not the name alone."""
SAID = {"matcher_generation": "g000001-20260301T000000", "interval": 0.8, "simulated": False}
ONE = Expectation(
    clicks=Estimate(expected=20, low=5, high=60),
    orders=Estimate(expected=1.5, low=0, high=4),
    gmv=Estimate(expected=30, low=0, high=80),
    currency="EUR",
)


class SmallMatching:
    def merchant_of(self, product_id: str) -> str | None:
        if product_id not in MERCHANTS:
            raise NotFound(f"no product '{product_id}'", remedy="search for it")
        return MERCHANTS[product_id]

    def creators_for_product(self, product_id: str, k: int = 20) -> CreatorMatches:
        self.merchant_of(product_id)
        match = CreatorMatch(
            creator=Creator(id="mia", handle="Mia"),
            product_id=product_id,
            score=24,
            one_piece=ONE,
            new=False,
            reasons=("Promoted similar products: 3 pieces",),
        )
        return CreatorMatches(product_ids=(product_id,), not_proposed=0, matches=(match,), **SAID)

    def creators_for_brand(self, merchant: str, k: int = 20) -> CreatorMatches:
        products = [p for p, owner in MERCHANTS.items() if owner == merchant]
        if not products:
            raise NotFound(f"no products of '{merchant}'", remedy="name a merchant")
        return self.creators_for_product(products[0], k)

    def products_for_creator(self, creator_id: str, k: int = 20) -> ProductMatches:
        return ProductMatches(creator_id=creator_id, matches=(self._product(creator_id),), **SAID)

    def brands_for_creator(self, creator_id: str, k: int = 20) -> BrandMatches:
        product = self._product(creator_id)
        brand = BrandMatch(merchant="Acme", score=24, products=(product,))
        return BrandMatches(creator_id=creator_id, matches=(brand,), **SAID)

    def _product(self, creator_id: str) -> ProductMatch:
        if creator_id not in CREATORS:
            raise NotFound(f"no creator '{creator_id}'", remedy="name another")
        return ProductMatch(
            product_id="A-1",
            title="Lamp",
            merchant="Acme",
            score=24,
            one_piece=ONE,
            commission_rate=1500,
            commission=Estimate(expected=4.5, low=0, high=12),
            reasons=("Talks about this topic",),
        )
