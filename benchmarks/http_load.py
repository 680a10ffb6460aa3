"""Searches over HTTP on loopback, from threads that keep their connections."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import numpy as np

from benchmarks.timing import Row


def run(workspace: Path, queries: Sequence[str], clients: int, seconds: float) -> Row:
    """Start `tandem serve`, load it for `seconds` from `clients` connections, stop it."""
    server = subprocess.Popen(
        [sys.executable, "-m", "tandem.cli.main", "serve", "-w", str(workspace), "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        port = _port(server)
        _get(http.client.HTTPConnection("127.0.0.1", port), queries[0])
        return _load(port, queries, clients, seconds)
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)


def _port(server: subprocess.Popen[str]) -> int:
    assert server.stderr is not None
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        line = server.stderr.readline()
        if found := re.search(r"127\.0\.0\.1:(\d+)", line):
            threading.Thread(target=server.stderr.read, daemon=True).start()
            return int(found[1])
    raise TimeoutError("the server did not say where it listens")


def _get(connection: http.client.HTTPConnection, query: str) -> None:
    connection.request("GET", f"/v1/search?q={quote(query)}&size=20")
    response = connection.getresponse()
    body = response.read()
    if response.status != 200:
        raise RuntimeError(f"{response.status}: {body[:200]!r}")
    json.loads(body)


def _load(port: int, queries: Sequence[str], clients: int, seconds: float) -> Row:
    spent: list[float] = []
    failures: list[str] = []
    stop = time.perf_counter() + seconds

    def client(me: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        at = me * 7919
        while time.perf_counter() < stop:
            start = time.perf_counter()
            try:
                _get(connection, queries[at % len(queries)])
            except Exception as error:
                failures.append(str(error))
                return
            spent.append((time.perf_counter() - start) * 1000)
            at += 1

    threads = [threading.Thread(target=client, args=(i,)) for i in range(clients)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    p50, p99 = np.percentile(spent, [50, 99]) if spent else (np.nan, np.nan)
    return {
        "qps": round(len(spent) / (time.perf_counter() - start), 1),
        "p50_ms": round(float(p50), 2),
        "p99_ms": round(float(p99), 2),
        "failures": len(failures),
    }
