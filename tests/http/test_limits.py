"""Limits on size, rate, time and load."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from small_shop import SmallShop
from starlette.testclient import TestClient

from tandem.contracts.errors import InvalidInput
from tandem.http.app import create_app
from tandem.http.limits import MOST_CLIENTS, RateLimit
from tandem.http.settings import ServerSettings

JSON = {"Content-Type": "application/json"}


def served(shop: SmallShop, client: tuple[str, int] = ("testclient", 1), **settings: object):
    settings = {"refresh_seconds": 0, "rate_per_second": 0, **settings}
    return TestClient(create_app(shop, ServerSettings(**settings)), client=client)  # type: ignore[arg-type]


def test_a_large_body_gets_413_whether_or_not_it_says_so(shop: SmallShop) -> None:
    with served(shop, max_body_bytes=2000) as client:
        large = b'{"q": "' + b"a" * 3000 + b'"}'

        def pieces() -> Iterator[bytes]:
            yield from (large[i : i + 500] for i in range(0, len(large), 500))

        for content in (large, pieces()):
            response = client.post("/v1/search", content=content, headers=JSON)
            assert response.status_code == 413
            assert response.headers["content-type"] == "application/problem+json"
            assert "2,000 bytes" in response.json()["detail"]
        assert client.post("/v1/search", json={"q": "lamp"}).status_code == 200


def test_a_client_that_asks_too_often_is_told_when_to_come_back(shop: SmallShop) -> None:
    with served(shop, ("203.0.113.5", 1), rate_per_second=0.5, rate_burst=3) as client:
        answers = [client.get("/v1/suggest?q=a") for _ in range(4)]
        assert [a.status_code for a in answers] == [200, 200, 200, 429]
        assert 1 <= int(answers[3].headers["Retry-After"]) <= 2
        assert answers[3].headers["content-type"] == "application/problem+json"
        # Those who watch the server must see it also then.
        assert client.get("/healthz").status_code == 200
        assert 'tandem_refused_requests_total{reason="rate"} 1.0' in client.get("/metrics").text


def test_buckets_refill_and_clients_do_not_share_them() -> None:
    now = 0.0
    limit = RateLimit(2.0, 2, clock=lambda: now)
    assert [limit.wait("198.51.100.1") > 0 for _ in range(3)] == [False, False, True]
    assert limit.wait("198.51.100.2") == 0
    assert limit.wait("198.51.100.1") == pytest.approx(0.5)
    now = 0.5
    assert limit.wait("198.51.100.1") == 0
    assert limit.wait("198.51.100.1") > 0


def test_one_household_counts_once_and_the_own_machine_not_at_all() -> None:
    limit = RateLimit(1.0, 1, clock=lambda: 0.0)
    assert limit.wait("2001:db8::1") == 0
    assert limit.wait("2001:db8::2") > 0
    assert limit.wait("2001:db8:0:1::1") == 0
    assert [limit.wait(a) for a in ("127.0.0.1", "::1") for _ in range(5)] == [0.0] * 10


def test_no_address_is_kept_and_memory_is_bounded() -> None:
    limit = RateLimit(1.0, 1)
    addresses = [f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}" for i in range(MOST_CLIENTS + 50)]
    for address in addresses:
        limit.wait(address)
    assert len(limit._buckets) == MOST_CLIENTS
    # Whole addresses, since three given bytes stand in so many hashes now and then by chance.
    assert not {a.encode() for a in addresses} & set(limit._buckets)


def test_more_than_the_queue_holds_is_refused_at_once_and_the_rest_answered() -> None:
    shop = SmallShop(delay=0.3)
    with served(shop, threads=1, queue=1) as client:
        statuses: list[int] = []
        retry: list[str] = []

        def ask() -> None:
            response = client.get("/v1/search?q=lamp")
            statuses.append(response.status_code)
            if response.status_code == 503:
                retry.append(response.headers["Retry-After"])

        threads = [threading.Thread(target=ask) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert statuses.count(200) == 2
        assert statuses.count(503) == 4
        assert retry == ["1"] * 4
        # The place in the queue is given back.
        assert client.get("/v1/search?q=lamp").status_code == 200


def test_a_request_that_takes_too_long_gets_503() -> None:
    shop = SmallShop(delay=0.4)
    with served(shop, threads=1, request_seconds=0.1) as client:
        started = time.perf_counter()
        response = client.get("/v1/search?q=lamp")
        assert response.status_code == 503
        assert response.headers["Retry-After"] == "1"
        assert response.json()["remedy"]
        assert time.perf_counter() - started < 0.4
        assert 'tandem_refused_requests_total{reason="timeout"} 1.0' in client.get("/metrics").text


def test_settings_that_make_no_sense_are_refused() -> None:
    for name, value in (("max_body_bytes", 10), ("queue", -1), ("request_seconds", float("nan"))):
        with pytest.raises(InvalidInput) as error:
            ServerSettings(**{name: value})  # type: ignore[arg-type]
        assert error.value.field == name
