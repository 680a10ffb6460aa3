"""How learning grows with what is learned from: seconds of processor time and memory, beside the
library `implicit` in the same run, on real clicks (the last 10,000, 100,000 and all of Diginetica).

    python -m benchmarks.learning --out benchmarks/results/learning.json
    python -m benchmarks.learning --systems sasrec,gsasrec,semantic-ids       # needs torch

Each method runs in a process of its own, so that its memory is its own; what Python and the clicks
themselves take is measured before and taken off. BLAS and implicit get one thread.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from benchmarks.timing import Row, peak_mb
from tandem.flows.recommend import clicks_file
from tandem.recommend.files import read_clicks
from tandem.recommend.sessions import Sessions
from tandem.recommend.systems import ON_REQUEST, SYSTEMS, system

SIZES = (10_000, 100_000, 1_000_000)
PEERS = ("implicit item-kNN", "implicit ALS")
FACTORS, NEIGHBOURS, ASKED = 64, 100, 200


def last_clicks(data: Path | None, clicks: int) -> Sessions:
    """The last sessions with at most so many clicks, over the items that are in them."""
    sessions = read_clicks(clicks_file("diginetica", data)).sessions
    first = int(np.searchsorted(sessions.starts, sessions.starts[-1] - clicks))
    some = sessions[first:]
    ids, items = np.unique(some.items, return_inverse=True)
    return Sessions(some.starts, items.astype(np.int64), ids.size)


def learned(name: str, file: Path) -> Row:
    """Learn once, in a process that does nothing else. file: the clicks, and nothing more, since
    reading all of them would take more memory than learning from some."""
    with np.load(file) as kept:
        sessions = Sessions(kept["starts"], kept["items"], int(kept["size"]))
    work = _peer(name, sessions) if name in PEERS else _own(name, sessions)
    before, clock, spent = peak_mb(), time.perf_counter(), time.process_time()
    answer = work()
    row = {
        "cpu_s": round(time.process_time() - spent, 2),
        "clock_s": round(time.perf_counter() - clock, 2),
        "more_mb": round(peak_mb() - before, 1),
        "clicks": int(sessions.items.size),
        "items": sessions.size,
    }
    spent = time.process_time()
    for one in range(ASKED):
        answer(one)
    return {**row, "ask_cpu_ms": round(1000 * (time.process_time() - spent) / ASKED, 2)}


def _own(name: str, sessions: Sessions) -> Any:
    model = system(name)

    def work() -> Any:
        model.fit(sessions)
        return lambda one: model.recommend(sessions[one : one + 1], 20)

    return work


def _peer(name: str, sessions: Sessions) -> Any:
    from implicit.cpu.als import AlternatingLeastSquares
    from implicit.nearest_neighbours import CosineRecommender
    from threadpoolctl import threadpool_limits

    threadpool_limits(1, "blas")
    ones = np.ones(sessions.items.size, np.float32)
    matrix = csr_matrix((ones, sessions.items, sessions.starts), (len(sessions), sessions.size))
    model: Any = (
        AlternatingLeastSquares(factors=FACTORS, num_threads=1, random_state=1)
        if name == "implicit ALS"
        else CosineRecommender(K=NEIGHBOURS, num_threads=1)
    )

    def work() -> Any:
        model.fit(matrix, show_progress=False)
        return lambda one: model.recommend(0, matrix[one], N=20, recalculate_user=True)

    return work


def measure(
    names: list[str], data: Path | None, sizes: tuple[int, ...] = SIZES
) -> dict[str, dict[str, Row]]:
    found: dict[str, dict[str, Row]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for clicks in sizes:
            file = Path(folder) / f"{clicks}.npz"
            some = last_clicks(data, clicks)
            np.savez(file, starts=some.starts, items=some.items, size=some.size)
            for name in names:
                with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
                    row = process.submit(learned, name, file).result()
                found.setdefault(name, {})[str(clicks)] = row
                print(name, clicks, json.dumps(row), flush=True)
    return found


def table(found: dict[str, dict[str, Row]]) -> str:
    """Processor seconds and MiB more, by method and size."""
    sizes = [f"{int(size):,}" for size in next(iter(found.values()))]
    lines = [
        "| learns from clicks | " + " | ".join(sizes) + " |",
        "|---|" + "---:|" * len(sizes),
    ]
    for name, rows in found.items():
        cells = [f"{row['cpu_s']:.1f} s, {row['more_mb']:,.0f} MiB" for row in rows.values()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--systems", help="by comma; default: all that need no torch, and peers")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    options = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"  # read by the processes that are started from here
    every = [*(name for name in SYSTEMS if name not in ON_REQUEST), *PEERS]
    names = options.systems.split(",") if options.systems else every
    sizes = tuple(int(size) for size in options.sizes.split(","))
    found = measure(names, options.data, sizes)
    print(table(found))
    if options.out:
        about = {"simulated": False, "cores": os.cpu_count(), "load": os.getloadavg()[0]}
        text = json.dumps({**about, "systems": found}, indent=2)
        options.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
