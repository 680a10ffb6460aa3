"""Who sells and who shows: merchants, creators and what creators publish.

Names follow the affiliate interfaces of large marketplaces. What a person has not agreed to show
exactly is given as a range; `None` means unknown and is never read as zero.
"""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from math import sqrt
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from tandem.contracts.events import MAX_PRODUCTS_IN_CONTENT, PlainId
from tandem.contracts.product import CurrencyCode, Label, ProductId

BasisPoints = Annotated[int, Field(ge=0, le=10_000)]
"""Hundredths of a percent: 3000 is 30%."""
PartyId = Annotated[str, StringConstraints(pattern=r"^[^\s@]([^@\n\r\t]{0,198}[^\s@])?$")]
"""A merchant or creator as the marketplace names them; no `@`, so that no mail address fits."""
Kind = Literal["merchants", "creators", "content"]
"""What is kept of the market's parties, each in generations of its own."""
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Amount = Annotated[Decimal, Field(ge=0, allow_inf_nan=False, max_digits=18, decimal_places=4)]
MediaUrl = Annotated[str, StringConstraints(pattern=r"^https://[^\s\"'<>\\]{1,2000}$")]
"""Where a browser finds a video file; nothing is fetched by the shop itself."""
Hashtag = Annotated[str, StringConstraints(pattern=r"^\w{1,100}$")]
"""Without the sign `#`."""


class _Contract(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CountRange(_Contract):
    """A count that is shown as a range only; equal ends are an exact value."""

    minimum: Count
    maximum: Count | None = Field(default=None, description="None: no upper end is stated")

    @property
    def exact(self) -> bool:
        return self.minimum == self.maximum

    @property
    def middle(self) -> float:
        """Geometric middle, one added; the lower end where no upper one is stated."""
        high = self.minimum if self.maximum is None else self.maximum
        return sqrt((self.minimum + 1) * (high + 1)) - 1

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.maximum is not None and self.maximum < self.minimum:
            raise ValueError("the maximum is below the minimum")
        return self


class MoneyRange(_Contract):
    """An amount that is shown as a range only; equal ends are an exact value."""

    minimum_amount: Amount
    maximum_amount: Amount | None = None
    currency: CurrencyCode

    @property
    def exact(self) -> bool:
        return self.minimum_amount == self.maximum_amount

    @property
    def middle(self) -> float:
        """Geometric middle, one added, in major units; the lower end where no upper is stated."""
        high = self.minimum_amount if self.maximum_amount is None else self.maximum_amount
        return sqrt((self.minimum_amount + 1) * (high + 1)) - 1

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.maximum_amount is not None and self.maximum_amount < self.minimum_amount:
            raise ValueError("the maximum is below the minimum")
        return self


class Merchant(_Contract):
    """Somebody who sells on the marketplace. `id` is the `merchant` of its products."""

    id: PartyId
    name: Label
    categories: tuple[Label, ...] = Field(default=(), description="Broadest first")
    regions: tuple[Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")], ...] = ()
    rating: Annotated[float, Field(ge=0, le=5, allow_inf_nan=False)] | None = None
    fulfillment_percentage: Share | None = Field(
        default=None, description="Orders and samples sent in time, of all that were due"
    )
    blocked_categories: tuple[Label, ...] = Field(
        default=(), description="Not advertised beside these"
    )
    simulated: bool = False


class Audience(_Contract):
    """Who follows a creator, in shares that the platform states; each mapping sums to at most 1."""

    by_gender: dict[str, Share] = Field(default_factory=dict)
    by_age: dict[str, Share] = Field(default_factory=dict, examples=[{"18-24": 0.4}])
    by_region: dict[str, Share] = Field(default_factory=dict)
    by_category: dict[str, Share] = Field(
        default_factory=dict, description="What followers bought or watched, by product category"
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for name in ("by_gender", "by_age", "by_region", "by_category"):
            if sum(getattr(self, name).values()) > 1 + 1e-6:
                raise ValueError(f"the shares of {name} sum to more than 1")
        return self


class Creator(_Contract):
    """Somebody who makes content, as the platform declares them.

    Statistics cover the last 30 days. Performance is a range unless the creator agreed to show
    the value itself.
    """

    id: PartyId
    handle: Label
    bio: str = Field(default="", max_length=2_000)
    topics: tuple[Label, ...] = ()
    language: str | None = Field(default=None, pattern=r"^[a-z]{2,3}$")
    region: str | None = Field(default=None, pattern=r"^[A-Z]{2}$")
    follower_count: CountRange | None = None
    audience: Audience = Audience()
    video_count: Count | None = None
    live_count: Count | None = None
    avg_video_views: CountRange | None = None
    engagement_rate: Share | None = None
    gmv: MoneyRange | None = None
    gpm: MoneyRange | None = Field(default=None, description="GMV per 1,000 views")
    items_sold: CountRange | None = None
    post_rate: Share | None = Field(
        default=None, description="Samples that led to content, of those received"
    )
    fulfillment_percentage: Share | None = Field(
        default=None, description="Collaborations whose content was live in time, of those due"
    )
    commission_rate: BasisPoints | None = Field(
        default=None, description="Lowest rate that the creator asks for"
    )
    slots: Count | None = Field(default=None, description="Collaborations that still fit in")
    blocked_categories: tuple[Label, ...] = Field(default=(), description="Never promoted")
    simulated: bool = False


class Content(_Contract):
    """A published video or live, with what viewers did. Percent marks count views that got there.

    hook rate = `video_views_2s` / `impressions`; hold rate = `video_views_p25` / `video_views_2s`;
    `ctr` = `clicks` / `impressions`; `ctor` = `orders` / `clicks`; `gpm` = GMV per 1,000 views.
    """

    id: PlainId
    creator_id: PartyId
    kind: Literal["video", "live"]
    published: AwareDatetime
    caption: str = Field(default="", max_length=4_000)
    hashtags: tuple[Hashtag, ...] = ()
    transcript: str = Field(default="", max_length=100_000)
    language: str | None = Field(default=None, pattern=r"^[a-z]{2,3}$")
    product_ids: tuple[ProductId, ...] = Field(default=(), max_length=MAX_PRODUCTS_IN_CONTENT)
    paid: bool | None = Field(
        default=None, description="Made for a commission or a fee: viewers have to be told"
    )
    duration: Seconds | None = None
    media_url: MediaUrl | None = Field(
        default=None, description="The video as a file that a browser plays (MP4 or WebM, say)"
    )
    impressions: Count | None = None
    views: Count | None = None
    video_views_2s: Count | None = None
    video_views_p25: Count | None = None
    video_views_p50: Count | None = None
    video_views_p75: Count | None = None
    video_views_p100: Count | None = None
    average_video_play: Seconds | None = None
    likes: Count | None = None
    comments: Count | None = None
    shares: Count | None = None
    clicks: Count | None = None
    orders: Count | None = None
    items_sold: Count | None = None
    gmv: MoneyRange | None = None
    simulated: bool = False

    @model_validator(mode="after")
    def _falling(self) -> Self:
        marks = [getattr(self, name) for name in WATCH_CURVE]
        known = [count for count in marks if count is not None]
        if any(later > earlier for earlier, later in pairwise(known)):
            raise ValueError(f"more viewers later than before: {', '.join(WATCH_CURVE)} must fall")
        return self

    @property
    def hook_rate(self) -> float | None:
        return _ratio(self.video_views_2s, self.impressions)

    @property
    def hold_rate(self) -> float | None:
        return _ratio(self.video_views_p25, self.video_views_2s)

    @property
    def ctr(self) -> float | None:
        return _ratio(self.clicks, self.impressions)

    @property
    def ctor(self) -> float | None:
        return _ratio(self.orders, self.clicks)

    @property
    def gpm(self) -> MoneyRange | None:
        """GMV per 1,000 views, in hundredths, as exact as the GMV is."""
        if self.gmv is None or not self.views:
            return None
        most = self.gmv.maximum_amount
        return MoneyRange(
            minimum_amount=_per_thousand(self.gmv.minimum_amount, self.views),
            maximum_amount=None if most is None else _per_thousand(most, self.views),
            currency=self.gmv.currency,
        )


WATCH_CURVE = (
    "video_views_2s",
    "video_views_p25",
    "video_views_p50",
    "video_views_p75",
    "video_views_p100",
)
"""Marks of a view in their order: who got to a later one passed the earlier ones."""


def _ratio(part: int | None, whole: int | None) -> float | None:
    """None where either is unknown or nothing was shown: no rate is not a rate of 0."""
    return part / whole if part is not None and whole else None


def _per_thousand(amount: Decimal, views: int) -> Decimal:
    return (amount * 1000 / views).quantize(Decimal("0.01"))
