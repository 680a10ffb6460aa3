"""Who suits whom. A merchant asks for own products, a creator for herself; analysts for all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from tandem.contracts.errors import Forbidden, InvalidInput
from tandem.contracts.matching import BrandMatches, CreatorMatches, ProductMatches
from tandem.contracts.parties import PartyId
from tandem.contracts.product import ProductId
from tandem.governance.access import Permission, Principal, Role
from tandem.http.problems import documented
from tandem.http.schemas import Message
from tandem.http.services import offered
from tandem.http.serving import StrictRoute, json_response, of, principal
from tandem.http.shop import Matching

T = TypeVar("T", bound=BaseModel)
MOST = 100

router = APIRouter(prefix="/v1/match", route_class=StrictRoute, tags=["matching"])
_READING = documented(400, 401, 403, 404, 422, 429, 503)
Who = Annotated[Principal, Depends(principal)]
Most = Annotated[int, Field(ge=1, le=MOST)]


class CreatorsQuery(Message):
    """Query string of `GET /v1/match/creators`: a product, or all products of a merchant."""

    product_id: ProductId | None = Field(default=None, examples=["SP-1"])
    merchant: str | None = Field(default=None, min_length=1, max_length=256, examples=["Acme"])
    k: Most = 20


class CreatorQuery(Message):
    """Query string of what is asked for a creator."""

    creator_id: PartyId = Field(examples=["mia"])
    k: Most = 20


@router.get("/creators", response_model=CreatorMatches, responses=_READING)
async def creators(
    request: Request, who: Who, query: Annotated[CreatorsQuery, Query()]
) -> Response:
    """Creators for a product, or for a brand (all products of a merchant), best first.

    Each with what one piece of content is expected to bring, and why. What a creator did not agree
    to show exactly comes as a range; who withdrew is not among them.
    """
    if (query.product_id is None) == (query.merchant is None):
        raise InvalidInput(
            "name either a product or a merchant", field="product_id", remedy="leave one of them"
        )

    def asked(office: Matching) -> CreatorMatches:
        if query.product_id is None:
            assert query.merchant is not None
            return office.creators_for_brand(query.merchant, query.k)
        _own(who, Role.MERCHANT, office.merchant_of(query.product_id))
        return office.creators_for_product(query.product_id, query.k)

    # Before anything is looked up: what is not one's own is refused whether it is there or not.
    _own(who, Role.MERCHANT, query.merchant if query.product_id is None else who.tenant)
    return await _answer(request, asked)


@router.get("/products", response_model=ProductMatches, responses=_READING)
async def products(request: Request, who: Who, query: Annotated[CreatorQuery, Query()]) -> Response:
    """Products for a creator, best first, with the earnings that one piece is expected to bring."""
    _own(who, Role.CREATOR, query.creator_id)
    return await _answer(request, lambda o: o.products_for_creator(query.creator_id, query.k))


@router.get("/brands", response_model=BrandMatches, responses=_READING)
async def brands(request: Request, who: Who, query: Annotated[CreatorQuery, Query()]) -> Response:
    """Merchants for a creator, each with the best of its products."""
    _own(who, Role.CREATOR, query.creator_id)
    return await _answer(request, lambda o: o.brands_for_creator(query.creator_id, query.k))


def _own(who: Principal, role: Role, tenant: str | None) -> None:
    if who.may(Permission.INSIGHT):
        return
    who.require(Permission.OWN_REPORTS)
    if not who.owns(role, tenant):
        raise Forbidden("this is another's to ask", remedy="ask for what is your own")


async def _answer(request: Request, work: Callable[[Matching], T]) -> Response:
    serving = of(request)
    office = offered(serving.services.matching, "this server matches nobody")
    found, timings = await serving.run(serving.search, lambda: work(office))
    request.scope["timings_ms"] = timings
    return json_response(found)
