"""How times are taken and told."""

from __future__ import annotations

import resource
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Row = dict[str, Any]


def latencies(work: Callable[[Any], Any], inputs: Sequence[Any], warm: int = 20) -> Row:
    """p50, p95 and p99 in milliseconds of one call at a time."""
    for item in inputs[:warm]:
        work(item)
    spent = []
    for item in inputs:
        start = time.perf_counter()
        work(item)
        spent.append((time.perf_counter() - start) * 1000)
    p50, p95, p99 = np.percentile(spent, [50, 95, 99])
    return {"p50_ms": round(p50, 3), "p95_ms": round(p95, 3), "p99_ms": round(p99, 3)}


def throughput(
    work: Callable[[Any], Any], inputs: Sequence[Any], threads: int, seconds: float
) -> float:
    """Calls per second of `threads` threads that work side by side for `seconds`."""
    stop = time.perf_counter() + seconds
    counts = [0] * threads

    def loop(me: int) -> None:
        at = me * 7919
        while time.perf_counter() < stop:
            work(inputs[at % len(inputs)])
            at += 1
            counts[me] += 1

    workers = [threading.Thread(target=loop, args=(i,)) for i in range(threads)]
    start = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return round(sum(counts) / (time.perf_counter() - start), 1)


def peak_mb() -> float:
    """The most memory this process has held, in MiB. Linux says it in /proc; what getrusage says
    there is also that of the process that started this one."""
    status = Path("/proc/self/status")
    if status.is_file():
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM:"))
        return round(int(line.split()[1]) / 1024, 1)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
