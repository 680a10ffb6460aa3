"""What serving needs of sessions and baskets: for every item its few best neighbours.

One look-up answers a request, whatever the number of items.
On disk: `tables.safetensors` (arrays and nothing that could run), `items.parquet` (the id behind
every code) and `manifest.json`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.errors import InvalidInput
from tandem.recommend.baskets import Baskets, Sparse
from tandem.recommend.models import Floats, Transitions
from tandem.recommend.next_basket import together
from tandem.recommend.sessions import Ints, Sessions

TABLES, ITEMS, MANIFEST = "tables.safetensors", "items.parquet", "manifest.json"
NEIGHBOURS = 100
DECAY = 0.5  # how fast clicks further back lose weight
RECENT = 16_000  # sessions whose clicks count as popular now
DAMPING = 5.0
Way = Literal["tables", "network", "both"]
"""Who says what comes next."""
SUPPORT = 2  # baskets that two items have to share before they are said to go together


@dataclass(frozen=True)
class Neighbours:
    """starts: (items + 1,) where each item's begin. codes: (starts[-1],) neighbours, best first.
    weights: as many."""

    starts: Ints
    codes: NDArray[np.int32]
    weights: Floats

    @classmethod
    def of(cls, matrix: Sparse, k: int = NEIGHBOURS) -> Neighbours:
        """The k best of every row, itself left out; ties by code."""
        from scipy.sparse import diags

        matrix = (matrix - diags(matrix.diagonal())).tocsr()
        matrix.eliminate_zeros()
        n = matrix.shape[0]
        rows = np.repeat(np.arange(n), np.diff(matrix.indptr))
        order = np.lexsort((matrix.indices, -matrix.data, rows))
        kept = order[np.arange(order.size) - matrix.indptr[rows] < k]
        starts = np.concatenate([[0], np.cumsum(np.bincount(rows[kept], minlength=n))])
        return cls(
            starts.astype(np.int64),
            matrix.indices[kept].astype(np.int32),
            matrix.data[kept].astype(np.float32),
        )

    def row(self, item: int) -> slice:
        """Where an item's neighbours are."""
        return slice(int(self.starts[item]), int(self.starts[item + 1]))

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        return {
            f"{name}.starts": self.starts,
            f"{name}.codes": self.codes,
            f"{name}.weights": self.weights,
        }

    @property
    def sound(self) -> bool:
        """Whether the arrays fit each other and name items that there are."""
        n = self.starts.size - 1
        return bool(
            n >= 0
            and self.starts.ndim == self.codes.ndim == 1
            and self.codes.shape == self.weights.shape
            and self.starts[0] == 0
            and self.starts[-1] == self.codes.size
            and (np.diff(self.starts) >= 0).all()
            and self.codes.max(initial=-1) < n
            and self.codes.min(initial=0) >= 0
        )


@dataclass(frozen=True)
class RecommenderManifest:
    """Where a recommender came from, and how it did on the last tenth of the sessions when it had
    seen only those before (null where there were too few). network: which one is served with it;
    next_by: who says what comes next."""

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
    network: str | None = None
    next_by: Way = "tables"


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
        decayed = np.exp(-DECAY * np.arange(recent.size - 1, -1, -1))
        spans = [self.following.row(item) for item in recent.tolist()]
        found = np.concatenate([self.following.codes[span] for span in spans])
        if not found.size:
            return np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.int64)
        score = np.concatenate(
            [w * self.following.weights[span] for w, span in zip(decayed, spans, strict=True)]
        )
        said_by = np.repeat(recent, [span.stop - span.start for span in spans])
        items, place = np.unique(found, return_inverse=True)
        total = np.bincount(place, score, minlength=items.size)
        loudest = np.lexsort((score, place))  # the last of every item says most
        last = np.append(np.flatnonzero(np.diff(place[loudest])), place.size - 1)
        order = np.lexsort((items, -total))
        return (
            items[order].astype(np.int64),
            total[order].astype(np.float32),
            said_by[loudest[last]][order],
        )

    def beside(self, item: int) -> tuple[Ints, Floats]:
        """What is bought with an item, best first."""
        span = self.along.row(item)
        return self.along.codes[span].astype(np.int64), self.along.weights[span]

    def favourites(self, k: int) -> tuple[Ints, Floats]:
        """What is clicked most of late."""
        best = self._most_popular[:k]
        return best, self.popular[best]

    @cached_property
    def _most_popular(self) -> Ints:
        """What was clicked at all, most clicked first: sorted once, not with every request."""
        clicked = np.flatnonzero(self.popular > 0)
        return clicked[np.argsort(-self.popular[clicked], kind="stable")]

    def save(self, directory: Path, manifest: RecommenderManifest) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq
        from safetensors.numpy import save_file

        arrays = {
            **self.following.arrays("following"),
            **self.along.arrays("along"),
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
            Neighbours(*(arrays[f"{name}.{part}"] for part in ("starts", "codes", "weights")))
            for name in ("following", "along")
        )
        popular = arrays["popular"]
    except (OSError, ValueError, KeyError, TypeError, SafetensorError, pa.ArrowException) as error:
        raise _broken(directory, str(error).splitlines()[0]) from None
    n = len(ids)
    if not all(t.sound and t.starts.size == n + 1 for t in (following, along)):
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
