"""Stacking: a ranker over the candidates and scores of simpler recommenders.

What the ranker learns from must look like what it will see. So the simpler recommenders are fitted
on earlier sessions, the ranker on what came next in the sessions after those, and then they are
fitted again on everything (stacking by time; Wolpert 1992 for the idea).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.errors import InvalidInput
from tandem.recommend.factors import item_factors
from tandem.recommend.models import (
    Floats,
    ItemKNN,
    Recommender,
    Remembered,
    SessionKNN,
    Sparse,
    Transitions,
    chunks,
    top,
    unit,
    weighted,
)
from tandem.recommend.sequence import SelfAttention
from tandem.recommend.sessions import Ints, Pairs, Sessions, pairs_of
from tandem.recommend.weights import (
    Arrays,
    NetworkManifest,
    broken,
    load_manifest,
    load_weights,
    save_weights,
    table_arrays,
    table_of,
    table_shapes,
)

HELD = 16_000  # sessions that the ranker learns from, at most a fifth of all
LEARNED = 25_000  # beginnings it learns from
FACTORS = 64  # dimensions of the items' vectors
FADING = 0.5  # how fast clicks further back lose weight in the vector of a session
NEVER = 99.0  # "how long ago was it clicked", of an item that was not
TABLES = ("around", "next", "before", "alike")  # by item
TREES_FILE = "trees.txt"
RECENT, BEFORE = 16_000, 64_000  # sessions whose clicks count as recent, and as a while ago


@dataclass
class Sources:
    """The recommenders behind the ranker, with how many candidates each brings, and facts about
    items. Everything is learned from the sessions given to `fit`, and from nothing else."""

    near: SessionKNN = field(default_factory=SessionKNN)
    last: SessionKNN = field(
        default_factory=lambda: SessionKNN(
            back=1.5, neighbours=100, nearness=0.5, before=0.5, popularity=0.1, recency=2.5
        )
    )
    whole: SessionKNN = field(
        default_factory=lambda: SessionKNN(
            back=0.1, rarity=1, neighbours=100, nearness=0, before=1, length=0.6, sharpness=2
        )
    )
    around: Transitions = field(default_factory=Transitions)
    next: Transitions = field(
        default_factory=lambda: Transitions(
            backward=0, spread=1, recency=1, reach=1, rows=1, columns=0, decay=None
        )
    )
    before: Transitions = field(
        default_factory=lambda: Transitions(forward=0, backward=1, spread=0.5)
    )
    alike: ItemKNN = field(default_factory=lambda: ItemKNN(decay=0.5))
    network: SelfAttention | None = None

    def fit(self, sessions: Sessions) -> None:
        self._remember(Remembered.of(sessions))
        for source in (self.around, self.next, self.before, self.alike):
            source.fit(sessions)
        if self.network is not None:
            self.network.fit(sessions)
        self._vectors = item_factors(sessions, FACTORS)
        self._look_at_last()
        counts = sessions.counts()
        n = len(sessions)
        recent = sessions[max(0, n - RECENT) :].counts()
        older = sessions[max(0, n - BEFORE) :].counts()
        closing = np.bincount(sessions.items[sessions.from_end == 0], minlength=sessions.size)
        again = (sessions.owner[1:] == sessions.owner[:-1]) & (
            sessions.items[1:] == sessions.items[:-1]
        )
        repeats = np.bincount(sessions.items[1:][again], minlength=sessions.size)
        keys, clicks = np.unique(
            sessions.owner * sessions.size + sessions.items, return_counts=True
        )
        holders = np.bincount(keys % sessions.size, minlength=sessions.size)
        often = np.bincount((keys % sessions.size)[clicks > 1], minlength=sessions.size)
        self.counts = counts
        self.repeated = repeats / (counts + 5.0)
        self._facts = np.column_stack(
            [
                counts,
                recent / (counts + 1),
                recent / (older + 1),
                self.repeated,
                often / (holders + 5.0),
                closing / (counts + 1),
            ]
        ).astype(np.float32)

    def _remember(self, known: Remembered) -> None:
        self._known = known
        for source in (self.near, self.last, self.whole):
            source.use(known)

    def _look_at_last(self) -> None:
        self._alike_last = ItemKNN()
        self._alike_last.similarity = self.alike.similarity

    def parameters(self) -> dict[str, Any]:
        """What each was made with: what a ranker learned holds for these alone."""
        return {k: v for k, v in asdict(self).items() if v is not None}

    def arrays(self) -> Arrays:
        """What was learned; without a network, which keeps its own."""
        return {
            **table_arrays("sessions", self._known.places),
            **table_arrays("around", self.around.matrix),
            **table_arrays("next", self.next.matrix),
            **table_arrays("before", self.before.matrix),
            **table_arrays("alike", self.alike.similarity),
            "counts": self.counts,
            "repeated": self.repeated,
            "facts": self._facts,
            "vectors": self._vectors,
        }

    def load(self, directory: Path, sessions: int, items: int) -> None:
        """Read `arrays` again, of so many sessions and items. InvalidInput where they do not
        fit."""
        rows = {"sessions": sessions, **dict.fromkeys(TABLES, items)}
        shapes: dict[str, tuple[int, ...]] = {
            "counts": (items,),
            "repeated": (items,),
            "facts": (items, -1),
            "vectors": (items, FACTORS),
        }
        for name, n in rows.items():
            shapes |= table_shapes(name, n)
        arrays = load_weights(directory, shapes)
        tables = {name: table_of(directory, arrays, name, items) for name in rows}
        self.counts, self.repeated = arrays["counts"], arrays["repeated"]
        self._facts, self._vectors = arrays["facts"], arrays["vectors"]
        self._remember(Remembered(tables["sessions"], self.counts))
        self.around.matrix, self.next.matrix = tables["around"], tables["next"]
        self.before.matrix, self.alike.similarity = tables["before"], tables["alike"]
        self._look_at_last()

    def candidates(self, prefixes: Sessions) -> Candidates:
        """The union of every source's best, and the session's own items, with features."""
        near, found = self.near.search(prefixes)
        around = self.around.scores(prefixes)
        tables = [
            (near, 80),
            (self.last.scores(prefixes), 40),
            (self.whole.scores(prefixes), 40),
            (around, 40),
            (self.next.scores(prefixes), 10),
            (self.before.scores(prefixes), 20),
            (self.alike.scores(prefixes), 40),
            (self._alike_last.scores(prefixes), 20),
            (self.around.further(around, 20), 40),
        ]
        if self.network is not None:
            tables.append((self.network.scores(prefixes), 40))
        n, size = len(prefixes), prefixes.size
        own = prefixes.owner * size + prefixes.items
        keys = np.unique(np.concatenate([own, *(_best(table, k) for table, k in tables)]))
        row, item = keys // size, keys % size
        columns = [c for table, _ in tables for c in _compared(table, keys, row, n)]
        if self.network is not None:  # of every candidate, not only of those that it lists
            value = self.network.alike(prefixes, row, item)
            columns += [value, _rank(value, row, n)]
        return Candidates(
            row,
            item,
            np.column_stack(
                [*columns, *self._about(prefixes, own, keys, found), *self._near(prefixes, keys)]
            ),
        )

    def _near(self, prefixes: Sessions, keys: Ints) -> list[NDArray[np.float32]]:
        """How near the item's vector is to that of the last item and of the whole session: cosine,
        and rank within the session. Likeness over more than two steps, which no table has."""
        row, item = keys // prefixes.size, keys % prefixes.size
        fading = weighted(prefixes, np.exp(-FADING * prefixes.from_end))
        last = weighted(prefixes, prefixes.from_end == 0)
        columns: list[NDArray[np.float32]] = []
        for clicks in (last, fading):
            session = unit(clicks @ self._vectors)
            value = np.einsum("ij,ij->i", session[row], self._vectors[item])
            columns += [value, _rank(value, row, len(prefixes))]
        return columns

    def _about(
        self, prefixes: Sessions, own: Ints, keys: Ints, found: Ints
    ) -> list[NDArray[np.float32]]:
        """Features of the session, of the item, and of the item within the session."""
        row, item = keys // prefixes.size, keys % prefixes.size
        at = np.searchsorted(keys, own)
        ago = np.full(keys.size, NEVER, np.float32)
        np.minimum.at(ago, at, prefixes.from_end.astype(np.float32))
        times = np.bincount(at, minlength=keys.size)
        lengths = np.maximum(prefixes.lengths, 1)
        distinct = np.bincount(np.unique(own) // prefixes.size, minlength=len(prefixes))
        # A session without any known item has no last one; it has no candidates either.
        ends = np.maximum(prefixes.starts[1:] - 1, 0)
        last = prefixes.items[ends] if prefixes.items.size else np.zeros(len(prefixes), np.int64)
        by_session = (lengths, distinct / lengths, self.counts[last], found, self.repeated[last])
        return [
            ago,
            times.astype(np.float32),
            *(v[row].astype(np.float32) for v in by_session),
            *self._facts[item].T,
        ]


@dataclass(frozen=True)
class Candidates:
    """(m,) row of the session, (m,) item, (m, f) features; rows ascend."""

    row: Ints
    item: Ints
    features: Floats


def _best(table: Sparse, k: int) -> Ints:
    items, _ = top(table, k)
    row, at = np.nonzero(items >= 0)
    keys: Ints = row * table.shape[1] + items[row, at]
    return keys


def _compared(table: Sparse, keys: Ints, row: Ints, n: int) -> tuple[Floats, Floats, Floats]:
    """The score of every candidate (0 without one), its share of the row's best, its rank."""
    table.sort_indices()
    held = np.repeat(np.arange(n), np.diff(table.indptr)) * table.shape[1] + table.indices
    value = np.zeros(keys.size, np.float32)
    if held.size:
        at = np.minimum(np.searchsorted(held, keys), held.size - 1)
        value = np.where(held[at] == keys, table.data[at], 0).astype(np.float32)
    best = np.zeros(n, np.float32)
    np.maximum.at(best, row, value)
    return value, value / (best[row] + np.float32(1e-9)), _rank(value, row, n)


def _rank(value: Floats, row: Ints, n: int) -> Floats:
    """(m,) place of every candidate among its row's by value, 0 for the largest."""
    order = np.lexsort((-value, row))
    first = np.searchsorted(row, np.arange(n))
    rank = np.empty(value.size, np.float32)
    rank[order] = np.arange(value.size) - first[row[order]]
    return rank


# Trees that say whether a candidate is the one: LightGBM's parameters, the same weights each time.
TREES: Mapping[str, Any] = {
    "objective": "binary",
    "learning_rate": 0.06,
    "num_leaves": 31,
    "feature_fraction": 0.6,
    "lambda_l2": 5,
    "max_bin": 127,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}


@dataclass
class Stacked(Recommender):
    """Gradient-boosted trees (LightGBM, Ke et al. 2017) over `Sources`: which candidate is clicked
    next? seed: of the sample of beginnings and of the trees. network: with `sasrec` among the
    sources, which learns with torch and answers without."""

    seed: int = 1
    rounds: int = 200
    network: bool = False
    name: str = "stacked"
    parameters: dict[str, Any] = field(default_factory=lambda: {**TREES, "min_data_in_leaf": 100})

    def fit(self, sessions: Sessions) -> None:
        import lightgbm

        held = min(HELD, len(sessions) // 5)
        earlier, later = sessions[: len(sessions) - held], sessions[len(sessions) - held :]
        sources = self._sources()
        sources.fit(earlier)
        pairs = pairs_of(later, earlier.counts() > 0)
        rng = np.random.default_rng(self.seed)
        chosen = rng.choice(max(1, len(pairs)), min(LEARNED, len(pairs)), replace=False)
        features, clicked = examples(sources, pairs.take(np.sort(chosen)))
        if not clicked.any():
            raise InvalidInput(
                "too few sessions to learn from: nothing that came next in the last fifth of them "
                "is near what came before",
                field="sessions",
                remedy="collect more",
            )
        data = lightgbm.Dataset(features, label=clicked)
        settings = {**self.parameters, "seed": self.seed, "num_threads": os.cpu_count() or 1}
        self._trees: Any = lightgbm.train(settings, data, self.rounds)
        self.sources = self._sources()
        self.sources.fit(sessions)
        self.manifest = self._manifest(sessions, len(clicked))

    def _sources(self) -> Sources:
        return Sources(network=SelfAttention() if self.network else None)

    def _manifest(self, sessions: Sessions, examples: int) -> NetworkManifest:
        digest = hashlib.sha256()
        for array in (sessions.starts, sessions.items):
            digest.update(np.ascontiguousarray(array).tobytes())
        return NetworkManifest(
            kind=self.name,
            parameters=self._made_with(len(sessions), self._trees.model_to_string()),
            data_fingerprint=digest.hexdigest()[:32],
            examples=examples,
            items=sessions.size,
            seed=self.seed,
            trained_with=f"lightgbm {metadata.version('lightgbm')}",
            trained_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )

    def _made_with(self, sessions: int, trees: str) -> dict[str, Any]:
        return {
            "sessions": sessions,
            "sources": self.sources.parameters(),
            "trees": hashlib.sha256(trees.encode()).hexdigest(),
        }

    def save(self, directory: Path) -> None:
        """Write what was learned into a folder that is there: the trees as LightGBM's text, the
        rest as arrays. It holds sessions, without whose they were and when; see `Remembered`.
        InvalidInput for one with a network."""
        if self.network:
            raise InvalidInput(
                "a stack with a network is compared and not kept",
                field="network",
                remedy="use: stacked",
            )
        save_weights(directory, self.sources.arrays(), self.manifest)
        (directory / TREES_FILE).write_text(self._trees.model_to_string(), encoding="utf-8")

    def load(self, directory: Path) -> None:
        """Read what `save` wrote; nothing is learned. InvalidInput where it does not fit, or was
        learned over other sources than this version has."""
        import lightgbm

        manifest = load_manifest(directory)
        self.sources = self._sources()
        made_with = manifest.parameters if isinstance(manifest.parameters, dict) else {}
        sessions = made_with.get("sessions")
        try:
            trees = (directory / TREES_FILE).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise broken(directory, error) from None
        if not isinstance(sessions, int) or manifest.kind != self.name:
            raise broken(directory, "it is no stack")
        expected = self._made_with(sessions, trees)
        # LightGBM ends the process over a text that is cut short: it never gets to see one.
        if made_with.get("trees") != expected["trees"]:
            raise broken(directory, "its trees are not those that were written")
        if made_with != expected:
            raise broken(directory, "it was learned over other sources than this version has")
        self.sources.load(directory, sessions, manifest.items)
        self._trees = lightgbm.Booster(model_str=trees)
        self.manifest = manifest
        some = Sessions.of([np.flatnonzero(self.sources.counts)[:1]], manifest.items)
        features = self.sources.candidates(some).features.shape[1]
        if self._trees.num_feature() != features:
            raise broken(directory, f"its trees do not read {features} features")

    def scores(self, prefixes: Sessions) -> Sparse:
        from scipy.sparse import csr_matrix

        shape = (len(prefixes), prefixes.size)
        if not prefixes.items.size:
            return csr_matrix(shape, dtype=np.float32)
        found = self.sources.candidates(prefixes)
        chance = self._trees.predict(found.features, num_threads=1)
        return csr_matrix((chance.astype(np.float32), (found.row, found.item)), shape)


def examples(sources: Sources, pairs: Pairs) -> tuple[Floats, NDArray[np.int8]]:
    """(m, f) features of all candidates, and (m,) whether each was what came next.

    Beginnings whose next item is no candidate teach nothing and are left out.
    """
    features: list[Floats] = []
    clicked: list[NDArray[np.int8]] = []
    done = 0
    for part in chunks(pairs.prefixes):
        found = sources.candidates(part)
        targets = pairs.targets[done : done + len(part)]
        done += len(part)
        right = found.item == targets[found.row]
        hit = np.bincount(found.row[right], minlength=len(part)) > 0
        useful = hit[found.row]
        features.append(found.features[useful])
        clicked.append(right[useful].astype(np.int8))
    if not features:
        return np.empty((0, 0), np.float32), np.empty(0, np.int8)
    return np.concatenate(features), np.concatenate(clicked)
