"""The seller center: what merchants ask about their listings."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field
from starlette.responses import Response

from tandem.contracts.errors import Forbidden
from tandem.contracts.product import ProductId
from tandem.contracts.search import MAX_QUERY
from tandem.contracts.search_performance import SearchPerformance
from tandem.governance.access import Permission, Principal, Role
from tandem.http.problems import documented
from tandem.http.schemas import Message, StandingResponse
from tandem.http.serving import StrictRoute, json_response, of, principal

router = APIRouter(prefix="/v1/seller", route_class=StrictRoute, tags=["seller"])


class PerformanceQuery(Message):
    """Query string of `GET /v1/seller/queries`."""

    merchant: str = Field(min_length=1, max_length=256, examples=["Acme"])
    period: str = Field(
        pattern=r"^\d{4}-(0[1-9]|1[0-2])$",
        description="A month that is over",
        examples=["2026-03"],
    )


class WhyQuery(Message):
    """Query string of `GET /v1/seller/why`."""

    product_id: ProductId = Field(examples=["SP-1"])
    q: str = Field(min_length=1, max_length=MAX_QUERY, examples=["bluetooth speaker"])
    trying: bool = Field(
        default=True, description="Try changes of the listing by the real search: about a second"
    )


@router.get("/why", response_model=StandingResponse, responses=documented(400, 404, 422, 429, 503))
async def why(request: Request, query: Annotated[WhyQuery, Query()]) -> Response:
    """Where a product stands for a query, why, and what honest changes of it would move it."""
    serving = of(request)
    standing, timings = await serving.run(
        serving.slow,
        lambda: serving.shop.standing(query.q, query.product_id, trying=query.trying),
    )
    return json_response(
        StandingResponse.model_construct(
            standing=standing, **serving.traced(request, timings, serving.shop.status())
        )
    )


@router.get(
    "/queries",
    response_model=SearchPerformance,
    responses=documented(400, 401, 403, 404, 422, 429, 503),
)
async def queries(
    request: Request,
    query: Annotated[PerformanceQuery, Query()],
    who: Annotated[Principal, Depends(principal)],
) -> Response:
    """What shoppers search for, what of it comes to the merchant, and where it could be more.

    Figures are of at least 50 people; a month's report is made once and stays as it is. A
    merchant's key opens that merchant's report, an analyst's opens all.
    """
    if not who.may(Permission.INSIGHT):
        who.require(Permission.OWN_REPORTS)
        if not who.owns(Role.MERCHANT, query.merchant):
            raise Forbidden("this key is of another tenant", remedy="ask for your own report")
    serving = of(request)
    report, _ = await serving.run(
        serving.slow,
        lambda: serving.shop.search_performance(query.merchant, query.period, actor=who.actor),
    )
    return json_response(report)
