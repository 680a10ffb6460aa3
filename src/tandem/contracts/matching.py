"""Who suits whom: creators for products and brands, products and brands for creators."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tandem.contracts.parties import BasisPoints, Count, Creator, PartyId, Share
from tandem.contracts.product import CurrencyCode, Label, Money, ProductId
from tandem.contracts.search import Frozen

Number = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Estimate(Frozen):
    """What one piece of content is expected to bring. Of ten outcomes, eight or more lie from `low`
    to `high`; how often they did: docs/matching.md."""

    expected: Number
    low: Number
    high: Number


class Expectation(Frozen):
    """gmv: in major units of `currency`; None where the product has no price."""

    clicks: Estimate
    orders: Estimate
    gmv: Estimate | None = None
    currency: CurrencyCode


class CreatorMatch(Frozen):
    """creator: as much as they allow to be shown. product_id: the product they suit most. new:
    nothing measured is known of their content, and the estimate rests on the profile."""

    creator: Creator
    product_id: ProductId
    score: Number = Field(description="Expected GMV, less what is not delivered in time")
    one_piece: Expectation
    new: bool
    reasons: tuple[str, ...] = Field(examples=[("Promoted similar products: 3 pieces",)])


class ProductMatch(Frozen):
    """commission: expected earnings of one piece at the rate that the creator asks for."""

    product_id: ProductId
    title: str
    merchant: str | None
    price: Money | None = None
    score: Number
    one_piece: Expectation
    commission_rate: BasisPoints | None
    commission: Estimate | None
    reasons: tuple[str, ...]


class BrandMatch(Frozen):
    """A merchant (or brand) by the best of its products for a creator."""

    merchant: Label
    score: Number
    products: tuple[ProductMatch, ...]


class _Matches(Frozen):
    """interval: share of outcomes that intervals are made for."""

    matcher_generation: str
    interval: Share
    simulated: bool


class CreatorMatches(_Matches):
    """not_proposed: creators who withdrew or have no room left."""

    product_ids: tuple[ProductId, ...]
    not_proposed: Count
    matches: tuple[CreatorMatch, ...]


class ProductMatches(_Matches):
    creator_id: PartyId
    matches: tuple[ProductMatch, ...]


class BrandMatches(_Matches):
    creator_id: PartyId
    matches: tuple[BrandMatch, ...]
