"""Campaigns of merchants: planned, followed, told on one page. Another's answers as none at all."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field
from starlette.responses import Response

from tandem.contracts.campaign import Campaign, CampaignView, NewCampaign
from tandem.contracts.errors import Forbidden, NotFound
from tandem.contracts.parties import PartyId
from tandem.governance.access import Permission, Principal, Role
from tandem.http.problems import documented
from tandem.http.schemas import Message
from tandem.http.services import offered
from tandem.http.serving import Serving, StrictRoute, json_response, of, principal
from tandem.http.shop import CampaignOffice

router = APIRouter(prefix="/v1/seller/campaigns", route_class=StrictRoute, tags=["seller"])
_READING = documented(400, 401, 403, 404, 422, 429, 503)
_WRITING = documented(400, 401, 403, 404, 409, 413, 422, 429, 503)
Who = Annotated[Principal, Depends(principal)]
Id = Annotated[str, Path(min_length=1, max_length=64, examples=["5b0c6d1ab2f34ad3"])]


class PlanQuery(Message):
    """Query string of a plan."""

    keep: bool = Field(default=True, description="false: only look at it")


class CampaignsQuery(Message):
    """Query string: whose campaigns."""

    merchant: PartyId = Field(examples=["Acme"])


class CampaignList(BaseModel):
    campaigns: list[Campaign]


@router.post("", response_model=Campaign, responses=_WRITING)
async def plan(
    request: Request, who: Who, body: NewCampaign, query: Annotated[PlanQuery, Query()]
) -> Response:
    """Plan a campaign: who should show which product, within the budget, with an expected range."""
    who.require(Permission.CATALOGUE)
    if not who.owns(Role.MERCHANT, body.merchant_id):
        raise Forbidden("this key is of another tenant", remedy="plan for yourself")
    serving = of(request)
    office = _office(serving)
    made, timings = await serving.run(
        serving.slow, lambda: office.plan(body, keep=query.keep, actor=who.actor)
    )
    request.scope["timings_ms"] = timings
    return json_response(made)


@router.get("", response_model=CampaignList, responses=_READING)
async def listed(request: Request, who: Who, query: Annotated[CampaignsQuery, Query()]) -> Response:
    """A merchant's campaigns, newest first."""
    _may_read(who)
    if not who.owns(Role.MERCHANT, query.merchant):
        raise Forbidden("this key is of another tenant", remedy="ask for your own campaigns")
    serving = of(request)
    office = _office(serving)
    found, _ = await serving.run(serving.search, lambda: office.campaigns(query.merchant))
    return json_response(CampaignList(campaigns=found))


@router.get("/{campaign_id}", response_model=CampaignView, responses=_READING)
async def follow(request: Request, who: Who, campaign_id: Id) -> Response:
    """A campaign, its plan, and what it has brought up to now."""
    return json_response(await _view(request, who, campaign_id))


@router.get(
    "/{campaign_id}/report",
    response_class=HTMLResponse,
    responses={200: {"content": {"text/html": {}}}, **_READING},
)
async def report(request: Request, who: Who, campaign_id: Id) -> Response:
    """The campaign on one page, to forward: HTML that needs nothing else."""
    await _view(request, who, campaign_id)
    serving = of(request)
    office = _office(serving)
    page, _ = await serving.run(serving.search, lambda: office.report(campaign_id))
    return HTMLResponse(page)


@router.post("/{campaign_id}/cancel", response_model=Campaign, responses=_WRITING)
async def cancel(request: Request, who: Who, campaign_id: Id) -> Response:
    """Call a campaign off: from tomorrow on nothing counts. What was agreed with creators stays."""
    who.require(Permission.CATALOGUE)
    await _view(request, who, campaign_id)
    serving = of(request)
    office = _office(serving)
    changed, _ = await serving.run(
        serving.slow, lambda: office.cancel(campaign_id, actor=who.actor)
    )
    return json_response(changed)


@router.delete("/{campaign_id}", status_code=204, responses=_WRITING)
async def remove(request: Request, who: Who, campaign_id: Id) -> Response:
    """Take a campaign off the list for good; one that runs is cancelled first."""
    who.require(Permission.CATALOGUE)
    await _view(request, who, campaign_id)
    serving = of(request)
    office = _office(serving)
    await serving.run(serving.slow, lambda: office.remove(campaign_id, actor=who.actor))
    return Response(status_code=204)


def _may_read(who: Principal) -> None:
    if not who.may(Permission.INSIGHT):
        who.require(Permission.OWN_REPORTS)


async def _view(request: Request, who: Principal, id_: str) -> CampaignView:
    _may_read(who)
    serving = of(request)
    office = _office(serving)
    merchant, _ = await serving.run(serving.search, lambda: office.merchant_of(id_))
    if not who.owns(Role.MERCHANT, merchant):
        raise NotFound(f"no campaign '{id_}'", remedy="see the list of your campaigns")
    found, timings = await serving.run(serving.search, lambda: office.follow(id_, actor=who.actor))
    request.scope["timings_ms"] = timings
    return found


def _office(serving: Serving) -> CampaignOffice:
    return offered(serving.services.campaigns, "this server plans no campaigns")
