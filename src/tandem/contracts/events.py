"""What shoppers do: query and event records in the terms of User Behavior Insights (UBI).

Two shapes, on either side of the governance door. `QueryRecord` and `EventRecord` are what a
sender states, with its own identifiers in it. `AdmittedEvent` is what is stored: pseudonyms in
place of identifiers, personal data masked in free text. Storage takes nothing else.
"""

from __future__ import annotations

from typing import Annotated, Literal, NewType, Self, TypedDict

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from tandem.contracts.product import Money, ProductId
from tandem.contracts.search import MAX_QUERY

MAX_SHOWN = 1_000
MAX_PRODUCTS_IN_CONTENT = 100
MAX_FILTERS = 32

# Identifiers that are passed on as they are (all others become pseudonyms) take no `@`, no space
# and no sign that could break a line, so that a mail address cannot hide in them.
PlainId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:/-]{1,128}$")]
# Identifiers of people and their devices: any text, since it never gets past the door.
PersonalId = Annotated[str, StringConstraints(min_length=1, max_length=512)]
ActionName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]

# Names that Tandem reads a meaning into; any other name is kept and counted under itself.
ACTIONS = ("impression", "click", "add_to_cart", "remove_from_cart", "purchase", "return", "watch")

Pseudonym = NewType("Pseudonym", str)
"""`<key id>.<22 characters>`: a keyed hash of an identifier, made by `tandem.governance`."""

Traffic = Literal["shopper", "bot_agent", "bot_rate", "internal"]
Device = Literal["desktop", "mobile", "tablet", "app", "other"]
Region = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}(-[A-Z0-9]{1,3})?$")]
"""ISO 3166: a country, or the largest part of one that has a code (DE-BY). Never finer."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    event_id: PersonalId = Field(
        description="Chosen by the sender, unique: sending it again changes nothing",
        examples=["0f8fad5b-d9cb-469f-a165-70867728950e"],
    )
    timestamp: AwareDatetime = Field(
        description="When it happened, by the sender's clock, with its offset from UTC",
        examples=["2026-03-01T12:30:05.250Z"],
    )
    client_id: PersonalId = Field(
        description="The browser or app; stored as a pseudonym only", examples=["c-81f3"]
    )
    session_id: PersonalId | None = Field(
        default=None, description="One visit; stored as a pseudonym only", examples=["s-1"]
    )
    user_id: PersonalId | None = Field(
        default=None, description="The signed-in person; stored as a pseudonym only"
    )
    user_agent: str | None = Field(
        default=None, max_length=1_000, description="Read to tell bots apart, never stored"
    )
    internal: bool = Field(default=False, description="The shop's own staff or tests")
    language: str | None = Field(default=None, pattern=r"^[a-z]{2,3}$", examples=["en"])
    device: Device | None = Field(
        default=None, description="The kind of device, never its make or its owner's name"
    )
    region: Region | None = Field(
        default=None,
        description="Country or its largest part, as the shopper is known to live in or ordered to",
        examples=["DE-BY"],
    )


class QueryRecord(_Record):
    """A search: what was asked and what was answered (a UBI query)."""

    kind: Literal["query"] = "query"
    query_id: PlainId = Field(
        description="As in the answer of `/v1/search`; events name it",
        examples=["5b0c6d1ab2f34ad3a1f6e8b0c9d7e123"],
    )
    user_query: str = Field(
        max_length=MAX_QUERY,
        description="As typed; personal data in it is masked before it is stored",
        examples=["bluetooth speaker"],
    )
    object_ids: tuple[ProductId, ...] = Field(
        default=(), max_length=MAX_SHOWN, description="What was answered, best first"
    )
    total: int | None = Field(
        default=None, ge=0, le=10**12, description="How many products matched"
    )
    filters: tuple[PlainId, ...] = Field(
        default=(),
        max_length=MAX_FILTERS,
        description="Names of the fields that were filtered on (`brand`, `price_max`, …)",
        examples=[("brand",)],
    )
    latency_ms: float | None = Field(
        default=None,
        ge=0,
        le=3_600_000,
        allow_inf_nan=False,
        description="How long the shopper waited for the answer",
    )


class Watch(BaseModel):
    """What was watched: a video or a live, by whom, showing which products."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    content: Literal["video", "live"]
    creator_id: PlainId = Field(description="The creator, as the marketplace knows them")
    product_ids: tuple[ProductId, ...] = Field(default=(), max_length=MAX_PRODUCTS_IN_CONTENT)
    seconds: float = Field(ge=0, le=86_400 * 7, allow_inf_nan=False, description="Watched time")
    duration: float | None = Field(
        default=None, gt=0, le=86_400 * 7, allow_inf_nan=False, description="Whole length, seconds"
    )


class EventRecord(_Record):
    """An action (a UBI event). For `watch`, `object_id` is the video or live."""

    kind: Literal["event"] = "event"
    action_name: ActionName = Field(examples=["click"])
    query_id: PlainId | None = Field(
        default=None,
        description="The search that led here; missing: none is known",
        examples=["5b0c6d1ab2f34ad3a1f6e8b0c9d7e123"],
    )
    user_query: str | None = Field(default=None, max_length=MAX_QUERY)
    object_id: ProductId | None = Field(default=None, examples=["SP-1"])
    position: int | None = Field(
        default=None, ge=1, le=10_000, description="Place in the list, from 1", examples=[3]
    )
    quantity: int | None = Field(default=None, ge=1, le=1_000_000)
    amount: Money | None = Field(default=None, description="Of all `quantity` together")
    order_id: PersonalId | None = Field(
        default=None, description="Holds a purchase together; stored as a pseudonym only"
    )
    watch: Watch | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.action_name == "watch") != (self.watch is not None):
            raise ValueError("an action 'watch' needs the field watch, and no other action has it")
        if self.action_name != "search" and self.object_id is None:
            raise ValueError(f"'{self.action_name}' needs an object_id")
        return self


Record = Annotated[QueryRecord | EventRecord, Field(discriminator="kind")]


class AdmittedEvent(TypedDict):
    """One record as it is stored: a flat row. None means unknown and is never read as zero.

    event_key: 32 hex digits, the keyed hash of the sender's event id.
    timestamp, received: microseconds since 1970 in UTC; `timestamp` after clock correction.
    amount: decimal text in major units of `currency`, exact. position: from 1.
    traffic: which rule took the event for other than a shopper's, or `shopper`.
    clock: how the timestamp was treated: `kept`, or `shifted` by the sender's clock offset.
    masked: kinds of personal data that were masked in `user_query`, sorted.
    filters, latency_ms: of a query: names of the fields filtered on; milliseconds waited.
    """

    event_key: str
    action_name: str
    timestamp: int
    received: int
    client: Pseudonym
    session: Pseudonym | None
    user: Pseudonym | None
    query_id: str | None
    user_query: str | None
    masked: tuple[str, ...]
    language: str | None
    object_id: str | None
    position: int | None
    quantity: int | None
    amount: str | None
    currency: str | None
    order: Pseudonym | None
    total: int | None
    object_ids: tuple[str, ...]
    content: str | None
    creator_id: str | None
    seconds: float | None
    duration: float | None
    device: Device | None
    region: str | None
    filters: tuple[str, ...]
    latency_ms: float | None
    traffic: Traffic
    clock: Literal["kept", "shifted"]


class EventOutcome(BaseModel):
    """What became of one record that was sent. The last four say why it was refused."""

    model_config = ConfigDict(frozen=True)

    status: Literal["accepted", "duplicate", "refused"]
    code: str | None = Field(default=None, examples=["in_future"])
    field: str | None = Field(default=None, examples=["timestamp"])
    reason: str | None = None
    remedy: str | None = None


QUERY_ACTION = "search"
"""`action_name` of an admitted query record."""

EXPOSURE_ACTION = "exposure"
"""`action_name` of a row that the shop itself writes when an experiment first has an effect on what
somebody sees; its object is EXPERIMENT:VARIANT. Senders may not use it."""
