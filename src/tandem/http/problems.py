"""Errors as RFC 9457 problem details, each with a remedy."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from tandem.contracts.errors import (
    Behind,
    Conflict,
    Forbidden,
    InvalidInput,
    MissingExtra,
    NotFound,
    StorageFull,
    TandemError,
)
from tandem.http.workers import Overloaded

MEDIA_TYPE = "application/problem+json"
log = logging.getLogger("tandem.http")


class FieldError(BaseModel):
    """One thing that is wrong with one field of the request."""

    field: str = Field(examples=["size"])
    message: str = Field(examples=["Input should be less than or equal to 200"])


class Problem(BaseModel):
    """A problem detail (RFC 9457). `remedy` says what to do about it."""

    type: str = Field(default="about:blank", examples=["about:blank"])
    title: str = Field(examples=["Unprocessable Content"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["the request does not fit its contract"])
    remedy: str = Field(default="", examples=["correct the fields named in errors"])
    query_id: str | None = Field(default=None, examples=["5b0c6d1ab2f34ad3a1f6e8b0c9d7e123"])
    errors: list[FieldError] = Field(default_factory=list)


_REMEDIES = {
    400: "send well-formed JSON with Content-Type: application/json",
    401: "send a key in the header X-API-Key",
    403: "use a key of a role that may",
    404: "check the address; GET /openapi.json lists what there is",
    405: "use one of the methods named in the header Allow",
    413: "send less at once: split the batch",
    429: "slow down, and wait for the seconds named in the header Retry-After",
    500: "tell the operator the query_id; the server's log holds the cause",
}
_STATUS_OF: tuple[tuple[type[TandemError], int], ...] = (
    (Overloaded, 503),
    (Forbidden, 403),
    (Behind, 429),
    (NotFound, 404),
    (Conflict, 409),
    (MissingExtra, 422),
    (StorageFull, 507),
    (InvalidInput, 422),
)


def problem(
    status: int,
    detail: str,
    *,
    remedy: str = "",
    query_id: str | None = None,
    errors: list[FieldError] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A problem response."""
    try:
        title = HTTPStatus(status).phrase
    except ValueError:
        title = "Error"
    body = Problem(
        title=title,
        status=status,
        detail=detail,
        remedy=remedy or _REMEDIES.get(status, ""),
        query_id=query_id,
        errors=errors or [],
    )
    return Response(
        orjson.dumps(body.model_dump()),
        status_code=status,
        media_type=MEDIA_TYPE,
        headers=dict(headers or {}),
    )


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI entries for the problems a route may answer with."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }


def install(app: FastAPI) -> None:
    """Answer every foreseen error of `app` with a problem; the gate answers the others."""

    @app.exception_handler(TandemError)
    async def _(request: Request, error: TandemError) -> Response:
        status = next((s for kind, s in _STATUS_OF if isinstance(error, kind)), 500)
        headers = {}
        if isinstance(error, Overloaded | Behind):
            headers["Retry-After"] = str(error.retry_after)
        errors = []
        if isinstance(error, InvalidInput) and error.field:
            errors = [FieldError(field=error.field, message=_told(error))]
        if status == 500:
            log.error("query_id=%s %s", _query_id(request), error.message)
        return problem(
            status,
            _told(error),
            remedy=error.remedy,
            query_id=_query_id(request),
            errors=errors,
            headers=headers,
        )

    @app.exception_handler(RequestValidationError)
    async def _(request: Request, error: RequestValidationError) -> Response:
        return _invalid(request, error.errors())

    @app.exception_handler(ValidationError)
    async def _(request: Request, error: ValidationError) -> Response:
        return _invalid(request, error.errors())

    @app.exception_handler(HTTPException)
    async def _(request: Request, error: HTTPException) -> Response:
        return problem(
            error.status_code,
            str(error.detail),
            query_id=_query_id(request),
            headers=error.headers,
        )


def _told(error: TandemError) -> str:
    """What went wrong. A file of the server goes by its name: where it lies is nobody's business
    out there."""
    file = error.file if isinstance(error, InvalidInput) else None
    return error.message.replace(file, Path(file).name) if file else error.message


def _invalid(request: Request, found: Any) -> Response:
    malformed = any(e.get("type") == "json_invalid" for e in found)
    errors = [
        FieldError(
            field=".".join(str(part) for part in e.get("loc", ())) or "body",
            message=str(e.get("msg", "invalid")),
        )
        for e in found[:20]
    ]
    return problem(
        400 if malformed else 422,
        "the body is not well-formed JSON" if malformed else "the request breaks its contract",
        remedy="" if malformed else "correct the fields named in errors; see /openapi.json",
        query_id=_query_id(request),
        errors=errors,
    )


def _query_id(request: Request) -> str | None:
    return request.scope.get("query_id")
