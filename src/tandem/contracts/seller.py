"""What merchants are told about their sales: indicators, targets, movement, forecast, position."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from tandem.contracts.collaboration import SignedAmount
from tandem.contracts.listing import ListingQuality
from tandem.contracts.parties import PartyId
from tandem.contracts.product import CurrencyCode, ProductId
from tandem.contracts.search import Frozen

Period = Annotated[str, StringConstraints(pattern=r"^[1-9]\d{3}-(0[1-9]|1[0-2])$")]
"""A month, as 2026-03."""
IndicatorName = Literal[
    "gmv", "orders", "conversion", "search_share", "creator_gmv", "return_rate", "views"
]
Unit = Literal["money", "count", "share"]
Direction = Literal["up", "down"]


class Target(Frozen):
    """What a merchant aims at in one month, which may be still to come. Money in major units of
    the shop's currency. value: None: at nothing any more."""

    merchant: PartyId
    period: Period
    indicator: IndicatorName
    value: float | None = Field(ge=0, le=1e15, allow_inf_nan=False)


class Day(Frozen):
    """An indicator on one day; None: not released, which is not zero."""

    day: str = Field(examples=["2026-03-01"])
    value: float | None


class Indicator(Frozen):
    """One indicator of one month.

    value, before: of this month and of the month before; None: not known or not of enough people.
    better: in which direction it is better. target: what the merchant aims at. days: its course,
    where it is told by day.
    """

    name: IndicatorName
    unit: Unit
    better: Direction
    value: float | None
    before: float | None
    target: float | None = None
    means: str = Field(description="How it is counted, in words")
    days: tuple[Day, ...] = ()


class Indicators(Frozen):
    """A merchant's indicators of one month. `withheld`: cells left out, by reason. over: whether
    the month is; before that it has targets and no values."""

    merchant: PartyId
    period: Period
    over: bool = True
    currency: CurrencyCode
    k: int
    indicators: tuple[Indicator, ...]
    withheld: dict[str, int]
    other_currency_lines: int = Field(
        default=0, description="Order lines in other currencies, which are not in `gmv`"
    )
    simulated: bool = False


class Moved(Frozen):
    """How one part of the business changed sales. `amount` is the sum of the factors' amounts."""

    part: str
    title: str
    amount: SignedAmount
    traffic: SignedAmount
    conversion: SignedAmount
    basket: SignedAmount
    untracked: SignedAmount


class Movement(Frozen):
    """What moved sales from one month to the next.

    by_product and by_channel are two views of the same change: each sums to `change`, exactly, by
    part and by factor. The part `rest` is of everything too small to be told by itself.
    """

    merchant: PartyId
    period: Period
    before: Period
    currency: CurrencyCode
    gmv_before: SignedAmount
    gmv: SignedAmount
    change: SignedAmount
    by_product: tuple[Moved, ...]
    by_channel: tuple[Moved, ...]
    simulated: bool = False


class OutlookDay(Frozen):
    """What is expected of one day, or of the week that begins on it."""

    day: str
    mean: float
    low: float
    high: float


class SalesOutlook(Frozen):
    """Sales to come, by day and in all, with an interval that is meant to hold `level` of the time.

    step: by week where too few days may be told. past: sales up to now in the same steps, a week
    counted as seven days. origins: on how many earlier forecasts of this series its width was
    measured; 0: on none.
    """

    merchant: PartyId
    currency: CurrencyCode
    step: Literal["day", "week"] = "day"
    since: str = Field(description="First day that it was learned from")
    shared_out: int = Field(
        default=0,
        description="Steps since then that are withheld, and share what is left of their month",
    )
    past: tuple[Day, ...] = ()
    days: tuple[OutlookDay, ...]
    total: float
    total_low: float
    total_high: float
    level: float
    origins: int
    simulated: bool = False


class Comparable(Frozen):
    """Prices of products of the same kind by others. position: share of them that cost less."""

    products: int
    low: float
    median: float
    high: float
    position: float = Field(ge=0, le=1)


class Shelf(Frozen):
    """One product of a merchant: its price beside comparable ones, and what its listing lacks."""

    product_id: ProductId
    title: str
    price: float | None
    currency: CurrencyCode | None = Field(
        default=None, description="Of its price and of comparable ones; None: no price"
    )
    images: int
    attributes: int
    expected: int = Field(description="Attributes that most of its kind state")
    missing: tuple[str, ...] = Field(description="Which of them it does not state")
    comparable: Comparable | None = Field(
        default=None, description="None: no price, or too few to compare with"
    )
    quality: ListingQuality | None = Field(
        default=None, description="How good the listing is, and what to do about it"
    )


class Assortment(Frozen):
    """A merchant's products. Shares are of all of them; `products` are those that lack most."""

    merchant: PartyId
    currency: CurrencyCode
    count: int
    with_image: float
    with_price: float
    attribute_completeness: float | None
    shop_has_images: bool = Field(description="Whether any product of the shop names an image")
    products: tuple[Shelf, ...]
    simulated: bool = False
