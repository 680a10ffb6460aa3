"""The rows with the largest inner product: exact for few, an inverted file (faiss) for many."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

EXACT = 100_000
"""Up to so many rows are all looked at: a matrix product takes a few milliseconds."""
PROBES = 96
_TRAINED_ON = 100_000
_AT_ONCE = 65_536


class Nearest:
    """Rows (N, d) by inner product with a query."""

    def __init__(self, rows: NDArray[Any]) -> None:
        self._count = len(rows)
        self._rows: Floats | None = None
        self._index: Any = None
        if self._count <= EXACT:
            self._rows = np.ascontiguousarray(rows, np.float32)
            return
        import faiss

        lists = int(2 ** np.round(np.log2(4 * np.sqrt(self._count))))
        dimension = rows.shape[1]
        self._index = faiss.index_factory(dimension, f"IVF{lists},SQ8", faiss.METRIC_INNER_PRODUCT)
        rng = np.random.default_rng(7)
        some = np.sort(rng.choice(self._count, min(_TRAINED_ON, self._count), replace=False))
        self._index.cp.niter = 8
        self._index.cp.max_points_per_centroid = 64
        self._index.train(np.ascontiguousarray(rows[some], np.float32))
        for start in range(0, self._count, _AT_ONCE):
            self._index.add(np.ascontiguousarray(rows[start : start + _AT_ONCE], np.float32))
        self._index.nprobe = PROBES

    def __call__(self, query: Floats, k: int, barred: NDArray[np.bool_] | None = None) -> Ints:
        """The `k` best rows for a query (d,), best first, without those that are barred."""
        wanted = min(k, self._count)
        if self._rows is not None:
            scores = self._rows @ np.asarray(query, np.float32)
            if barred is not None:
                scores[barred] = -np.inf
            best = (
                np.argpartition(-scores, wanted - 1)[:wanted] if wanted else np.empty(0, np.int64)
            )
            best = best[np.argsort(-scores[best], kind="stable")]
            return best[np.isfinite(scores[best])].astype(np.int64)
        # A few more, for some of them are barred.
        spare = 0 if barred is None else k
        query = np.ascontiguousarray(query, np.float32)[None, :]
        _, found = self._index.search(query, min(k + spare, self._count))
        rows: Ints = found[0][found[0] >= 0].astype(np.int64)
        return rows[:k] if barred is None else rows[~barred[rows]][:k]
