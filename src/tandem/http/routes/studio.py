"""The creator studio: texts that say no more about a product than its listing."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from tandem.content.briefs import make_brief, make_captions
from tandem.content.checking import check_text
from tandem.content.video import check_video
from tandem.contracts.brief import Brief, Caption, TextReport
from tandem.contracts.errors import NotFound
from tandem.contracts.product import Product, ProductId
from tandem.contracts.video import VideoReport
from tandem.governance.access import Permission
from tandem.http.problems import documented
from tandem.http.schemas import Message
from tandem.http.serving import Serving, StrictRoute, json_response, needs, of

router = APIRouter(
    prefix="/v1/studio",
    route_class=StrictRoute,
    tags=["studio"],
    dependencies=[Depends(needs(Permission.OWN_REPORTS))],
)
_READING = documented(401, 403, 404, 422, 429, 503)
_POSTING = documented(400, 401, 403, 404, 413, 422, 429, 503)
MAX_TEXT = 20_000
VIDEO = "/v1/studio/video"


class ProductQuery(Message):
    """Query string: the product that a text is about."""

    product_id: ProductId = Field(examples=["SP-1"])


class CheckBody(Message):
    """A caption or script to look at before it is posted."""

    product_id: ProductId = Field(examples=["SP-1"])
    text: str = Field(max_length=MAX_TEXT, examples=["#ad My new speaker. #bluetoothspeaker"])
    labelled: bool = Field(
        default=False, description="The platform's own label for paid content is switched on"
    )


class CaptionList(BaseModel):
    captions: list[Caption]


def _product(serving: Serving, product_id: str) -> Product:
    product = serving.shop.product(product_id)
    if product is None:
        raise NotFound(f"no product '{product_id}'", remedy="search for it; it may be gone")
    return product


@router.get("/brief", response_model=Brief, responses=_READING)
async def brief(request: Request, query: Annotated[ProductQuery, Query()]) -> Response:
    """A brief for one video, made of the listing's facts and of what shoppers type."""
    serving = of(request)
    made, _ = await serving.run(
        serving.search,
        lambda: make_brief(_product(serving, query.product_id), serving.services.asked),
    )
    return json_response(made)


@router.get("/captions", response_model=CaptionList, responses=_READING)
async def captions(request: Request, query: Annotated[ProductQuery, Query()]) -> Response:
    """Three captions with hashtags, disclosed as paid for."""
    serving = of(request)
    made, _ = await serving.run(
        serving.search,
        lambda: make_captions(_product(serving, query.product_id), serving.services.asked),
    )
    return json_response(CaptionList(captions=list(made)))


@router.post("/check", response_model=TextReport, responses=_POSTING)
async def check(request: Request, body: CheckBody) -> Response:
    """Hold a text against the listing: disclosure, claims, relevance, clarity."""
    serving = of(request)
    report, _ = await serving.run(
        serving.search,
        lambda: check_text(
            body.text,
            _product(serving, body.product_id),
            serving.services.asked,
            labelled=body.labelled,
        ),
    )
    return json_response(report)


@router.post(
    "/video",
    response_model=VideoReport,
    responses=_POSTING,
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "The file itself: MP4, MOV, WebM or Matroska. It is not kept.",
            "content": {
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
            },
        }
    },
)
async def video(request: Request) -> Response:
    """Look at a video before it is posted: length, picture, cuts, loudness, how soon it begins.

    The body is the file; it goes to a temporary file, is measured and removed.
    """
    serving = of(request)
    with tempfile.NamedTemporaryFile(prefix="tandem-video-") as copy:
        async for part in request.stream():
            copy.write(part)
        copy.flush()
        report, _ = await serving.run(serving.slow, lambda: check_video(Path(copy.name)))
    return json_response(report)
