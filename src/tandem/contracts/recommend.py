"""What goes into a recommendation and what comes out: the same types in Python and HTTP."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import AwareDatetime, Field

from tandem.contracts.product import Product, ProductId
from tandem.contracts.search import Filters, Frozen

MAX_RECOMMENDED = 100
MAX_RECENT = 50
STORED_EVENTS = "stored events"
"""`data` in the manifest of a recommender that learned from the workspace's own events."""


class Source(StrEnum):
    """Where a recommended product came from."""

    CONTENT = "content"
    SESSIONS = "sessions"
    NETWORK = "network"
    BASKETS = "baskets"
    POPULARITY = "popularity"
    RATING = "rating"
    CATALOGUE = "catalogue"
    EXPLORATION = "exploration"
    VIDEO = "video"


class Kind(StrEnum):
    """What is asked for: what is like a product, what goes with it, what a session leads to, or a
    page of everything."""

    SIMILAR = "similar"
    COMPLEMENTARY = "complementary"
    NEXT = "next"
    FEED = "feed"


class Visit(Frozen):
    """One thing that a visitor did with a product, or that a list did: `impression` counts that it
    was shown. `not_interested` keeps it out of the lists."""

    product_id: ProductId
    action: Literal["view", "click", "add_to_cart", "purchase", "impression", "not_interested"] = (
        "view"
    )


class Visited(Frozen):
    """A product that a visitor looked at, what was done with it last, and when."""

    product_id: ProductId
    action: str
    at: AwareDatetime


class Visitor(Frozen):
    """What is kept of a visitor: nothing without consent.

    recent: products looked at, oldest first; visits says more of each. hidden: those not to be
    shown. shown: how often a list showed a product that was not opened. kept_days: after so many
    days without a visit all of it is gone.
    """

    consent: bool
    recent: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    visits: tuple[Visited, ...] = ()
    shown: dict[str, int] = Field(default_factory=dict)
    kept_days: int


class Interest(Frozen):
    """What a visitor's visits say in plain words, and the products behind it: take these out, and
    the interest is gone."""

    kind: Literal["brand", "category", "price"]
    value: str
    products: tuple[str, ...]


class Known(Frozen):
    """What an answer may know of who asks: products looked at in this visit and before, oldest
    first, those not to be shown, and how often others were shown in vain."""

    session: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    shown: dict[str, int] = Field(default_factory=dict)

    @property
    def recent(self) -> tuple[str, ...]:
        """All that was looked at, oldest first, each once where it came last."""
        both = dict.fromkeys(reversed((*self.before, *self.session)))
        return tuple(reversed(both))


class RecommendRequest(Frozen):
    """One request. `product_id` is what `similar` and `complementary` start from; `recent` is what
    was looked at in this session, oldest first, for `next` and `feed`; `shown` how often a list
    showed a product that was not opened."""

    kind: Kind
    product_id: ProductId | None = None
    recent: tuple[ProductId, ...] = Field(default=(), max_length=MAX_RECENT)
    hidden: tuple[ProductId, ...] = Field(default=(), max_length=1_000)
    shown: dict[ProductId, int] = Field(default_factory=dict, max_length=1_000)
    filters: Filters = Filters()
    size: int = Field(default=12, ge=1, le=MAX_RECOMMENDED)


class FeedVideo(Frozen):
    """A creator's video in the feed. paid: viewers have to be told. simulated: it was made up, and
    there is nothing to play. media_url: where a player finds it, if anywhere."""

    id: str
    creator_id: str
    kind: Literal["video", "live"]
    caption: str
    duration: float | None
    media_url: str | None = None
    paid: bool | None
    simulated: bool


class Recommended(Frozen):
    """One recommended product: `because` says in words why it is here, `from_product` by what."""

    position: int
    score: float
    product: Product
    source: Source
    because: str
    from_product: str | None = Field(
        default=None, description="Id of the product that led here, if one did"
    )
    video: FeedVideo | None = Field(
        default=None, description="A video about the product, to be shown in its place"
    )


class RecommendResponse(Frozen):
    """Recommended products, best first, and everything needed to trace how they came about.

    personal: whether anything about this visitor moved the list. model_generation: the recommender
    that learned from sessions and baskets; null while none is trained.
    """

    query_id: str
    kind: Kind
    items: tuple[Recommended, ...]
    personal: bool
    index_generation: str
    model_generation: str | None = None
    simulated: bool = False
    parts: dict[str, str] = Field(
        default_factory=dict,
        description="Generation by kind of everything that had a say: catalogue, recommender, "
        "feed ranker, content",
    )
    timings_ms: dict[str, float] = Field(default_factory=dict)
