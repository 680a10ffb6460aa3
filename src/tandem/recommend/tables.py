"""What serving needs of sessions and baskets: for every item its few best neighbours.

Tables of fixed width, memory-mapped: one look-up answers a request, whatever the number of items.
On disk: `tables.safetensors` (arrays and nothing that could run), `items.parquet` (the id behind
every code) and `manifest.json`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.errors import InvalidInput
from tandem.recommend.baskets import Baskets, Sparse
from tandem.recommend.models import Floats, Transitions, top
from tandem.recommend.next_basket import together
from tandem.recommend.sessions import Ints, Sessions

TABLES, ITEMS, MANIFEST = "tables.safetensors", "items.parquet", "manifest.json"
NEIGHBOURS = 100
DECAY = 0.5  # how fast clicks further back lose weight
RECENT = 16_000  # sessions whose clicks count as popular now
DAMPING = 5.0
SUPPORT = 2  # baskets that two items have to share before they are said to go together


@dataclass(frozen=True)
class Neighbours:
    """codes: (items, k) int32, best first, -1 where there are fewer. weights: (items, k)."""

    codes: NDArray[np.int32]
    weights: Floats

    @classmethod
    def of(cls, matrix: Sparse, k: int = NEIGHBOURS) -> Neighbours:
        """The k best of every row, itself left out."""
        matrix = matrix.tolil() if matrix.shape[0] < 2 else matrix.tocsr()
        matrix.setdiag(0)
        matrix = matrix.tocsr()
        matrix.eliminate_zeros()
        codes, weights = top(matrix, max(1, min(k, int(matrix.getnnz(1).max(initial=0)))))
        return cls(codes.astype(np.int32), weights)


@dataclass(frozen=True)
class RecommenderManifest:
    """Where a recommender came from, and how it did on the last tenth of the sessions when it had
    seen only those before (null where there were too few)."""

    trained_at: str
    data: str
    sessions: int
    clicks: int
    baskets: int
    items: int
    unknown_items: int
    simulated: bool
    code_version: str
    index_generation: str | None
    metrics: dict[str, Any]


@dataclass(frozen=True)
class Tables:
    """following: what is looked at around an item. along: what is bought with it. popular: (items,)
    clicks of late, 0 … 1."""

    ids: tuple[str, ...]
    following: Neighbours
    along: Neighbours
    popular: Floats

    @classmethod
    def fit(cls, ids: Sequence[str], sessions: Sessions, baskets: Baskets) -> Tables:
        """Learn. Sessions and baskets are over the codes of `ids`, in order of time."""
        transitions = Transitions()
        transitions.fit(sessions)
        bought = together(baskets, DAMPING)
        recent = sessions[max(0, len(sessions) - RECENT) :].counts()
        return cls(
            tuple(ids),
            Neighbours.of(transitions.matrix),
            Neighbours.of(bought.multiply(_shared(baskets) >= SUPPORT).tocsr()),
            (recent / max(1, int(recent.max(initial=0)))).astype(np.float32),
        )

    @cached_property
    def codes(self) -> dict[str, int]:
        return {id_: code for code, id_ in enumerate(self.ids)}

    def known(self, ids: Sequence[str]) -> Ints:
        """Codes of those that are known, in order."""
        return np.array([self.codes[i] for i in ids if i in self.codes], np.int64)

    def after(self, recent: Ints) -> tuple[Ints, Floats, Ints]:
        """What a session leads to: (m,) items, best first, their scores, and the recent item that
        said most for each."""
        if not recent.size:
            return np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.int64)
        weight = np.exp(-DECAY * np.arange(recent.size - 1, -1, -1)).astype(np.float32)
        found = self.following.codes[recent]
        score = self.following.weights[recent] * weight[:, None]
        rows, _ = here = np.nonzero(found >= 0)
        items, place = np.unique(found[here], return_inverse=True)
        total = np.bincount(place, score[here], minlength=items.size)
        loudest = np.lexsort((score[here], place))  # the last of every item says most
        last = np.append(np.flatnonzero(np.diff(place[loudest])), place.size - 1)
        cause = recent[rows[loudest[last]]] if place.size else np.empty(0, np.int64)
        order = np.lexsort((items, -total))
        return items[order].astype(np.int64), total[order].astype(np.float32), cause[order]

    def beside(self, item: int) -> tuple[Ints, Floats]:
        """What is bought with an item, best first."""
        kept = self.along.codes[item] >= 0
        return self.along.codes[item][kept].astype(np.int64), self.along.weights[item][kept]

    def favourites(self, k: int) -> tuple[Ints, Floats]:
        """What is clicked most of late."""
        best = np.argsort(-self.popular, kind="stable")[:k]
        best = best[self.popular[best] > 0]
        return best, self.popular[best]

    def save(self, directory: Path, manifest: RecommenderManifest) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq
        from safetensors.numpy import save_file

        arrays = {
            "following.codes": self.following.codes,
            "following.weights": self.following.weights,
            "along.codes": self.along.codes,
            "along.weights": self.along.weights,
            "popular": self.popular,
        }
        save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, directory / TABLES)
        pq.write_table(pa.table({"item_id": pa.array(self.ids, pa.string())}), directory / ITEMS)
        (directory / MANIFEST).write_text(json.dumps(asdict(manifest), indent=2), encoding="utf-8")


def load_tables(directory: Path) -> tuple[Tables, RecommenderManifest]:
    """Read what `Tables.save` wrote. InvalidInput where it does not hold together."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        arrays = load_file(directory / TABLES)
        ids = tuple(pq.read_table(directory / ITEMS).column("item_id").to_pylist())
        values = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
        manifest = RecommenderManifest(**values)
        following, along = (
            Neighbours(arrays[f"{name}.codes"], arrays[f"{name}.weights"])
            for name in ("following", "along")
        )
        popular = arrays["popular"]
    except (OSError, ValueError, KeyError, TypeError, SafetensorError, pa.ArrowException) as error:
        raise _broken(directory, str(error).splitlines()[0]) from None
    n = len(ids)
    for table in (following, along):
        fits = table.codes.shape == table.weights.shape and table.codes.shape[0] == n
        if not fits or table.codes.ndim != 2 or table.codes.max(initial=-1) >= n:
            raise _broken(directory, "its tables do not fit its items")
    if popular.shape != (n,):
        raise _broken(directory, "its tables do not fit its items")
    return Tables(ids, following, along, popular), manifest


def _broken(directory: Path, what: str) -> InvalidInput:
    return InvalidInput(
        f"not a recommender that can be used: {what}",
        file=str(directory),
        remedy="train it again, or go back with: tandem rollback recommenders",
    )


def _shared(baskets: Baskets) -> Sparse:
    """(items, items) how many baskets hold both."""
    from scipy.sparse import csr_matrix

    contents = baskets.contents
    ones = np.ones(contents.items.size, np.float32)
    held = csr_matrix((ones, contents.items, contents.starts), (len(baskets), baskets.size))
    return (held.T @ held).tocsr()
