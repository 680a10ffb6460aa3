"""Experiments that run in this server: how they stand, start, widen, stop."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import Response

from tandem.contracts.experiment import ExperimentStanding, OnlineExperiment
from tandem.governance.access import Permission, Principal
from tandem.http.problems import documented
from tandem.http.schemas import RampBody, RunningResponse, StartBody, WhyBody
from tandem.http.services import offered
from tandem.http.serving import Serving, StrictRoute, json_response, needs, of
from tandem.http.shop import ExperimentOffice

router = APIRouter(prefix="/v1/experiments", route_class=StrictRoute, tags=["experiments"])
_Name = Annotated[str, Path(max_length=64, examples=["more-judgments"])]
_READ = documented(401, 403, 404, 422, 429, 503)
_CHANGE = documented(400, 401, 403, 404, 409, 413, 422, 429, 503)
_Analyst = Annotated[Principal, Depends(needs(Permission.INSIGHT))]
_Trainer = Annotated[Principal, Depends(needs(Permission.TRAIN))]


def _office(serving: Serving) -> ExperimentOffice:
    return offered(serving.services.experiments, "this server runs no experiments")


@router.get("", response_model=RunningResponse, responses=_READ)
async def experiments(request: Request, who: _Analyst) -> Response:
    """Every experiment and canary, newest first: health, and what it shows so far. Read from the
    stored events for analytics, and told again from memory for half a minute."""
    serving = of(request)
    office = _office(serving)
    found, _ = await serving.run(serving.slow, lambda: tuple(office.standings(who.actor)))
    return json_response(RunningResponse(experiments=found))


@router.get("/{name}", response_model=ExperimentStanding, responses=_READ)
async def experiment(request: Request, name: _Name, who: _Analyst) -> Response:
    """One experiment."""
    serving = of(request)
    office = _office(serving)
    found, _ = await serving.run(serving.slow, lambda: office.standing(name, who.actor))
    return json_response(found)


@router.post("", response_model=OnlineExperiment, responses=_CHANGE)
async def start(request: Request, body: StartBody, who: _Trainer) -> Response:
    """Start an experiment; people are in it within seconds."""
    serving = of(request)
    office = _office(serving)
    made, _ = await serving.run(
        serving.slow,
        lambda: office.start(
            body.name,
            body.variants,
            who=who.actor,
            why=body.why,
            layer=body.layer,
            share=body.share,
            ramp=body.ramp,
            success=body.success,
            guardrails=body.guardrails,
            planned=body.planned,
        ),
    )
    return json_response(made)


@router.post("/{name}/ramp", response_model=OnlineExperiment, responses=_CHANGE)
async def ramp(request: Request, name: _Name, body: RampBody, who: _Trainer) -> Response:
    """Let more people take part; nobody changes variant."""
    serving = of(request)
    office = _office(serving)
    changed, _ = await serving.run(
        serving.slow, lambda: office.widen(name, body.ramp, who.actor, body.why)
    )
    return json_response(changed)


@router.post("/{name}/stop", response_model=OnlineExperiment, responses=_CHANGE)
async def stop(request: Request, name: _Name, body: WhyBody, who: _Trainer) -> Response:
    """The kill switch: from the next second on everybody is served as if it did not exist."""
    serving = of(request)
    office = _office(serving)
    changed, _ = await serving.run(serving.slow, lambda: office.stop(name, who.actor, body.why))
    return json_response(changed)
