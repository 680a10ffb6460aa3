"""Recommendations: similar, complementary, next, and the feed."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Query, Request
from starlette.responses import Response

from tandem.contracts.recommend import Kind, RecommendRequest, RecommendResponse
from tandem.http.problems import documented
from tandem.http.schemas import FromProductQuery, RecommendBody, SessionQuery
from tandem.http.serving import StrictRoute, json_response, of

router = APIRouter(prefix="/v1/recommend", route_class=StrictRoute, tags=["recommend"])
_PROBLEMS = documented(400, 413, 422, 429, 503)
_OF_PRODUCT = documented(404, 422, 429, 503)


@router.get("/similar", response_model=RecommendResponse, responses=_OF_PRODUCT)
async def similar(request: Request, query: Annotated[FromProductQuery, Query()]) -> Response:
    """What is like a product: by meaning and words, and by who looked at both where that is known.

    Needs no events, so a new shop and a new product have similar products at once.
    """
    return await _recommend(request, query.request(Kind.SIMILAR))


@router.get("/complementary", response_model=RecommendResponse, responses=_OF_PRODUCT)
async def complementary(request: Request, query: Annotated[FromProductQuery, Query()]) -> Response:
    """What is bought together with a product; empty while no baskets say so."""
    return await _recommend(request, query.request(Kind.COMPLEMENTARY))


@router.get("/next", response_model=RecommendResponse, responses=_PROBLEMS)
async def next_(request: Request, query: Annotated[SessionQuery, Query()]) -> Response:
    """What a session leads to, from the products looked at so far."""
    return await _recommend(request, query.request(Kind.NEXT))


@router.post("/next", response_model=RecommendResponse, responses=_PROBLEMS)
async def next_by_body(request: Request, body: Annotated[RecommendBody, Body()]) -> Response:
    """What a session leads to, with filters and context."""
    return await _recommend(request, body.request(Kind.NEXT))


@router.get("/feed", response_model=RecommendResponse, responses=_PROBLEMS)
async def feed(request: Request, query: Annotated[SessionQuery, Query()]) -> Response:
    """A page of products: what this session leads to, what is popular, and something new."""
    return await _recommend(request, query.request(Kind.FEED))


@router.post("/feed", response_model=RecommendResponse, responses=_PROBLEMS)
async def feed_by_body(request: Request, body: Annotated[RecommendBody, Body()]) -> Response:
    """A page of products, with filters and context."""
    return await _recommend(request, body.request(Kind.FEED))


async def _recommend(request: Request, asked: RecommendRequest) -> Response:
    serving = of(request)
    response, timings = await serving.run(serving.search, lambda: serving.shop.recommend(asked))
    response = response.model_copy(
        update={"timings_ms": {"queue": timings["queue"], **response.timings_ms}}
    )
    request.scope["query_id"] = response.query_id
    request.scope["generations"] = (response.index_generation, response.model_generation)
    request.scope["timings_ms"] = response.timings_ms
    return json_response(response)
