"""The lab: leaderboard, query sets, experiments, what the server does now, kept reports."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import Response

from tandem.governance.access import Permission
from tandem.http.problems import documented
from tandem.http.schemas import (
    BoardResponse,
    ExperimentsResponse,
    MonitorResponse,
    QuerySetsResponse,
    ReportsResponse,
)
from tandem.http.services import offered
from tandem.http.serving import Serving, StrictRoute, json_response, needs, of
from tandem.http.shop import LabOffice

router = APIRouter(
    prefix="/v1/lab",
    route_class=StrictRoute,
    tags=["lab"],
    dependencies=[Depends(needs(Permission.INSIGHT))],
)
_PROBLEMS = documented(401, 403, 404, 422, 429, 503)
_TYPES = {
    "html": "text/html",
    "pdf": "application/pdf",
    "md": "text/markdown",
    "json": "application/json",
    "eml": "message/rfc822",
}
# A report is somebody's file: even opened by its address it may run nothing and load nothing.
_SANDBOX = {
    "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'",
    "Cache-Control": "no-store",
}
_Name = Annotated[str, Path(max_length=100, examples=["weekly-2026-03-22"])]
_Ending = Annotated[Literal["html", "pdf", "md", "json", "eml"], Path(examples=["html"])]


def _lab(serving: Serving) -> LabOffice:
    return offered(serving.services.lab, "this server has no lab")


@router.get("/board", response_model=BoardResponse, responses=_PROBLEMS)
async def board(request: Request) -> Response:
    """The last leaderboard, or the live model's cross-validated record."""
    serving = of(request)
    found, _ = await serving.run(serving.slow, _lab(serving).board)
    return json_response(BoardResponse(board=dict(found)))


@router.get("/query-sets", response_model=QuerySetsResponse, responses=_PROBLEMS)
async def query_sets(request: Request) -> Response:
    """The judgment lists that rankers are measured on."""
    serving = of(request)
    found, _ = await serving.run(serving.slow, _lab(serving).query_sets)
    return json_response(QuerySetsResponse(query_sets=[dict(s) for s in found]))


@router.get("/experiments", response_model=ExperimentsResponse, responses=_PROBLEMS)
async def experiments(request: Request) -> Response:
    """Analyses kept by `tandem experiment analyse -w`, newest first."""
    serving = of(request)
    found, _ = await serving.run(serving.slow, _lab(serving).experiments)
    return json_response(ExperimentsResponse(experiments=[dict(e) for e in found]))


@router.get("/monitor", response_model=MonitorResponse, responses=_PROBLEMS)
async def monitor(request: Request) -> Response:
    """What the servers of this workspace have done since each started, together: requests, latency,
    searches without results. Two answers a while apart give what happens now."""
    serving = of(request)
    lab = serving.services.lab
    others = () if lab is None else await asyncio.to_thread(lab.loads, serving.name)
    return json_response(serving.metrics.monitor(others))


@router.get("/reports", response_model=ReportsResponse, responses=_PROBLEMS)
async def reports(request: Request) -> Response:
    """Reports that the workspace keeps, newest first."""
    serving = of(request)
    found, _ = await serving.run(serving.slow, _lab(serving).reports)
    return json_response(ReportsResponse(reports=[dict(r) for r in found]))


@router.get(
    "/reports/{name}/{ending}",
    response_class=Response,
    responses={
        200: {"content": {t: {"schema": {"type": "string"}} for t in _TYPES.values()}},
        **_PROBLEMS,
    },
)
async def report(request: Request, name: _Name, ending: _Ending) -> Response:
    """One file of a kept report."""
    serving = of(request)
    lab = _lab(serving)
    content, _ = await serving.run(serving.slow, lambda: lab.report(name, f".{ending}"))
    return Response(content, media_type=_TYPES[ending], headers=_SANDBOX)
