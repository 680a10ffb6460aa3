"""Health, metrics, status and refresh: for those who run the server."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from tandem.governance.access import Permission, Principal, Role
from tandem.http.problems import documented, problem
from tandem.http.schemas import RefreshResponse, StatusResponse
from tandem.http.serving import Serving, admin, json_response, of, principal

router = APIRouter(tags=["operations"])


class Health(BaseModel):
    status: str = Field(examples=["ok"])


@router.get("/healthz", response_model=Health)
async def healthz() -> Response:
    """The process is alive."""
    return json_response(Health(status="ok"))


@router.get("/readyz", response_model=Health, responses=documented(503))
async def readyz(request: Request) -> Response:
    """The server has a live index and is not stopping."""
    serving = of(request)
    if request.app.state.stopping or not serving.shop.status().get("index_generation"):
        return problem(503, "not ready", remedy="wait for the index", headers={"Retry-After": "1"})
    return json_response(Health(status="ready"))


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(request: Request) -> Response:
    """Prometheus exposition."""
    serving = of(request)
    text = serving.metrics.render(serving.shop.status())
    return Response(text, media_type=serving.metrics.media_type)


@router.get("/v1/status", response_model=StatusResponse, responses=documented(429, 503))
async def status(request: Request) -> Response:
    """What is served: catalogue, generations, rankers, facets."""
    serving = of(request)
    found, timings = await serving.run(serving.search, serving.shop.status)
    return json_response(
        StatusResponse(
            name=found["name"],
            dataset=found.get("dataset"),
            simulated=found["simulated"],
            currency=found["currency"],
            products=found["products"],
            rankers=list(found["rankers"]),
            default_ranker=found.get("default_ranker"),
            facets=list(found.get("facets", ())),
            **serving.traced(request, timings, found),
        )
    )


class Me(BaseModel):
    """Whom a key belongs to. tenant: the merchant or creator; None: of nobody in particular."""

    role: Role
    tenant: str | None
    permissions: list[Permission]


@router.get("/v1/me", response_model=Me, responses=documented(401, 429, 503))
async def me(who: Annotated[Principal, Depends(principal)]) -> Response:
    """Whose key this is, and what it opens."""
    permissions = sorted(p for p in Permission if who.may(p))
    return json_response(Me(role=who.role, tenant=who.tenant, permissions=permissions))


@router.post(
    "/v1/admin/refresh",
    response_model=RefreshResponse,
    dependencies=[Depends(admin)],
    responses=documented(401, 403, 409, 429, 503),
)
async def refresh(request: Request) -> Response:
    """Take up a newer index or model generation now. Requests under way finish on the old one."""
    serving = of(request)
    switched, timings = await take_up(serving)
    return json_response(
        RefreshResponse(
            switched=switched, **serving.traced(request, timings, serving.shop.status())
        )
    )


async def take_up(serving: Serving) -> tuple[bool, dict[str, Any]]:
    """Refresh the shop and count the switch."""
    switched, timings = await serving.run(serving.slow, serving.shop.refresh)
    if switched:
        serving.metrics.switched()
    return switched, timings
