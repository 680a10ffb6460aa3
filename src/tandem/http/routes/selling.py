"""The seller center: what merchants ask about their listings."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.responses import Response

from tandem.contracts.product import ProductId
from tandem.contracts.search import MAX_QUERY
from tandem.http.problems import documented
from tandem.http.schemas import Message, StandingResponse
from tandem.http.serving import StrictRoute, json_response, of

router = APIRouter(prefix="/v1/seller", route_class=StrictRoute, tags=["seller"])


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
