"""A learned ranker: a model, the features it reads, and a manifest that says where it came from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from tandem.contracts.candidates import Candidates, Floats, Numbers
from tandem.contracts.errors import InvalidInput
from tandem.contracts.judgment import JudgmentList
from tandem.contracts.search import Contribution
from tandem.features.declarations import compute_features
from tandem.queries.categories import NO_LESSONS, Lessons
from tandem.ranking.models import DEFAULT_MODEL, RankingModel, TrainingSet, model_class
from tandem.retrieval.pipeline import QueryContext, Stage

MANIFEST = "manifest.json"
LESSONS = "lessons.json"


@dataclass(frozen=True)
class Manifest:
    """Lineage of a trained ranker. clicks: how it learned from clicks, empty where it did not; the
    judgments and their fingerprint are then of what it was measured on."""

    model: str
    features: tuple[str, ...]
    seed: int
    data_fingerprint: str
    judgments: str
    queries: int
    pairs: int
    code_version: str
    trained_at: str
    index_generation: str
    trained_on: tuple[str, ...] = ()
    metrics: dict[str, Any] = field(default_factory=dict)
    clicks: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LearnedRanker(Stage):
    """Reorders candidates by a trained model.

    lessons: what its judged queries teach about categories; the view that serves it reads them.
    """

    model: RankingModel
    name: str = "ltr"
    lessons: Lessons = NO_LESSONS

    def run(self, context: QueryContext, candidates: Candidates | None) -> Candidates:
        if candidates is None:
            raise InvalidInput(
                "a learned ranker needs candidates",
                remedy="put a retriever before it: bm25 % 300 >> ltr",
            )
        if len(candidates) == 0:
            return candidates
        features = self.features(context, candidates)
        with context.timed("rank"):
            return candidates.rescored(self.model.score(features))

    def features(self, context: QueryContext, candidates: Candidates) -> Floats:
        """(n, f) feature matrix of the candidates."""
        with context.timed("features"):
            return candidate_features(context, candidates, self.model.names)

    def contributions(
        self, context: QueryContext, candidates: Candidates, shown: Numbers
    ) -> dict[int, tuple[Contribution, ...]]:
        """Per product number, what moved its score, the strongest first.

        Features are computed over all candidates, because some compare a product with the others.
        """
        features = self.features(context, candidates)
        rows = np.flatnonzero(np.isin(candidates.numbers, shown))
        shares = self.model.contributions(features[rows])
        explained = {}
        for row, share in zip(rows.tolist(), shares, strict=True):
            order = np.argsort(-np.abs(share), kind="stable")
            explained[int(candidates.numbers[row])] = tuple(
                Contribution(
                    feature=self.model.names[i],
                    value=None if np.isnan(features[row, i]) else float(features[row, i]),
                    contribution=float(share[i]),
                )
                for i in order.tolist()
            )
        return explained


def candidate_features(
    context: QueryContext, candidates: Candidates, names: Sequence[str]
) -> Floats:
    """(n, f) feature matrix. It does not depend on the order in which the candidates come: ties
    between them are always broken by product number."""
    order = np.argsort(candidates.numbers)
    features = compute_features(context.evidence(candidates.at(order)), names)
    out = np.empty_like(features)  # by column in memory, as the features are
    out[order] = features
    return out


def save_ranker(ranker: LearnedRanker, manifest: Manifest, directory: Path) -> None:
    """Write a ranker into an (unpublished) generation directory."""
    directory.mkdir(parents=True, exist_ok=True)
    ranker.model.save(directory)
    (directory / LESSONS).write_text(json.dumps(ranker.lessons.to_json()), encoding="utf-8")
    text = json.dumps(asdict(manifest), indent=2, ensure_ascii=False)
    (directory / MANIFEST).write_text(text + "\n", encoding="utf-8")


def load_manifest(directory: Path) -> Manifest:
    try:
        values = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
        lists = {key: tuple(values[key]) for key in ("features", "trained_on")}
        return Manifest(**{**values, **lists})
    except (OSError, json.JSONDecodeError, TypeError, KeyError) as error:
        raise InvalidInput(
            f"not a ranker: {error}",
            file=str(directory / MANIFEST),
            remedy="roll back to an older model, or run: tandem train ranker",
        ) from None


def load_ranker(directory: Path) -> tuple[LearnedRanker, Manifest]:
    manifest = load_manifest(directory)
    model = model_class(manifest.model).load(directory, manifest.features)
    try:
        lessons = Lessons.from_json(json.loads((directory / LESSONS).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise InvalidInput(
            f"the ranker's lessons cannot be read: {error}",
            file=str(directory / LESSONS),
            remedy="roll back to an older model, or run: tandem train ranker",
        ) from None
    return LearnedRanker(model, lessons=lessons), manifest


def judgments_fingerprint(judgments: JudgmentList) -> str:
    """SHA-256 over the sorted judgments: the same data, the same fingerprint."""
    lines = sorted(f"{j.query}\t{j.product_id}\t{j.relevance}" for j in judgments)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def code_version() -> str:
    return metadata.version("tandem-commerce")


@dataclass(frozen=True)
class JudgedCandidates:
    """One training query's candidates with features and relevance (unjudged counts as 0)."""

    query: str
    ids: tuple[str, ...]
    features: Floats
    relevance: Floats


def judge_candidates(
    retriever: Stage,
    names: Sequence[str],
    judgments: JudgmentList,
    open_context: Callable[[str], QueryContext],
    progress: Callable[[int, int], None] | None = None,
) -> list[JudgedCandidates]:
    """Features of the first stage's candidates for every judged query.

    The candidates are what serving would rerank: judged products that retrieval misses are left
    out, because the ranker will never see their like. An unjudged candidate counts as not
    relevant, as the measures count it.
    """
    rows: list[JudgedCandidates] = []
    for done, query in enumerate(judgments.queries, start=1):
        context = open_context(query)
        candidates = retriever.run(context, None)
        if len(candidates):
            judged = judgments.by_query[query]
            ids = tuple(context.snapshot.ids(candidates.numbers))
            relevance = np.array([judged.get(i, 0) for i in ids], np.float32)
            features = candidate_features(context, candidates, names)
            rows.append(JudgedCandidates(query, ids, features, relevance))
        if progress:
            progress(done, len(judgments.queries))
    return rows


def training_set(rows: Sequence[JudgedCandidates], names: Sequence[str]) -> TrainingSet:
    """Stack queries; a query without any relevant candidate teaches nothing and is left out."""
    useful = [r for r in rows if r.relevance.max(initial=0) > 0]
    if not useful:
        raise InvalidInput(
            "no judged query has a relevant product among its candidates",
            remedy="check that the judgments' product ids are those of the catalogue",
        )
    return TrainingSet(
        np.concatenate([r.features for r in useful]),
        np.concatenate([r.relevance for r in useful]),
        np.array([r.relevance.size for r in useful], np.int64),
        tuple(names),
    )


def fit_ranker(
    rows: Sequence[JudgedCandidates],
    names: Sequence[str],
    kind: str = DEFAULT_MODEL,
    seed: int = 7,
    lessons: Lessons = NO_LESSONS,
) -> LearnedRanker:
    """Train a ranker of a kind on judged candidates."""
    model = model_class(kind).fit(training_set(rows, names), seed)
    return LearnedRanker(model, lessons=lessons)
