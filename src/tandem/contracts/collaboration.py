"""One collaboration of a merchant and a creator, from the first word to the last cent.

Actions are what the parties do; a `Collaboration` is the state they led to. Money is exact:
decimals in major units. An order line is known by a keyed hash only.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from tandem.contracts.events import MAX_PRODUCTS_IN_CONTENT, PlainId
from tandem.contracts.parties import BasisPoints, PartyId
from tandem.contracts.product import CurrencyCode, Money, ProductId

Role = Literal["merchant", "creator", "platform"]
Status = Literal[
    "INVITED",
    "APPLIED",
    "ACCEPTED",
    "CONTENT_DUE",
    "CONTENT_LIVE",
    "ENDED",
    "DECLINED",
    "WITHDRAWN",
    "EXPIRED",
    "CANCELLED",
]
SampleStatus = Literal[
    "PENDING", "AWAITING_SHIPMENT", "SHIPPED", "CONTENT_PENDING", "COMPLETED", "CANCELLED"
]
CommissionStatus = Literal["PENDING", "FROZEN", "SETTLED", "REFUNDED"]
Account = Literal["expense", "pending", "frozen", "settled"]
"""`expense` is what the merchant owes (debit); the creator's side is `pending` until it may be
settled, `frozen` while disputed, and `settled` once it is on a settlement (credit)."""

OrderLine = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
"""Keyed hash of order and line, which stays the same when keys are rotated."""
Days = Annotated[int, Field(ge=0, le=365)]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=1_000, strip_whitespace=True)]
ProductIds = Annotated[
    tuple[ProductId, ...], Field(min_length=1, max_length=MAX_PRODUCTS_IN_CONTENT)
]
SignedAmount = Annotated[Decimal, Field(allow_inf_nan=False, max_digits=18, decimal_places=4)]
SignedTotal = Annotated[Decimal, Field(allow_inf_nan=False, max_digits=28, decimal_places=4)]
"""The sum of many amounts, which may have more digits than one of them."""
WHOLE = 10_000
"""All of something, in basis points."""


class _Contract(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Total(Money):
    """The sum of many amounts: beyond what one may be."""

    amount: Decimal = Field(ge=0, allow_inf_nan=False, max_digits=28, decimal_places=4)


class Party(_Contract):
    """Who acts. The platform arbitrates and runs deadlines; its id names the operator."""

    role: Role
    id: PartyId


class Terms(_Contract):
    """What both sides agree to beside rate and products; days are counted in full 24 hours.

    respond_days: to answer an invitation or application.
    content_days: from acceptance, or from receipt of the sample, until content is due.
    extensions, extension_days: how often the due date may be moved, and by how much at once.
    rate_lock_days: from acceptance; the rate cannot be lowered so long.
    attribution_days: orders count so long after the collaboration has ended.
    settle_days: return window; commission of an order can be settled after it.
    """

    sample: bool = False
    respond_days: Days = 7
    content_days: Annotated[int, Field(ge=1, le=365)] = 14
    extensions: Annotated[int, Field(ge=0, le=10)] = 2
    extension_days: Annotated[int, Field(ge=1, le=90)] = 14
    rate_lock_days: Days = 30
    attribution_days: Days = 7
    settle_days: Days = 14


class Rate(_Contract):
    """A commission rate and the moment from which orders get it."""

    commission_rate: BasisPoints
    effective: AwareDatetime


class Disclosure(_Contract):
    """How viewers are told that the content is paid for."""

    by: Literal["platform_label", "hashtag"]
    hashtag: Annotated[str, StringConstraints(pattern=r"^\w{1,100}$")] | None = None

    @model_validator(mode="after")
    def _named(self) -> Self:
        if (self.by == "hashtag") != (self.hashtag is not None):
            raise ValueError("a disclosure by hashtag names the hashtag, and no other does")
        return self


class LiveContent(_Contract):
    content_id: PlainId
    live: AwareDatetime
    disclosure: Disclosure


class Dispute(_Contract):
    opened_by: Role
    opened: AwareDatetime
    reason: Reason


class Collaboration(_Contract):
    """State of one collaboration. `version` counts the actions that led to it.

    kind: `target` began with a merchant's invitation, `open` with a creator's application.
    rates: oldest first; `rate_at` says which one an order gets.
    content_due: None until the sample has come, or where nothing is due any more.
    attributable_until: orders from then on do not count; None while it runs.
    """

    id: PlainId
    kind: Literal["open", "target"]
    merchant_id: PartyId
    creator_id: PartyId
    product_ids: ProductIds
    terms: Terms
    status: Status
    rates: Annotated[tuple[Rate, ...], Field(min_length=1)]
    sample: SampleStatus | None = None
    respond_by: AwareDatetime
    rate_locked_until: AwareDatetime | None = None
    content_due: AwareDatetime | None = None
    extension_asked: Annotated[int, Field(ge=1, le=90)] | None = None
    extensions_granted: int = 0
    content: tuple[LiveContent, ...] = ()
    attributable_until: AwareDatetime | None = None
    dispute: Dispute | None = None
    created: AwareDatetime
    updated: AwareDatetime
    version: Annotated[int, Field(ge=1)] = 1

    def rate_at(self, moment: AwareDatetime) -> int:
        """Basis points for an order of `moment`; the first rate for any time before it."""
        effective = [r for r in self.rates if r.effective <= moment] or self.rates[:1]
        return effective[-1].commission_rate


# --- Actions -------------------------------------------------------------------------------------


class Invite(_Contract):
    """A merchant asks a creator (target collaboration)."""

    action: Literal["invite"] = "invite"
    creator_id: PartyId
    product_ids: ProductIds
    commission_rate: BasisPoints
    terms: Terms = Terms()


class Apply(_Contract):
    """A creator asks a merchant (open collaboration), at the rate that the merchant offers."""

    action: Literal["apply"] = "apply"
    merchant_id: PartyId
    product_ids: ProductIds
    commission_rate: BasisPoints
    terms: Terms = Terms()


class Accept(_Contract):
    action: Literal["accept"] = "accept"


class Decline(_Contract):
    action: Literal["decline"] = "decline"


class Withdraw(_Contract):
    """Take one's own invitation or application back before it is answered."""

    action: Literal["withdraw"] = "withdraw"


class ApproveSample(_Contract):
    action: Literal["approve_sample"] = "approve_sample"


class ShipSample(_Contract):
    action: Literal["ship_sample"] = "ship_sample"


class ReceiveSample(_Contract):
    """From here on content is due."""

    action: Literal["receive_sample"] = "receive_sample"


class AskExtension(_Contract):
    action: Literal["ask_extension"] = "ask_extension"
    days: Annotated[int, Field(ge=1, le=90)]


class GrantExtension(_Contract):
    action: Literal["grant_extension"] = "grant_extension"


class RefuseExtension(_Contract):
    action: Literal["refuse_extension"] = "refuse_extension"


class Publish(_Contract):
    """Content is live. Without a disclosure that viewers can see it is refused."""

    action: Literal["publish"] = "publish"
    content_id: PlainId
    caption: Annotated[str, Field(max_length=4_000)] = ""
    disclosure: Disclosure
    live: AwareDatetime | None = Field(default=None, description="Since when; None: now")


class ChangeRate(_Contract):
    """Orders get the new rate from now on; it cannot be lowered while it is locked."""

    action: Literal["change_rate"] = "change_rate"
    commission_rate: BasisPoints


class OpenDispute(_Contract):
    """Everything that is not settled yet is frozen until the platform decides."""

    action: Literal["open_dispute"] = "open_dispute"
    reason: Reason


class ResolveDispute(_Contract):
    """`release`: commissions go on. `refund`: what is not settled is not owed, and it ends."""

    action: Literal["resolve_dispute"] = "resolve_dispute"
    outcome: Literal["release", "refund"]


class Cancel(_Contract):
    """Call it off before content is live."""

    action: Literal["cancel"] = "cancel"
    reason: Reason


class End(_Contract):
    """Live content has run its course; orders count for `attribution_days` more."""

    action: Literal["end"] = "end"


class Expire(_Contract):
    """A deadline has passed: the answer's or the content's."""

    action: Literal["expire"] = "expire"


Opening = Annotated[Invite | Apply, Field(discriminator="action")]
Action = Annotated[
    Accept
    | Decline
    | Withdraw
    | ApproveSample
    | ShipSample
    | ReceiveSample
    | AskExtension
    | GrantExtension
    | RefuseExtension
    | Publish
    | ChangeRate
    | OpenDispute
    | ResolveDispute
    | Cancel
    | End
    | Expire,
    Field(discriminator="action"),
]


# --- Money ---------------------------------------------------------------------------------------


class AttributedOrder(_Contract):
    """An order line that a collaboration brought in, or `share` of it in basis points.

    Shares of one line over all collaborations never sum to more than the whole.
    """

    action: Literal["attribute"] = "attribute"
    order_line: OrderLine
    product_id: ProductId
    ordered: AwareDatetime
    amount: Money = Field(description="Of the whole line, as the shopper paid it")
    share: Annotated[int, Field(ge=1, le=WHOLE)] = WHOLE


class Refund(_Contract):
    """Money went back to the shopper for an order line, wholly or in part."""

    action: Literal["refund"] = "refund"
    refund_id: PlainId = Field(description="Chosen by the sender: the same id counts once")
    order_line: OrderLine
    amount: Money


class Settle(_Contract):
    """Put everything whose return window is over on one settlement."""

    action: Literal["settle"] = "settle"
    merchant_id: PartyId
    creator_id: PartyId
    currency: CurrencyCode


class Attribution(_Contract):
    """The commission of one order line within one collaboration.

    commission: what it is worth now, after refunds. settled: what settlements hold of it; more
    than `commission` where a refund came later, which the next settlement takes back.
    ceiling: the most it can be worth, after a dispute that ended in a refund.
    """

    order_line: OrderLine
    collaboration_id: PlainId
    merchant_id: PartyId
    creator_id: PartyId
    product_id: ProductId
    ordered: AwareDatetime
    amount: Money
    refunded: Money
    share: Annotated[int, Field(ge=1, le=WHOLE)]
    commission_rate: BasisPoints
    commission: Money
    settled: Money
    frozen: bool = False
    ceiling: Money | None = None
    matures: AwareDatetime

    @property
    def status(self) -> CommissionStatus:
        if self.frozen:
            return "FROZEN"
        if self.commission.amount != self.settled.amount:
            return "PENDING"
        return "SETTLED" if self.commission.amount else "REFUNDED"


class SettlementLine(_Contract):
    """`amount` is negative where an earlier settlement is corrected for a refund."""

    order_line: OrderLine
    collaboration_id: PlainId
    amount: SignedAmount


class Settlement(_Contract):
    """What a merchant owes a creator for one period: the sum of its lines, never below zero."""

    id: PlainId
    merchant_id: PartyId
    creator_id: PartyId
    amount: Total
    lines: tuple[SettlementLine, ...]
    settled: AwareDatetime


class Posting(_Contract):
    """One leg of a double entry: debit above zero, credit below. An entry's legs sum to zero."""

    account: Account
    collaboration_id: PlainId
    order_line: OrderLine
    currency: CurrencyCode
    amount: SignedAmount


class AuditEntry(_Contract):
    """Who did what and when. `digest` chains it to all entries before: SHA-256 in hex."""

    sequence: Annotated[int, Field(ge=1)]
    at: AwareDatetime
    party: Party
    collaboration_id: PlainId | None
    action: dict[str, object]
    digest: str
