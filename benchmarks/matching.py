"""Matching at size: candidates and model together, beside looking at every pair of vectors.

    python -m benchmarks.matching 100000 1000000

Vectors, histories and figures are simulated: as many creators as products, 64 topics, 128 numbers
a vector, five showings a creator. Times are of one thread, in processor time (the machine may be
busy with other work) and by the clock. `times_exact` is the candidates' processor time over a
plain matrix product with all rows; `recall` is the share of its best 400 that are found.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.timing import peak_mb
from tandem.matching.expectation import ExpectationModel, Lessons
from tandem.matching.matcher import CANDIDATES, Matcher
from tandem.matching.pairs import CreatorTable, ProductTable, pair_features

RESULTS = Path(__file__).parent / "results" / "matching.json"
DIMENSION, TOPICS, SHOWN = 128, 64, 5
LESSONS = 12_000
ASKED = 300
BEST = 50
CHUNK = 65_536


def vectors(count: int, rng: np.random.Generator, topics: np.ndarray) -> np.ndarray:
    """(count, DIMENSION) unit rows around topics, as float16."""
    out = np.empty((count, DIMENSION), np.float16)
    for start in range(0, count, CHUNK):
        n = min(CHUNK, count - start)
        rows = topics[rng.integers(0, TOPICS, n)] + 0.12 * rng.normal(size=(n, DIMENSION)).astype(
            np.float32
        )
        out[start : start + n] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return out


def tables(size: int, rng: np.random.Generator) -> tuple[CreatorTable, ProductTable]:
    topics = rng.normal(size=(TOPICS, DIMENSION)).astype(np.float32)
    topics /= np.linalg.norm(topics, axis=1, keepdims=True)

    def some(low: float, high: float, count: int = size) -> np.ndarray:
        return rng.uniform(low, high, count).astype(np.float32)

    products = ProductTable(
        vectors(size, rng, topics),
        np.exp(rng.normal(3, 0.8, size)).astype(np.float32),
        some(1, 5),
        some(0, 1_000),
        rng.integers(0, 500, size),
        rng.integers(0, 5_000, size),
        some(0, 5),
        rng.normal(0, 0.3, size).astype(np.float32),
        rng.normal(0, 0.3, size).astype(np.float32),
    )
    names = ("followers", "reach", "reach_spread", "hook_rate", "hold_rate", "post_rate")
    numbers = {name: some(0, 1) for name in (*names, "fulfillment_percentage")}
    numbers["reach"] = rng.normal(8, 1.2, size).astype(np.float32)
    numbers["followers"] = numbers["reach"] + rng.normal(0.8, 0.5, size).astype(np.float32)
    numbers["pieces"] = np.full(size, np.log1p(SHOWN), np.float32)
    numbers["creator_ctr"] = rng.normal(0, 0.3, size).astype(np.float32)
    numbers["creator_ctor"] = rng.normal(0, 0.3, size).astype(np.float32)
    whole = [vectors(size, rng, topics) for _ in range(5)]
    creators = CreatorTable(
        *whole,
        np.arange(size + 1) * SHOWN,
        rng.integers(0, size, size * SHOWN),
        rng.normal(0, 0.3, size * SHOWN).astype(np.float32),
        rng.normal(0, 0.3, size * SHOWN).astype(np.float32),
        some(2, 4),
        numbers,
    )
    return creators, products


def model_of(
    creators: CreatorTable, products: ProductTable, rng: np.random.Generator
) -> ExpectationModel:
    """Trees as many and as deep as a real matcher's. A third of the lessons was shown."""
    creator = np.sort(rng.integers(0, creators.size, LESSONS))
    product = rng.integers(0, creators.size, LESSONS)
    features = pair_features(creators, products, creator, product)
    impressions = np.exp(creators.numbers["reach"][creator]).astype(np.float64) + 1
    clicks = rng.poisson(impressions * 0.01)
    orders = rng.binomial(clicks, 0.08)
    model, _, _ = ExpectationModel.fit(
        Lessons(
            features,
            creator,
            rng.random(LESSONS) < 1 / 3,
            impressions,
            np.ones(LESSONS),
            clicks.astype(float),
            orders.astype(float),
            rng.random(LESSONS) < 0.3,
            rng.integers(0, 4, LESSONS),
        )
    )
    return model


def timed(work: Callable[[int], Any], asked: list[int]) -> dict[str, float]:
    """p50 and p99 in milliseconds, of processor time and by the clock, after a warm-up."""
    for number in asked[:20]:
        work(number)
    cpu, wall = [], []
    for number in asked:
        started, began = time.perf_counter(), time.process_time()
        work(number)
        cpu.append((time.process_time() - began) * 1e3)
        wall.append((time.perf_counter() - started) * 1e3)
    return {
        "cpu_p50_ms": float(np.quantile(cpu, 0.5)),
        "cpu_p99_ms": float(np.quantile(cpu, 0.99)),
        "p50_ms": float(np.quantile(wall, 0.5)),
        "p99_ms": float(np.quantile(wall, 0.99)),
    }


def measure(size: int, asked: int = ASKED) -> dict[str, Any]:
    rng = np.random.default_rng(7)
    creators, products = tables(size, rng)
    model = model_of(creators, products, rng)
    started = time.process_time()
    names = [str(i) for i in range(size)]
    matcher = Matcher(creators, products, model, names, names, (6.0, 1.0))
    row: dict[str, Any] = {"size": size, "index_cpu_s": time.process_time() - started}
    numbers = rng.integers(0, size, asked).tolist()
    row["creators for a product"] = timed(lambda p: matcher.creators_for(p, BEST), numbers)
    row["products for a creator"] = timed(lambda c: matcher.products_for(c, BEST), numbers)

    near, wide = matcher._products_near, matcher._vectors
    row["candidates"] = timed(lambda c: near(wide[c], CANDIDATES), numbers)
    few = numbers[:20]

    def exact(c: int) -> np.ndarray:
        query = np.asarray(wide[c], np.float32)
        scores = np.concatenate(
            [
                np.asarray(products.vectors[s : s + CHUNK], np.float32) @ query
                for s in range(0, size, CHUNK)
            ]
        )
        best = np.argpartition(-scores, CANDIDATES)[:CANDIDATES]
        return best[np.argsort(-scores[best])]

    row["exact"] = timed(exact, few)
    row["times_exact"] = row["candidates"]["cpu_p50_ms"] / row["exact"]["cpu_p50_ms"]
    shares = [len(np.intersect1d(near(wide[c], CANDIDATES), exact(c))) / CANDIDATES for c in few]
    row["recall"] = float(np.mean(shares))
    row["peak_mb"] = peak_mb()
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    results = []
    for size in arguments.sizes:
        results.append(measure(size))
        print(json.dumps(results[-1]), flush=True)
    arguments.out.write_text(
        json.dumps({"simulated": True, "cores": os.cpu_count(), "sizes": results}, indent=2) + "\n"
    )


if __name__ == "__main__":
    main()
