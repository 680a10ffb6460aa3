"""Retrieval as algebra: small stages that compose into a pipeline.

    bm25 % 300 >> features >> ltr        cut, then rerank
    bm25 * 0.4 + dense * 0.6             weighted sum of normalised scores
    bm25 | dense                         reciprocal rank fusion

A stage maps (query context, candidates so far) to candidates. Stages hold no query state and are
safe for many threads. The algebra follows the declarative retrieval of Macdonald & Tonellotto
(ICTIR 2020).
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from tandem.contracts.candidates import Candidates, Floats
from tandem.contracts.errors import InvalidInput
from tandem.contracts.run import Run, ScoredProduct
from tandem.contracts.search import Filters, Understanding
from tandem.features.evidence import Evidence
from tandem.features.store import FeatureStore
from tandem.features.taste import Taste
from tandem.retrieval.fusion import reciprocal_rank_fusion, weighted_fusion
from tandem.retrieval.port import LexicalQuery, Snapshot


@dataclass
class QueryContext:
    """Everything known about one query while it is answered; one thread, one request.

    `vector` is called at most once, when a stage first needs the query's embedding.
    `timings_ms` collects each stage's wall time. `taste` is of who asks, where they allow it.
    """

    understanding: Understanding
    filters: Filters
    snapshot: Snapshot
    store: FeatureStore
    embed: Callable[[str], Floats | None]
    categories: Callable[[Understanding], dict[str, float]]
    timings_ms: dict[str, float] = field(default_factory=dict)
    taste: Taste | None = None
    _vector: Floats | None = None
    _embedded: bool = False

    @property
    def vector(self) -> Floats | None:
        """(d,) the query's embedding; None without an encoder."""
        if not self._embedded:
            with self.timed("encode"):
                self._vector = self.embed(self.understanding.text)
            self._embedded = True
        return self._vector

    def evidence(self, candidates: Candidates, *, meaning: bool = True) -> Evidence:
        """What features are computed from; without `meaning`, only what words tell."""
        return Evidence(
            understanding=self.understanding,
            candidates=candidates,
            store=self.store,
            vector=self.vector if meaning else None,
            vectors=self.snapshot.vectors(candidates.numbers) if meaning else None,
            categories=self.categories(self.understanding) if meaning else None,
        )

    def personal_evidence(self, candidates: Candidates) -> Evidence:
        """What features of taste are computed from, and no more."""
        return Evidence(
            understanding=self.understanding,
            candidates=candidates,
            store=self.store,
            vectors=self.snapshot.vectors(candidates.numbers),
            taste=self.taste,
        )

    def timed(self, stage: str) -> _Timer:
        return _Timer(self.timings_ms, stage)


class _Timer:
    def __init__(self, timings: dict[str, float], stage: str) -> None:
        self._timings, self._stage = timings, stage

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        spent = (time.perf_counter() - self._start) * 1000
        self._timings[self._stage] = self._timings.get(self._stage, 0.0) + spent


class Stage(ABC):
    """One step of a pipeline."""

    name: str

    @abstractmethod
    def run(self, context: QueryContext, candidates: Candidates | None) -> Candidates:
        """Candidates, best first. Retrievers ignore `candidates`; rerankers reorder them."""

    def __rshift__(self, other: Stage) -> Stage:
        return Chain(self, other)

    def __mod__(self, k: int) -> Stage:
        return Cutoff(self, k)

    def __or__(self, other: Stage) -> Stage:
        return Fusion((self, other))

    def __mul__(self, weight: float) -> Weighted:
        return Weighted(self, float(weight))

    def __add__(self, other: Stage) -> Stage:
        return WeightedSum((*_summands(self), *_summands(other)))


@dataclass(frozen=True)
class Chain(Stage):
    """First one stage, then the other on its candidates."""

    first: Stage
    second: Stage

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"{self.first.name} >> {self.second.name}"

    def run(self, context: QueryContext, candidates: Candidates | None) -> Candidates:
        return self.second.run(context, self.first.run(context, candidates))


@dataclass(frozen=True)
class Cutoff(Stage):
    """Keep the best `k`."""

    stage: Stage
    k: int

    def __post_init__(self) -> None:
        if self.k < 1:
            raise InvalidInput(f"a cut-off must be at least 1, got {self.k}", remedy="use % 100")

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"{self.stage.name} % {self.k}"

    def run(self, context: QueryContext, candidates: Candidates | None) -> Candidates:
        return self.stage.run(context, candidates).head(self.k)


@dataclass(frozen=True)
class Fusion(Stage):
    """Reciprocal rank fusion (Cormack, Clarke & Büttcher, SIGIR 2009). weights: how much each list
    counts, by default the same."""

    stages: tuple[Stage, ...]
    k: int = 60
    weights: tuple[float, ...] | None = None

    @property
    def name(self) -> str:  # type: ignore[override]
        return "rrf(" + ", ".join(s.name for s in self.stages) + ")"

    def run(self, context: QueryContext, candidates: Candidates | None) -> Candidates:
        runs = [s.run(context, candidates) for s in self.stages]
        return reciprocal_rank_fusion(runs, self.k, self.weights)

    def __or__(self, other: Stage) -> Stage:
        weights = None if self.weights is None else (*self.weights, 1.0)
        return replace(self, stages=(*self.stages, other), weights=weights)


@dataclass(frozen=True)
class Weighted(Stage):
    """A stage with its weight in a sum; alone it ranks as the stage does."""

    stage: Stage
    weight: float

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"{self.weight:g} * {self.stage.name}"

    def run(self, context: QueryContext, candidates: Candidates | None) -> Candidates:
        return self.stage.run(context, candidates)


@dataclass(frozen=True)
class WeightedSum(Stage):
    """Weighted sum of scores, each normalised over its own list."""

    parts: tuple[Weighted, ...]

    @property
    def name(self) -> str:  # type: ignore[override]
        return " + ".join(p.name for p in self.parts)

    def run(self, context: QueryContext, candidates: Candidates | None) -> Candidates:
        runs = [p.run(context, candidates) for p in self.parts]
        return weighted_fusion(runs, [p.weight for p in self.parts])


def _summands(stage: Stage) -> tuple[Weighted, ...]:
    if isinstance(stage, WeightedSum):
        return stage.parts
    return (stage if isinstance(stage, Weighted) else Weighted(stage, 1.0),)


@dataclass(frozen=True)
class Lexical(Stage):
    """Field-boosted BM25 in the engine. Returns at most `k` products."""

    boosts: dict[str, float]
    k: int = 1000
    minimum_match: int = 1
    phrase_boost: float = 0.0
    name: str = "bm25"

    def query(self, understanding: Understanding) -> LexicalQuery:
        return LexicalQuery(
            terms=understanding.terms,
            expansions=understanding.expansions,
            excluded=understanding.excluded,
            field_boosts=self.boosts,
            minimum_match=min(self.minimum_match, max(1, len(understanding.terms))),
            phrase_boost=self.phrase_boost,
        )

    def run(self, context: QueryContext, candidates: Candidates | None) -> Candidates:
        with context.timed("lexical"):
            return context.snapshot.lexical(
                self.query(context.understanding), self.k, context.filters
            )


@dataclass(frozen=True)
class Dense(Stage):
    """Nearest products by embedding; empty in a workspace without an encoder."""

    k: int = 1000
    name: str = "dense"

    def run(self, context: QueryContext, candidates: Candidates | None) -> Candidates:
        vector = context.vector
        if vector is None:
            return Candidates.empty()
        with context.timed("dense"):
            return context.snapshot.dense(vector, self.k, context.filters)


@dataclass(frozen=True)
class Pipeline:
    """A named stage bound to a workspace: it can rank query texts, and composes like a stage."""

    stage: Stage
    open_context: Callable[[str], QueryContext]
    label: str | None = None

    @property
    def name(self) -> str:
        return self.label or self.stage.name

    def named(self, label: str) -> Pipeline:
        return replace(self, label=label)

    def rank_one(self, query: str, k: int) -> list[ScoredProduct]:
        """The best `k` products for one query text."""
        context = self.open_context(query)
        found = self.stage.run(context, None).head(k)
        ids = context.snapshot.ids(found.numbers)
        return [ScoredProduct(i, float(s)) for i, s in zip(ids, found.scores.tolist(), strict=True)]

    def rank(self, queries: Sequence[str], k: int) -> Run:
        """Rank every query of a query set: what `tandem.evaluate` measures."""
        return Run(self.name, {q: self.rank_one(q, k) for q in queries})

    def __rshift__(self, other: Pipeline | Stage) -> Pipeline:
        return replace(self, stage=self.stage >> _stage(other), label=None)

    def __mod__(self, k: int) -> Pipeline:
        return replace(self, stage=self.stage % k, label=None)

    def __or__(self, other: Pipeline | Stage) -> Pipeline:
        return replace(self, stage=self.stage | _stage(other), label=None)

    def __mul__(self, weight: float) -> Pipeline:
        return replace(self, stage=self.stage * weight, label=None)

    def __add__(self, other: Pipeline | Stage) -> Pipeline:
        return replace(self, stage=self.stage + _stage(other), label=None)


def _stage(value: Pipeline | Stage) -> Stage:
    return value.stage if isinstance(value, Pipeline) else value
