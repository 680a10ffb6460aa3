"""The creator studio: texts that say no more about a product than its listing."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from tandem.content.briefs import make_brief, make_captions
from tandem.content.checking import check_text
from tandem.content.video import check_video
from tandem.content.writing import reworded
from tandem.contracts.brief import Brief, Caption, TextReport
from tandem.contracts.errors import Forbidden, NotFound
from tandem.contracts.parties import PartyId
from tandem.contracts.product import Product, ProductId
from tandem.contracts.query_log import QueryCount
from tandem.contracts.studio import StudioHome, Worked
from tandem.contracts.video import VideoReport
from tandem.governance.access import Permission, Principal, Role
from tandem.http.problems import documented
from tandem.http.schemas import Message
from tandem.http.services import offered
from tandem.http.serving import Serving, StrictRoute, json_response, needs, of, principal
from tandem.http.shop import StudioOffice

router = APIRouter(
    prefix="/v1/studio",
    route_class=StrictRoute,
    tags=["studio"],
    dependencies=[Depends(needs(Permission.OWN_REPORTS))],
)
Who = Annotated[Principal, Depends(principal)]
_READING = documented(401, 403, 404, 422, 429, 503)
_POSTING = documented(400, 401, 403, 404, 413, 422, 429, 503)
MAX_TEXT = 20_000
NO_WRITER = "this server has no language model: set TANDEM_WRITER_URL"
VIDEO = "/v1/studio/video"


class ProductQuery(Message):
    """Query string: the product that a text is about."""

    product_id: ProductId = Field(examples=["SP-1"])


class TextQuery(ProductQuery):
    language: Literal["en", "de", "fr", "es", "it", "nl", "pt"] | None = Field(
        default=None, description="Of its sentences; default: the listing's, else English"
    )


class BriefQuery(TextQuery):
    rewrite: bool = Field(
        default=False,
        description="Have the server's language model reword it; 404 where it has none",
    )


class CreatorQuery(Message):
    """Query string: whose studio. A creator's key opens that creator's."""

    creator: PartyId = Field(examples=["mia"])


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


def _own(who: Principal, creator: str) -> None:
    """Forbidden unless it is the creator's own key, or the shop's own team's."""
    if not who.may(Permission.INSIGHT) and not who.owns(Role.CREATOR, creator):
        raise Forbidden("this key is of another tenant", remedy="ask for your own studio")


def _office(serving: Serving) -> StudioOffice:
    return offered(serving.services.studio, "this server keeps no creators")


def _asked(serving: Serving, who: Principal) -> tuple[QueryCount, ...]:
    """What shoppers type: as imported, and as they typed here."""
    office = serving.services.studio
    return (*serving.services.asked, *(office.asked(actor=who.actor) if office else ()))


@router.get("/home", response_model=StudioHome, responses=_READING)
async def home(request: Request, query: Annotated[CreatorQuery, Query()], who: Who) -> Response:
    """Products that fit a creator with expected earnings, and what is searched for and rarely
    shown within the creator's topics."""
    _own(who, query.creator)
    serving = of(request)
    found, _ = await serving.run(
        serving.slow, lambda: _office(serving).home(query.creator, actor=who.actor)
    )
    return json_response(found)


@router.get("/worked", response_model=Worked, responses=_READING)
async def worked(request: Request, query: Annotated[CreatorQuery, Query()], who: Who) -> Response:
    """What worked after posting: hook, hold, retention and sales beside one's own past and similar
    creators. Figures are of at least 50 views, and of others only over five creators and more."""
    _own(who, query.creator)
    serving = of(request)
    found, _ = await serving.run(serving.slow, lambda: _office(serving).worked(query.creator))
    return json_response(found)


@router.get("/brief", response_model=Brief, responses=_READING)
async def brief(request: Request, query: Annotated[BriefQuery, Query()], who: Who) -> Response:
    """A brief for one video, made of the listing's facts and of what shoppers type.

    Reworded by a language model, a sentence is taken only if the listing bears out its claims.
    """
    serving = of(request)

    def work() -> Brief:
        product = _product(serving, query.product_id)
        made = make_brief(product, _asked(serving, who), query.language)
        if not query.rewrite:
            return made
        return reworded(made, product, offered(serving.services.writer, NO_WRITER))

    lane = serving.slow if query.rewrite else serving.search
    found, _ = await serving.run(lane, work)
    return json_response(found)


@router.get("/captions", response_model=CaptionList, responses=_READING)
async def captions(request: Request, query: Annotated[TextQuery, Query()], who: Who) -> Response:
    """Three captions with hashtags, disclosed as paid for."""
    serving = of(request)
    made, _ = await serving.run(
        serving.search,
        lambda: make_captions(
            _product(serving, query.product_id), _asked(serving, who), query.language
        ),
    )
    return json_response(CaptionList(captions=list(made)))


@router.post("/check", response_model=TextReport, responses=_POSTING)
async def check(request: Request, body: CheckBody, who: Who) -> Response:
    """Hold a text against the listing: disclosure, claims, relevance, clarity."""
    serving = of(request)
    report, _ = await serving.run(
        serving.search,
        lambda: check_text(
            body.text,
            _product(serving, body.product_id),
            _asked(serving, who),
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
        report, _ = await serving.run(
            serving.slow, lambda: check_video(Path(copy.name), "the video")
        )
    return json_response(report)
