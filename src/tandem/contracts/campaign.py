"""A merchant's campaign: what it wants, who is asked for what, what that is expected to bring."""

from __future__ import annotations

from datetime import UTC, date
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from tandem.contracts.collaboration import SampleStatus, Status
from tandem.contracts.events import PlainId, Region
from tandem.contracts.matching import Estimate, Expectation
from tandem.contracts.parties import Count, PartyId, Share
from tandem.contracts.product import Money, ProductId
from tandem.contracts.search import Frozen

Goal = Literal["gmv", "orders", "clicks"]
CampaignStatus = Literal["planned", "running", "ended", "cancelled"]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]
MAX_PRODUCTS = 50
LONGEST_DAYS = 366


class NewCampaign(Frozen):
    """What a merchant asks for. exploration: share of the budget that may be spent on finding out
    how good creators are whose worth is not known well. holdout: share of the planned creators,
    drawn by lot, who are not asked, to measure what the campaign adds. by_region: instead, half of
    the regions, drawn by lot, do not see it."""

    merchant_id: PartyId = Field(examples=["Acme"])
    name: Name = Field(examples=["Spring lamps"])
    goal: Goal = "gmv"
    budget: Money
    starts: date = Field(examples=["2026-04-01"])
    ends: date = Field(examples=["2026-04-30"], description="The last day")
    product_ids: Annotated[tuple[ProductId, ...], Field(min_length=1, max_length=MAX_PRODUCTS)]
    creators_per_product: Annotated[int, Field(ge=1, le=20)] = 5
    exploration: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    holdout: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    by_region: bool = False

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not 0 <= (self.ends - self.starts).days < LONGEST_DAYS:
            raise ValueError("a campaign ends on or after its first day, within a year")
        if self.by_region and self.holdout:
            raise ValueError("a trial is by creators (holdout) or by_region, not both")
        return self


class PlannedPiece(Frozen):
    """One piece of content by one creator about one product. cost: expected commission and the
    sample. exploring: chosen to find out, from the share of the budget that is set apart."""

    creator_id: PartyId
    product_id: ProductId
    one_piece: Expectation
    cost: Money
    exploring: bool
    reasons: tuple[str, ...]


class Outlook(Frozen):
    """What all planned pieces together are expected to bring: eight of ten outcomes lie in the
    intervals if pieces succeed independently of one another."""

    clicks: Estimate
    orders: Estimate
    gmv: Estimate


class TrialResult(Frozen):
    """What the campaign added in the audiences of the creators who were asked, beside those of
    creators who were not, by lot. Orders of the campaign's products on its days by people who
    watched one of the creators before.

    asked_rate, held_rate: orders by 1,000 people. added: orders, with an interval of `confidence`.
    All of them None where `reason` says why they are not known. doubts: what is known to have gone
    otherwise than the lot said; creators count on the side that it put them on all the same.
    """

    asked_creators: Count
    held_creators: Count
    asked_people: Count | None = None
    held_people: Count | None = None
    asked_rate: float | None = None
    held_rate: float | None = None
    added: float | None = None
    low: float | None = None
    high: float | None = None
    confidence: float = 0.9
    reason: str | None = None
    doubts: tuple[str, ...] = ()
    assumptions: tuple[str, ...] = ()


class RegionPlan(Frozen):
    """A trial by regions: `shown` see the campaign, `not_shown` do not, each beside its pair, by
    lot. What is published has to be shown in these regions and nowhere else.

    share: of all shoppers, whom one half of these regions has. days_before: days that the
    campaign's are held against. usual: orders from so many on its days without it, as of late.
    detectable: orders added that the trial finds eight times of ten; power: how often it finds as
    many as the plan expects, if all of them are added. None of these depends on the lot.
    """

    shown: tuple[Region, ...]
    not_shown: tuple[Region, ...]
    share: Share
    days_before: Annotated[int, Field(ge=1)]
    usual: Annotated[float, Field(ge=0)]
    detectable: Annotated[float, Field(ge=0)]
    power: Share


class RegionResult(Frozen):
    """What the campaign added in the regions that saw it, beside those that did not, by lot.

    shown_orders: of the campaign's products on its days, from the regions that saw it; usual: had
    they not; added: orders, with an interval of `confidence`. Nothing else is told, so that the
    merchant's own totals less it are never of few people. All of them None where `reason` says why
    they are not known.
    """

    pairs: Count
    shown_orders: Count | None = None
    usual: float | None = None
    added: float | None = None
    low: float | None = None
    high: float | None = None
    confidence: float = 0.9
    reason: str | None = None
    assumptions: tuple[str, ...] = ()


class Campaign(Frozen):
    """A campaign with its plan. cost: expected, of all pieces. gap: share of the best possible
    value that the plan may lack, proven. exploration_cost: how much of the goal exploring is
    expected to cost. held_out: planned pieces of creators who are not asked, by lot; trial_cost:
    how much of the goal they were expected to bring, or the regions that do not see it; trial: told
    once, when the days are over. regions: a trial by regions, and region_trial what it told; the
    outlook is then of the regions that see it.
    cancelled: the last day that counts."""

    id: PlainId
    asked: NewCampaign
    created: AwareDatetime
    pieces: tuple[PlannedPiece, ...]
    outlook: Outlook
    cost: Money
    gap: Share
    exploration_cost: Annotated[float, Field(ge=0)]
    matcher_generation: str
    simulated: bool
    held_out: tuple[PlannedPiece, ...] = ()
    trial_cost: Annotated[float, Field(ge=0)] = 0.0
    trial: TrialResult | None = None
    regions: RegionPlan | None = None
    region_trial: RegionResult | None = None
    cancelled: date | None = None

    @property
    def by_lot(self) -> bool:
        """Whether it was planned in time for a lot to decide who is asked, or where it is shown. A
        plan over past days could be drawn again and again, until the answers tell of single
        creators."""
        return self.created.astimezone(UTC).date() <= self.asked.starts

    @property
    def last_day(self) -> date:
        """The last day that counts."""
        return self.asked.ends if self.cancelled is None else min(self.asked.ends, self.cancelled)


class PieceResult(Frozen):
    """What became of one planned piece.

    collaboration: where the last agreement of merchant and creator about the product stands; None:
    there is none. content_ids: published about it on the campaign's days, with its clicks, orders
    and sales, which count another product too where it shows one. Where the creator withholds exact
    figures, sales are a range and orders None. sample: where it stands. commission: from the
    merchant's own books, after refunds, of the product's orders on these days; settled: what
    settlements hold of it.
    """

    creator_id: PartyId
    product_id: ProductId
    collaboration: Status | None = None
    sample: SampleStatus | None = None
    content_ids: tuple[str, ...] = ()
    clicks: Count | None = None
    orders: Count | None = None
    gmv_low: Money | None = None
    gmv_high: Money | None = None
    commission: Money | None = None
    settled: Money | None = None


class CampaignResults(Frozen):
    """How it went up to now. planned: pieces of the plan. live: published within the dates by
    planned creators about planned products; creators: whose. Figures are as their creators allow,
    as those of pieces: orders None where a piece's are withheld or not known; gmv_exact: whether
    sales are `gmv`, or from there to `gmv_high` (None: or more). progress: share of the days that
    are over. reached: share of what was expected of the goal, at least; None where nothing was
    expected or the goal's figure is not told. pieces: one by one, as planned. commission: of all of
    them, None where the books know none. samples: what those that were sent for it, from when it
    was planned to its last day, cost in the catalogue today; None where a price is not known."""

    id: PlainId
    status: CampaignStatus
    planned: Count
    live: Count
    creators: Count
    clicks: Count | None
    orders: Count | None
    gmv: Money
    gmv_high: Money | None = None
    gmv_exact: bool = True
    progress: Share
    reached: float | None
    simulated: bool
    pieces: tuple[PieceResult, ...] = ()
    commission: Money | None = None
    samples: Money | None = None


class CampaignView(Frozen):
    campaign: Campaign
    results: CampaignResults
