"""The query-category classifier: multinomial naive Bayes over titles and judged queries.

P(category | words) from how often words occur in products of a category (Manning, Raghavan &
Schütze 2008, ch. 13), with judged queries counted as further, heavier documents.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.search import Term
from tandem.queries.bounded import prune

SMOOTHING = 0.1
MAX_PAIRS = 1_000_000  # (word, category) pairs kept while counting; bounds memory
TOP = 10
MIN_PROBABILITY = 0.02
UNINFORMED = 50.0  # products that an unheard-of word is worth


class CategoryCounter:
    """Counts words by category, one product at a time."""

    def __init__(self) -> None:
        self._pairs: Counter[tuple[str, str]] = Counter()
        self._sizes: Counter[str] = Counter()

    def add(self, path: str, terms: Sequence[str], weight: int = 1) -> None:
        """Count a product's (or a judged query's) terms for its category path."""
        self._sizes[path] += weight
        for term in set(terms):
            self._pairs[term, path] += weight
        if len(self._pairs) > MAX_PAIRS:
            prune(self._pairs, MAX_PAIRS // 2)  # well below, so that it is seldom due

    def finish(self) -> CategoryModel:
        paths = sorted(self._sizes)
        words = sorted({w for (w, _), n in self._pairs.items() if n > 1})
        column = {p: i for i, p in enumerate(paths)}
        row = {w: i for i, w in enumerate(words)}
        entries = sorted((row[w], column[p], n) for (w, p), n in self._pairs.items() if w in row)
        table = np.array(entries, np.int64).reshape(-1, 3)
        starts = np.searchsorted(table[:, 0], np.arange(len(words) + 1))
        return CategoryModel(
            paths,
            words,
            np.array([self._sizes[p] for p in paths], np.float64),
            starts,
            table[:, 1].astype(np.int32),
            table[:, 2].astype(np.float64),
        )


class CategoryModel:
    """Counts in compressed rows: word i's categories are columns[starts[i]:starts[i + 1]]."""

    def __init__(
        self,
        paths: Sequence[str],
        words: Sequence[str],
        sizes: NDArray[np.float64],
        starts: NDArray[np.int64],
        columns: NDArray[np.int32],
        counts: NDArray[np.float64],
    ) -> None:
        self.paths = list(paths)
        self._words = list(words)
        self._row = {w: i for i, w in enumerate(words)}
        self._sizes, self._starts, self._columns, self._counts = sizes, starts, columns, counts

    def distribution(self, terms: Sequence[Term]) -> dict[str, float]:
        """P(category | terms), the ten likeliest; empty when no term is known."""
        score = np.log(self._sizes + SMOOTHING)
        known = False
        for term in terms:
            row = next((self._row[f] for f in term.forms if f in self._row), None)
            if row is None:
                continue
            known = True
            counts = np.zeros(len(self.paths))
            span = slice(self._starts[row], self._starts[row + 1])
            counts[self._columns[span]] = self._counts[span]
            score += np.log((counts + SMOOTHING) / (self._sizes + UNINFORMED))
        if not known:
            return {}
        likelihood = np.exp(score - score.max())
        likelihood /= likelihood.sum()
        best = np.argsort(-likelihood, kind="stable")[:TOP]
        return {
            self.paths[i]: round(float(likelihood[i]), 4)
            for i in best.tolist()
            if likelihood[i] >= MIN_PROBABILITY
        }

    def save(self, path: Path) -> None:
        np.savez(
            path,
            paths=np.array(self.paths, dtype=np.str_),
            words=np.array(self._words, dtype=np.str_),
            sizes=self._sizes,
            starts=self._starts,
            columns=self._columns,
            counts=self._counts,
        )

    @classmethod
    def load(cls, path: Path) -> CategoryModel:
        with np.load(path, allow_pickle=False) as a:
            return cls(
                a["paths"].tolist(),
                a["words"].tolist(),
                a["sizes"],
                a["starts"],
                a["columns"],
                a["counts"],
            )


def judged_weight(judged: Mapping[str, int]) -> int:
    """A judged query says as much as this many products."""
    return max(1, min(10, sum(1 for r in judged.values() if r >= 2)))
