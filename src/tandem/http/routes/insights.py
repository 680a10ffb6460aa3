"""Where search fails: the last report, and trying a fix."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from tandem.governance.access import Permission, Principal
from tandem.http.problems import documented
from tandem.http.schemas import InsightsResponse, TrialBody, TrialResponse
from tandem.http.services import offered
from tandem.http.serving import Serving, StrictRoute, json_response, needs, of
from tandem.http.shop import InsightOffice

router = APIRouter(prefix="/v1/insights", route_class=StrictRoute, tags=["insights"])
_PROBLEMS = documented(400, 401, 403, 404, 409, 413, 422, 429, 503)
Analyst = Annotated[Principal, Depends(needs(Permission.INSIGHT))]


def _office(serving: Serving) -> InsightOffice:
    return offered(serving.services.insights, "this server has no insight")


@router.get("", response_model=InsightsResponse, responses=_PROBLEMS)
async def insights(request: Request, who: Analyst) -> Response:
    """The last report of `tandem insights`; 404 before the first."""
    serving = of(request)
    report, timings = await serving.run(serving.slow, _office(serving).report)
    return json_response(
        InsightsResponse.model_construct(
            insights=dict(report), **serving.traced(request, timings, serving.shop.status())
        )
    )


@router.post("/try", response_model=TrialResponse, responses=_PROBLEMS)
async def try_fix(request: Request, body: TrialBody, who: Analyst) -> Response:
    """Try the fix of a finding offline. Reads the stored events anew, for analytics: seconds."""
    serving = of(request)
    office = _office(serving)
    trial, timings = await serving.run(
        serving.slow, lambda: office.try_fix(body.id, actor=who.actor)
    )
    return json_response(
        TrialResponse.model_construct(
            trial=dict(trial), **serving.traced(request, timings, serving.shop.status())
        )
    )
