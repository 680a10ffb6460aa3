"""What a server may be told, with defaults that suit a small machine."""

from __future__ import annotations

import os
from dataclasses import dataclass

from tandem.contracts.errors import InvalidInput
from tandem.governance.keys import KeyStore
from tandem.http.keys import AdminKey


@dataclass(frozen=True)
class ServerSettings:
    """Limits and switches of one server.

    admin_key: opens everything; None: there is no such key.
    keys: keys with a role each; None: there are none.
    max_body_bytes: larger request bodies get 413.
    max_video_bytes: the same for a video that is sent to be checked; none is kept.
    max_batch: products in one upsert; more get 422.
    collect_events: whether `POST /v1/events` takes events and the pages send them.
    max_events: records in one batch of events; more get 422.
    request_seconds: a request not answered by then gets 503 with Retry-After.
    slow_seconds: the same for writes, refreshes and measures over all judged queries.
    threads: searches computed at the same time. 0 means one per CPU core.
    queue: searches waiting for a thread; when it is full, further ones get 503 at once.
    rate_per_second, rate_burst: a client's token bucket; an empty one gives 429 with Retry-After.
        0 turns it off. Clients on the loopback address are the operator's own and not limited.
    refresh_seconds: how often to look for a newer generation made by another process; 0 = never.
    log_served: note what each search was answered with, without words or people, so that
        `tandem trace` can tell what it came from. 30 days are kept.
    drain_seconds: how long a stopping server waits for requests under way.
    """

    admin_key: AdminKey | None = None
    keys: KeyStore | None = None
    max_body_bytes: int = 1 << 20
    max_video_bytes: int = 128 << 20
    max_batch: int = 1000
    collect_events: bool = True
    max_events: int = 1000
    request_seconds: float = 10.0
    slow_seconds: float = 120.0
    threads: int = 0
    queue: int = 256
    rate_per_second: float = 50.0
    rate_burst: int = 200
    refresh_seconds: float = 2.0
    drain_seconds: float = 30.0
    log_served: bool = True

    def __post_init__(self) -> None:
        for name, least in (
            ("max_body_bytes", 1024),
            ("max_video_bytes", 1024),
            ("max_batch", 1),
            ("max_events", 1),
            ("request_seconds", 0.01),
            ("slow_seconds", 0.01),
            ("threads", 0),
            ("queue", 0),
            ("rate_per_second", 0),
            ("rate_burst", 1),
            ("refresh_seconds", 0),
            ("drain_seconds", 0),
        ):
            if not getattr(self, name) >= least:
                raise InvalidInput(
                    f"{getattr(self, name)} is too small",
                    field=name,
                    remedy=f"use {least} or more",
                )

    @property
    def search_threads(self) -> int:
        if self.threads:
            return self.threads
        usable = getattr(os, "sched_getaffinity", None)  # not on every platform
        return len(usable(0)) if usable else os.cpu_count() or 1
