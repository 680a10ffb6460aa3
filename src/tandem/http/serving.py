"""What the routes of one server share: the shop, its threads, its metrics, its key."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable, Coroutine, Mapping
from typing import Annotated, Any, TypeVar

import orjson
from fastapi import Depends, Request, Security
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import Response

from tandem.governance.access import Permission, Principal, Role
from tandem.http.metrics import Metrics
from tandem.http.rankings import Rankings
from tandem.http.services import Services
from tandem.http.settings import ServerSettings
from tandem.http.shop import Shop
from tandem.http.workers import Overloaded, Workers

T = TypeVar("T")
_API_KEY = APIKeyHeader(
    name="X-API-Key",
    auto_error=False,
    description="A key of `tandem keys create`, or the server's admin key",
)


class StrictRequest(Request):
    """JSON by orjson: faster, and it turns away NaN, infinity, lone surrogates and deep nests."""

    async def json(self) -> Any:
        return orjson.loads(await self.body())


class StrictRoute(APIRoute):
    """A route whose body is read by `StrictRequest`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            return await handle(StrictRequest(request.scope, request.receive))

        return handler


class Serving:
    """One server's shop and the lanes to it.

    `search` answers shoppers on as many threads as there are cores. `slow` is one thread for
    writes, refreshes and measures over many queries: they never take a shopper's thread, and
    writes are in order. `events` mostly waits for the disk: threads that wait at the same time
    share one commit.
    """

    def __init__(self, shop: Shop, settings: ServerSettings, services: Services) -> None:
        self.shop = shop
        self.settings = settings
        self.services = services
        self.metrics = Metrics()
        self.name = uuid.uuid4().hex
        self.rankings = Rankings(shop)
        self.search = Workers(
            "search", settings.search_threads, settings.queue, settings.request_seconds
        )
        self.slow = Workers("slow", 1, 16, settings.slow_seconds)
        self.events = Workers("events", 4, 64, settings.request_seconds)

    async def run(self, lane: Workers, work: Callable[[], T]) -> tuple[T, dict[str, float]]:
        """The result of `work` and its timings in milliseconds; Overloaded without room."""
        started = time.perf_counter()
        try:
            result, waited = await lane.run(work)
        except Overloaded as refusal:
            self.metrics.refused(refusal.reason)
            raise
        took = (time.perf_counter() - started) * 1000
        return result, {"queue": round(waited, 3), "total": round(took, 3)}

    def traced(
        self, request: Request, timings_ms: Mapping[str, float], status: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The fields of `Traced`; they go into the response's headers as well."""
        index, model = status.get("index_generation"), status.get("model_generation")
        request.scope["generations"] = (index, model)
        request.scope["timings_ms"] = timings_ms
        return {
            "query_id": request.scope["query_id"],
            "index_generation": index,
            "model_generation": model,
            "timings_ms": dict(timings_ms),
        }

    def close(self) -> None:
        self.search.close()
        self.slow.close()
        self.events.close()
        if self.services.online is not None:
            self.services.online.close()


def of(request: Request) -> Serving:
    """The server that a request came to."""
    serving: Serving = request.app.state.serving
    return serving


ADMIN = Principal(Role.ADMIN, None, "key:admin")


async def principal(request: Request, key: Annotated[str | None, Security(_API_KEY)]) -> Principal:
    """Who asks, by the key that is sent: 401 without a valid one."""
    settings = of(request).settings
    if key is not None:
        if settings.admin_key is not None and settings.admin_key.opens_with(key):
            return ADMIN
        found = settings.keys.find(key) if settings.keys is not None else None
        if found is not None:
            return found.principal
    raise HTTPException(
        401,
        "this needs a key",
        # RFC 9110 asks a 401 to name a scheme.
        headers={"WWW-Authenticate": 'ApiKey header="X-API-Key"'},
    )


def needs(permission: Permission) -> Callable[[Principal], Coroutine[Any, Any, Principal]]:
    """Dependency of a route that is not for everybody: 401 without a valid key, 403 with one of a
    role that may not."""

    async def checked(who: Annotated[Principal, Depends(principal)]) -> Principal:
        who.require(permission)
        return who

    return checked


admin = needs(Permission.OPERATE)


def json_response(model: BaseModel) -> Response:
    """A model as JSON by pydantic's serialiser; docs/http.md says why (measured)."""
    return Response(model.model_dump_json(), media_type="application/json")


def finite(value: float | None) -> float | None:
    """NaN says 'not measurable', which JSON spells null."""
    return None if value is None or not math.isfinite(value) else value
