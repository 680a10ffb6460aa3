"""Nearest neighbours: exact where few are eligible, HNSW where many are.

Under a filter that lets few products through, graph search loses recall (it walks through nodes
that it may not return), so those are compared one by one; see docs/adr/0003.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.candidates import Floats, Numbers

# Up to this many eligible vectors are compared exactly (about 5 ms for 384 dimensions).
EXACT_LIMIT = 50_000
NEIGHBOURS = 32
EF_CONSTRUCTION = 80
EF_SEARCH = 128


def _faiss() -> Any:
    """faiss, imported late (it is heavy) and untyped (its stubs lag behind its wrappers)."""
    import faiss

    return faiss


class VectorWriter:
    """Streams vectors to disk as float16, then builds the graph when there are many."""

    def __init__(self, directory: Path, dimension: int) -> None:
        self._directory, self._dimension = directory, dimension
        self._raw = (directory / "vectors.raw").open("wb")
        self._count = 0

    def add(self, vectors: Floats) -> None:
        self._raw.write(vectors.astype(np.float16).tobytes())
        self._count += len(vectors)

    def finish(self) -> None:
        self._raw.close()
        raw = self._directory / "vectors.raw"
        shape = (self._count, self._dimension)
        out = np.lib.format.open_memmap(self._directory / "vectors.npy", "w+", np.float16, shape)
        source = np.memmap(raw, np.float16, "r", shape=shape) if self._count else out
        for start in range(0, self._count, EXACT_LIMIT):
            out[start : start + EXACT_LIMIT] = source[start : start + EXACT_LIMIT]
        out.flush()
        if self._count > EXACT_LIMIT:
            self._graph(source)
        del source
        raw.unlink()

    def _graph(self, vectors: NDArray[np.float16]) -> None:
        faiss = _faiss()
        index = faiss.IndexHNSWSQ(
            self._dimension,
            faiss.ScalarQuantizer.QT_8bit,
            NEIGHBOURS,
            faiss.METRIC_INNER_PRODUCT,
        )
        index.hnsw.efConstruction = EF_CONSTRUCTION
        index.train(np.asarray(vectors[:EXACT_LIMIT], np.float32))
        for start in range(0, len(vectors), EXACT_LIMIT):
            index.add(np.asarray(vectors[start : start + EXACT_LIMIT], np.float32))
        faiss.write_index(index, str(self._directory / "hnsw.faiss"))


class Vectors:
    """The vectors of one generation; read only, safe for many threads."""

    def __init__(self, directory: Path) -> None:
        self.matrix: NDArray[Any] = np.load(directory / "vectors.npy", mmap_mode="r")
        self._index: Any = None
        graph = directory / "hnsw.faiss"
        if graph.exists():
            faiss = _faiss()
            # One query is one thread's work; many queries run side by side.
            faiss.omp_set_num_threads(1)
            self._index = faiss.read_index(str(graph), faiss.IO_FLAG_MMAP)
        else:
            # Few enough to compare all: hold them as float32, ready for one matrix product.
            self.matrix = np.asarray(self.matrix, np.float32)

    def __len__(self) -> int:
        return len(self.matrix)

    def take(self, numbers: Numbers) -> Floats:
        """(len(numbers), d) float32."""
        return np.asarray(self.matrix[numbers], np.float32)

    def nearest(
        self, vector: Floats, k: int, eligible: NDArray[np.bool_]
    ) -> tuple[Numbers, Floats]:
        """The k nearest among eligible, best first; ties by number."""
        count = int(eligible.sum())
        if count == 0:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        if self._index is None or count <= EXACT_LIMIT:
            numbers = np.flatnonzero(eligible)
            rows = self.matrix if count == len(self.matrix) else self.matrix[numbers]
            scores = np.asarray(rows, np.float32) @ vector
            return best(numbers, scores, k)
        faiss = _faiss()
        everything = count == eligible.size
        bitmap = np.packbits(eligible, bitorder="little")
        selector = None if everything else faiss.IDSelectorBitmap(bitmap)
        # The fewer are eligible, the further the graph has to be walked to meet k of them.
        ef = max(EF_SEARCH, int(min(4, eligible.size / count) * max(k, EF_SEARCH)))
        parameters = faiss.SearchParametersHNSW(efSearch=max(ef, k), sel=selector)
        scores, numbers = self._index.search(vector[None, :], k, params=parameters)
        found = numbers[0] >= 0
        return best(numbers[0][found].astype(np.int64), scores[0][found], k)


def best(numbers: Numbers, scores: Floats, k: int) -> tuple[Numbers, Floats]:
    """The k highest scores, ties by number."""
    if scores.size > k:
        top = np.argpartition(-scores, k - 1)[:k]
        # Include what ties with the last one kept, so that the cut does not depend on chance.
        top = np.flatnonzero(scores >= scores[top].min())
        numbers, scores = numbers[top], scores[top]
    order = np.lexsort((numbers, -scores))[:k]
    return numbers[order], scores[order].astype(np.float32)
