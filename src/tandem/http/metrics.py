"""Prometheus metrics of one server, in a registry of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.process_collector import ProcessCollector

from tandem.contracts.search import SearchResponse

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """Counts and latencies. Routes are labelled by their template, never by what was asked."""

    media_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "tandem_http_requests",
            "HTTP requests by route, method and status",
            ("route", "method", "status"),
            registry=registry,
        )
        self._seconds = Histogram(
            "tandem_http_request_seconds",
            "Time from request to response by route",
            ("route",),
            buckets=_BUCKETS,
            registry=registry,
        )
        self._stages = Histogram(
            "tandem_search_stage_seconds",
            "Time of one stage of a search",
            ("stage",),
            buckets=_BUCKETS,
            registry=registry,
        )
        self._searches = Counter(
            "tandem_searches", "Searches by ranker", ("ranker",), registry=registry
        )
        self._empty = Counter(
            "tandem_searches_without_results", "Searches that found nothing", registry=registry
        )
        self._refused = Counter(
            "tandem_refused_requests",
            "Requests refused to protect the server",
            ("reason",),
            registry=registry,
        )
        self._events = Counter(
            "tandem_events",
            "Records sent to /v1/events by what became of them",
            ("status",),
            registry=registry,
        )
        self._in_flight = Gauge(
            "tandem_http_requests_in_flight", "Requests under way", registry=registry
        )
        self._products = Gauge("tandem_products", "Products that can be found", registry=registry)
        self._generation = Gauge(
            "tandem_generation_info",
            "Live generations; always 1",
            ("index", "model"),
            registry=registry,
        )
        self._switches = Counter(
            "tandem_generation_switches", "Generations taken up while serving", registry=registry
        )

    def started(self) -> None:
        self._in_flight.inc()

    def finished(self, route: str, method: str, status: int, seconds: float) -> None:
        self._in_flight.dec()
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def took_events(self, counts: Mapping[str, int]) -> None:
        for status, count in counts.items():
            self._events.labels(status).inc(count)

    def searched(self, response: SearchResponse) -> None:
        self._searches.labels(response.ranker).inc()
        if not response.hits:
            self._empty.inc()
        for stage, milliseconds in response.timings_ms.items():
            self._stages.labels(stage).observe(milliseconds / 1000)

    def refused(self, reason: str) -> None:
        self._refused.labels(reason).inc()

    def switched(self) -> None:
        self._switches.inc()

    def render(self, status: Mapping[str, Any]) -> bytes:
        """The exposition text, with the shop's present state."""
        self._products.set(status.get("products", 0))
        self._generation.clear()
        self._generation.labels(
            str(status.get("index_generation") or ""), str(status.get("model_generation") or "")
        ).set(1)
        return generate_latest(self._registry)
