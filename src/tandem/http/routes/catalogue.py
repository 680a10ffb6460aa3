"""Products: read, add or replace, remove."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import Response

from tandem.contracts.errors import InvalidInput, NotFound
from tandem.http.problems import documented
from tandem.http.schemas import DeleteResponse, ProductResponse, UpsertBody, UpsertResponse
from tandem.http.serving import StrictRoute, admin, json_response, of

router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["products"])
# `path`: an id may contain a slash.
_Id = Annotated[str, Path(min_length=1, max_length=256, examples=["SP-1"])]


@router.get(
    "/products/{product_id:path}",
    response_model=ProductResponse,
    responses=documented(404, 422, 429, 503),
)
async def product(request: Request, product_id: _Id) -> Response:
    """One product as it is now."""
    serving = of(request)
    found, timings = await serving.run(serving.search, lambda: serving.shop.product(product_id))
    if found is None:
        raise NotFound(
            f"no product '{product_id}'", remedy="search for it; it may have been removed"
        )
    return json_response(
        ProductResponse.model_construct(
            product=found, **serving.traced(request, timings, serving.shop.status())
        )
    )


@router.put(
    "/products",
    response_model=UpsertResponse,
    dependencies=[Depends(admin)],
    responses=documented(400, 401, 409, 413, 422, 429, 503),
)
async def upsert(request: Request, body: UpsertBody) -> Response:
    """Add or replace a batch of products. Answered means durable and visible to the next search."""
    serving = of(request)
    if len(body.products) > serving.settings.max_batch:
        raise InvalidInput(
            f"{len(body.products)} products in one batch",
            field="products",
            remedy=f"send at most {serving.settings.max_batch} at once",
        )
    count, timings = await serving.run(serving.slow, lambda: serving.shop.upsert(body.products))
    serving.rankings.forget()
    return json_response(
        UpsertResponse(upserted=count, **serving.traced(request, timings, serving.shop.status()))
    )


@router.delete(
    "/products/{product_id:path}",
    response_model=DeleteResponse,
    dependencies=[Depends(admin)],
    responses=documented(401, 404, 409, 422, 429, 503),
)
async def delete(request: Request, product_id: _Id) -> Response:
    """Remove one product; 404 when there is none of this id."""
    serving = of(request)
    count, timings = await serving.run(serving.slow, lambda: serving.shop.delete([product_id]))
    serving.rankings.forget()
    if not count:
        raise NotFound(f"no product '{product_id}'", remedy="it is gone already, or check the id")
    return json_response(
        DeleteResponse(deleted=count, **serving.traced(request, timings, serving.shop.status()))
    )
