"""Prometheus metrics of one server, in a registry of its own."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from tandem.contracts.search import SearchResponse
from tandem.http.schemas import MonitorResponse, RouteLoad

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

_SEARCH = "/v1/search"
_BUSIEST = 20


class Metrics:
    """Counts and latencies. Routes are labelled by their template, never by what was asked."""

    media_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._born = time.monotonic()
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

    def load(self) -> dict[str, Any]:
        """What this process has done since it started, as JSON that adds up with other processes'.
        routes: by route, requests, answers of 500 and above, and how many took no longer than each
        bound of the histogram."""
        routes: dict[str, dict[str, Any]] = defaultdict(
            lambda: {"requests": 0, "errors": 0, "within": {}}
        )
        for sample in _samples(self._requests, "tandem_http_requests_total"):
            route = routes[sample.labels["route"]]
            route["requests"] += int(sample.value)
            if sample.labels["status"].startswith("5"):
                route["errors"] += int(sample.value)
        for sample in _samples(self._seconds, "tandem_http_request_seconds_bucket"):
            routes[sample.labels["route"]]["within"][sample.labels["le"]] = sample.value
        return {
            "routes": dict(routes),
            "refused": _total(self._refused, "tandem_refused_requests_total"),
            "in_flight": _total(self._in_flight, "tandem_http_requests_in_flight"),
            "searches": _total(self._searches, "tandem_searches_total"),
            "without_results": _total(self._empty, "tandem_searches_without_results_total"),
        }

    def monitor(self, others: Sequence[Mapping[str, Any]] = ()) -> MonitorResponse:
        """What this process and the others have done, together. others: their `load`."""
        every = [self.load(), *others]
        requests: dict[str, int] = defaultdict(int)
        errors: dict[str, int] = defaultdict(int)
        within: dict[str, dict[float, float]] = defaultdict(lambda: defaultdict(float))
        for load in every:
            for route, done in load["routes"].items():
                requests[route] += done["requests"]
                errors[route] += done["errors"]
                for bound, n in done["within"].items():
                    within[route][float(bound)] += n
        buckets = {route: sorted(counts.items()) for route, counts in within.items()}

        def together(name: str) -> int:
            return sum(int(load[name]) for load in every)

        routes = [
            RouteLoad(
                route=route,
                requests=n,
                errors=errors[route],
                p50_ms=_quantile(buckets.get(route, []), 0.5),
                p95_ms=_quantile(buckets.get(route, []), 0.95),
            )
            for route, n in sorted(requests.items(), key=lambda item: -item[1])
        ]
        return MonitorResponse(
            servers=len(every),
            seconds=round(time.monotonic() - self._born, 1),
            requests=sum(requests.values()),
            errors=sum(errors.values()),
            refused=together("refused"),
            in_flight=together("in_flight"),
            searches=together("searches"),
            without_results=together("without_results"),
            search=next((r for r in routes if r.route == _SEARCH), None),
            routes=routes[:_BUSIEST],
        )


def _samples(collector: Collector, name: str) -> list[Sample]:
    return [s for metric in collector.collect() for s in metric.samples if s.name == name]


def _total(collector: Collector, name: str) -> int:
    return int(sum(s.value for s in _samples(collector, name)))


def _quantile(buckets: Sequence[tuple[float, float]], share: float) -> float | None:
    """Milliseconds within which `share` of all requests were answered, straight between the ends
    of the bucket that it falls into; at most the end of the last finite one.

    buckets: (end in seconds, how many took no longer), ascending. None without any.
    """
    if not buckets or not buckets[-1][1]:
        return None
    wanted, start, below = share * buckets[-1][1], 0.0, 0.0
    for end, within in buckets:
        if within >= wanted and within > below:
            if end == float("inf"):
                break
            return round(1000 * (start + (end - start) * (wanted - below) / (within - below)), 2)
        start, below = (start if end == float("inf") else end), within
    return round(1000 * start, 2)
