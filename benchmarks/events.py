"""Events acknowledged and durable per second: `python -m benchmarks.events [--events N]`.

Simulated browsing: searches with 24 results, impressions, clicks. Every way in is measured until
the last acknowledgement, fsync included, with compaction beside where it is time. Results go to
`benchmarks/results/events.json` and `events.md`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import resource
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console

from tandem.flows.events import EventIntake, import_events
from tandem.flows.import_ import create_workspace
from tandem.governance.admission import Admission
from tandem.governance.pseudonyms import VARIABLE, Pseudonyms, open_ring
from tandem.ingest.events import parse_records
from tandem.ingest.problem import Problem
from tandem.storage.events import EventStore
from tandem.storage.layout import Layout

RESULTS = Path(__file__).parent / "results"
BATCH = 1_000
GOAL = 50_000
console = Console()


def browsing(first: int = 0) -> Iterator[dict[str, Any]]:
    """Records as a storefront sends them, without end: a search, 12 impressions, 2 clicks."""
    now = datetime.now(UTC) - timedelta(minutes=5)
    number = first
    while True:
        client = {
            "client_id": f"c-{number % 50_000:032x}",
            "session_id": f"s-{number % 100_000:032x}",
            "device": "mobile",
            "language": "en",
        }
        query_id = f"{number:032x}"
        shown = [f"SP-{(number * 7 + n) % 100_000}" for n in range(24)]
        at = (now + timedelta(milliseconds=number % 60_000)).isoformat()
        yield {
            "kind": "query",
            "event_id": f"q{number}",
            "timestamp": at,
            **client,
            "query_id": query_id,
            "user_query": f"bluetooth speaker {number % 10_000}",
            "object_ids": shown,
            "total": 240,
        }
        for n in range(14):
            yield {
                "kind": "event",
                "event_id": f"e{number}-{n}",
                "timestamp": at,
                **client,
                "action_name": "impression" if n < 12 else "click",
                "query_id": query_id,
                "object_id": shown[n % 12],
                "position": 1 + n % 12,
            }
        number += 1


def batches(count: int, size: int = BATCH, first: int = 0) -> list[list[dict[str, Any]]]:
    records = browsing(first)
    return [list(islice(records, size)) for _ in range(count // size)]


class Measured:
    """Wall-clock and CPU seconds of a block, all threads and finished children of it."""

    def __enter__(self) -> Measured:
        self._wall, self._cpu = time.perf_counter(), _cpu()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall, self.cpu = time.perf_counter() - self._wall, _cpu() - self._cpu


def _cpu() -> float:
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def journal(layout: Layout, events: int, threads: int = 4) -> Measured:
    """Rows that are admitted already into the journal."""
    admission = Admission(Pseudonyms(open_ring(layout)))
    parts = []
    for batch in batches(events):
        known = list(enumerate(parse_records(batch)))
        assert not any(isinstance(record, Problem) for _, record in known)
        parts.append(admission.admit(known, received=datetime.now(UTC)).rows)
    store = EventStore(layout)
    with Measured() as measured, ThreadPoolExecutor(threads) as pool:
        assert all(all(new) for new in pool.map(store.append, parts))
    assert store.status().events == events
    store.close()
    return measured


def intake(layout: Layout, events: int, threads: int = 4) -> Measured:
    """JSON read, checked, admitted by governance and stored, as the route does: one process."""
    parts = [orjson.dumps(batch) for batch in batches(events)]
    taker = EventIntake(layout)
    with Measured() as measured, ThreadPoolExecutor(threads) as pool:
        for outcomes in pool.map(lambda part: taker.take(orjson.loads(part)), parts):
            assert all(outcome.status == "accepted" for outcome in outcomes)
    taker.close()
    return measured


def _one_of_several(root: Path, events: int, first: int, orders: Connection) -> None:
    parts = [orjson.dumps(batch) for batch in batches(events, first=first)]
    taker = EventIntake(Layout.open(root))
    orders.send("ready")
    orders.recv()
    before = time.process_time()
    for part in parts:
        assert all(outcome.status == "accepted" for outcome in taker.take(orjson.loads(part)))
    orders.send(time.process_time() - before)
    taker.close()


def processes(layout: Layout, events: int, count: int = 2) -> Measured:
    """The same from several processes into one journal: a core each."""
    open_ring(layout)
    context = multiprocessing.get_context("spawn")
    ends = []
    for number in range(count):
        ours, theirs = context.Pipe()
        arguments = (layout.root, events // count, 1_000_000 * (number + 1), theirs)
        process = context.Process(target=_one_of_several, args=arguments)
        process.start()
        ends.append((ours, process))
    for ours, _ in ends:
        assert ours.recv() == "ready"
    with Measured() as measured:
        for ours, _ in ends:
            ours.send("go")
        spent = sum(ours.recv() for ours, _ in ends)
    measured.cpu = spent
    for _, process in ends:
        process.join()
    store = EventStore(layout)
    assert store.status().events == events
    store.close()
    return measured


def _server(layout: Layout) -> Any:
    """A real server of a small made-up shop that takes events into a workspace."""
    import sys

    import uvicorn

    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "http"))
    from small_shop import SmallShop

    from tandem.http.server import configuration
    from tandem.http.settings import ServerSettings

    shop = SmallShop()
    shop.intake = EventIntake(layout)
    return uvicorn.Server(configuration(shop, "127.0.0.1", 0, ServerSettings(refresh_seconds=0)))


def _running(server: Any) -> tuple[threading.Thread, str]:
    """Start a server in a thread: that thread, and the address that takes events."""
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    return thread, f"http://127.0.0.1:{port}/v1/events"


def _send(address: str, body: bytes) -> int:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(address, body, headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return int(orjson.loads(answer.read())["accepted"])


def over_http(layout: Layout, events: int, senders: int = 4) -> Measured:
    """`POST /v1/events` of a real server in this process; the senders' work is in the figure."""
    server = _server(layout)
    thread, address = _running(server)
    bodies = [orjson.dumps({"records": batch}) for batch in batches(events)]
    with Measured() as measured, ThreadPoolExecutor(senders) as pool:
        assert sum(pool.map(lambda body: _send(address, body), bodies)) == events
    server.should_exit = True
    thread.join()
    return measured


def _one_server(root: Path, orders: Connection) -> None:
    server = _server(Layout.open(root))
    thread, address = _running(server)
    before = time.process_time()
    orders.send(address)
    orders.recv()
    orders.send(time.process_time() - before)
    server.should_exit = True
    thread.join()


def servers(layout: Layout, events: int, count: int = 2, senders: int = 4) -> Measured:
    """`POST /v1/events` of several server processes on one journal; the senders, in this process,
    count on the clock and not as CPU time."""
    open_ring(layout)
    context = multiprocessing.get_context("spawn")
    ends = []
    for _ in range(count):
        ours, theirs = context.Pipe()
        process = context.Process(target=_one_server, args=(layout.root, theirs))
        process.start()
        ends.append((ours, process))
    addresses = [ours.recv() for ours, _ in ends]
    bodies = [orjson.dumps({"records": batch}) for batch in batches(events)]
    with Measured() as measured, ThreadPoolExecutor(senders) as pool:
        to = [addresses[number % count] for number in range(len(bodies))]
        assert sum(pool.map(_send, to, bodies)) == events
    for ours, _ in ends:
        ours.send("stop")
    measured.cpu = sum(ours.recv() for ours, _ in ends)
    for _, process in ends:
        process.join()
    return measured


def file(layout: Layout, events: int) -> Measured:
    """`tandem import events` of an NDJSON file, compaction included."""
    path = layout.root / "browsing.ndjson"
    with path.open("w") as out:
        for record in islice(browsing(), events):
            out.write(json.dumps(record) + "\n")
    with Measured() as measured:
        assert import_events(layout, [path]).accepted == events
    return measured


def stages(layout: Layout, rounds: int = 20) -> dict[str, float]:
    """Microseconds of processor time an event, by stage: the quickest of `rounds` fresh batches,
    which a busy machine slows down least."""
    admission = Admission(Pseudonyms(open_ring(layout)))
    store = EventStore(layout)
    spent: dict[str, list[float]] = {}

    def timed(stage: str, work: Callable[[], Any]) -> Any:
        start = time.process_time()
        done = work()
        spent.setdefault(stage, []).append((time.process_time() - start) / BATCH * 1e6)
        return done

    for batch in batches(rounds * BATCH):
        body = orjson.dumps(batch)
        values = timed("JSON read", lambda body=body: orjson.loads(body))
        records = timed("checked", lambda values=values: list(enumerate(parse_records(values))))
        admitted = timed(
            "admitted", lambda records=records: admission.admit(records, received=datetime.now(UTC))
        )
        assert all(timed("stored", lambda rows=admitted.rows: store.append(rows)))
    store.close()
    return {stage: round(min(times), 2) for stage, times in spent.items()}


WAYS: dict[str, tuple[Callable[[Layout, int], Measured], str]] = {
    "journal": (journal, "admitted rows into the journal, 4 threads"),
    "intake": (intake, "JSON read, checked, admitted and stored; 1 process, 4 threads"),
    "processes": (processes, "the same; 2 processes on one journal"),
    "http": (over_http, "`POST /v1/events`, 4 senders, client and server in one process"),
    "servers": (servers, "the same; 2 server processes on one journal, the client apart"),
    "import": (file, "`tandem import events` of NDJSON, 1 process"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000, help="events for each way in")
    parser.add_argument("--way", action="append", choices=list(WAYS), help="repeat for more")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for the results")
    options = parser.parse_args()
    results: dict[str, Any] = {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, "
        f"Python {platform.python_version()}",
        "load_before": round(os.getloadavg()[0], 1),
        "data": "simulated browsing",
        "batch": BATCH,
        "goal": GOAL,
        "ways": {},
    }
    for name in options.way or WAYS:
        run, what = WAYS[name]
        with tempfile.TemporaryDirectory() as folder:
            os.environ[VARIABLE] = str(Path(folder) / "keys")
            layout = create_workspace(Path(folder) / "shop", encoder=None)
            measured = run(layout, options.events)
        results["ways"][name] = {
            "what": what,
            "events": options.events,
            "events_per_second": round(options.events / measured.wall),
            "events_per_cpu_second": round(options.events / measured.cpu) if measured.cpu else None,
            "seconds": round(measured.wall, 2),
        }
        console.print(name, results["ways"][name])
    with tempfile.TemporaryDirectory() as folder:
        os.environ[VARIABLE] = str(Path(folder) / "keys")
        results["stages"] = stages(create_workspace(Path(folder) / "shop", encoder=None))
    console.print(results["stages"])
    options.out.mkdir(exist_ok=True)
    (options.out / "events.json").write_text(json.dumps(results, indent=2) + "\n")
    (options.out / "events.md").write_text(as_markdown(results))


def as_markdown(results: dict[str, Any]) -> str:
    lines = [
        "# Events acknowledged and durable per second",
        "",
        f"{results['machine']}; load average before the run {results['load_before']}. "
        f"{results['data'].capitalize()}, batches of {results['batch']:,}, fsync for each commit. "
        f"Goal: {results['goal']:,}/s.",
        "",
        "| way in | events | events/s | events per CPU second |",
        "|---|---|---|---|",
    ]
    for way in results["ways"].values():
        cpu = way["events_per_cpu_second"]
        lines.append(
            f"| {way['what']} | {way['events']:,} | {way['events_per_second']:,} "
            f"| {'' if cpu is None else f'{cpu:,}'} |"
        )
    by_stage = ", ".join(f"{stage} {us}" for stage, us in results["stages"].items())
    whole = sum(results["stages"].values())
    lines += [
        "",
        f"Microseconds of processor time an event, the quickest of twenty batches: {by_stage}; "
        f"together {whole:.1f}, which is {1e6 / whole:,.0f} events per CPU second.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
