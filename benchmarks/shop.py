"""A shop of simulated products at any size, with simulated embeddings."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from unittest import mock

import numpy as np
import orjson
from numpy.typing import NDArray

from benchmarks.timing import Row, peak_mb
from tandem.contracts.judgment import JudgmentList
from tandem.flows.import_ import create_workspace, import_catalog
from tandem.flows.index import build_index
from tandem.flows.train import train_ranker
from tandem.simulate.catalogue import simulated_products
from tandem.simulate.judgments import simulated_judgments
from tandem.storage.judgments import save_judgments
from tandem.storage.layout import Layout

DIMENSION = 384
SMALL = 10_000  # products that queries and judgments are drawn from
QUERIES = 400
SEED = 3


class SimulatedEncoder:
    """Vectors that cost nothing: the sum of a random vector a word, and noise by the whole text.

    Encoding a million texts with MiniLM takes half an hour on two cores and measures MiniLM, not
    the engine. Only the first sentence, the title, counts. HNSW finds as large a share of the
    nearest among these vectors as among mixtures of real MiniLM vectors (60,000 of each, measured:
    .97 to .98 of the nearest 300), which is what makes them a fair stand-in.
    """

    name = "simulated"
    dimension = DIMENSION
    noise = 0.3

    def __init__(self) -> None:
        rng = np.random.default_rng(1)
        pool = rng.normal(size=(1 << 15, DIMENSION)).astype(np.float32)
        self._pool = pool / np.linalg.norm(pool, axis=1, keepdims=True)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        vectors = np.empty((len(texts), DIMENSION), np.float32)
        for i, text in enumerate(texts):
            words = text.split(". ")[0].lower().split()
            vectors[i] = self._of(words).sum(0) + self.noise * len(words) ** 0.5 * self._of([text])
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / np.maximum(norms, 1e-9)

    def _of(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._pool[[zlib.crc32(t.encode()) % len(self._pool) for t in texts]]


@dataclass(frozen=True)
class Built:
    """A workspace of a size, and what building it took."""

    layout: Layout
    queries: tuple[str, ...]
    row: Row


@contextmanager
def simulated_encoder() -> Iterator[None]:
    """Use the simulated encoder wherever a flow loads one."""
    encoder = SimulatedEncoder()
    with ExitStack() as stack:
        for module in ("index", "workspace"):
            name = f"tandem.flows.{module}.load_encoder"
            stack.enter_context(mock.patch(name, return_value=encoder))
        yield


def write_jsonl(path: Path, size: int) -> None:
    with path.open("wb") as handle:
        for product in simulated_products(size, seed=SEED):
            handle.write(orjson.dumps(product.model_dump(mode="json")) + b"\n")


def is_built(folder: Path, size: int) -> bool:
    """Whether the folder has a shop of this size that is indexed and has a ranker."""
    root = folder / f"shop-{size}"
    return root.exists() and Layout.open(root).models.live() is not None


def build(folder: Path, size: int) -> Built:
    """Generate, import and index `size` products; nothing of it where that has been done."""
    queries = simulated_judgments(SMALL, queries=QUERIES, seed=SEED).queries
    if is_built(folder, size):
        return Built(Layout.open(folder / f"shop-{size}"), queries, {})
    source = folder / f"products-{size}.jsonl"
    write_jsonl(source, size)
    layout = create_workspace(folder / f"shop-{size}", encoder="simulated", simulated=True)
    start = perf_counter()
    import_catalog(layout, [source], mapping="tandem")
    import_s = perf_counter() - start
    start = perf_counter()
    build_index(layout)
    index_s = perf_counter() - start
    index = layout.index.live_path()
    assert index is not None
    disk = sum(f.stat().st_size for f in index.rglob("*") if f.is_file())
    source.unlink()
    return Built(
        layout,
        queries,
        {
            "import_rows_per_s": round(size / import_s),
            "index_docs_per_s": round(size / index_s),
            "index_s": round(index_s, 1),
            "index_disk_mb": round(disk / (1 << 20), 1),
            "peak_memory_mb": peak_mb(),
        },
    )


def train(layout: Layout) -> Path:
    """Train a ranker on few simulated judgments: its size counts here, not its quality."""
    judged = simulated_judgments(SMALL, queries=40, seed=SEED)
    few = {q: dict(list(j.items())[:60]) for q, j in judged.by_query.items()}
    save_judgments(layout, JudgmentList(few, "simulated"))
    train_ranker(layout, folds=2)
    path = layout.models.live_path()
    assert path is not None
    return path


def adopt(layout: Layout, model: Path) -> None:
    """Make a ranker that was trained elsewhere live here."""
    if layout.models.live() is None:
        shutil.copytree(model, layout.models.root / model.name)
        layout.models.switch(model.name)
