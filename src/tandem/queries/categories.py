"""The query-category classifier: multinomial naive Bayes over titles and judged queries.

P(category | words) from how often words occur in products of a category (Manning, Raghavan &
Schütze 2008, ch. 13), with judged queries counted as further, heavier documents. The catalogue's
counts belong to an index generation, the lessons of judged queries to a trained ranker.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.search import Term
from tandem.queries.bounded import prune

SMOOTHING = 0.1
MAX_PAIRS = 1_000_000  # (word, category) pairs kept while counting; bounds memory
TOP = 10
MIN_PROBABILITY = 0.02
UNINFORMED = 50.0  # products that an unheard-of word is worth


@dataclass(frozen=True)
class Lesson:
    """A judged query whose relevant products are mostly of one category."""

    forms: tuple[str, ...]
    path: str
    weight: int


class Lessons:
    """What judged queries teach the classifier, beside the catalogue."""

    def __init__(self, lessons: Iterable[Lesson] = ()) -> None:
        self._lessons = tuple(lessons)
        self.sizes: Counter[str] = Counter()
        self.counts: dict[str, Counter[str]] = {}
        for lesson in self._lessons:
            self.sizes[lesson.path] += lesson.weight
            for form in set(lesson.forms):
                self.counts.setdefault(form, Counter())[lesson.path] += lesson.weight

    def __len__(self) -> int:
        return len(self._lessons)

    def without(self, terms: Sequence[Term]) -> Lessons:
        """All lessons but those of the same words: what would be known had they not been judged."""
        own = set(_forms(terms))
        return Lessons(x for x in self._lessons if set(x.forms) != own)

    def to_json(self) -> list[list[Any]]:
        return [[list(x.forms), x.path, x.weight] for x in self._lessons]

    @classmethod
    def from_json(cls, values: Iterable[Sequence[Any]]) -> Lessons:
        return cls(Lesson(tuple(forms), path, weight) for forms, path, weight in values)


def lesson(terms: Sequence[Term], judged: Mapping[str, int], paths: Sequence[str]) -> Lesson | None:
    """What one judged query teaches, or None when its relevant products have no category.

    judged: relevance by product. paths: the category paths of the relevant products.
    """
    if not paths or not terms:
        return None
    (path, _), *_ = Counter(paths).most_common(1)
    return Lesson(_forms(terms), path, judged_weight(judged))


def _forms(terms: Sequence[Term]) -> tuple[str, ...]:
    return tuple(form for term in terms for form in term.forms)


NO_LESSONS = Lessons()


class CategoryCounter:
    """Counts words by category, one product at a time."""

    def __init__(self) -> None:
        self._pairs: Counter[tuple[str, str]] = Counter()
        self._sizes: Counter[str] = Counter()

    def add(self, path: str, terms: Sequence[str]) -> None:
        """Count a product's terms for its category path."""
        self._sizes[path] += 1
        for term in set(terms):
            self._pairs[term, path] += 1
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
        self._column = {p: i for i, p in enumerate(paths)}
        self._sizes, self._starts, self._columns, self._counts = sizes, starts, columns, counts

    def distribution(
        self, terms: Sequence[Term], lessons: Lessons = NO_LESSONS
    ) -> dict[str, float]:
        """P(category | terms), the ten likeliest; empty when no term is known."""
        sizes = self._with(self._sizes, lessons.sizes)
        score = np.log(sizes + SMOOTHING)
        known = False
        for term in terms:
            row = next((self._row[f] for f in term.forms if f in self._row), None)
            taught = next((lessons.counts[f] for f in term.forms if f in lessons.counts), None)
            if row is None and taught is None:
                continue
            known = True
            counts = np.zeros(len(self.paths))
            if row is not None:
                span = slice(self._starts[row], self._starts[row + 1])
                counts[self._columns[span]] = self._counts[span]
            counts = self._with(counts, taught or {})
            score += np.log((counts + SMOOTHING) / (sizes + UNINFORMED))
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

    def _with(self, values: NDArray[np.float64], more: Mapping[str, int]) -> NDArray[np.float64]:
        """(paths,) values with more counts by path; paths that the catalogue has no more are
        passed over."""
        known = [(self._column[p], n) for p, n in more.items() if p in self._column]
        if not known:
            return values
        total = values.copy()
        for column, count in known:
            total[column] += count
        return total

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
