"""Nearest neighbours, by what is cheapest at the recall that is asked for.

- A small catalogue is compared whole, in float32.
- A large one is walked through as a graph (HNSW, Malkov & Yashunin 2018; codes of 8 bits per
  dimension) when all or most products are eligible.
- Under a filter that lets fewer through, a graph walk loses recall: it spends its steps on nodes
  that it may not return. There the codes of eligible products are scanned, of all of them when
  they are few, else of those in the clusters nearest to the query (as IVF does, but the clusters
  are lists of numbers over the graph's own codes).

Where codes are scanned, they only choose whom to compare with the stored float16 vectors. See
docs/adr/0003 for measurements.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.candidates import Floats, Numbers

WHOLE = 50_000  # up to so many vectors, no graph is built
SCANNED = 12_000  # codes compared under a filter, of those in the nearest clusters …
MANY = 0.3  # of the vectors of a small catalogue, more are compared without being copied first
SPARSE = 30_000  # … unless so few are eligible that comparing all costs less than choosing
WALKED = 0.6  # of all products: with so many eligible, the graph is walked
REFINED = 1.5  # of scanned codes, so many times what is asked for are compared in float16
NEIGHBOURS = 32
EF_CONSTRUCTION = 80
EF_SEARCH = 300
BUILD_THREADS = 2
SAMPLED = 64  # vectors per cluster that clusters are learned from


def _faiss(threads: int) -> Any:
    """faiss, imported late (it is heavy) and untyped (its stubs lag behind its wrappers).

    threads: what this thread's next calls may use. One query is one thread's work, because many
    queries run side by side.
    """
    import faiss

    faiss.omp_set_num_threads(threads)
    return faiss


class VectorWriter:
    """Streams vectors to disk as float16, then builds graph and clusters when there are many."""

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
        for start in range(0, self._count, WHOLE):
            out[start : start + WHOLE] = source[start : start + WHOLE]
        out.flush()
        if self._count > WHOLE:
            self._graph(source)
            self._clusters(source)
        del source
        raw.unlink()

    def _graph(self, vectors: NDArray[np.float16]) -> None:
        faiss = _faiss(BUILD_THREADS)
        index = faiss.IndexHNSWSQ(
            self._dimension,
            faiss.ScalarQuantizer.QT_8bit,
            NEIGHBOURS,
            faiss.METRIC_INNER_PRODUCT,
        )
        index.hnsw.efConstruction = EF_CONSTRUCTION
        # From the whole catalogue, which may be ordered by kind: values beyond those that the codes
        # have learned are cut off.
        index.train(np.asarray(vectors[:: -(-len(vectors) // WHOLE)], np.float32))
        for start in range(0, len(vectors), WHOLE):
            index.add(np.asarray(vectors[start : start + WHOLE], np.float32))
        faiss.write_index(index, str(self._directory / "hnsw.faiss"))

    def _clusters(self, vectors: NDArray[np.float16]) -> None:
        faiss = _faiss(BUILD_THREADS)
        clusters = int(len(vectors) ** 0.5)
        step = max(1, len(vectors) // (clusters * SAMPLED))
        learner = faiss.Kmeans(self._dimension, clusters, niter=6, spherical=True, seed=1)
        learner.train(np.asarray(vectors[::step], np.float32))
        nearest = np.empty(len(vectors), np.int32)
        for start in range(0, len(vectors), WHOLE):
            block = np.asarray(vectors[start : start + WHOLE], np.float32)
            nearest[start : start + WHOLE] = learner.assign(block)[1]
        ends = np.cumsum(np.bincount(nearest, minlength=clusters))
        np.save(self._directory / "cluster_centres.npy", learner.centroids)
        np.save(self._directory / "cluster_offsets.npy", np.concatenate([[0], ends]))
        members = np.argsort(nearest, kind="stable").astype(np.int32)
        np.save(self._directory / "cluster_members.npy", members)


class Vectors:
    """The vectors of one generation; read only, safe for many threads."""

    def __init__(self, directory: Path) -> None:
        self.matrix: NDArray[Any] = np.asarray(np.load(directory / "vectors.npy", mmap_mode="r"))
        graph = directory / "hnsw.faiss"
        self._large = _Large(directory, graph) if graph.exists() else None
        if self._large is None:
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
        count = int(np.count_nonzero(eligible))
        if count == 0 or k < 1:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        if self._large is None or count <= int(k * REFINED):
            numbers = np.flatnonzero(eligible)
            if self._large is None and count >= MANY * len(self.matrix):
                # A copy of so many rows takes longer than to compare the others as well.
                return best(numbers, (self.matrix @ vector)[numbers], k)
            return best(numbers, self.take(numbers) @ vector, k)
        if count / eligible.size >= WALKED:
            return best(*self._large.walked(vector, k, eligible, count), k)
        numbers = self._large.scanned(vector, int(k * REFINED), eligible, count)
        return best(numbers, self.take(numbers) @ vector, k)


class _Large:
    """Graph, codes and clusters of a large catalogue, memory-mapped."""

    def __init__(self, directory: Path, graph: Path) -> None:
        faiss = _faiss(1)
        self._graph: Any = faiss.read_index(str(graph), faiss.IO_FLAG_MMAP_IFC)
        self._codes: Any = faiss.downcast_index(self._graph.storage)
        self._centres: Floats = np.load(directory / "cluster_centres.npy")
        self._offsets: Numbers = np.load(directory / "cluster_offsets.npy")
        members = np.load(directory / "cluster_members.npy", mmap_mode="r")
        self._members: NDArray[np.int32] = np.asarray(members)

    def walked(
        self, vector: Floats, k: int, eligible: NDArray[np.bool_], count: int
    ) -> tuple[Numbers, Floats]:
        """Most of the k nearest of the eligible (there are `count`) with the scores of their
        codes, which differ from the exact ones by some thousandths: to compare k products again
        would cost a third of the walk, and the ranker reads their vectors anyway."""
        faiss = _faiss(1)
        share, selector = count / eligible.size, None
        if share < 1:
            bitmap = np.packbits(eligible, bitorder="little")
            selector = faiss.IDSelectorBitmap(bitmap)
        # The fewer are eligible, the further the walk has to go to meet k of them.
        ef = int(max(k, EF_SEARCH) / share**1.5)
        parameters = faiss.SearchParametersHNSW(efSearch=ef, sel=selector)
        scores, found = self._graph.search(vector[None, :], k, params=parameters)
        met = found[0] >= 0
        return found[0][met].astype(np.int64), scores[0][met]

    def scanned(self, vector: Floats, k: int, eligible: NDArray[np.bool_], count: int) -> Numbers:
        """Most of the k nearest of the eligible (there are `count`), in any order."""
        faiss = _faiss(1)
        if count > SPARSE:
            eligible = self._clustered(vector, eligible, count)
        bitmap = np.packbits(eligible, bitorder="little")
        parameters = faiss.SearchParameters(sel=faiss.IDSelectorBitmap(bitmap))
        found = self._codes.search(vector[None, :], k, params=parameters)[1][0]
        numbers: Numbers = found[found >= 0].astype(np.int64)
        return numbers

    def _clustered(
        self, vector: Floats, eligible: NDArray[np.bool_], count: int
    ) -> NDArray[np.bool_]:
        """Only the eligible of the nearest clusters, at least `SCANNED`."""
        near, total, at = np.zeros_like(eligible), 0, 0
        order = np.argsort(-(self._centres @ vector), kind="stable")
        # As many clusters at a time as would do if the eligible were spread evenly.
        step = max(1, SCANNED * order.size // count)
        while total < SCANNED and at < order.size:
            clusters = order[at : at + step]
            members = self._members[ranges(self._offsets[clusters], self._offsets[clusters + 1])]
            members = members[eligible[members]]
            near[members] = True
            total += members.size
            at += step
            step = max(1, step // 4)
        return near


class GrowingRows:
    """Vectors of products added by updates. Rows handed out never change while more are added."""

    def __init__(self, dimension: int) -> None:
        self._buffer = np.empty((0, dimension), np.float32)
        self._count = 0

    def extend(self, rows: Floats) -> None:
        needed = self._count + len(rows)
        if needed > len(self._buffer):
            grown = np.empty((max(needed, 2 * len(self._buffer)), rows.shape[1]), np.float32)
            grown[: self._count] = self.rows()
            self._buffer = grown
        self._buffer[self._count : needed] = rows
        self._count = needed

    def copy(self) -> GrowingRows:
        """The same rows in one that grows on its own."""
        other = GrowingRows(self._buffer.shape[1])
        other.extend(self.rows())
        return other

    def rows(self) -> Floats:
        """(count, dimension)."""
        return self._buffer[: self._count]


def ranges(starts: Numbers, ends: Numbers) -> Numbers:
    """The numbers of [start, end) for every pair, laid end to end."""
    lengths = ends - starts
    stops = np.cumsum(lengths)
    total = int(stops[-1]) if stops.size else 0
    return np.asarray(np.arange(total) + np.repeat(starts - (stops - lengths), lengths))


def best(numbers: Numbers, scores: Floats, k: int) -> tuple[Numbers, Floats]:
    """The k highest scores, ties by number."""
    if scores.size > k:
        top = np.argpartition(-scores, k - 1)[:k]
        # Include what ties with the last one kept, so that the cut does not depend on chance.
        top = np.flatnonzero(scores >= scores[top].min())
        numbers, scores = numbers[top], scores[top]
    order = np.lexsort((numbers, -scores))[:k]
    return numbers[order], scores[order].astype(np.float32)
