"""What a session leads to where it is served: by the tables of what followed what, by a network or
a stack that was trained, or by both, whichever foretold the last sessions best."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tandem.contracts.errors import InvalidInput
from tandem.recommend.models import Floats
from tandem.recommend.sequence import SelfAttention
from tandem.recommend.sessions import Ints, Sessions
from tandem.recommend.stacking import Stacked
from tandem.recommend.tables import RecommenderManifest, Tables, Way
from tandem.recommend.weights import NetworkManifest, broken, load_manifest, load_weights

FOLDER, CODES = "network", "codes.safetensors"
SERVED: dict[str, Callable[[], SelfAttention | Stacked]] = {
    "sasrec": SelfAttention,
    "gsasrec": lambda: SelfAttention(name="gsasrec", loss="gbce"),
    "stacked": Stacked,
}
LISTED = 200  # items that it names for a session
MOST_ITEMS = 100_000  # that it knows, those clicked most: bounds its memory and its answer
# A stack keeps sessions to compare others with: the newest, and the last clicks of each.
MOST_SESSIONS, MOST_CLICKS = 200_000, 20
RANK_CONSTANT = 20  # of reciprocal rank fusion: smaller than for documents, lists are short


@dataclass(frozen=True)
class ServedModel:
    """A network or a stack over the items that are clicked most. codes: (m,) the tables' codes of
    its items, ascending."""

    model: SelfAttention | Stacked
    codes: Ints

    @classmethod
    def fit(cls, kind: str, sessions: Sessions) -> ServedModel:
        """Learn. MissingExtra for a network without torch, InvalidInput for what is not served and
        for too few sessions."""
        if kind not in SERVED:
            raise InvalidInput(
                f"no '{kind}' that could be served",
                field="network",
                remedy=f"use one of: {', '.join(SERVED)}",
            )
        model = SERVED[kind]()
        if isinstance(model, Stacked):
            sessions = newest(sessions)
        codes = most_clicked(sessions)
        model.fit(over(sessions, codes))
        return cls(model, codes)

    def after(self, recent: Ints) -> Ints:
        """(m,) codes of what a session leads to, best first; none where it knows none of it."""
        known = _among(self.codes, recent)
        if not known.size:
            return np.empty(0, np.int64)
        items, _ = self.model.recommend(Sessions.of([known], self.codes.size), LISTED)
        found: Ints = self.codes[items[0][items[0] >= 0]]
        return found

    def save(self, directory: Path) -> None:
        """Write it into a folder that is there."""
        from safetensors.numpy import save_file

        self.model.save(directory)
        save_file({"codes": np.ascontiguousarray(self.codes)}, directory / CODES)


def load_served(directory: Path) -> ServedModel:
    """Read what `ServedModel.save` wrote, without torch and without learning. InvalidInput where it
    does not fit."""
    manifest = load_manifest(directory)
    if manifest.kind not in SERVED:
        raise InvalidInput(
            f"weights of a '{manifest.kind}', which is not served",
            file=str(directory),
            remedy="train the recommender again",
        )
    model = _like(directory, manifest)
    model.load(directory)
    codes = load_weights(directory, {"codes": (manifest.items,)}, CODES)["codes"]
    return ServedModel(model, codes)


def _like(directory: Path, manifest: NetworkManifest) -> SelfAttention | Stacked:
    """One that has not been learned, as the one that was written."""
    if manifest.kind == "stacked":
        return Stacked()
    try:
        return SelfAttention(name=manifest.kind, **manifest.parameters)
    except TypeError as error:
        raise InvalidInput(
            f"not the weights of a recommender: {error}",
            file=str(directory),
            remedy="train the recommender again",
        ) from None


def newest(sessions: Sessions) -> Sessions:
    """The last `MOST_CLICKS` of each of the last `MOST_SESSIONS` sessions."""
    last = sessions[max(0, len(sessions) - MOST_SESSIONS) :]
    lengths = np.minimum(last.lengths, MOST_CLICKS)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    return Sessions(starts, last.items[last.from_end < MOST_CLICKS], last.size)


def most_clicked(sessions: Sessions) -> Ints:
    """At most `MOST_ITEMS` items, those clicked most, ascending."""
    counts = sessions.counts()
    best = np.argsort(-counts, kind="stable")[:MOST_ITEMS]
    return np.sort(best[counts[best] > 0])


def over(sessions: Sessions, codes: Ints) -> Sessions:
    """The same sessions over some items alone, by their places in `codes`."""
    kept = np.isin(sessions.items, codes)
    lengths = np.bincount(sessions.owner[kept], minlength=len(sessions))
    items = np.searchsorted(codes, sessions.items[kept]).astype(np.int64)
    return Sessions(np.concatenate([[0], np.cumsum(lengths)]), items, codes.size)


def _among(codes: Ints, asked: Ints) -> Ints:
    at = np.minimum(np.searchsorted(codes, asked), max(0, codes.size - 1))
    return at[codes[at] == asked] if codes.size else np.empty(0, np.int64)


@dataclass(frozen=True)
class Following:
    """What is asked for what comes next; `by` says who."""

    tables: Tables
    network: ServedModel | None = None
    by: Way = "tables"

    def after(self, recent: Ints) -> tuple[Ints, Floats, Ints]:
        """What a session leads to: (m,) items, best first, their scores, and the recent item that
        said most for each; -1 for those that the network or stack names alone."""
        by_tables = self.tables.after(recent)
        if self.network is None or self.by == "tables" or not recent.size:
            return by_tables
        named = self.network.after(recent)
        if not named.size:
            return by_tables
        codes, _, causes = by_tables
        score: dict[int, float] = {}
        for items in (named,) if self.by == "network" else (named, codes[:LISTED]):
            for rank, item in enumerate(items.tolist(), start=1):
                score[item] = score.get(item, 0.0) + 1 / (RANK_CONSTANT + rank)
        said_by = dict(zip(codes.tolist(), causes.tolist(), strict=True))
        found, values = np.array(list(score), np.int64), np.array(list(score.values()), np.float32)
        order = np.lexsort((found, -values))
        causes = np.array([said_by.get(i, -1) for i in found[order].tolist()], np.int64)
        return found[order], values[order], causes


def load_following(directory: Path, tables: Tables, manifest: RecommenderManifest) -> Following:
    """How a published recommender follows a session. InvalidInput where its network or stack is
    broken, or of another shop."""
    if manifest.network is None:
        return Following(tables)
    served = load_served(directory / FOLDER)
    codes = served.codes
    if (np.diff(codes) <= 0).any() or not 0 <= codes.min(initial=0) <= codes.max(initial=0) < len(
        tables.ids
    ):
        raise broken(directory / FOLDER, "its items are not those of the tables")
    return Following(tables, served, manifest.next_by)
