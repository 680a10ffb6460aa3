"""The catalogue's words with how often they occur, and spelling by them.

Correction follows the noisy channel idea (Kernighan, Church & Gale 1990): a rare unknown word is
read as a frequent known one at a small edit distance. It is conservative: a wrong correction
hides what the shopper asked for, a missing one only fails to help.
"""

from __future__ import annotations

import bisect
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

MIN_LENGTH = 4  # shorter words are near too many others
MIN_FREQUENCY = 3
SURE = 0.8


@dataclass(frozen=True)
class Correction:
    """A word read as another; `confidence` 0..1."""

    word: str
    confidence: float


class Vocabulary:
    """Folded surface words of titles, brands and categories, with their document frequency."""

    def __init__(self, frequency: Mapping[str, int]) -> None:
        self.frequency = dict(frequency)
        self._correct = lru_cache(maxsize=20_000)(self._search)

    def __contains__(self, word: str) -> bool:
        return word in self.frequency

    @cached_property
    def _by_length(self) -> dict[int, list[str]]:
        groups: dict[int, list[str]] = defaultdict(list)
        for word, count in self.frequency.items():
            if count >= MIN_FREQUENCY and word.isalpha() and len(word) >= MIN_LENGTH - 1:
                groups[len(word)].append(word)
        return groups

    @cached_property
    def ordered(self) -> list[str]:
        """All words in order, for completion by prefix."""
        return sorted(self.frequency)

    def starting_with(self, prefix: str) -> list[str]:
        low = bisect.bisect_left(self.ordered, prefix)
        high = bisect.bisect_left(self.ordered, prefix + "\U0010ffff")
        return self.ordered[low:high]

    def correct(self, word: str) -> Correction | None:
        """The known word that an unknown one was probably meant to be; None when it is known,
        too short, has digits, or is near nothing."""
        if word in self.frequency or len(word) < MIN_LENGTH or not word.isalpha():
            return None
        return self._correct(word)

    def _search(self, word: str) -> Correction | None:
        from rapidfuzz.distance import OSA
        from rapidfuzz.process import extract

        reach = 1 if len(word) < 8 else 2
        choices = [
            w
            for length in range(len(word) - reach, len(word) + reach + 1)
            for w in self._by_length.get(length, ())
        ]
        near = extract(word, choices, scorer=OSA.distance, score_cutoff=reach, limit=50)
        if not near:
            return None
        ranked = sorted(near, key=lambda n: (n[1], n[0][0] != word[0], -self.frequency[n[0]], n[0]))
        best, distance = ranked[0][0], int(ranked[0][1])
        rivals = [w for w, d, _ in ranked[1:] if d == distance and w[0] == best[0]]
        ahead = self.frequency[best] / (
            self.frequency[best] + sum(self.frequency[w] for w in rivals)
        )
        certainty = (0.95 if distance == 1 else 0.85) * ahead
        if best[0] != word[0]:
            certainty *= 0.8  # first letters are seldom wrong
        if len(word) < 5:
            certainty *= 0.8
        return Correction(best, round(certainty, 3))
