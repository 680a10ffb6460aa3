"""Recommendations: similar, complementary, next, and the feed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Body, Query, Request
from starlette.responses import Response

from tandem.contracts.errors import Conflict
from tandem.contracts.product import Product
from tandem.contracts.recommend import (
    Interest,
    Kind,
    RecommendRequest,
    RecommendResponse,
    Visitor,
)
from tandem.http.asking import NOBODY, Asking, asking, unwatched
from tandem.http.problems import documented
from tandem.http.schemas import (
    ConsentBody,
    FromProductBody,
    FromProductQuery,
    InterestsResponse,
    ProductsBody,
    RecommendBody,
    SessionQuery,
    VisitorBody,
    VisitorResponse,
    VisitsBody,
    VisitsResponse,
)
from tandem.http.serving import StrictRoute, json_response, of
from tandem.http.shop import Visitors

router = APIRouter(prefix="/v1/recommend", route_class=StrictRoute, tags=["recommend"])
_PROBLEMS = documented(400, 413, 422, 429, 503)
_OF_PRODUCT = documented(404, 422, 429, 503)
_OF_PRODUCT_BODY = documented(400, 404, 413, 422, 429, 503)
_VISITOR = documented(400, 409, 413, 422, 429, 503)


@router.get("/similar", response_model=RecommendResponse, responses=_OF_PRODUCT)
async def similar(request: Request, query: Annotated[FromProductQuery, Query()]) -> Response:
    """What is like a product: by meaning and words, and by who looked at both where that is known.

    Needs no events, so a new shop and a new product have similar products at once.
    """
    return await _recommend(request, query.request(Kind.SIMILAR))


@router.post("/similar", response_model=RecommendResponse, responses=_OF_PRODUCT_BODY)
async def similar_by_body(request: Request, body: Annotated[FromProductBody, Body()]) -> Response:
    """What is like a product, without what the visitor does not want to see."""
    return await _recommend_to(request, body, Kind.SIMILAR)


@router.get("/complementary", response_model=RecommendResponse, responses=_OF_PRODUCT)
async def complementary(request: Request, query: Annotated[FromProductQuery, Query()]) -> Response:
    """What is bought together with a product; empty while no baskets say so."""
    return await _recommend(request, query.request(Kind.COMPLEMENTARY))


@router.post("/complementary", response_model=RecommendResponse, responses=_OF_PRODUCT_BODY)
async def complementary_by_body(
    request: Request, body: Annotated[FromProductBody, Body()]
) -> Response:
    """What is bought together with a product, without what the visitor does not want to see."""
    return await _recommend_to(request, body, Kind.COMPLEMENTARY)


@router.get("/next", response_model=RecommendResponse, responses=_PROBLEMS)
async def next_(request: Request, query: Annotated[SessionQuery, Query()]) -> Response:
    """What a session leads to, from the products looked at so far."""
    return await _recommend(request, query.request(Kind.NEXT))


@router.post("/next", response_model=RecommendResponse, responses=_PROBLEMS)
async def next_by_body(request: Request, body: Annotated[RecommendBody, Body()]) -> Response:
    """What a session leads to, with filters and context."""
    return await _recommend_to(request, body, Kind.NEXT)


@router.get("/feed", response_model=RecommendResponse, responses=_PROBLEMS)
async def feed(request: Request, query: Annotated[SessionQuery, Query()]) -> Response:
    """A page of products: what this session leads to, what is popular, and something new."""
    return await _recommend(request, query.request(Kind.FEED))


@router.post("/feed", response_model=RecommendResponse, responses=_PROBLEMS)
async def feed_by_body(request: Request, body: Annotated[RecommendBody, Body()]) -> Response:
    """A page of products, with filters and context."""
    return await _recommend_to(request, body, Kind.FEED)


@router.post("/visitor", response_model=VisitorResponse, responses=_VISITOR)
async def visitor(request: Request, body: VisitorBody) -> Response:
    """Everything that is kept of a visitor."""
    return await _visitor(request, body.client_id, lambda _: None)


@router.post("/visitor/interests", response_model=InterestsResponse, responses=_VISITOR)
async def interests(request: Request, body: VisitorBody) -> Response:
    """What is kept of a visitor as interests in plain words, with the products behind them."""
    serving = of(request)
    shop = serving.shop

    def work() -> tuple[tuple[Interest, ...], tuple[Product, ...]]:
        kept = shop.visitors.known(body.client_id)
        named = dict.fromkeys((*reversed(kept.recent), *reversed(kept.hidden)))
        products = tuple(p for p in map(shop.product, named) if p is not None)
        return shop.interests(body.client_id), products

    (found, products), timings = await serving.run(serving.search, work)
    traced = serving.traced(request, timings, shop.status())
    return json_response(InterestsResponse(interests=found, products=products, **traced))


@router.post("/visitor/remove", response_model=VisitorResponse, responses=_VISITOR)
async def remove(request: Request, body: ProductsBody) -> Response:
    """Take products out of all that is kept of a visitor, and with them what they say."""
    return await _visitor(
        request, body.client_id, lambda v: v.remove(body.client_id, body.product_ids)
    )


@router.put("/visitor/consent", response_model=VisitorResponse, responses=_VISITOR)
async def consent(request: Request, body: ConsentBody) -> Response:
    """Allow personalisation, or withdraw it: then all that was kept is erased at once.

    A browser that asks not to be tracked is taken at its word: it cannot allow it.
    """
    if body.granted and unwatched(request):
        raise Conflict(
            "the browser asks not to be tracked, so nothing is kept",
            remedy="switch Do Not Track or Global Privacy Control off for this shop first",
        )
    return await _visitor(request, body.client_id, lambda v: v.decide(body.client_id, body.granted))


@router.post("/visitor/reset", response_model=VisitorResponse, responses=_VISITOR)
async def reset(request: Request, body: VisitorBody) -> Response:
    """Start anew: what was kept is erased, the decision to be recognised stays."""
    return await _visitor(request, body.client_id, lambda v: v.forget(body.client_id))


@router.post("/visitor/events", response_model=VisitsResponse, responses=_VISITOR)
async def visits(request: Request, body: VisitsBody) -> Response:
    """What a visitor just did; the next answer knows it. Without consent nothing is kept."""
    serving = of(request)
    events = () if unwatched(request) else body.events
    recorded, timings = await serving.run(
        serving.search, lambda: serving.shop.visitors.visit(body.client_id, events)
    )
    return json_response(
        VisitsResponse(recorded=recorded, **serving.traced(request, timings, serving.shop.status()))
    )


async def _visitor(
    request: Request, client_id: str, change: Callable[[Visitors], None]
) -> Response:
    serving = of(request)

    def work() -> Visitor:
        change(serving.shop.visitors)
        return serving.shop.visitors.known(client_id)

    found, timings = await serving.run(serving.search, work)
    return json_response(
        VisitorResponse(visitor=found, **serving.traced(request, timings, serving.shop.status()))
    )


async def _recommend_to(request: Request, body: RecommendBody, kind: Kind) -> Response:
    who = asking(request, body.context)
    return await _recommend(request, body.request(kind, who.recent), who)


async def _recommend(request: Request, asked: RecommendRequest, who: Asking = NOBODY) -> Response:
    serving = of(request)
    online, agent = serving.services.online, request.headers.get("user-agent")

    def work() -> RecommendResponse:
        if online is None:
            return serving.shop.recommend(asked, who.known_by)
        return online.recommend(asked, who.client_id, agent, personal=who.personal)

    response, timings = await serving.run(serving.search, work)
    response = response.model_copy(
        update={"timings_ms": {"queue": timings["queue"], **response.timings_ms}}
    )
    request.scope["query_id"] = response.query_id
    request.scope["generations"] = (response.index_generation, response.model_generation)
    request.scope["timings_ms"] = response.timings_ms
    return json_response(response)
