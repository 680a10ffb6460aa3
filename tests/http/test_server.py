"""A real server on a real socket: switching generations, stopping, starting."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from small_shop import SmallShop

from live_server import served
from tandem.contracts.errors import Conflict
from tandem.http.keys import AdminKey
from tandem.http.server import serve
from tandem.http.settings import ServerSettings

KEY = "a-key-for-tests-only"


def test_generations_switch_under_load_without_one_failed_request() -> None:
    shop = SmallShop()
    settings = ServerSettings(admin_key=AdminKey.of(KEY), threads=2)
    statuses: list[int] = []
    generations: list[list[str]] = [[] for _ in range(4)]
    done = threading.Event()
    with served(shop, settings) as address:

        def hammer(mine: list[str]) -> None:
            with httpx.Client(base_url=address) as client:
                while not done.is_set():
                    response = client.get("/v1/search?q=speaker")
                    statuses.append(response.status_code)
                    mine.append(response.json()["index_generation"])

        threads = [threading.Thread(target=hammer, args=(g,)) for g in generations]
        for thread in threads:
            thread.start()
        with httpx.Client(base_url=address, headers={"X-API-Key": KEY}) as admin:
            for _ in range(12):
                time.sleep(0.05)
                shop.pending = 1
                assert admin.post("/v1/admin/refresh").json()["switched"] is True
        done.set()
        for thread in threads:
            thread.join()
    assert set(statuses) == {200}
    assert len(set().union(*generations)) > 5
    # A client that waits for its answers never sees an older generation again.
    assert all(seen == sorted(seen) for seen in generations)


def test_a_generation_that_another_process_made_live_is_taken_up() -> None:
    shop = SmallShop()
    with served(shop, ServerSettings(refresh_seconds=0.05)) as address:
        shop.pending = 1
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if httpx.get(f"{address}/v1/status").json()["index_generation"].startswith("g000002"):
                return
            time.sleep(0.05)
    pytest.fail("the newer generation was not taken up")


_SLOW_SERVER = """
import sys
sys.path.insert(0, {here!r})
from small_shop import SmallShop
from tandem.http.server import serve
serve(SmallShop(delay=1.0), port=0)
"""


def test_a_stopped_server_finishes_what_it_has_begun() -> None:
    here = str(Path(__file__).parent)
    process = subprocess.Popen(
        [sys.executable, "-c", _SLOW_SERVER.format(here=here)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TANDEM_ADMIN_KEY": ""},
    )
    try:
        assert process.stderr is not None
        said = [process.stderr.readline(), process.stderr.readline()]
        assert "Admin key for this run" in said[0]
        address = said[1].split()[2]
        answers: list[httpx.Response] = []
        thread = threading.Thread(
            target=lambda: answers.append(httpx.get(f"{address}/v1/search?q=lamp", timeout=20))
        )
        thread.start()
        deadline = time.monotonic() + 10
        while "tandem_http_requests_in_flight 2.0" not in httpx.get(f"{address}/metrics").text:
            assert time.monotonic() < deadline
        process.send_signal(signal.SIGTERM)
        thread.join()
        assert answers[0].status_code == 200
        assert answers[0].json()["hits"]
        assert process.wait(10) in (0, -signal.SIGTERM)
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def test_a_head_without_end_is_cut_off() -> None:
    with served(SmallShop(), ServerSettings(refresh_seconds=0)) as address:
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: ")
            answer = b""
            with contextlib.suppress(ConnectionError):
                for _ in range(40):
                    connection.sendall(b"a" * 10_000)
                answer = connection.recv(100)
            assert answer[:12] in (b"", b"HTTP/1.1 400")
        assert httpx.get(f"{address}/healthz").status_code == 200
        assert httpx.get(f"{address}/v1/search?q=" + "a" * 30_000).status_code == 422


def test_a_taken_port_is_said_plainly() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(Conflict) as error:
            serve(SmallShop(), port=taken.getsockname()[1], announce=lambda _: None)
    assert "--port" in error.value.remedy
