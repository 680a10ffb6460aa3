"""Recommendations by size: a shop whose products have vectors, a recommender that has learned, and
visitors' state, beside faiss and implicit alone on the same data in the same run.

    python -m benchmarks.recommending SHOP --out benchmarks/results/recommending.json

SHOP is a workspace that `python -m benchmarks.run --folder DIR` kept. It is read, never written;
what is learned here is kept in a folder that is removed at the end. Sessions, baskets and visitors
are simulated.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from benchmarks.shop import simulated_encoder
from benchmarks.timing import Row, peak_mb
from tandem.contracts.events import Pseudonym
from tandem.contracts.parties import Content
from tandem.contracts.recommend import Kind, RecommendRequest, Visit
from tandem.contracts.search import Filters, Sort
from tandem.flows.workspace import Workspace, open_workspace
from tandem.recommend.baskets import GUEST, Baskets
from tandem.recommend.sessions import Sessions
from tandem.recommend.tables import RecommenderManifest, Tables
from tandem.storage.layout import Layout
from tandem.storage.parties import write_parties
from tandem.storage.visitor_state import Seen, VisitorState

CALLS = 600
SHOWN = 12
VIDEOS = 2_000


def latencies(work: Callable[[Any], Any], inputs: Sequence[Any], warm: int = 20) -> Row:
    """Milliseconds of one call at a time: by the clock, and of the processor, which other work on
    the machine leaves alone."""
    for one in inputs[:warm]:
        work(one)
    spent = []
    for one in inputs:
        clock, processor = time.perf_counter(), time.thread_time()
        work(one)
        spent.append((time.perf_counter() - clock, time.thread_time() - processor))
    (p50, cpu50), (p99, cpu99) = 1000 * np.percentile(spent, [50, 99], axis=0)
    found = {"p50_ms": p50, "p99_ms": p99, "cpu_p50_ms": cpu50, "cpu_p99_ms": cpu99}
    return {name: round(float(value), 3) for name, value in found.items()}


def walks(rng: np.random.Generator, items: int, n: int, longest: int) -> Sessions:
    """Sessions that stay near where they start; where they start is Zipfian."""
    starts = np.minimum(rng.zipf(1.3, n) * 37 % items, items - 1)
    lengths = rng.integers(2, longest + 1, n)
    owner = np.repeat(np.arange(n), lengths)
    clicked = (starts[owner] + np.cumsum(rng.integers(-5, 6, owner.size))) % items
    return Sessions(np.concatenate([[0], np.cumsum(lengths)]), clicked.astype(np.int64), items)


def visitors(layout: Layout, ids: list[str], people: int, rng: np.random.Generator) -> float:
    """Simulated state of `people` visitors, written in bulk; seconds."""
    began = time.perf_counter()
    connection = sqlite3.connect(layout.visitors / "state.db")
    some = rng.integers(0, len(ids), (people, 10))
    now = int(time.time())

    def state(row: list[int]) -> str:
        recent = tuple(Seen(ids[i], "view", now) for i in row)
        return VisitorState(Pseudonym(""), now, recent).to_json()

    connection.executemany(
        "INSERT OR IGNORE INTO states VALUES (?, ?, ?)",
        ((f"k1.simulated-{who:012d}", now, state(row)) for who, row in enumerate(some.tolist())),
    )
    connection.commit()
    connection.close()
    return time.perf_counter() - began


def videos(layout: Layout, ids: list[str], rng: np.random.Generator) -> None:
    """Simulated videos about products drawn by lot, for the feed to choose among."""
    made = datetime(2026, 1, 1, tzinfo=UTC)
    about = rng.choice(len(ids), min(VIDEOS, len(ids)), replace=False)
    seen = np.sort(rng.integers(1, 5_000, (about.size, 3)), axis=1)[:, ::-1]
    rows = [
        Content(
            id=f"simulated-{n}", creator_id=f"simulated-{n % 200}", kind="video",
            published=made + timedelta(minutes=n), caption="A look at it",
            product_ids=(ids[product],), duration=30, simulated=True,
            impressions=impressions, video_views_2s=views, video_views_p25=quarter,
        )
        for n, (product, (impressions, views, quarter)) in enumerate(
            zip(about.tolist(), seen.tolist(), strict=True)
        )
    ]  # fmt: skip
    with layout.writing():
        write_parties(layout, "content", rows, {"simulated": True})


def serving(shop: Workspace, ids: list[str], rng: np.random.Generator) -> Row:
    asked = [ids[i] for i in rng.integers(0, len(ids), CALLS)]

    def of(kind: Kind):
        return lambda product: shop.recommend(
            RecommendRequest(kind=kind, product_id=product, size=SHOWN)
        )

    def after(kind: Kind):
        return lambda product: shop.recommend(
            RecommendRequest(kind=kind, recent=(asked[0], asked[1], product), size=SHOWN)
        )

    clients = [f"simulated-client-{i}" for i in range(50)]
    for client in clients:
        shop.visitors.decide(client, True)
        shop.visitors.visit(client, [Visit(product_id=p) for p in asked[:5]])

    def known(number: int) -> None:
        shop.recommend(RecommendRequest(kind=Kind.FEED, size=SHOWN), clients[number % 50])

    def searched(client: str | None) -> Callable[[str], Any]:
        return lambda product: shop.search(titles[product], k=SHOWN, client_id=client)

    titles = {p: " ".join(shop.product(p).title.split()[-3:]) for p in asked}  # type: ignore[union-attr]

    def noted(number: int) -> None:
        shop.visitors.visit(clients[number % 50], [Visit(product_id=asked[number])])

    return {
        "similar": latencies(of(Kind.SIMILAR), asked),
        "complementary": latencies(of(Kind.COMPLEMENTARY), asked),
        "next": latencies(after(Kind.NEXT), asked),
        "feed": latencies(after(Kind.FEED), asked),
        "feed of a known visitor": latencies(known, range(CALLS)),
        "an event of a visitor": latencies(noted, range(CALLS)),
        "search, everybody's": latencies(searched(None), asked),
        "search, a known visitor's own": latencies(searched(clients[0]), asked),
    }


def faiss_alone(shop: Workspace, numbers: NDArray[np.int64], rng: np.random.Generator) -> Row:
    """IVF with 8-bit scalars over the same vectors, 16 lists probed."""
    import faiss

    faiss.omp_set_num_threads(1)
    sample = shop.view.snapshot.vectors(rng.choice(numbers, min(50_000, numbers.size), False))
    width = sample.shape[1]
    lists = min(1024, numbers.size // 40)
    quantiser = faiss.IndexFlatIP(width)
    index = faiss.IndexIVFScalarQuantizer(
        quantiser, width, lists, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
    )
    began = time.perf_counter()
    index.train(sample)
    for start in range(0, numbers.size, 50_000):
        index.add(shop.view.snapshot.vectors(numbers[start : start + 50_000]))
    built = time.perf_counter() - began
    index.nprobe = 16
    queries = sample[:CALLS]
    row = latencies(lambda i: index.search(queries[i : i + 1], SHOWN), range(CALLS))
    return {"build_s": round(built, 1), **row}


def implicit_alone(sessions: Sessions, rng: np.random.Generator) -> Row:
    """Its item-kNN by cosine, with as many neighbours, over the same sessions."""
    from implicit.nearest_neighbours import CosineRecommender

    ones = np.ones(sessions.items.size)
    matrix = csr_matrix((ones, sessions.items, sessions.starts), (len(sessions), sessions.size))
    model = CosineRecommender(K=100, num_threads=1)
    began = time.perf_counter()
    model.fit(matrix, show_progress=False)
    built = time.perf_counter() - began
    some = rng.integers(0, len(sessions), CALLS)
    row = latencies(lambda i: model.recommend(0, matrix[int(i)], N=SHOWN), some)
    return {"build_s": round(built, 1), **row}


def measure(source: Path, sessions: int, people: int, peers: bool) -> Row:
    rng = np.random.default_rng(7)
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["TANDEM_PSEUDONYM_KEYS"] = f"{scratch}/keys"
        root = Path(scratch) / "shop"
        # Links: nothing of the kept shop is copied, and nothing new is written into it.
        shutil.copytree(source, root, copy_function=os.link)
        layout = Layout.open(root)
        with open_workspace(root) as shop:
            numbers = np.sort(
                shop.view.snapshot.browse(Filters(), Sort.NEWEST, shop.view.snapshot.size).numbers
            )
            ids = shop.view.snapshot.ids(numbers)
        clicked = walks(rng, len(ids), sessions, 8)
        bought = walks(rng, len(ids), sessions // 4, 5)
        guests = np.full(len(bought), GUEST)
        baskets = Baskets(bought, guests, np.arange(len(bought), dtype=float), 0)
        began = time.perf_counter()
        tables = Tables.fit(ids, clicked, baskets)
        trained = time.perf_counter() - began
        name = layout.recommenders.next_name()
        folder = layout.recommenders.root / name
        folder.mkdir(parents=True)
        about = RecommenderManifest(
            "", "simulated", len(clicked), clicked.items.size, len(baskets), len(ids), 0, True,
            "", None, {},
        )  # fmt: skip
        tables.save(folder, about)
        layout.recommenders.switch(name)
        del tables
        videos(layout, ids, rng)
        row: Row = {
            "products": len(ids),
            "sessions": len(clicked),
            "clicks": int(clicked.items.size),
            "baskets": len(baskets),
            "videos": min(VIDEOS, len(ids)),
            "train_s": round(trained, 1),
            "on_disk_mb": round(sum(f.stat().st_size for f in folder.iterdir()) / 1e6, 1),
            "peak_mb_after_training": peak_mb(),
        }
        with open_workspace(root) as shop:
            shop.visitors.decide("first", True)
            shop.visitors.visit("first", [Visit(product_id=ids[0])])
            row["visitors"] = people
            row["visitors_written_s"] = round(visitors(layout, ids, people, rng), 1)
            row["serving"] = serving(shop, ids, rng)
            row["peak_mb_serving"] = peak_mb()
            if peers:
                row["faiss alone"] = faiss_alone(shop, numbers, rng)
        if peers:
            row["implicit alone"] = implicit_alone(clicked, rng)
        row["peak_mb"] = peak_mb()
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shop", type=Path, nargs="+")
    parser.add_argument("--sessions", type=int, default=400_000)
    parser.add_argument("--visitors", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--without-peers", action="store_true")
    options = parser.parse_args()
    rows = []
    for shop in options.shop:
        with simulated_encoder():
            rows.append(
                measure(shop, options.sessions, options.visitors, not options.without_peers)
            )
        print(json.dumps(rows[-1], indent=2), flush=True)
        if options.out:
            about = {"simulated": True, "cores": os.cpu_count(), "load": os.getloadavg()[0]}
            options.out.write_text(json.dumps({**about, "sizes": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
