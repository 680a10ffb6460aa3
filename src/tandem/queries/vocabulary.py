"""The catalogue's words with how often they occur, and spelling by them.

Correction follows the noisy channel idea (Kernighan, Church & Gale 1990): a rare unknown word is
read as a frequent known one at a small edit distance. It is conservative: a wrong correction
hides what the shopper asked for, a missing one only fails to help.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

from tandem.queries.segmentation import is_cjk

MIN_LENGTH = 4  # shorter words are near too many others
MIN_FREQUENCY = 3
MAX_MEANT = 60_000  # words that an unknown one may be read as: the commonest; bounds the time
LONG = 8  # words of this length may have two errors
SURE = 0.8


@dataclass(frozen=True)
class Correction:
    """A word read as another; `confidence` 0..1."""

    word: str
    confidence: float


class Vocabulary:
    """Folded surface words of titles, brands and categories, with their document frequency."""

    def __init__(self, frequency: Mapping[str, int]) -> None:
        self.frequency = frequency
        self._correct = lru_cache(maxsize=20_000)(self._search)
        self.beginnings = lru_cache(maxsize=None)(self._beginnings)

    def __contains__(self, word: str) -> bool:
        return word in self.frequency

    @cached_property
    def _groups(self) -> dict[tuple[str, int], list[str]]:
        """Words that may be meant, by first letter and length."""
        meant = [
            w
            for w, n in self.frequency.items()
            if n >= MIN_FREQUENCY and len(w) >= MIN_LENGTH and w.isalpha()
        ]
        if len(meant) > MAX_MEANT:
            meant = sorted(meant, key=lambda w: (-self.frequency[w], w))[:MAX_MEANT]
        groups: dict[tuple[str, int], list[str]] = defaultdict(list)
        for word in meant:
            groups[word[0], len(word)].append(word)
        return dict(groups)

    @cached_property
    def _letters(self) -> tuple[str, ...]:
        return tuple(sorted({letter for letter, _ in self._groups}))

    def is_common(self, word: str) -> bool:
        """Known well enough to be part of a compound, or to be what was meant."""
        return self.frequency.get(word, 0) >= MIN_FREQUENCY

    def _beginnings(self, letter: str, length: int) -> dict[str, int]:
        """First `length` letters of the common words that start with `letter`, by how often they
        occur."""
        starts: dict[str, int] = defaultdict(int)
        for (first, size), words in self._groups.items():
            if first == letter and size >= length:
                for word in words:
                    starts[word[:length]] += self.frequency[word]
        return dict(starts)

    def correct(self, word: str) -> Correction | None:
        """The known word that an unknown one was probably meant to be; None when it is known,
        too short, has digits, is Chinese, Japanese or Korean, or is near nothing."""
        if word in self.frequency or len(word) < MIN_LENGTH or not word.isalpha() or is_cjk(word):
            return None
        return self._correct(word)

    def _search(self, word: str) -> Correction | None:
        from rapidfuzz.distance import OSA
        from rapidfuzz.process import extract

        reach = 1 if len(word) < LONG else 2
        choices = [
            w
            for length in range(len(word) - reach, len(word) + reach + 1)
            for w in self._groups.get((word[0], length), ())
        ]
        near = {
            w: int(d)
            for w, d, _ in extract(word, choices, scorer=OSA.distance, score_cutoff=reach, limit=50)
        }
        for other in self._with_another_first_letter(word):
            near.setdefault(other, 1)
        if not near:
            return None
        first = word[0]
        ranked = sorted(near, key=lambda w: (near[w], w[0] != first, -self.frequency[w], w))
        best = ranked[0]
        rivals = sum(
            self.frequency[w] for w in ranked[1:] if near[w] == near[best] and w[0] == best[0]
        )
        certainty = 0.95 if near[best] == 1 else 0.85
        certainty *= self.frequency[best] / (self.frequency[best] + rivals)
        if best[0] != first:
            certainty *= 0.8  # first letters are seldom wrong
        if len(word) == MIN_LENGTH:
            certainty *= 0.8
        return Correction(best, round(certainty, 3))

    def _with_another_first_letter(self, word: str) -> Iterator[str]:
        """Known words that differ in the first letter only, by one edit."""
        rest = word[1:]
        candidates = [rest, word[1] + word[0] + word[2:]]
        candidates += [letter + tail for letter in self._letters for tail in (rest, word)]
        for other in candidates:
            if self.is_common(other) and len(other) >= MIN_LENGTH:
                yield other
