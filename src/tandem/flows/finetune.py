"""Fine-tune an encoder or a cross-encoder on the workspace's judgments, measure, publish."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from tandem.contracts.candidates import Floats
from tandem.contracts.errors import InvalidInput
from tandem.contracts.judgment import JudgmentList
from tandem.contracts.run import Run, ScoredProduct
from tandem.experiments.folds import Fit, cross_validate, query_folds
from tandem.experiments.offline import Evaluation, System
from tandem.finetuning.bert import Schedule, require_torch
from tandem.finetuning.cross_encoder import finetune_cross_encoder
from tandem.finetuning.encoder import finetune_encoder
from tandem.finetuning.judged import JudgedQuery
from tandem.finetuning.manifest import FinetuneManifest
from tandem.flows.artefacts import EVALUATION
from tandem.flows.generations import made
from tandem.flows.index import Progress
from tandem.flows.telling import traced, tracked
from tandem.flows.train import Learning, evaluation_record, judged_rows, lessons_of
from tandem.flows.workspace import Workspace
from tandem.ranking.cross import DEPTH
from tandem.ranking.learned import (
    JudgedCandidates,
    Manifest,
    code_version,
    judgments_fingerprint,
    load_manifest,
)
from tandem.retrieval.encoders import DEFAULT_ENCODER, TextEncoder, product_text
from tandem.retrieval.encoders.cross import OnnxCrossEncoder, export_cross_encoder
from tandem.retrieval.encoders.graph import check
from tandem.retrieval.encoders.loading import MODEL, TOKENIZER, convert, find_encoder, load_encoder
from tandem.retrieval.encoders.onnx import OnnxEncoder
from tandem.storage.atomic import write_json_atomic
from tandem.storage.catalog import read_products
from tandem.storage.layout import Generations, Layout
from tandem.storage.seal import sealed_directory

MEASURES = ("nDCG@10", "R@100")
FOLDS = 3  # few, because every fold trains a transformer
RETRIEVED = 100
BATCH = 2048
# Dense retrieval is measured among the judged products and at most so many others.
OTHERS = 20_000
ENCODER = Schedule(epochs=2, rate=3e-5, seed=7)
CROSS_ENCODER = Schedule(epochs=2, rate=5e-5, seed=7)
NEGATIVES = 0.25  # unjudged candidates beside each query's judged ones, as a share of these
MIN_NEGATIVES = 4
EXPORT_PAIRS = 128  # pairs on which int8 has to score as float32 does


@dataclass(frozen=True)
class FinetuneReport:
    """A published model and how it did on queries that it had not seen (out of fold)."""

    generation: str
    manifest: FinetuneManifest
    evaluation: Evaluation
    seconds: float


@dataclass(frozen=True)
class _Base:
    """The encoder that training starts from."""

    name: str
    directory: Path


@traced("train encoder", "encoders", "index", "encoders")
@tracked("encoders")
def train_encoder(
    layout: Layout,
    name: str | None = None,
    *,
    base: str | None = None,
    schedule: Schedule = ENCODER,
    folds: int = FOLDS,
    progress: Progress | None = None,
) -> FinetuneReport:
    """Fine-tune an encoder on a judgment list, publish it and name it in `tandem.toml`.

    The next `tandem index` embeds with it. The figures compare dense retrieval by the base and by
    models that did not see the query they answer; the published one learns from all queries.
    MissingExtra without torch.
    """
    require_torch()
    started = time.perf_counter()
    start = _base(layout, base)
    with Workspace(layout, ranked=False) as shop:
        judgments = _judgments(shop, name)
        lesson = _Lesson.read(shop, judgments, others=OTHERS)
        untuned = load_encoder(start.name)
        if untuned is None:
            raise InvalidInput("there is no encoder to fine-tune", remedy="name one with --base")
        before = _Dense("base", lesson, untuned, _told(progress, "embed")).rank(
            judgments.queries, RETRIEVED
        )

        def fit(fold: JudgmentList) -> System:
            with tempfile.TemporaryDirectory() as scratch:
                folder = Path(scratch)
                examples = lesson.examples(fold.queries)
                finetune_encoder(start.directory, examples, folder, schedule, telling("train"))
                convert(folder, folder)
                tuned = OnnxEncoder("fine-tuned", folder / MODEL, folder / TOKENIZER)
                return _Dense("fine-tuned", lesson, tuned, telling("embed"))

        parts = query_folds(judgments.queries, folds, seed=schedule.seed)
        telling = _Telling(progress, len(parts) + 1)
        evaluation = cross_validate(
            {"fine-tuned": fit}, judgments, MEASURES, parts, beside=[before]
        )
        evaluation["fine-tuned"]  # raises what a fold has failed of

        def write(folder: Path) -> dict[str, Any]:
            examples = lesson.examples(judgments.queries)
            return finetune_encoder(start.directory, examples, folder, schedule, telling("train"))

        manifest = _manifest("encoder", start, schedule, judgments, lesson.pairs, evaluation)
        generation, manifest = _publish(layout, layout.encoders, manifest, evaluation, write)
    encoder = f"{layout.encoders.root.name}/{generation}"
    load_encoder(encoder, layout.root)  # converts it now, so that serving need not
    layout.name_encoder(encoder)
    return FinetuneReport(generation, manifest, evaluation, time.perf_counter() - started)


@traced("train cross-encoder", "cross-encoders", "index", "models")
@tracked("cross-encoders")
def train_cross_encoder(
    layout: Layout,
    name: str | None = None,
    *,
    base: str | None = None,
    schedule: Schedule = CROSS_ENCODER,
    folds: int = FOLDS,
    live: bool = True,
    progress: Progress | None = None,
) -> FinetuneReport:
    """Fine-tune a cross-encoder on a judgment list, publish it and make it live as `cross`, unless
    it is to wait as a candidate.

    The figures are of the best candidates reordered by models that did not see the query. Where a
    ranker is trained, `cross` reorders its head, and the ranker too is trained again without the
    query. MissingExtra without torch.
    """
    require_torch()
    started = time.perf_counter()
    start = _base(layout, base)
    with Workspace(layout, ranked=False) as shop:
        judgments = _judgments(shop, name)
        first = shop.run(shop.view.default_system(), judgments.queries, RETRIEVED)
        candidates = {p.product_id for ranking in first.rankings.values() for p in ranking}
        ranker = None
        if (path := layout.models.live_path()) is not None:
            lessons = lessons_of(shop.view, judgments)
            rows = judged_rows(shop, judgments, lessons, progress)
            candidates.update(i for row in rows for i in row.ids)
            ranker = _ranker_fit(rows, load_manifest(path))
        lesson = _Lesson.read(shop, judgments, candidates).with_negatives(first, schedule.seed)
        parts = query_folds(judgments.queries, folds, seed=schedule.seed)
        telling = _Telling(progress, len(parts) + 1)

        def fit(fold: JudgmentList) -> System:
            with tempfile.TemporaryDirectory() as scratch:
                folder = Path(scratch)
                _write_cross(lesson, fold.queries, start, schedule, folder, telling("train"))
                scorer = OnnxCrossEncoder.load(folder)
            return _Reranked(ranker(fold) if ranker else first, lesson, scorer)

        evaluation = cross_validate(
            {**({"ltr": ranker} if ranker else {}), "cross": fit},
            judgments,
            MEASURES,
            parts,
            beside=[first],
        )
        evaluation["cross"]

        def write(folder: Path) -> dict[str, Any]:
            return _write_cross(
                lesson, judgments.queries, start, schedule, folder, telling("train")
            )

        manifest = _manifest("cross-encoder", start, schedule, judgments, lesson.pairs, evaluation)
        generation, manifest = _publish(layout, layout.cross_encoders, manifest, evaluation, write)
    with layout.writing():
        made(layout, "cross-encoders", generation, live=live)
    return FinetuneReport(generation, manifest, evaluation, time.perf_counter() - started)


def _judgments(shop: Workspace, name: str | None) -> JudgmentList:
    judgments = shop.judgment_list(name)
    if len(judgments) == 0:
        raise InvalidInput(
            "the workspace has no judgments to learn from",
            remedy=f"import some with: tandem import judgments FILE -w {shop.layout.root}",
        )
    return judgments


def _base(layout: Layout, name: str | None) -> _Base:
    """The encoder to start from: by default the workspace's own, or what that one was tuned from,
    because an encoder that has seen the judged queries cannot be measured on them."""
    chosen = name or layout.settings().encoder or DEFAULT_ENCODER
    own = layout.root / chosen
    if own.parent == layout.encoders.root:
        if name is not None:
            raise InvalidInput(
                f"'{name}' has learned from judgments already",
                field="base",
                remedy="start from an encoder that has not; training starts anew each time",
            )
        chosen = FinetuneManifest.load(own).base
    directory = find_encoder(chosen)
    check(directory)
    return _Base(chosen, directory)


@dataclass(frozen=True)
class _Lesson:
    """Judged queries with the texts of products, and a catalogue to retrieve from.

    queries: what is searched for, by judged query. texts: by product id, in the catalogue's order.
    relevance: by judged query, of its known products.
    """

    queries: Mapping[str, str]
    texts: Mapping[str, str]
    relevance: Mapping[str, Mapping[str, int]]

    @classmethod
    def read(
        cls, shop: Workspace, judgments: JudgmentList, also: Iterable[str] = (), others: int = 0
    ) -> _Lesson:
        """With the texts of judged products, of those in `also`, and of so many others."""
        wanted = {*also, *(p for judged in judgments.by_query.values() for p in judged)}
        texts: dict[str, str] = {}
        for batch in read_products(shop.layout, BATCH):
            for product in batch:
                if product.id in wanted or others > 0:
                    texts[product.id] = product_text(product)
                    others -= product.id not in wanted
        relevance = {
            query: {p: r for p, r in judged.items() if p in texts}
            for query, judged in judgments.by_query.items()
        }
        queries = {q: shop.context(q).understanding.text for q in judgments.queries}
        return cls(queries, texts, relevance)

    def with_negatives(self, run: Run, seed: int) -> _Lesson:
        """With some unjudged candidates of each query, which count as not relevant: a reranker
        meets their like."""
        rng = np.random.default_rng(seed)
        relevance = {}
        for query, judged in self.relevance.items():
            unjudged = [
                p.product_id
                for p in run.rankings[query]
                if p.product_id not in judged and p.product_id in self.texts
            ]
            count = max(MIN_NEGATIVES, round(NEGATIVES * len(judged)))
            sampled = rng.permutation(len(unjudged))[:count].tolist()
            relevance[query] = {**judged, **{unjudged[i]: 0 for i in sampled}}
        return replace(self, relevance=relevance)

    @property
    def pairs(self) -> int:
        return sum(len(judged) for judged in self.relevance.values())

    def examples(self, queries: Sequence[str]) -> list[JudgedQuery]:
        """InvalidInput when no product of these queries is in the catalogue."""
        found = [
            JudgedQuery(
                self.queries[query],
                tuple(self.texts[p] for p in judged),
                np.array(list(judged.values()), np.float32),
            )
            for query in queries
            if (judged := self.relevance[query])
        ]
        if not any(q.relevance.max() > 0 for q in found):
            raise InvalidInput(
                "no judged query has a relevant product in the catalogue",
                remedy="check that the judgments' product ids are those of the catalogue",
            )
        return found


class _Dense:
    """Exact nearest products of a lesson's catalogue, by one encoder."""

    def __init__(
        self, name: str, lesson: _Lesson, encoder: TextEncoder, told: Callable[[int, int], None]
    ) -> None:
        self.name, self._lesson, self._encoder = name, lesson, encoder
        self._ids, texts = list(lesson.texts), list(lesson.texts.values())
        self._vectors = np.empty((len(texts), encoder.dimension), np.float32)
        for at in range(0, len(texts), BATCH):
            self._vectors[at : at + BATCH] = encoder.encode(texts[at : at + BATCH])
            told(min(at + BATCH, len(texts)), len(texts))

    def rank(self, queries: Sequence[str], k: int) -> Run:
        return Run(self.name, {q: self._one(q, k) for q in queries})

    def _one(self, query: str, k: int) -> list[ScoredProduct]:
        scores: Floats = self._vectors @ self._encoder.encode([self._lesson.queries[query]])[0]
        order = np.argsort(-scores, kind="stable")[:k]
        return [ScoredProduct(self._ids[i], float(scores[i])) for i in order.tolist()]


@dataclass(frozen=True)
class _Reranked:
    """The head of another system's ranking in a cross-encoder's order, as `CrossRanker` does it."""

    first: System | Run
    lesson: _Lesson
    scorer: OnnxCrossEncoder
    name: str = "cross"

    def rank(self, queries: Sequence[str], k: int) -> Run:
        depth = max(k, DEPTH)
        run = self.first if isinstance(self.first, Run) else self.first.rank(queries, depth)
        return Run(self.name, {q: self._one(q, run.rankings[q])[:k] for q in queries})

    def _one(self, query: str, ranking: Sequence[ScoredProduct]) -> list[ScoredProduct]:
        ids = [p.product_id for p in ranking]
        texts = [self.lesson.texts[i] for i in ids[:DEPTH]]
        scores = self.scorer.score(self.lesson.queries[query], texts)
        ordered = [ids[i] for i in np.argsort(-scores, kind="stable").tolist()] + ids[DEPTH:]
        return [ScoredProduct(i, -float(rank)) for rank, i in enumerate(ordered)]


def _ranker_fit(rows: Sequence[JudgedCandidates], manifest: Manifest) -> Fit:
    """How the live kind of ranker learns from some of the queries; the same ones only once."""
    fit = Learning({r.query: r for r in rows}, manifest.seed).fit_of(manifest.model)
    known: dict[tuple[str, ...], System] = {}

    def once(fold: JudgmentList) -> System:
        if fold.queries not in known:
            known[fold.queries] = fit(fold)
        return known[fold.queries]

    return once


def _write_cross(
    lesson: _Lesson,
    queries: Sequence[str],
    start: _Base,
    schedule: Schedule,
    folder: Path,
    told: Callable[[int, int], None],
) -> dict[str, Any]:
    """Train a cross-encoder into `folder` and export it there."""
    examples = lesson.examples(queries)
    training = finetune_cross_encoder(start.directory, examples, folder, schedule, told)
    pairs = [(q.text, text) for q in examples for text in q.products]
    export = export_cross_encoder(folder, pairs[:: max(1, len(pairs) // EXPORT_PAIRS)])
    return {**training, "served": export.precision, "fidelity": export.fidelity}


def _manifest(
    kind: str,
    start: _Base,
    schedule: Schedule,
    judgments: JudgmentList,
    pairs: int,
    evaluation: Evaluation,
) -> FinetuneManifest:
    return FinetuneManifest(
        kind=kind,
        base=start.name,
        epochs=schedule.epochs,
        rate=schedule.rate,
        seed=schedule.seed,
        data_fingerprint=judgments_fingerprint(judgments),
        judgments=judgments.name,
        queries=len(judgments.queries),
        pairs=pairs,
        code_version=code_version(),
        trained_at=datetime.now(UTC).isoformat(timespec="seconds"),
        trained_on=judgments.queries,
        metrics=evaluation.to_json()["systems"],
    )


def _publish(
    layout: Layout,
    generations: Generations,
    manifest: FinetuneManifest,
    evaluation: Evaluation,
    write: Callable[[Path], dict[str, Any]],
) -> tuple[str, FinetuneManifest]:
    """Write a new generation; the caller makes it the one in use."""
    with layout.writing():
        generations.sweep()
        generation = generations.next_name()
        with sealed_directory(generations.root / generation) as scratch:
            manifest = replace(manifest, training=write(scratch))
            manifest.save(scratch)
            write_json_atomic(scratch / EVALUATION, evaluation_record(evaluation))
    return generation, manifest


def _told(progress: Progress | None, stage: str) -> Callable[[int, int], None]:
    return (lambda done, total: progress(stage, done, total)) if progress else (lambda *_: None)


class _Telling:
    """Progress of trainings that follow each other: `train 2 of 4`."""

    def __init__(self, progress: Progress | None, trainings: int) -> None:
        self._progress, self._trainings, self._number = progress, trainings, 0

    def __call__(self, stage: str) -> Callable[[int, int], None]:
        if stage == "train":
            self._number += 1
        return _told(self._progress, f"{stage} {self._number} of {self._trainings}")
