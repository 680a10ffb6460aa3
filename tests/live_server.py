"""A real server on a real socket."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from tandem.http.server import configuration
from tandem.http.services import Services
from tandem.http.settings import ServerSettings
from tandem.http.shop import Shop


@contextmanager
def served(shop: Shop, settings: ServerSettings, services: Services | None = None) -> Iterator[str]:
    """The address of a server on a free port, which is stopped in the end."""
    server = uvicorn.Server(configuration(shop, "127.0.0.1", 0, settings, services))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
