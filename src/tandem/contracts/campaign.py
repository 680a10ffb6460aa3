"""A merchant's campaign: what it wants, who is asked for what, what that is expected to bring."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from tandem.contracts.events import PlainId
from tandem.contracts.matching import Estimate, Expectation
from tandem.contracts.parties import Count, PartyId, Share
from tandem.contracts.product import Money, ProductId
from tandem.contracts.search import Frozen

Goal = Literal["gmv", "orders", "clicks"]
CampaignStatus = Literal["planned", "running", "ended"]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]
MAX_PRODUCTS = 50
LONGEST_DAYS = 366


class NewCampaign(Frozen):
    """What a merchant asks for. exploration: share of the budget that may be spent on finding out
    how good creators are whose worth is not known well."""

    merchant_id: PartyId = Field(examples=["Acme"])
    name: Name = Field(examples=["Spring lamps"])
    goal: Goal = "gmv"
    budget: Money
    starts: date = Field(examples=["2026-04-01"])
    ends: date = Field(examples=["2026-04-30"], description="The last day")
    product_ids: Annotated[tuple[ProductId, ...], Field(min_length=1, max_length=MAX_PRODUCTS)]
    creators_per_product: Annotated[int, Field(ge=1, le=20)] = 5
    exploration: Annotated[float, Field(ge=0, le=0.5)] = 0.1

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not 0 <= (self.ends - self.starts).days < LONGEST_DAYS:
            raise ValueError("a campaign ends on or after its first day, within a year")
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


class Campaign(Frozen):
    """A campaign with its plan. cost: expected, of all pieces. gap: share of the best possible
    value that the plan may lack, proven. exploration_cost: how much of the goal exploring is
    expected to cost."""

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


class CampaignResults(Frozen):
    """How it went up to now. planned: pieces of the plan. live: published within the dates by
    planned creators about planned products; creators: whose. progress: share of the days that are
    over. reached: share of what was expected of the goal, None where nothing was expected."""

    id: PlainId
    status: CampaignStatus
    planned: Count
    live: Count
    creators: Count
    clicks: Count
    orders: Count
    gmv: Money
    progress: Share
    reached: float | None
    simulated: bool


class CampaignView(Frozen):
    campaign: Campaign
    results: CampaignResults
