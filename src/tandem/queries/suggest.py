"""Completion of what is being typed, tolerant of typos, from the catalogue's own phrases."""

from __future__ import annotations

import bisect
import heapq
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from tandem.contracts.search import Suggestion
from tandem.queries.analysis import fold
from tandem.queries.vocabulary import Vocabulary

SHORT = 3  # prefixes up to this length have their best completions worked out beforehand
REMEMBERED = 20
MIN_FUZZY = 4
WIDEST = 5_000  # completions looked at for one prefix


class Completions:
    """Phrases with kind and weight, in order of their folded text."""

    def __init__(self, rows: Sequence[tuple[str, str, str, float]], vocabulary: Vocabulary) -> None:
        """rows: (folded text, text, kind, weight)."""
        self._rows = sorted(rows)
        self._keys = [r[0] for r in self._rows]
        self._vocabulary = vocabulary
        self._short: dict[str, list[int]] = {}
        by_prefix: dict[str, list[tuple[float, int]]] = {}
        for at, (key, _, _, weight) in enumerate(self._rows):
            for length in range(1, min(SHORT, len(key)) + 1):
                heap = by_prefix.setdefault(key[:length], [])
                item = (weight, -at)
                if len(heap) < REMEMBERED:
                    heapq.heappush(heap, item)
                else:
                    heapq.heappushpop(heap, item)
        for prefix, heap in by_prefix.items():
            self._short[prefix] = [-at for _, at in sorted(heap, reverse=True)]
        self._fuzzy = lru_cache(maxsize=10_000)(self._nearby)

    def suggest(self, prefix: str, limit: int) -> list[Suggestion]:
        typed = " ".join(fold(w) for w in prefix.split())
        if prefix.endswith(" "):
            typed += " "
        if not typed.strip():
            return []
        found = self._starting(typed, limit)
        if len(found) < limit:
            seen = {self._keys[i] for i in found}
            for other in self._corrected(typed):
                found += [i for i in self._starting(other, limit) if self._keys[i] not in seen]
                seen |= {self._keys[i] for i in found}
        rows = [self._rows[i] for i in found[:limit]]
        return [Suggestion(text=text, kind=kind, score=weight) for _, text, kind, weight in rows]

    def _starting(self, prefix: str, limit: int) -> list[int]:
        if len(prefix) <= SHORT and prefix in self._short:
            return self._short[prefix][:limit]
        low = bisect.bisect_left(self._keys, prefix)
        high = bisect.bisect_left(self._keys, prefix + "\U0010ffff", low)
        span = range(low, min(high, low + WIDEST))
        return heapq.nsmallest(limit, span, key=lambda i: (-self._rows[i][3], i))

    def _corrected(self, typed: str) -> list[str]:
        """The typed words with unknown ones corrected; the last one may be unfinished."""
        *whole, last = typed.split(" ")
        fixed = []
        for word in whole:
            correction = self._vocabulary.correct(word)
            fixed.append(correction.word if correction else word)
        lasts = [last, *(self._fuzzy(last) if len(last) >= MIN_FUZZY else ())]
        return [t for end in lasts if (t := " ".join([*fixed, end])) != typed]

    def _nearby(self, prefix: str) -> tuple[str, ...]:
        """Beginnings of known words one edit away from an unfinished word, the commonest first."""
        from rapidfuzz.distance import OSA
        from rapidfuzz.process import extract

        starts: dict[str, int] = {}
        for word in self._vocabulary.starting_with(prefix[0]):
            start = word[: len(prefix)]
            starts[start] = starts.get(start, 0) + self._vocabulary.frequency[word]
        near = extract(prefix, list(starts), scorer=OSA.distance, score_cutoff=1, limit=30)
        ranked = sorted(near, key=lambda n: (n[1], -starts[n[0]], n[0]))
        return tuple(start for start, _, _ in ranked[:3])

    def to_json(self) -> list[Any]:
        return [list(row) for row in self._rows]
