"""Collaborations: merchants and creators act for themselves, the admin key for the platform.

What is another party's does not exist: it answers as an id that never was. A header
`Idempotency-Key` makes a repeated call harmless.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import APIRouter, Body, Depends, Header, Path, Query, Request
from pydantic import AwareDatetime, BaseModel, Field, StringConstraints
from starlette.responses import Response

from tandem.collaboration.desk import MAX_KEY
from tandem.collaboration.lifecycle import possible
from tandem.collaboration.verify import verify
from tandem.contracts.collaboration import (
    WHOLE,
    Action,
    AttributedOrder,
    Attribution,
    AuditEntry,
    Collaboration,
    Opening,
    Party,
    Refund,
    Settlement,
    SignedTotal,
    Status,
)
from tandem.contracts.errors import Forbidden
from tandem.contracts.parties import PartyId
from tandem.contracts.product import CurrencyCode, Money, ProductId
from tandem.governance.access import Principal, Role
from tandem.http.problems import documented
from tandem.http.schemas import Message
from tandem.http.services import Collaborations, offered
from tandem.http.serving import StrictRoute, json_response, of, principal
from tandem.storage.collaborations import Balance

T = TypeVar("T")
MAX_ROWS = 1_000
MAX_LISTED = 1_000

router = APIRouter(prefix="/v1/collaborations", route_class=StrictRoute, tags=["collaborations"])
_READING = documented(401, 403, 404, 422, 429, 503)
_WRITING = documented(400, 401, 403, 404, 409, 413, 422, 429, 503)

Who = Annotated[Principal, Depends(principal)]
Id = Annotated[str, Path(min_length=1, max_length=128, examples=["5b0c6d1ab2f34ad3a1f6e8b0c9d7"])]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=MAX_KEY,
        description="Chosen by the sender: the same call with it counts once",
    ),
]
Number = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class ListQuery(Message):
    """Query string of the lists."""

    status: Status | None = None
    limit: int = Field(default=100, ge=1, le=MAX_LISTED)


class LimitQuery(Message):
    limit: int = Field(default=100, ge=1, le=MAX_LISTED)


class OrderBody(Message):
    """An order line to attribute. Its numbers become a keyed hash and are not stored."""

    order: Number = Field(examples=["2026-10042"])
    line: Number = Field(examples=["1"])
    product_id: ProductId = Field(examples=["SP-1"])
    ordered: AwareDatetime
    amount: Money
    share: int = Field(default=WHOLE, ge=1, le=WHOLE, description="Basis points of the line")


class OrdersBody(Message):
    orders: tuple[OrderBody, ...] = Field(min_length=1, max_length=MAX_ROWS)


class RefundBody(Message):
    """Money that went back for an order line. Numbers become keyed hashes."""

    refund: Number = Field(description="The same number counts once", examples=["R-77"])
    order: Number = Field(examples=["2026-10042"])
    line: Number = Field(examples=["1"])
    amount: Money


class SettleBody(Message):
    merchant_id: PartyId | None = Field(default=None, description="None: all merchants")


class BalanceOut(BaseModel):
    """Debit above zero, credit below."""

    account: str
    amount: SignedTotal
    currency: CurrencyCode


class CollaborationList(BaseModel):
    """`handles`: of the creators in it, by id, where they are known and may be shown."""

    collaborations: list[Collaboration]
    handles: dict[str, str]


class CollaborationDetail(BaseModel):
    """`possible`: what the asking party may do now."""

    collaboration: Collaboration
    possible: list[str]
    balances: list[BalanceOut]
    history: list[AuditEntry]


class AttributionList(BaseModel):
    orders: list[Attribution]


class SettlementList(BaseModel):
    settlements: list[Settlement]
    balances: list[BalanceOut]


class Expired(BaseModel):
    expired: list[str]


class Verified(BaseModel):
    """`findings`: what is wrong and where; empty when every cent is there, once."""

    sound: bool
    entries: int
    collaborations: int
    order_lines: int
    settlements: int
    findings: list[str]


def party(who: Principal) -> Party:
    """For whom a key acts. Forbidden for roles that have no part in collaborations."""
    if who.role is Role.ADMIN:
        return Party(role="platform", id="operator")
    if who.role in (Role.MERCHANT, Role.CREATOR) and who.tenant is not None:
        return Party.model_validate({"role": who.role.value, "id": who.tenant})
    raise Forbidden(
        f"a key of role {who.role} has no part in collaborations",
        remedy="use a merchant's, a creator's or the admin key",
    )


def _platform(who: Principal) -> Party:
    acting = party(who)
    if acting.role != "platform":
        raise Forbidden("this is for the platform", remedy="use the admin key")
    return acting


async def _read(request: Request, work: Callable[[Collaborations], T]) -> T:
    return await _run(request, work, writes=False)


async def _write(request: Request, work: Callable[[Collaborations], T]) -> T:
    return await _run(request, work, writes=True)


async def _run(request: Request, work: Callable[[Collaborations], T], *, writes: bool) -> T:
    serving = of(request)
    office = offered(serving.services.collaborations, "this server keeps no collaborations")
    result, timings = await serving.run(
        serving.slow if writes else serving.search, lambda: work(office)
    )
    request.scope["timings_ms"] = timings
    return result


def _out(balances: list[Balance]) -> list[BalanceOut]:
    return [BalanceOut(account=b.account, amount=b.amount, currency=b.currency) for b in balances]


@router.post("", response_model=Collaboration, responses=_WRITING)
async def open_collaboration(
    request: Request, who: Who, opening: Annotated[Opening, Body()], key: Key = None
) -> Response:
    """Invite a creator (a merchant's key) or apply to a merchant (a creator's key)."""
    acting = party(who)
    return json_response(await _write(request, lambda o: o.desk.open(acting, opening, key)))


@router.get("", response_model=CollaborationList, responses=_READING)
async def list_collaborations(
    request: Request, who: Who, query: Annotated[ListQuery, Query()]
) -> Response:
    """One's own collaborations, newest first; all of them for the platform."""
    acting = party(who)

    def work(o: Collaborations) -> CollaborationList:
        found = o.desk.find(acting, status=query.status, limit=query.limit)
        handles = o.handles({c.creator_id for c in found})
        return CollaborationList(collaborations=found, handles=dict(handles))

    return json_response(await _read(request, work))


@router.get("/settlements", response_model=SettlementList, responses=_READING)
async def settlements(
    request: Request, who: Who, query: Annotated[LimitQuery, Query()]
) -> Response:
    """One's own settlements, newest first, and the balances of one's accounts."""
    acting = party(who)
    return json_response(
        await _read(
            request,
            lambda o: SettlementList(
                settlements=o.desk.settlements(acting, query.limit),
                balances=_out(o.desk.balances(acting)),
            ),
        )
    )


@router.post("/settlements", response_model=SettlementList, responses=_WRITING)
async def settle(request: Request, who: Who, body: SettleBody) -> Response:
    """Settle every commission whose return window is over. For the platform."""
    acting = _platform(who)

    def work(o: Collaborations) -> SettlementList:
        done = o.desk.settle_due(acting, body.merchant_id)
        return SettlementList(settlements=done, balances=_out(o.desk.balances(acting)))

    return json_response(await _write(request, work))


@router.post("/refunds", response_model=AttributionList, responses=_WRITING)
async def refund(request: Request, who: Who, body: RefundBody) -> Response:
    """Take commission back for a refunded order line. For the platform."""
    acting = _platform(who)

    def work(o: Collaborations) -> AttributionList:
        refund = Refund(
            refund_id=o.names.refund(body.refund),
            order_line=o.names.order_line(body.order, body.line),
            amount=body.amount,
        )
        return AttributionList(orders=list(o.desk.refund(acting, refund)))

    return json_response(await _write(request, work))


@router.post("/expire", response_model=Expired, responses=_WRITING)
async def expire(request: Request, who: Who) -> Response:
    """Expire what has passed its deadline. For the platform."""
    acting = _platform(who)
    done = await _write(request, lambda o: o.desk.expire_overdue(acting))
    return json_response(Expired(expired=[c.id for c in done]))


@router.get("/verify", response_model=Verified, responses=_READING)
async def verify_books(request: Request, who: Who) -> Response:
    """Prove the books: replay the audit log and compare. For the platform."""
    _platform(who)
    v = await _write(request, lambda o: verify(o.desk.store))
    return json_response(
        Verified(
            sound=v.sound,
            entries=v.entries,
            collaborations=v.collaborations,
            order_lines=v.order_lines,
            settlements=v.settlements,
            findings=list(v.findings),
        )
    )


@router.get("/{id_}", response_model=CollaborationDetail, responses=_READING)
async def collaboration(request: Request, who: Who, id_: Id) -> Response:
    """A collaboration with its money, its history and what may be done next."""
    acting = party(who)

    def work(o: Collaborations) -> CollaborationDetail:
        found = o.desk.get(acting, id_)
        return CollaborationDetail(
            collaboration=found,
            possible=list(possible(found, acting.role, o.desk.clock())),
            balances=_out(o.desk.balances(acting, id_)),
            history=o.desk.history(acting, id_),
        )

    return json_response(await _read(request, work))


@router.post("/{id_}/actions", response_model=Collaboration, responses=_WRITING)
async def act(
    request: Request, who: Who, id_: Id, action: Annotated[Action, Body()], key: Key = None
) -> Response:
    """Take one step: accept, ship_sample, publish, open_dispute and so on."""
    acting = party(who)
    return json_response(await _write(request, lambda o: o.desk.act(acting, id_, action, key)))


@router.get("/{id_}/orders", response_model=AttributionList, responses=_READING)
async def attributions(
    request: Request, who: Who, id_: Id, query: Annotated[LimitQuery, Query()]
) -> Response:
    """Attributed order lines with their commission."""
    acting = party(who)
    found = await _read(request, lambda o: o.desk.attributions(acting, id_, query.limit))
    return json_response(AttributionList(orders=found))


@router.post("/{id_}/orders", response_model=AttributionList, responses=_WRITING)
async def attribute(
    request: Request, who: Who, id_: Id, body: OrdersBody, key: Key = None
) -> Response:
    """Attribute order lines, all or none. For the platform."""
    acting = _platform(who)

    def work(o: Collaborations) -> AttributionList:
        orders = [
            AttributedOrder(
                order_line=o.names.order_line(line.order, line.line),
                product_id=line.product_id,
                ordered=line.ordered,
                amount=line.amount,
                share=line.share,
            )
            for line in body.orders
        ]
        return AttributionList(orders=list(o.desk.attribute(acting, id_, orders, key)))

    return json_response(await _write(request, work))
