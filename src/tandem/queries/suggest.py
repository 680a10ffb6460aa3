"""Completion of what is being typed, tolerant of typos, from the catalogue's own phrases."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from tandem.contracts.search import Suggestion
from tandem.queries.normalise import fold
from tandem.queries.vocabulary import Vocabulary

MIN_FUZZY = 4
LIKELY = 5  # corrected beginnings that are completed


class Completion(NamedTuple):
    """A phrase to offer. `key` is its folded text; `weight` orders what starts alike."""

    key: str
    text: str
    kind: str
    weight: float
    product_id: str | None = None


class Completions:
    """Phrases in order of their key, so that those with one beginning stand together."""

    def __init__(self, rows: Sequence[Completion], vocabulary: Vocabulary) -> None:
        """rows: sorted by key."""
        self._rows = rows
        self._keys = [r[0] for r in rows]
        self._weights = np.array([r[3] for r in rows], np.float32)
        self._vocabulary = vocabulary
        self._nearby = lru_cache(maxsize=10_000)(self._beginnings)

    @classmethod
    def from_json(cls, rows: Sequence[Any], vocabulary: Vocabulary) -> Completions:
        return cls([Completion(*row) for row in rows], vocabulary)

    def suggest(self, prefix: str, limit: int) -> list[Suggestion]:
        """At most `limit` completions, the heaviest first; as typed before as corrected."""
        typed = " ".join(fold(w) for w in prefix.split())
        if not typed or limit < 1:
            return []
        if prefix[-1:].isspace():
            typed += " "
        found = self._starting(typed, limit)
        if len(found) < limit:
            seen = set(found)
            for other in self._corrected(typed):
                fresh = [i for i in self._starting(other, limit) if i not in seen]
                found += fresh
                seen.update(fresh)
        rows = [self._rows[i] for i in found[:limit]]
        return [
            Suggestion(text=r.text, kind=r.kind, score=r.weight, product_id=r.product_id)
            for r in rows
        ]

    def _starting(self, prefix: str, limit: int) -> list[int]:
        low = bisect.bisect_left(self._keys, prefix)
        high = bisect.bisect_left(self._keys, prefix + "\U0010ffff", low)
        weights = self._weights[low:high]
        if weights.size > limit:
            # All that weigh as much as the last one kept, so that ties go by key.
            kept = np.flatnonzero(weights >= np.partition(weights, -limit)[-limit])
        else:
            kept = np.arange(weights.size)
        order = np.argsort(-weights[kept], kind="stable")[:limit]
        return [int(i) for i in low + kept[order]]

    def _corrected(self, typed: str) -> list[str]:
        """The typed words with unknown ones corrected; the last one may be unfinished."""
        *whole, last = typed.split(" ")
        fixed = []
        for word in whole:
            correction = self._vocabulary.correct(word)
            fixed.append(correction.word if correction else word)
        lasts = [last, *(self._nearby(last) if len(last) >= MIN_FUZZY else ())]
        return [t for end in lasts if (t := " ".join([*fixed, end])) != typed]

    def _beginnings(self, prefix: str) -> tuple[str, ...]:
        """Beginnings of known words one edit away from an unfinished word, the commonest first."""
        from rapidfuzz.distance import OSA
        from rapidfuzz.process import extract

        found: dict[str, tuple[int, int, str]] = {}
        # A letter too many or too few shifts what was typed against what was meant.
        for length in (len(prefix), len(prefix) + 1, len(prefix) - 1):
            starts = self._vocabulary.beginnings(prefix[0], length)
            for start, edits, _ in extract(
                prefix, starts.keys(), scorer=OSA.distance, score_cutoff=1, limit=20
            ):
                found[start] = (int(edits), -starts[start], start)
        return tuple(sorted(found, key=lambda s: found[s])[:LIKELY])
