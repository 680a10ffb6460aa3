"""Campaigns in memory: every plan is the same piece by one creator."""

from __future__ import annotations

from datetime import UTC, date, datetime

from small_matching import MERCHANTS, ONE

from tandem.contracts.campaign import (
    Campaign,
    CampaignResults,
    CampaignView,
    NewCampaign,
    Outlook,
    PlannedPiece,
    RegionPlan,
)
from tandem.contracts.errors import Conflict, Forbidden, NotFound
from tandem.contracts.product import Money
from tandem.reports.campaign import campaign_report

REGIONS = RegionPlan(
    shown=("DE-BY", "DE-HE", "DE-HH", "DE-BE", "DE-SL"),
    not_shown=("DE-NW", "DE-BW", "DE-SN", "DE-BB", "DE-TH"),
    share=0.45,
    days_before=30,
    usual=120.4,
    detectable=33.2,
    power=0.62,
)


class SmallCampaigns:
    def __init__(self) -> None:
        self.kept: dict[str, Campaign] = {}
        self.followed = 0

    def plan(self, asked: NewCampaign, *, keep: bool = True, actor: str | None = None) -> Campaign:
        for product in asked.product_ids:
            if product not in MERCHANTS:
                raise NotFound(f"no product '{product}'", remedy="search for it")
            if MERCHANTS[product] != asked.merchant_id:
                raise Forbidden("another's product", remedy="plan for your own")
        piece = PlannedPiece(
            creator_id="mia",
            product_id=asked.product_ids[0],
            one_piece=ONE,
            cost=Money(amount="4.50", currency="EUR"),
            exploring=False,
            reasons=("Talks about this topic",),
        )
        campaign = Campaign(
            id=f"c{len(self.kept)}",
            asked=asked,
            created=datetime(2026, 3, 1, tzinfo=UTC),
            pieces=(piece,),
            outlook=Outlook(clicks=ONE.clicks, orders=ONE.orders, gmv=ONE.gmv),
            cost=piece.cost,
            gap=0.0,
            exploration_cost=0.0,
            matcher_generation="g000001-20260301T000000",
            simulated=False,
            regions=REGIONS if asked.by_region else None,
        )
        if keep:
            self.kept[campaign.id] = campaign
        return campaign

    def campaigns(self, merchant: str | None = None) -> list[Campaign]:
        return [c for c in self.kept.values() if merchant in (None, c.asked.merchant_id)]

    def cancel(self, id_: str, *, actor: str | None = None) -> Campaign:
        changed = self.kept[id_].model_copy(update={"cancelled": date(2026, 4, 3)})
        self.kept[id_] = changed
        return changed

    def remove(self, id_: str, *, actor: str | None = None) -> None:
        if self.kept[id_].cancelled is None:
            raise Conflict(f"campaign '{id_}' is running", remedy="cancel it first")
        del self.kept[id_]

    def merchant_of(self, id_: str) -> str:
        if id_ not in self.kept:
            raise NotFound(f"no campaign '{id_}'", remedy="see the list of your campaigns")
        return self.kept[id_].asked.merchant_id

    def follow(self, id_: str, *, actor: str | None = None) -> CampaignView:
        self.followed += 1
        campaign = self.kept[id_]
        results = CampaignResults(
            id=id_,
            status="running" if campaign.cancelled is None else "cancelled",
            planned=1,
            live=0,
            creators=0,
            clicks=0,
            orders=0,
            gmv=Money(amount="0", currency="EUR"),
            progress=0.5,
            reached=0.0,
            simulated=False,
        )
        return CampaignView(campaign=campaign, results=results)

    def report(self, id_: str) -> str:
        return campaign_report(self.follow(id_)).page().html()
