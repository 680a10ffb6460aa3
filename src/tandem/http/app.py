"""The ASGI application of one shop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI

from tandem.http import problems
from tandem.http.gate import Gate
from tandem.http.limits import RateLimit
from tandem.http.routes import (
    campaigns,
    catalogue,
    collaborating,
    events,
    experimenting,
    insights,
    judging,
    lab,
    matching,
    models,
    operating,
    privacy,
    recommending,
    searching,
    selling,
    site,
    slots,
    studio,
)
from tandem.http.services import Services
from tandem.http.serving import Serving
from tandem.http.settings import ServerSettings
from tandem.http.shop import Shop
from tandem.http.workers import Overloaded

log = logging.getLogger("tandem.http")

_DESCRIPTION = """
Search a catalogue, complete queries, recommend, read and change products, judge results.

Every answer names the `query_id` and the index and model generation that produced it, and says
how long each stage took. Errors are problem details (RFC 9457) with a `remedy`. Reading needs no
key; what changes something needs the admin key in `X-API-Key`.
"""


def create_app(
    shop: Shop, settings: ServerSettings | None = None, services: Services | None = None
) -> FastAPI:
    """An application that serves `shop`. Closing the shop is its owner's business."""
    settings = settings or ServerSettings()
    serving = Serving(shop, settings, services or Services())
    app = FastAPI(
        title="Tandem",
        version="1",
        description=_DESCRIPTION,
        # The ready-made documentation pages load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        # A redirect would hide from a client that its address is wrong.
        redirect_slashes=False,
    )
    app.state.serving = serving
    app.state.stopping = False
    problems.install(app)
    for routes in (
        searching,
        recommending,
        events,
        judging,
        catalogue,
        selling,
        campaigns,
        insights,
        collaborating,
        matching,
        studio,
        models,
        lab,
        experimenting,
        slots,
        privacy,
        operating,
        site,
    ):
        app.include_router(routes.router)
    app.add_middleware(
        Gate,
        metrics=serving.metrics,
        limit=RateLimit(settings.rate_per_second, settings.rate_burst),
        max_body_bytes=settings.max_body_bytes,
        larger={studio.VIDEO: settings.max_video_bytes},
    )
    _document(app)
    return app


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    serving: Serving = app.state.serving
    app.state.stopping = False
    watch = asyncio.create_task(_watch(serving))
    # The measures' library takes a second or two to import: not while somebody waits.
    warm = asyncio.create_task(serving.slow.run(judging.warm_up))
    try:
        yield
    finally:
        app.state.stopping = True
        watch.cancel()
        for task in (watch, warm):
            with contextlib.suppress(asyncio.CancelledError, Overloaded):
                await task
        await asyncio.to_thread(serving.close)
        if serving.services.lab is not None and serving.settings.refresh_seconds:
            await asyncio.to_thread(serving.services.lab.tell_load, serving.name, None)


async def _watch(serving: Serving) -> None:
    """Take up generations that another process made live."""
    every = serving.settings.refresh_seconds
    while every:
        await asyncio.sleep(every)
        await _tell_load(serving)
        try:
            switched, _ = await operating.take_up(serving)
            if serving.services.online is not None:
                await serving.run(serving.slow, serving.services.online.refreshed)
        except Overloaded:
            continue
        except Exception:
            # The generation that is being served stays; the next look may succeed.
            log.exception("a newer generation could not be taken up")
            continue
        if switched:
            log.info("now serving index %s", serving.shop.status().get("index_generation"))


async def _tell_load(serving: Serving) -> None:
    """Tell the other servers of the workspace what this one has done."""
    if serving.services.lab is None:
        return
    load = {**serving.metrics.load(), "every": serving.settings.refresh_seconds}
    try:
        await asyncio.to_thread(serving.services.lab.tell_load, serving.name, load)
    except OSError as error:
        log.warning("what this server does could not be told: %s", error)


def _document(app: FastAPI) -> None:
    """OpenAPI with the problems that are really sent, in place of FastAPI's own error shape."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        schema = plain()
        schemas = schema.setdefault("components", {}).setdefault("schemas", {})
        if "Problem" not in schemas:
            schemas.pop("HTTPValidationError", None)
            schemas.pop("ValidationError", None)
            problem = problems.Problem.model_json_schema(
                ref_template="#/components/schemas/{model}"
            )
            schemas.update(problem.pop("$defs", {}))
            schemas["Problem"] = problem
        return schema

    app.openapi = openapi  # type: ignore[method-assign]
