"""The seller center: what merchants ask about their listings."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field
from starlette.responses import Response

from tandem.contracts.errors import Forbidden
from tandem.contracts.parties import PartyId
from tandem.contracts.product import ProductId
from tandem.contracts.search import MAX_QUERY
from tandem.contracts.search_performance import SearchPerformance
from tandem.contracts.seller import (
    Assortment,
    Indicators,
    Movement,
    Period,
    SalesOutlook,
    Target,
)
from tandem.governance.access import Permission, Principal, Role
from tandem.http.problems import documented
from tandem.http.schemas import Message, StandingResponse
from tandem.http.services import offered
from tandem.http.serving import Serving, StrictRoute, json_response, of, principal
from tandem.http.shop import SellerOffice

router = APIRouter(prefix="/v1/seller", route_class=StrictRoute, tags=["seller"])


class MerchantQuery(Message):
    """Query string: whose report."""

    merchant: PartyId = Field(examples=["Acme"])


class MonthQuery(MerchantQuery):
    """Query string: whose report of which month."""

    period: Period | None = Field(
        default=None,
        description="A month that is over; default: the last one that was recorded",
        examples=["2026-03"],
    )


class OutlookQuery(MerchantQuery):
    days: int = Field(default=28, ge=1, le=90, description="How far to look ahead")


class WhyQuery(Message):
    """Query string of `GET /v1/seller/why`."""

    product_id: ProductId = Field(examples=["SP-1"])
    q: str = Field(min_length=1, max_length=MAX_QUERY, examples=["bluetooth speaker"])
    trying: bool = Field(
        default=True, description="Try changes of the listing by the real search: about a second"
    )


_READING = documented(401, 403, 404, 422, 429, 503)
Who = Annotated[Principal, Depends(principal)]


def _own(who: Principal, merchant: str) -> None:
    """Forbidden unless it is the merchant's own key, or one that may see all of them."""
    if not who.may(Permission.INSIGHT):
        who.require(Permission.OWN_REPORTS)
        if not who.owns(Role.MERCHANT, merchant):
            raise Forbidden("this key is of another tenant", remedy="ask for your own report")


def _office(serving: Serving) -> SellerOffice:
    return offered(serving.services.seller, "this server keeps no indicators")


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
    query: Annotated[MonthQuery, Query()],
    who: Annotated[Principal, Depends(principal)],
) -> Response:
    """What shoppers search for, what of it comes to the merchant, and where it could be more.

    Figures are of at least 50 people; a month's report is made once and stays as it is. A
    merchant's key opens that merchant's report, an analyst's opens all.
    """
    _own(who, query.merchant)
    serving = of(request)
    report, _ = await serving.run(
        serving.slow,
        lambda: serving.shop.search_performance(query.merchant, query.period, actor=who.actor),
    )
    return json_response(report)


@router.get("/indicators", response_model=Indicators, responses=_READING)
async def indicators(request: Request, query: Annotated[MonthQuery, Query()], who: Who) -> Response:
    """GMV, orders, conversion, search share, creator GMV and returns beside targets.

    Counts are of at least 50 people; what is not known is null, which is not zero.
    """
    _own(who, query.merchant)
    serving = of(request)
    found, _ = await serving.run(
        serving.slow,
        lambda: _office(serving).indicators(query.merchant, query.period, actor=who.actor),
    )
    return json_response(found)


@router.get("/movement", response_model=Movement, responses=_READING)
async def movement(request: Request, query: Annotated[MonthQuery, Query()], who: Who) -> Response:
    """What moved sales from the month before: traffic, conversion, basket, by product and channel.

    Parts sum to the change, exactly.
    """
    _own(who, query.merchant)
    serving = of(request)
    found, _ = await serving.run(
        serving.slow,
        lambda: _office(serving).movement(query.merchant, query.period, actor=who.actor),
    )
    return json_response(found)


@router.get("/forecast", response_model=SalesOutlook, responses=_READING)
async def forecast(request: Request, query: Annotated[OutlookQuery, Query()], who: Who) -> Response:
    """Sales of the next days, with an interval that is measured on earlier forecasts."""
    _own(who, query.merchant)
    serving = of(request)
    found, _ = await serving.run(
        serving.slow,
        lambda: _office(serving).outlook(query.merchant, query.days, actor=who.actor),
    )
    return json_response(found)


@router.get("/assortment", response_model=Assortment, responses=_READING)
async def assortment(
    request: Request, query: Annotated[MerchantQuery, Query()], who: Who
) -> Response:
    """Prices beside comparable products of others; images and attributes that are missing."""
    _own(who, query.merchant)
    serving = of(request)
    found, _ = await serving.run(serving.slow, lambda: _office(serving).assortment(query.merchant))
    return json_response(found)


@router.put(
    "/targets",
    response_model=Target,
    responses=documented(400, 401, 403, 404, 413, 422, 429, 503),
)
async def target(request: Request, body: Target, who: Who) -> Response:
    """Set what the merchant aims at in one month, in place of what was set before."""
    _own(who, body.merchant)
    serving = of(request)
    kept, _ = await serving.run(serving.slow, lambda: _office(serving).set_target(body))
    return json_response(kept)
