"""What a creator is told: products that fit, what is searched for and rarely shown, what worked."""

from __future__ import annotations

from pydantic import AwareDatetime, Field

from tandem.contracts.parties import BasisPoints, MoneyRange, PartyId
from tandem.contracts.product import CurrencyCode, Money, ProductId
from tandem.contracts.search import Frozen


class Earnings(Frozen):
    """Commission of one piece of content, as a range: the middle 60% of `pieces` comparable ones.

    own: these were the creator's own; else they were of similar creators, scaled to the reach of
    this one. commission_rate: that the range was worked out with.
    """

    low: float = Field(ge=0)
    middle: float = Field(ge=0)
    high: float = Field(ge=0)
    currency: CurrencyCode
    commission_rate: BasisPoints
    pieces: int
    own: bool


class ProductFit(Frozen):
    """A product that suits a creator, and why. earnings: None where too little is known."""

    product_id: ProductId
    title: str
    merchant: str | None
    category: tuple[str, ...]
    price: Money | None
    earnings: Earnings | None
    reasons: tuple[str, ...]


class ContentGap(Frozen):
    """Something that is often searched for and rarely shown, within a creator's topics.

    asked: searches in the month of the report. content: videos and lives that show one of the first
    ten products of its answer.
    """

    query: str
    asked: int
    content: int
    topic: str
    product_id: ProductId
    title: str


class Watching(Frozen):
    """How content is watched and what it sells, as ratios of sums over `pieces`.

    retention: share of viewers who are still there at 2 s, 25%, 50%, 75% and the end. gpm: sales
    per 1,000 views, as exact as the platform tells them. creators: how many it is of. None: not
    known, or of too few to be told.
    """

    pieces: int
    creators: int
    hook_rate: float | None
    hold_rate: float | None
    retention: tuple[float | None, ...]
    ctr: float | None
    ctor: float | None
    gpm: MoneyRange | None = None


class Piece(Frozen):
    """One video or live of the creator. Rates are None with fewer than k views."""

    content_id: str
    kind: str
    published: AwareDatetime
    caption: str
    product_ids: tuple[ProductId, ...]
    title: str | None
    views: int | None
    hook_rate: float | None
    hold_rate: float | None
    retention: tuple[float | None, ...]
    clicks: int | None
    orders: int | None
    gmv_low: float | None
    gmv_high: float | None
    currency: CurrencyCode | None


class Worked(Frozen):
    """What worked after posting, beside the creator's own past and similar creators.

    recent: the last ten pieces. past: all before. similar: of creators with like topics, at least
    five of them and none with most of the views; None where there are too few. says: differences
    within the creator's own content that are not chance.
    """

    creator: PartyId
    k: int
    pieces: tuple[Piece, ...]
    recent: Watching
    past: Watching | None
    similar: Watching | None
    says: tuple[str, ...]
    simulated: bool


class StudioHome(Frozen):
    """Products and gaps for one creator."""

    creator: PartyId
    topics: tuple[str, ...]
    products: tuple[ProductFit, ...]
    gaps: tuple[ContentGap, ...]
    simulated: bool
