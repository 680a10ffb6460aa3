"""Search and suggest: the hot routes."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Body, Query, Request
from starlette.responses import Response

from tandem.contracts.search import SearchRequest, SearchResponse
from tandem.http.asking import NOBODY, Asking, asking
from tandem.http.problems import documented
from tandem.http.schemas import SearchBody, SearchQuery, SuggestQuery, SuggestResponse
from tandem.http.serving import Serving, StrictRoute, json_response, of

router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["search"])
_PROBLEMS = documented(400, 413, 422, 429, 503)


@router.get("/search", response_model=SearchResponse, responses=_PROBLEMS)
async def search(request: Request, query: Annotated[SearchQuery, Query()]) -> Response:
    """Search by query string.

    `total` counts the products that match; facets are counted over exactly those.
    """
    return await _search(request, query.request())


@router.post("/search", response_model=SearchResponse, responses=_PROBLEMS)
async def search_by_body(request: Request, body: Annotated[SearchBody, Body()]) -> Response:
    """Search by JSON body: all filters with their types, and who is asking.

    A client who allows personalisation gets a list of his own (`personal`); everybody else, and
    every browser that asks not to be tracked, gets the same one.
    """
    return await _search(request, body.request(), asking(request, body.context))


async def _search(request: Request, asked: SearchRequest, who: Asking = NOBODY) -> Response:
    serving = of(request)
    work = partial(_answer, serving, asked, who, request.headers.get("user-agent"))
    response, timings = await serving.run(serving.search, work)
    # Time in the queue is part of what the shopper waited; the shop cannot know it.
    response = response.model_copy(
        update={"timings_ms": {"queue": timings["queue"], **response.timings_ms}}
    )
    request.scope["query_id"] = response.query_id
    request.scope["generations"] = (response.index_generation, response.model_generation)
    request.scope["timings_ms"] = response.timings_ms
    serving.metrics.searched(response)
    return json_response(response)


def _answer(
    serving: Serving, asked: SearchRequest, who: Asking, agent: str | None
) -> SearchResponse:
    if serving.services.online is not None:
        return serving.services.online.answer(
            asked, who.client_id, agent, personal=who.personal, recent=who.recent
        )
    response = serving.shop.search(asked, client_id=who.known_by, recent=who.recent)
    if serving.settings.log_served:
        serving.shop.record(response)
    return response


@router.get("/suggest", response_model=SuggestResponse, responses=_PROBLEMS)
async def suggest(request: Request, query: Annotated[SuggestQuery, Query()]) -> Response:
    """Complete what is being typed; a typo or two does no harm."""
    serving = of(request)
    suggestions, timings = await serving.run(
        serving.search, lambda: serving.shop.suggest(query.q, query.limit, query.language)
    )
    return json_response(
        SuggestResponse.model_construct(
            q=query.q,
            suggestions=suggestions,
            **serving.traced(request, timings, serving.shop.status()),
        )
    )
