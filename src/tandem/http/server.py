"""Run the application with uvicorn."""

from __future__ import annotations

import dataclasses
import logging
import sys
from collections.abc import Callable
from typing import Any

import uvicorn

from tandem.contracts.errors import Conflict
from tandem.http.app import create_app
from tandem.http.keys import VARIABLE, AdminKey
from tandem.http.protocol import BoundedProtocol
from tandem.http.services import Services
from tandem.http.settings import ServerSettings
from tandem.http.shop import Shop


def _to_stderr(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def serve(
    shop: Shop,
    host: str = "127.0.0.1",
    port: int = 8000,
    settings: ServerSettings | None = None,
    services: Services | None = None,
    announce: Callable[[str], None] = _to_stderr,
) -> None:
    """Serve until interrupted (SIGINT, SIGTERM); requests under way are finished first.

    port: 0 picks a free one. announce: called with lines for the person who started the server;
    a generated admin key is among them, once, and nowhere else. Conflict when the port is taken.
    """
    settings = settings or ServerSettings()
    if settings.admin_key is None:
        key, text = AdminKey.from_environment(), None
        if key is None:
            key, text = AdminKey.generate()
        settings = dataclasses.replace(settings, admin_key=key)
        if text is not None:
            announce(f"Admin key for this run: {text} (set {VARIABLE} to choose your own)")
    logging.getLogger("tandem").setLevel(logging.INFO)
    _Server(configuration(shop, host, port, settings, services), announce).run()


def configuration(
    shop: Shop,
    host: str,
    port: int,
    settings: ServerSettings,
    services: Services | None = None,
) -> uvicorn.Config:
    """uvicorn's settings: no access log, since it would hold clients' addresses."""
    return uvicorn.Config(
        create_app(shop, settings, services),
        host=host,
        port=port,
        access_log=False,
        log_level="warning",
        server_header=False,
        lifespan="on",
        timeout_graceful_shutdown=round(settings.drain_seconds),
        http=BoundedProtocol,
    )


class _Server(uvicorn.Server):
    """Says where it listens once it does, and calls a taken port a Conflict."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[str], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: Any = None) -> None:
        try:
            await super().startup(sockets)
        except SystemExit:
            raise Conflict(
                f"cannot listen on {self.config.host}:{self.config.port}",
                remedy="choose another port, for example with --port 8001",
            ) from None
        for server in self.servers:
            for socket in server.sockets:
                host, port = socket.getsockname()[:2]
                shown = f"[{host}]" if ":" in host else host
                self._announce(f"Serving on http://{shown}:{port} (Ctrl+C stops)")
