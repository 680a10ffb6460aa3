"""Train a ranker, measure it by cross-validation, publish it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np

from tandem.contracts.errors import InvalidInput
from tandem.contracts.judgment import JudgmentList
from tandem.contracts.run import Run, ScoredProduct
from tandem.contracts.search import Filters, SearchRequest, Understanding
from tandem.experiments.folds import Fit, Selecting, cross_validate, query_folds, select
from tandem.experiments.offline import Evaluation, System
from tandem.features.declarations import LTR_FEATURES
from tandem.flows.artefacts import EVALUATION
from tandem.flows.generations import publishing
from tandem.flows.index import Progress
from tandem.flows.telling import tracked
from tandem.flows.view import View, candidates
from tandem.flows.workspace import Workspace
from tandem.queries.categories import Lessons, lesson
from tandem.ranking.learned import (
    JudgedCandidates,
    LearnedRanker,
    Manifest,
    code_version,
    fit_ranker,
    judge_candidates,
    judgments_fingerprint,
    save_ranker,
)
from tandem.ranking.models import DEFAULT_MODEL, MODELS, model_class
from tandem.registry.lineage import DataSet, job
from tandem.retrieval.pipeline import QueryContext
from tandem.storage.atomic import write_json_atomic
from tandem.storage.layout import Layout

MEASURES = ("nDCG@10", "R@100", "RR@10", "P@10")
CHOSEN_BY = "nDCG@10"
DEPTH = 100
AUTO = "auto"  # choose the kind of model by inner cross-validation
INNER_FOLDS = 4
RELEVANT = 2  # products of at least this relevance say what category a query means
MAX_QUERY = 512


@dataclass(frozen=True)
class TrainReport:
    """A published ranker and how it did on queries that it had not seen (out of fold)."""

    generation: str
    manifest: Manifest
    evaluation: Evaluation
    seconds: float


@tracked("models")
def train_ranker(
    layout: Layout,
    name: str | None = None,
    kind: str = DEFAULT_MODEL,
    *,
    folds: int = 5,
    seed: int = 7,
    live: bool = True,
    who: str = "unknown",
    progress: Progress | None = None,
) -> TrainReport:
    """Train on a judgment list, cross-validate by query, publish and switch.

    live: make the model live at once. Else it waits as a candidate for `promote`. who: for the
    registry.

    The published model learns from all judged queries; the reported figures come from models that
    did not see the query they rank. With kind `auto` the kind of model is chosen by inner
    cross-validation, and the figures are those of the nested one.
    """
    with job(layout, "train ranker") as running:
        report = _trained(layout, name, kind, folds, seed, live, who, progress)
        learned = report.manifest
        running.inputs += [
            DataSet(f"judgments/{learned.judgments}", learned.data_fingerprint),
            DataSet("index", learned.index_generation),
        ]
        running.outputs.append(DataSet("models", report.generation))
    return report


def _trained(
    layout: Layout,
    name: str | None,
    kind: str,
    folds: int,
    seed: int,
    live: bool,
    who: str,
    progress: Progress | None,
) -> TrainReport:
    started = time.perf_counter()
    with Workspace(layout, ranked=False) as shop:
        judgments = shop.judgment_list(name)
        if len(judgments) == 0:
            raise InvalidInput(
                "the workspace has no judgments to learn from",
                remedy=f"import some with: tandem import judgments FILE -w {layout.root}",
            )
        view = shop.view
        lessons = lessons_of(view, judgments)
        rows = judged_rows(shop, judgments, lessons, progress)
        others = [shop.run(s, judgments.queries, DEPTH) for s in ("bm25", *dense_systems(view))]
        learning = Learning({r.query: r for r in rows}, seed)
        parts = query_folds(judgments.queries, folds, seed=seed)
        fit = learning.fit_of(kind)
        if kind == AUTO:
            kind = select(learning.fits(), judgments, CHOSEN_BY, INNER_FOLDS, seed=seed).chosen
        ranker = fit_ranker(rows, LTR_FEATURES, kind, seed, lessons)
        evaluation = cross_validate(
            {"ltr": _counted(fit, len(parts), progress)},
            judgments,
            MEASURES,
            parts,
            beside=others,
        )
        evaluation["ltr"]  # raises what a fold has failed of
        evaluation = replace(evaluation, warnings=(*evaluation.warnings, *_seen(view, judgments)))
    manifest = Manifest(
        model=kind,
        features=tuple(LTR_FEATURES),
        seed=seed,
        data_fingerprint=judgments_fingerprint(judgments),
        judgments=judgments.name,
        queries=len(rows),
        pairs=sum(r.relevance.size for r in rows),
        code_version=code_version(),
        trained_at=datetime.now(UTC).isoformat(timespec="seconds"),
        index_generation=view.generation,
        trained_on=tuple(r.query for r in rows),
        metrics=evaluation.to_json()["systems"]["ltr"],
    )
    return TrainReport(
        publish(layout, ranker, manifest, evaluation, live=live, who=who),
        manifest,
        evaluation,
        time.perf_counter() - started,
    )


def _seen(view: View, judgments: JudgmentList) -> list[str]:
    """What cross-validation cannot leave out: what an encoder has learned before."""
    overlap = len(view.learned_from("dense") & set(judgments.queries))
    return (
        [
            f"the index is embedded by an encoder that learned from {overlap} of these "
            f"{len(judgments.queries)} queries, so all but bm25 looks too good here"
        ]
        if overlap
        else []
    )


def dense_systems(view: View) -> Sequence[str]:
    return ("dense", "hybrid") if view.encoder is not None else ()


def lessons_of(view: View, judgments: JudgmentList) -> Lessons:
    """The category that each judged query's relevant products are of."""
    found = []
    for query, judged in judgments.by_query.items():
        relevant = [p for p, relevance in judged.items() if relevance >= RELEVANT]
        numbers = view.snapshot.numbers(relevant)
        codes = view.store.columns(numbers[numbers >= 0]).category
        paths = [view.store.names.category[code] for code in codes.tolist() if code >= 0]
        found.append(lesson(_understood(view, query).terms, judged, paths))
    return Lessons(x for x in found if x)


def _understood(view: View, query: str) -> Understanding:
    return view.understand(SearchRequest(q=query[:MAX_QUERY]))


def judged_rows(
    shop: Workspace, judgments: JudgmentList, lessons: Lessons, progress: Progress | None
) -> list[JudgedCandidates]:
    """Candidates with features. A query's own lesson is left out of its features, because a
    shopper's query, too, is one that nobody has judged."""
    view = shop.view

    def unseen(query: str) -> QueryContext:
        understanding = _understood(view, query)
        others = lessons.without(understanding.terms)
        context = view.context(understanding, Filters())
        return replace(
            context, categories=partial(view.queries.category_distribution, lessons=others)
        )

    return judge_candidates(
        candidates(view.encoder is not None),
        LTR_FEATURES,
        judgments,
        unseen,
        (lambda done, total: progress("features", done, total)) if progress else None,
    )


@dataclass(frozen=True)
class Ranked:
    """A ranker over candidates whose features are known already."""

    ranker: LearnedRanker
    rows: Mapping[str, JudgedCandidates]
    name: str = "ltr"

    def rank(self, queries: Sequence[str], k: int) -> Run:
        return Run(self.name, {q: self._one(self.rows[q], k) for q in queries if q in self.rows})

    def _one(self, row: JudgedCandidates, k: int) -> list[ScoredProduct]:
        scores = self.ranker.model.score(row.features)
        order = np.argsort(-scores, kind="stable")[:k]
        return [ScoredProduct(row.ids[i], float(scores[i])) for i in order.tolist()]


@dataclass(frozen=True)
class Learning:
    """Ways to learn a ranker from some of the judged queries."""

    rows: Mapping[str, JudgedCandidates]
    seed: int

    def fit_of(self, kind: str) -> Fit:
        if kind == AUTO:
            return Selecting(self.fits(), CHOSEN_BY, INNER_FOLDS, self.seed)
        model_class(kind)  # an unknown kind is told before anything is measured

        def fit(judgments: JudgmentList) -> Ranked:
            known = [self.rows[q] for q in judgments.queries if q in self.rows]
            return Ranked(fit_ranker(known, LTR_FEATURES, kind, self.seed), self.rows)

        return fit

    def fits(self) -> dict[str, Fit]:
        return {kind: self.fit_of(kind) for kind in MODELS}


def _counted(fit: Fit, folds: int, progress: Progress | None) -> Fit:
    """The same fit, telling how many folds are done."""
    done = 0

    def counted(judgments: JudgmentList) -> System:
        nonlocal done
        system = fit(judgments)
        done += 1
        if progress:
            progress("cross-validate", done, folds)
        return system

    return counted


def publish(
    layout: Layout,
    ranker: LearnedRanker,
    manifest: Manifest,
    evaluation: Evaluation,
    *,
    live: bool,
    who: str,
) -> str:
    """Save a ranker with its evaluation as a new generation, live or as a candidate."""
    with publishing(layout, "models", live=live, who=who, what="trained") as (name, scratch):
        save_ranker(ranker, manifest, scratch)
        write_json_atomic(scratch / EVALUATION, evaluation_record(evaluation))
    return name


def evaluation_record(evaluation: Evaluation) -> dict[str, Any]:
    """The evaluation as JSON, with every query's value by measure and system beside the means."""
    per_query = {
        m.name: {r.query: dict(r.values) for r in evaluation.per_query(m.name)}
        for m in evaluation.measures
    }
    return {**evaluation.to_json(), "per_query": per_query}
