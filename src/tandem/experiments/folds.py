"""Cross-validation by query: every query is measured by a model that never saw it.

Near-identical queries ("laptop", "laptops") share judgments of the same products, so a model that
trained on one has half seen the other. They always fall into the same fold.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

import numpy as np

from tandem.contracts.errors import InvalidInput
from tandem.contracts.judgment import JudgmentList
from tandem.contracts.run import Run
from tandem.experiments.measures import depth, parse_measures
from tandem.experiments.offline import (
    COVERAGE_DEPTH,
    Evaluation,
    System,
    attempt,
    judged_queries,
    named,
    summarise,
)

Fit = Callable[[JudgmentList], System]
Key = Callable[[str], Hashable]


@dataclass(frozen=True, slots=True)
class Fold:
    """Queries to learn from and queries to measure on; disjoint. `repeat` counts from 0."""

    train: tuple[str, ...]
    test: tuple[str, ...]
    repeat: int = 0


@dataclass(frozen=True, slots=True)
class NestedFold:
    """An outer fold, and inner folds that divide its training queries only."""

    outer: Fold
    inner: tuple[Fold, ...]


@lru_cache(maxsize=1)
def _stemmer() -> Any:
    import tantivy

    builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
    for step in (
        tantivy.Filter.lowercase(),
        tantivy.Filter.ascii_fold(),
        tantivy.Filter.stemmer("english"),
    ):
        builder = builder.filter(step)
    return builder.build()


def same_stems(query: str) -> Hashable:
    """The bag of English stems of a query: equal for queries that differ in inflection, case,
    accents, punctuation or word order. A query without letters or digits is its own bag.
    """
    text = unicodedata.normalize("NFKC", query)
    return tuple(sorted(_stemmer().analyze(text))) or text


def query_folds(
    queries: Sequence[str],
    folds: int = 5,
    *,
    repeats: int = 1,
    seed: int = 7,
    key: Key = same_stems,
) -> tuple[Fold, ...]:
    """Divide queries into `folds`, `repeats` times; the same arguments give the same folds.

    key: queries with equal keys stay together. Within a repeat each query is tested once, and
    folds are as equal in size as the groups allow. Returns repeats × folds, repeat by repeat.
    Raises InvalidInput where there are fewer groups than folds.
    """
    distinct = tuple(dict.fromkeys(queries))
    groups: dict[Hashable, list[str]] = {}
    for query in distinct:
        groups.setdefault(key(query), []).append(query)
    if folds < 2 or repeats < 1:
        raise InvalidInput(
            f"{folds} folds, {repeats} repeats",
            field="folds",
            remedy="use at least 2 folds and 1 repeat",
        )
    if len(groups) < folds:
        raise InvalidInput(
            f"{len(groups)} different queries cannot fill {folds} folds",
            field="folds",
            remedy="judge more queries or use fewer folds",
        )
    members = list(groups.values())
    made: list[Fold] = []
    for repeat in range(repeats):
        rng = np.random.default_rng([seed, repeat])
        shuffled = [members[i] for i in rng.permutation(len(members))]
        fold_of: dict[str, int] = {}
        sizes = [0] * folds
        for group in sorted(shuffled, key=len, reverse=True):  # stable: equal sizes stay shuffled
            smallest = sizes.index(min(sizes))
            sizes[smallest] += len(group)
            fold_of.update(dict.fromkeys(group, smallest))
        made += [
            Fold(
                train=tuple(q for q in distinct if fold_of[q] != number),
                test=tuple(q for q in distinct if fold_of[q] == number),
                repeat=repeat,
            )
            for number in range(folds)
        ]
    return tuple(made)


def nested_folds(
    queries: Sequence[str],
    outer: int = 5,
    inner: int = 4,
    *,
    repeats: int = 1,
    seed: int = 7,
    key: Key = same_stems,
) -> tuple[NestedFold, ...]:
    """Outer folds for measuring, each with inner folds of its training queries for choosing."""
    return tuple(
        NestedFold(fold, query_folds(fold.train, inner, seed=seed + 1 + i, key=key))
        for i, fold in enumerate(query_folds(queries, outer, repeats=repeats, seed=seed, key=key))
    )


def cross_validate(
    fits: Mapping[str, Fit],
    judgments: JudgmentList,
    measures: Sequence[str],
    folds: int | Sequence[Fold] = 5,
    *,
    beside: Sequence[System | Run] = (),
    baseline: int | str = 0,
    repeats: int = 1,
    seed: int = 7,
    condensed: bool = True,
    bootstrap: int = 10_000,
    correction: str = "holm",
) -> Evaluation:
    """Evaluate ways of learning a ranker, on queries that the learned ranker never saw.

    fits: by name, a function that learns a system from training judgments. It is called once per
        fold; the out-of-fold rankings are pooled, and repeats are averaged by query before any
        interval or test, so that repeating does not feign more queries.
    folds: how many, or the folds themselves (`query_folds`).
    beside: systems that do not learn from the judgments, measured on the same queries. `baseline`
        counts these first, then `fits`.

    A fit that raises becomes a `SystemFailure`. Raises as `evaluate` does.
    """
    wanted = parse_measures(measures)
    k = max(depth(wanted), COVERAGE_DEPTH)
    queries = judged_queries(judgments)
    parts = (
        query_folds(queries, folds, repeats=repeats, seed=seed)
        if isinstance(folds, int)
        else tuple(folds)
    )
    _check(parts, queries)

    def fixed(system: System | Run) -> Run:
        return system if isinstance(system, Run) else system.rank(queries, k)

    def learned(name: str, fit: Fit) -> list[Run]:
        pooled: dict[int, dict[str, Any]] = {}
        for part in parts:
            run = fit(judgments.subset(part.train)).rank(part.test, k)
            answers = pooled.setdefault(part.repeat, {})
            answers.update({q: run.rankings.get(q, ()) for q in part.test})
        return [Run(name, rankings) for rankings in pooled.values()]

    runs = {name: attempt(partial(fixed, s)) for name, s in named(beside).items()}
    for name, fit in fits.items():
        if name in runs:
            raise InvalidInput(
                f"two systems are called '{name}'", field="fits", remedy="rename one of them"
            )
        runs[name] = attempt(partial(learned, name, fit))
    times = len({part.repeat for part in parts})
    return summarise(
        runs,
        judgments,
        wanted,
        baseline,
        condensed=condensed,
        seed=seed,
        bootstrap=bootstrap,
        correction=correction,
        protocol=f"{len(parts) // times}-fold cross-validation by query"
        + (f", {times} repeats" if times > 1 else ""),
    )


def _check(folds: Sequence[Fold], queries: Sequence[str]) -> None:
    """Refuse folds that leak a test query into training, or do not test each query once."""
    tested: dict[int, list[str]] = {}
    for fold in folds:
        if leaked := set(fold.train) & set(fold.test):
            raise InvalidInput(
                f"query '{min(leaked)}' is in both parts of a fold",
                field="folds",
                remedy="build folds with query_folds",
            )
        tested.setdefault(fold.repeat, []).extend(fold.test)
    for repeat, once in tested.items():
        if sorted(once) != sorted(queries):
            raise InvalidInput(
                f"repeat {repeat} does not test every judged query exactly once",
                field="folds",
                remedy="build folds from the queries of the judgment list",
            )
    if not tested:
        raise InvalidInput("no folds", field="folds", remedy="use at least 2")


@dataclass(frozen=True)
class Selection:
    """Which candidate was chosen, on how many queries, and each candidate's inner mean."""

    chosen: str
    means: Mapping[str, float]
    queries: int


def select(
    candidates: Mapping[str, Fit],
    judgments: JudgmentList,
    measure: str,
    folds: int = 4,
    *,
    seed: int = 7,
) -> Selection:
    """Choose the candidate with the highest cross-validated mean; the first of equals.

    Raises EvaluationFailed if any candidate fails: a choice among the rest would hide it.
    """
    found = cross_validate(
        candidates, judgments, [measure], folds, seed=seed, condensed=False, bootstrap=100
    )
    means: dict[str, float] = {}
    for name in candidates:
        mean = found[name].estimates[measure].mean
        if mean is None:
            raise InvalidInput(
                f"no query can tell candidates apart by {measure}",
                field="measure",
                remedy="choose by another measure",
            )
        means[name] = mean
    return Selection(max(means, key=lambda name: means[name]), means, len(found.queries))


@dataclass
class Selecting:
    """A fit that chooses among candidates on inner folds, then learns the chosen one on all it got.

    Given to `cross_validate` it makes a nested cross-validation: what is chosen for a fold is
    chosen without that fold's test queries, so the estimate is free of the optimism of picking
    the best (Cawley & Talbot, JMLR 2010). `selections` keeps each choice, in order.
    """

    candidates: Mapping[str, Fit]
    measure: str
    folds: int = 4
    seed: int = 7
    selections: list[Selection] = field(default_factory=list)

    def __call__(self, judgments: JudgmentList) -> System:
        selection = select(self.candidates, judgments, self.measure, self.folds, seed=self.seed)
        self.selections.append(selection)
        return self.candidates[selection.chosen](judgments)
