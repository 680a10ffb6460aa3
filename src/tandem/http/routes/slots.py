"""Slots: what a page is to show in one, how they stand, start, stop."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import Response

from tandem.contracts.slot import BanditSlot, SlotShown, SlotStanding
from tandem.governance.access import Permission, Principal
from tandem.http.asking import asking
from tandem.http.problems import documented
from tandem.http.schemas import SlotBody, SlotShowBody, SlotShownResponse, SlotsResponse, WhyBody
from tandem.http.services import offered
from tandem.http.serving import Serving, StrictRoute, json_response, needs, of
from tandem.http.shop import SlotOffice

router = APIRouter(prefix="/v1/slots", route_class=StrictRoute, tags=["experiments"])
_Name = Annotated[str, Path(max_length=64, examples=["front-banner"])]
_SHOW = documented(400, 404, 413, 422, 429, 503)
_READ = documented(401, 403, 404, 422, 429, 503)
_CHANGE = documented(400, 401, 403, 404, 409, 413, 422, 429, 503)
_Analyst = Annotated[Principal, Depends(needs(Permission.INSIGHT))]
_Trainer = Annotated[Principal, Depends(needs(Permission.TRAIN))]


def _office(serving: Serving) -> SlotOffice:
    return offered(serving.services.slots, "this server has no slots")


@router.post("/{name}/show", response_model=SlotShownResponse, responses=_SHOW)
async def show(request: Request, name: _Name, body: SlotShowBody) -> Response:
    """What a page is to show in a slot. The decision is noted with its probability before this
    answers; clicks that carry its `query_id` are what the slot learns from."""
    serving = of(request)
    online = offered(serving.services.online, "this server has no slots")
    who, agent = asking(request, body.context), request.headers.get("user-agent")

    def work() -> SlotShown:
        return online.show(name, who.client_id, agent)

    shown, timings = await serving.run(serving.search, work)
    request.scope["query_id"] = shown.query_id
    traced = serving.traced(request, timings, serving.shop.status())
    return json_response(SlotShownResponse(**{**traced, **shown.model_dump()}))


@router.get("", response_model=SlotsResponse, responses=_READ)
async def slots(request: Request, _: _Analyst) -> Response:
    """Every slot, newest first: what each arm has shown and earned, and its chance now."""
    serving = of(request)
    office = _office(serving)
    found, _timings = await serving.run(serving.slow, lambda: tuple(office.standings()))
    return json_response(SlotsResponse(slots=found))


@router.get("/{name}", response_model=SlotStanding, responses=_READ)
async def slot(request: Request, name: _Name, _: _Analyst) -> Response:
    """One slot."""
    serving = of(request)
    office = _office(serving)
    found, _timings = await serving.run(serving.slow, lambda: office.standing(name))
    return json_response(found)


@router.post("", response_model=BanditSlot, responses=_CHANGE)
async def start(request: Request, body: SlotBody, who: _Trainer) -> Response:
    """Start a slot; it tries within seconds."""
    serving = of(request)
    office = _office(serving)
    made, _ = await serving.run(
        serving.slow,
        lambda: office.start(
            body.name,
            body.where,
            body.arms,
            who=who.actor,
            why=body.why,
            place=body.place,
            bandit=body.bandit,
            reward=body.reward,
            window=body.window,
            guardrails=body.guardrails,
        ),
    )
    return json_response(made)


@router.post("/{name}/stop", response_model=BanditSlot, responses=_CHANGE)
async def stop(request: Request, name: _Name, body: WhyBody, who: _Trainer) -> Response:
    """The kill switch: from the next second on everybody gets the first arm."""
    serving = of(request)
    office = _office(serving)
    changed, _ = await serving.run(serving.slow, lambda: office.stop(name, who.actor, body.why))
    return json_response(changed)
