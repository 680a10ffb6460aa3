"""The privacy office: what is kept about people, what they allow, copies and erasure."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Path, Request
from pydantic import Field
from starlette.responses import Response

from tandem.contracts.consent import Decision, Purpose
from tandem.contracts.privacy import ErasureRequest, PersonRole, PersonStanding, PrivacyOverview
from tandem.governance.access import Permission, Principal
from tandem.http.problems import documented
from tandem.http.schemas import Message
from tandem.http.services import offered
from tandem.http.serving import Serving, StrictRoute, json_response, needs, of
from tandem.http.shop import PrivacyOffice

router = APIRouter(prefix="/v1/privacy", route_class=StrictRoute, tags=["privacy"])
_Officer = Annotated[Principal, Depends(needs(Permission.PRIVACY))]
_PROBLEMS = documented(400, 401, 403, 404, 409, 413, 422, 429, 503)


class Person(Message):
    """A person by the identifier that the shop knows, or by a pseudonym. It becomes a pseudonym at
    once and is neither stored nor logged."""

    identifier: str = Field(min_length=1, max_length=512, examples=["anna"])
    role: PersonRole = Field(default="user", description="A signed-in user, or a browser or app")


class DecisionBody(Person):
    """Body of `POST /v1/privacy/consent`."""

    purpose: Purpose
    decision: Decision


class CorrectionBody(Person):
    event: str = Field(description="`event_key`, as in the copy", max_length=64)
    changes: dict[str, Annotated[str, Field(max_length=512)] | None] = Field(
        description="New values by field; null: unknown", min_length=1, max_length=8
    )
    reason: str = Field(description="Why it is wrong, for the audit log", max_length=200)


def _office(serving: Serving) -> PrivacyOffice:
    return offered(serving.services.privacy, "this server has no privacy office")


@router.get("", response_model=PrivacyOverview, responses=documented(401, 403, 404, 429, 503))
async def overview(request: Request, who: _Officer) -> Response:
    """What is kept about people and for how long, on which ground, requests, and the audit log."""
    serving = of(request)
    office = _office(serving)
    found, _ = await serving.run(serving.slow, office.overview)
    return json_response(found)


@router.get(
    "/data-map", response_model=dict[str, Any], responses=documented(401, 403, 404, 429, 503)
)
async def data_map(request: Request, who: _Officer) -> Response:
    """The data map as a fideslang manifest, for the register of processing (Art. 30 GDPR)."""
    serving = of(request)
    office = _office(serving)
    found, _ = await serving.run(serving.slow, office.data_map)
    return Response(orjson.dumps(found), media_type="application/json")


@router.post("/person", response_model=PersonStanding, responses=_PROBLEMS)
async def person(request: Request, body: Person, who: _Officer) -> Response:
    """What a person allows. A POST, so that the identifier is in no address."""
    serving = of(request)
    office = _office(serving)
    found, _ = await serving.run(
        serving.slow, lambda: office.person(body.identifier, body.role, who.actor)
    )
    return json_response(found)


@router.post("/consent", response_model=PersonStanding, responses=_PROBLEMS)
async def consent(request: Request, body: DecisionBody, who: _Officer) -> Response:
    """Record that a person grants or withdraws a purpose."""
    serving = of(request)
    office = _office(serving)
    found, _ = await serving.run(
        serving.slow,
        lambda: office.decide(body.identifier, body.role, body.purpose, body.decision, who.actor),
    )
    return json_response(found)


@router.post("/export", response_model=dict[str, Any], responses=_PROBLEMS)
async def export(request: Request, body: Person, who: _Officer) -> Response:
    """Everything that is stored about a person (access, portability)."""
    serving = of(request)
    office = _office(serving)
    found, _ = await serving.run(
        serving.slow, lambda: office.export(body.identifier, body.role, who.actor)
    )
    return Response(orjson.dumps(found, default=str), media_type="application/json")


@router.post("/corrections", response_model=dict[str, Any], responses=_PROBLEMS)
async def correct(request: Request, body: CorrectionBody, who: _Officer) -> Response:
    """Put right what is stored wrongly of one event of a person; the event afterwards."""
    serving = of(request)
    office = _office(serving)
    found, _ = await serving.run(
        serving.slow,
        lambda: office.correct(
            body.identifier, body.role, body.event, body.changes, body.reason, who.actor
        ),
    )
    return Response(orjson.dumps(found), media_type="application/json")


@router.post("/erasures", response_model=ErasureRequest, responses=_PROBLEMS)
async def erase(request: Request, body: Person, who: _Officer) -> Response:
    """Erase a person everywhere, and certify it by a look into every file."""
    serving = of(request)
    office = _office(serving)

    def work() -> ErasureRequest:
        done = office.erase(body.identifier, body.role, who.actor)
        serving.shop.refresh()
        return done

    found, _ = await serving.run(serving.slow, work)
    return json_response(found)


@router.get("/erasures/{request_id}", response_model=dict[str, Any], responses=_PROBLEMS)
async def certificate(
    request: Request,
    request_id: Annotated[str, Path(max_length=64, examples=["e0123456789ab"])],
    who: _Officer,
) -> Response:
    """The certificate of a finished erasure."""
    serving = of(request)
    office = _office(serving)
    found, _ = await serving.run(serving.slow, lambda: office.certificate(request_id))
    return Response(orjson.dumps(found, default=str), media_type="application/json")
