"""What a served stack costs at the most it may keep: simulated sessions, one request at a time.

    python -m benchmarks.served_stack FOLDER

Learns from 200,000 simulated sessions over 100,000 items into FOLDER unless it is there, the trees
from fewer beginnings than a shop's, which changes nothing of what an answer costs. Then a process
of its own reads it and answers 600 sessions, beside the tables of the same sessions.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from tandem.recommend import stacking
from tandem.recommend.baskets import Baskets
from tandem.recommend.following import MOST_ITEMS, MOST_SESSIONS, ServedModel, load_served
from tandem.recommend.sessions import Ints, Sessions
from tandem.recommend.tables import Tables

REQUESTS = 600
LEARNED = 2_000


def simulated(n: int, seed: int) -> Sessions:
    """Simulated sessions of 1 to 20 clicks, 5 on average, near where they begin; items are clicked
    by Zipf's law."""
    rng = np.random.default_rng(seed)
    lengths = np.minimum(rng.geometric(0.2, n), 20)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    rank = np.minimum(rng.zipf(1.2, 4 * n) - 1, 10**9)
    home = np.resize(rank[rank < MOST_ITEMS], n)
    seldom = rng.random(n) < 0.5
    home[seldom] = rng.integers(0, MOST_ITEMS, int(seldom.sum()))
    steps = rng.integers(-6, 7, int(starts[-1]))
    return Sessions(starts, (np.repeat(home, lengths) + steps) % MOST_ITEMS, MOST_ITEMS)


def learn(folder: Path) -> None:
    stacking.LEARNED = LEARNED
    served = ServedModel.fit("stacked", simulated(MOST_SESSIONS, 1))
    folder.mkdir(parents=True)
    served.save(folder)


def answer(folder: Path) -> dict[str, Any]:
    before, started = _held(), time.perf_counter()
    served = load_served(folder)
    reading = time.perf_counter() - started
    asked = simulated(REQUESTS, 2)
    found: dict[str, Any] = {"reading_s": round(reading, 2)}
    found |= {"items": int(served.codes.size), "stack": _timed(served.after, asked)}
    found |= {"memory_gb": _held(), "of_it_before_reading_gb": before}
    size = sum(p.stat().st_size for p in folder.iterdir())
    nobody = Baskets(Sessions.of([], MOST_ITEMS), np.empty(0, np.int64), np.empty(0), 0)
    tables = Tables.fit([str(i) for i in range(MOST_ITEMS)], simulated(MOST_SESSIONS, 1), nobody)
    found |= {"tables": _timed(tables.after, asked), "disk_mb": round(size / 1e6)}
    return found


def _timed(after: Any, asked: Sessions) -> dict[str, float]:
    """Milliseconds by the clock and of the processor."""
    recent: list[Ints] = [asked[row : row + 1].items for row in range(len(asked))]
    after(recent[0])
    took = []
    for one in recent:
        clock, processor = time.perf_counter(), time.process_time()
        after(one)
        took.append((time.perf_counter() - clock, time.process_time() - processor))
    at = np.percentile(1000 * np.array(took), (50, 99), axis=0).round(2)
    names = ("clock_p50", "processor_p50", "clock_p99", "processor_p99")
    return dict(zip(names, at.ravel().tolist(), strict=True))


def _held() -> float:
    """Gigabytes of memory held now (a peak would be that of the process that learned)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return round(pages * resource.getpagesize() / 1e9, 2)


def main() -> None:
    folder = Path(sys.argv[1])
    if sys.argv[2:] == ["answer"]:
        print(json.dumps({"simulated": True, **answer(folder)}, indent=2))
        return
    if not folder.exists():
        learn(folder)
    subprocess.run([sys.executable, "-m", "benchmarks.served_stack", folder, "answer"], check=True)


if __name__ == "__main__":
    main()
