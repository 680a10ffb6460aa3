"""What every request passes: an id, two limits, security headers, metrics, a log line."""

from __future__ import annotations

import logging
import math
import time
import uuid
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tandem.http.limits import RateLimit
from tandem.http.metrics import Metrics
from tandem.http.problems import problem
from tandem.reports.page import STYLE

log = logging.getLogger("tandem.http")

# Scripts and styles only from this server, never inline: text of a product that slipped into a
# page as markup could still not run. Pictures and videos may come from where the catalogue says.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        # Reports carry their style within, so that they can be forwarded as one file.
        f"style-src 'self' 'sha256-{b64encode(sha256(STYLE.encode()).digest()).decode()}'",
        "img-src 'self' data: https:",
        "media-src 'self' https:",
        "connect-src 'self'",
        "manifest-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
# Measured by operators' tools every few seconds: neither limited nor logged.
_QUIET = frozenset({"/healthz", "/readyz", "/metrics"})


class Gate:
    """Pure ASGI, because a request-response middleware costs more than the rest of the stack.

    max_body_bytes: of any request but those to the paths of `larger`.

    Leaves `query_id` in the scope; a route may replace it by the one of its answer. What leaves
    carries it as `Tandem-Query-Id`, beside the generations in `scope["generations"]` and the
    timings in `scope["timings_ms"]` where the route left them.
    """

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        limit: RateLimit,
        max_body_bytes: int,
        larger: Mapping[str, int] | None = None,
    ) -> None:
        self.app = app
        self.metrics = metrics
        self.limit = limit
        self.max_body_bytes = max_body_bytes
        self.larger = larger or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        scope["query_id"] = uuid.uuid4().hex
        status = 500
        answering = False

        async def sending(message: Message) -> None:
            nonlocal status, answering
            if message["type"] == "http.response.start":
                answering = True
                status = message["status"]
                _stamp(MutableHeaders(scope=message), scope, started)
            await send(message)

        self.metrics.started()
        try:
            refusal = self._refusal(scope)
            if refusal is None:
                await self.app(scope, self._counted(receive, self._most(scope)), sending)
            else:
                await refusal(scope, receive, sending)
        except Exception:
            log.exception("query_id=%s %s failed", scope["query_id"], _route(scope))
            if answering:  # too late to say so politely: the connection has to break
                raise
            await problem(500, "the server could not answer", query_id=scope["query_id"])(
                scope, receive, sending
            )
        finally:
            seconds = time.perf_counter() - started
            route = _route(scope)
            self.metrics.finished(route, _method(scope), status, seconds)
            if scope["path"] not in _QUIET:
                # The route's template, not the address: neither client nor query is logged.
                log.info(
                    "%s %s %d %.1f ms query_id=%s",
                    _method(scope),
                    route,
                    status,
                    seconds * 1000,
                    scope["query_id"],
                )

    def _refusal(self, scope: Scope) -> Response | None:
        """A response to a request that need not be looked at further."""
        client = scope.get("client")
        quiet = scope["path"] in _QUIET
        wait = 0.0 if quiet else self.limit.wait(client[0] if client else None)
        if wait:
            self.metrics.refused("rate")
            return problem(
                429,
                "too many requests from one client",
                query_id=scope["query_id"],
                headers={"Retry-After": str(math.ceil(wait))},
            )
        length = next((v for k, v in scope["headers"] if k == b"content-length"), b"0")
        most = self._most(scope)
        if length.isdigit() and int(length[:20]) > most:
            self.metrics.refused("size")
            return problem(413, _too_large(most), query_id=scope["query_id"])
        return None

    def _most(self, scope: Scope) -> int:
        """Bytes that the body of a request may have: on some paths more than elsewhere."""
        return self.larger.get(scope["path"], self.max_body_bytes)

    def _counted(self, receive: Receive, most: int) -> Receive:
        """`receive` for a body that does not say how long it is."""
        size = 0

        async def receiving() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > most:
                self.metrics.refused("size")
                raise HTTPException(413, _too_large(most))
            return message

        return receiving


def _too_large(most: int) -> str:
    return f"the body is larger than {most:,} bytes"


def _stamp(headers: MutableHeaders, scope: Scope, started: float) -> None:
    headers.raw.extend(_RAW_SECURITY_HEADERS)
    headers["Tandem-Query-Id"] = scope["query_id"]
    if generations := scope.get("generations"):
        headers["Tandem-Index-Generation"] = generations[0] or "none"
        headers["Tandem-Model-Generation"] = generations[1] or "none"
    timings: dict[str, float] = dict(scope.get("timings_ms", ()))
    timings["server"] = (time.perf_counter() - started) * 1000
    headers["Server-Timing"] = ", ".join(f"{k};dur={v:.2f}" for k, v in timings.items())


_RAW_SECURITY_HEADERS = [(k.lower().encode(), v.encode()) for k, v in SECURITY_HEADERS.items()]
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in _METHODS else "other"


def _route(scope: Scope) -> str:
    route: Any = scope.get("route")
    return getattr(route, "path", None) or "none"
