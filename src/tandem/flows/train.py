"""Train a ranker, measure it by cross-validation, publish it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from tandem.contracts.errors import InvalidInput
from tandem.contracts.judgment import JudgmentList
from tandem.contracts.run import Run, ScoredProduct
from tandem.experiments.folds import query_folds
from tandem.experiments.offline import Evaluation, evaluate
from tandem.features.declarations import LTR_FEATURES
from tandem.flows.index import Progress
from tandem.flows.view import View, candidates
from tandem.flows.workspace import Workspace
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
from tandem.ranking.models import DEFAULT_MODEL
from tandem.storage.atomic import new_directory, write_json_atomic
from tandem.storage.layout import Layout

MEASURES = ("nDCG@10", "R@100", "RR@10", "P@10")
DEPTH = 100


@dataclass(frozen=True)
class TrainReport:
    """A published ranker and how it did on queries that it had not seen (out of fold)."""

    generation: str
    manifest: Manifest
    evaluation: Evaluation
    seconds: float


def train_ranker(
    layout: Layout,
    name: str | None = None,
    kind: str = DEFAULT_MODEL,
    *,
    folds: int = 5,
    seed: int = 7,
    progress: Progress | None = None,
) -> TrainReport:
    """Train on a judgment list, cross-validate by query, publish and switch.

    The published model learns from all judged queries; the reported figures come from models that
    did not see the query they rank.
    """
    started = time.perf_counter()
    with Workspace(layout) as shop:
        judgments = shop.judgment_list(name)
        if len(judgments) == 0:
            raise InvalidInput(
                "the workspace has no judgments to learn from",
                remedy=f"import some with: tandem import judgments FILE -w {layout.root}",
            )
        view = shop.view
        rows = _judged(shop, judgments, progress)
        ranker = fit_ranker(rows, LTR_FEATURES, kind, seed)
        out_of_fold = _out_of_fold(rows, kind, folds, seed, progress)
        runs = [shop.run(s, judgments.queries, DEPTH) for s in ("bm25", *_dense(view))]
        evaluation = evaluate([*runs, out_of_fold], judgments, MEASURES, baseline=0)
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
        publish(layout, ranker, manifest, evaluation),
        manifest,
        evaluation,
        time.perf_counter() - started,
    )


def _dense(view: View) -> Sequence[str]:
    return ("dense", "hybrid") if view.encoder is not None else ()


def _judged(
    shop: Workspace, judgments: JudgmentList, progress: Progress | None
) -> list[JudgedCandidates]:
    return judge_candidates(
        candidates(shop.view.encoder is not None),
        LTR_FEATURES,
        judgments,
        shop.context,
        (lambda done, total: progress("features", done, total)) if progress else None,
    )


def _out_of_fold(
    rows: Sequence[JudgedCandidates],
    kind: str,
    folds: int,
    seed: int,
    progress: Progress | None,
) -> Run:
    """Every query ranked by a model trained on the other folds."""
    by_query = {r.query: r for r in rows}
    rankings: dict[str, Sequence[ScoredProduct]] = {}
    parts = query_folds(list(by_query), folds=folds, seed=seed)
    for done, fold in enumerate(parts, start=1):
        ranker = fit_ranker([by_query[q] for q in fold.train], LTR_FEATURES, kind, seed)
        for query in fold.test:
            rankings[query] = _ranked(ranker, by_query[query])
        if progress:
            progress("cross-validate", done, len(parts))
    return Run("ltr", rankings)


def _ranked(ranker: LearnedRanker, row: JudgedCandidates) -> list[ScoredProduct]:
    scores = ranker.model.score(row.features)
    order = np.argsort(-scores, kind="stable")[:DEPTH]
    return [ScoredProduct(row.ids[i], float(scores[i])) for i in order.tolist()]


def publish(
    layout: Layout, ranker: LearnedRanker, manifest: Manifest, evaluation: Evaluation
) -> str:
    """Save a ranker with its evaluation as a new generation and make it live."""
    with layout.writing():
        layout.models.sweep()
        name = layout.models.next_name()
        with new_directory(layout.models.root / name) as scratch:
            save_ranker(ranker, manifest, scratch)
            write_json_atomic(scratch / "evaluation.json", evaluation_record(evaluation))
        layout.models.switch(name)
    return name


def evaluation_record(evaluation: Evaluation) -> dict[str, Any]:
    """The evaluation as JSON, with every query's value by measure and system beside the means."""
    per_query = {
        m.name: {r.query: dict(r.values) for r in evaluation.per_query(m.name)}
        for m in evaluation.measures
    }
    return {**evaluation.to_json(), "per_query": per_query}
