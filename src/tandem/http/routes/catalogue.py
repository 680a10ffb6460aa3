"""Products: read, add or replace, remove."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import Response

from tandem.contracts.errors import Forbidden, InvalidInput, NotFound
from tandem.contracts.product import Product
from tandem.governance.access import Permission, Principal, Role
from tandem.http.problems import documented
from tandem.http.schemas import DeleteResponse, ProductResponse, UpsertBody, UpsertResponse
from tandem.http.serving import StrictRoute, json_response, needs, of

router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["products"])
# `path`: an id may contain a slash.
_Editor = Annotated[Principal, Depends(needs(Permission.CATALOGUE))]
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
    responses=documented(400, 401, 403, 409, 413, 422, 429, 503),
)
async def upsert(request: Request, body: UpsertBody, who: _Editor) -> Response:
    """Add or replace a batch of products. Answered means durable and visible to the next search.
    A merchant's key takes products of this merchant alone.
    """
    serving = of(request)
    if len(body.products) > serving.settings.max_batch:
        raise InvalidInput(
            f"{len(body.products)} products in one batch",
            field="products",
            remedy=f"send at most {serving.settings.max_batch} at once",
        )

    def work() -> int:
        for product in body.products:
            _require_own(who, product)
            _require_own(who, serving.shop.product(product.id))
        return serving.shop.upsert(body.products)

    count, timings = await serving.run(serving.slow, work)
    serving.rankings.forget()
    return json_response(
        UpsertResponse(upserted=count, **serving.traced(request, timings, serving.shop.status()))
    )


@router.delete(
    "/products/{product_id:path}",
    response_model=DeleteResponse,
    responses=documented(401, 403, 404, 409, 422, 429, 503),
)
async def delete(request: Request, product_id: _Id, who: _Editor) -> Response:
    """Remove one product; 404 when there is none of this id."""
    serving = of(request)

    def work() -> int:
        _require_own(who, serving.shop.product(product_id))
        return serving.shop.delete([product_id])

    count, timings = await serving.run(serving.slow, work)
    serving.rankings.forget()
    if not count:
        raise NotFound(f"no product '{product_id}'", remedy="it is gone already, or check the id")
    return json_response(
        DeleteResponse(deleted=count, **serving.traced(request, timings, serving.shop.status()))
    )


def _require_own(who: Principal, product: Product | None) -> None:
    if product is not None and not who.owns(Role.MERCHANT, product.merchant):
        raise Forbidden(
            f"'{product.id}' is not a product of {who.tenant}",
            remedy="send your own products, with your name in the field merchant",
        )
