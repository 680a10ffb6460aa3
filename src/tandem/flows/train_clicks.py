"""Train a ranker on the clicks of a workspace's stored events, without their bias."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from tandem.contracts.clicks import ClickLog
from tandem.contracts.consent import Purpose
from tandem.contracts.errors import InvalidInput, NotFound
from tandem.contracts.judgment import JudgmentList
from tandem.experiments.folds import cross_validate, query_folds, same_stems
from tandem.experiments.offline import Evaluation
from tandem.features.declarations import LTR_FEATURES
from tandem.flows.index import Progress
from tandem.flows.lots import lots_of
from tandem.flows.telling import traced, tracked
from tandem.flows.train import DEPTH, MEASURES, Ranked, dense_systems, judged_rows, publish
from tandem.flows.workspace import Workspace
from tandem.governance.reading import EventReader
from tandem.insights.click_log import click_lists, click_log
from tandem.insights.tables import TOLD, Tables
from tandem.queries.categories import NO_LESSONS
from tandem.ranking.clicks.judging import judgments_from_clicks
from tandem.ranking.clicks.learning import (
    DEFAULT_METHOD,
    PAIRWISE,
    Clicked,
    fit_from_clicks,
    join_features,
)
from tandem.ranking.clicks.models import Lists
from tandem.ranking.clicks.propensity import Propensities, by_lot, estimate, further
from tandem.ranking.learned import (
    JudgedCandidates,
    LearnedRanker,
    Manifest,
    code_version,
    judgments_fingerprint,
)
from tandem.ranking.models import LambdaMART
from tandem.storage.judgments import save_judgments
from tandem.storage.layout import Layout

EVENTS = "stored events"
FEWEST_QUERIES = 10
MOST_QUERIES = 2_000  # the most searched ones; each costs its candidates' features

LIST_PLACES = 10  # of a list that models of reading look at


@dataclass(frozen=True)
class ClickTrainReport:
    """A published ranker that learned from clicks. stored: events there are, allowed or not; log:
    what of them was learned from; measured_on: the judgment list behind the evaluation."""

    generation: str
    manifest: Manifest
    evaluation: Evaluation
    propensities: Propensities
    log: ClickLog
    stored: int
    left_out: float
    measured_on: str
    seconds: float

    def to_json(self) -> dict[str, Any]:
        examination = self.propensities.examination
        return {
            "generation": self.generation,
            "stage": "candidate",
            "model": self.manifest.model,
            "learned_from": "clicks",
            **self.manifest.clicks,
            "stored_events": self.stored,
            "propensities": [None if np.isnan(x) else round(float(x), 4) for x in examination],
            "impressions_not_found_today": round(self.left_out, 4),
            "measured_on": self.measured_on,
            "seconds": self.seconds,
            "cross_validated": self.evaluation.to_json(),
        }


@contextmanager
def stored_clicks(
    layout: Layout, purpose: Purpose, actor: str, *, least_clients: int = TOLD
) -> Iterator[tuple[ClickLog, int]]:
    """The click log of what may be read for a purpose, and how many events are stored at all."""
    with _clicked_tables(layout, purpose, actor, least_clients) as (_, log, stored):
        yield log, stored


@contextmanager
def stored_lists(
    layout: Layout, purpose: Purpose, actor: str, *, least_clients: int = TOLD
) -> Iterator[tuple[ClickLog, Lists]]:
    """The click log, and its lists one by one, for models of how people read them. `Lists.pair`
    counts as `ClickLog.pair` does. Nobody is named in either."""
    with _clicked_tables(layout, purpose, actor, least_clients) as (tables, log, _):
        width = max(len(log.products), 1)
        known = np.unique(log.query * width + log.product)
        search, query, product, place, clicked = click_lists(tables, LIST_PLACES)
        lists = int(search.max(initial=-1)) + 1
        pair = np.full((lists, LIST_PLACES), -1, np.int64)
        hit = np.zeros((lists, LIST_PLACES), bool)
        pair[search, place] = np.searchsorted(known, query * width + product)
        hit[search, place] = clicked
        yield log, Lists(pair, hit, known.size)


@contextmanager
def _clicked_tables(
    layout: Layout, purpose: Purpose, actor: str, least_clients: int
) -> Iterator[tuple[Tables, ClickLog, int]]:
    with tempfile.TemporaryDirectory() as spill, Tables(spill=Path(spill)) as tables:
        with EventReader(layout, purpose, actor=actor).reading() as allowed:
            if not allowed.stored:
                raise NotFound(
                    f"no events in {layout.root}",
                    remedy="send some (POST /v1/events), or: tandem import events",
                )
            allowed.view(tables.db, "allowed")
            tables.build("allowed")
            stored = allowed.stored
        log = click_log(tables, least_clients=least_clients)
        if not log.lists:
            raise InvalidInput(
                f"none of the {stored:,} stored events may be read for {purpose}, or no query was "
                f"typed by {least_clients} people",
                file=EVENTS,
                remedy="ask people for consent; what each purpose rests on: tandem consent basis",
            )
        yield tables, log, stored


def drawn(layout: Layout, log: ClickLog, purpose: Purpose, actor: str) -> Propensities:
    """Propensities by the lots that the shop has drawn; places below those by harvesting, where
    the log tells of them."""
    found = by_lot(lots_of(layout, purpose, actor))
    try:
        return further(found, estimate(log, "harvest"))
    except InvalidInput:  # no product stood at two places but by lot
        return found


@traced("train ranker from clicks", "models", "index", "events")
@tracked("models")
def train_from_clicks(
    layout: Layout,
    name: str | None = None,
    *,
    method: str = DEFAULT_METHOD,
    kind: str = "linear",
    way: str = "harvest",
    folds: int = 5,
    seed: int = 7,
    who: str = "unknown",
    progress: Progress | None = None,
) -> ClickTrainReport:
    """Learn from what shoppers who allow it clicked; publish as a candidate.

    name: judgment list to measure on, by default the first. Without any, it is measured on
    judgments made of the same clicks, held out by query, and the evaluation says so.

    A candidate goes live by `promote` alone, whose privacy gate asks for somebody's approval.
    Queries near to a measured one are left out of what the model learned from that measures it.
    """
    started = time.perf_counter()
    with stored_clicks(layout, Purpose.MODEL_TRAINING, who) as (found, stored):
        log = most_searched(found)
    with Workspace(layout, ranked=False) as shop:
        view = shop.view
        asked = JudgmentList({q: {} for q in log.queries if _has_rows(log, q)}, "clicks")
        rows = {r.query: r for r in judged_rows(shop, asked, NO_LESSONS, progress)}
        clicked = join_features(log, rows, tuple(LTR_FEATURES))
        log = clicked.log
        propensities = (
            drawn(layout, log, Purpose.MODEL_TRAINING, who)
            if way == "lot"
            else estimate(log, way, clicked.features, seed)
        )
        listed = shop.judgment_list(name)
        human = len(listed) > 0
        judgments = listed if human else judgments_from_clicks(log, propensities)
        if len(judgments.queries) < max(FEWEST_QUERIES, folds):
            raise InvalidInput(
                f"{len(judgments.queries)} queries to measure on",
                field="judgments",
                remedy=f"judge {FEWEST_QUERIES} queries or more, or wait for more clicks",
            )
        measured = {r.query: r for r in judged_rows(shop, judgments, NO_LESSONS, progress)}
        learner = _Learner(clicked, measured, method, propensities, kind, seed)
        model = fit_from_clicks(clicked, method, propensities, kind, seed)
        parts = query_folds(judgments.queries, folds, seed=seed)
        others = [shop.run(s, judgments.queries, DEPTH) for s in ("bm25", *dense_systems(view))]
        evaluation = cross_validate({"ltr": learner}, judgments, MEASURES, parts, beside=others)
        evaluation["ltr"]  # raises what a fold has failed of
        evaluation = replace(
            evaluation, warnings=(*evaluation.warnings, *_said(log, human, judgments))
        )
        simulated = log.simulated or shop.settings.simulated
    manifest = Manifest(
        model=LambdaMART.kind if method in PAIRWISE else kind,
        features=tuple(LTR_FEATURES),
        seed=seed,
        data_fingerprint=judgments_fingerprint(judgments),
        judgments=judgments.name,
        queries=len(np.unique(log.query)),
        pairs=int(log.pair.max()) + 1,
        code_version=code_version(),
        trained_at=datetime.now(UTC).isoformat(timespec="seconds"),
        index_generation=view.generation,
        trained_on=tuple(log.queries[i] for i in np.unique(log.query).tolist()),
        metrics=evaluation.to_json()["systems"]["ltr"],
        clicks={
            "method": method,
            "fingerprint": _fingerprint(log),
            "propensities_by": propensities.way,
            "searches": log.lists,
            "clicks": log.clicks,
            "least_people_by_query": TOLD,
            "simulated": simulated,
        },
    )
    if not human:
        # The gates ask the queries of the list that a model was measured on.
        save_judgments(layout, judgments)
    generation = publish(layout, LearnedRanker(model), manifest, evaluation, live=False, who=who)
    return ClickTrainReport(
        generation,
        manifest,
        evaluation,
        propensities,
        log,
        stored,
        clicked.left_out,
        judgments.name,
        time.perf_counter() - started,
    )


@dataclass(frozen=True)
class _Learner:
    """A fit for cross-validation: from judged training queries to a ranker that learned from the
    clicks on all queries that are not near a test query."""

    clicked: Clicked
    measured: Mapping[str, JudgedCandidates]
    method: str
    propensities: Propensities
    kind: str
    seed: int

    def __call__(self, judgments: JudgmentList) -> Ranked:
        train = {same_stems(q) for q in judgments.queries}
        held = {same_stems(q) for q in self.measured} - train
        log = self.clicked.log
        keep = np.array([same_stems(q) not in held for q in log.queries], bool)
        part = self.clicked.rows(keep[log.query])
        model = fit_from_clicks(part, self.method, self.propensities, self.kind, self.seed)
        return Ranked(LearnedRanker(model), self.measured)


def _has_rows(log: ClickLog, query: str) -> bool:
    return bool((log.query == log.queries.index(query)).any())


def most_searched(log: ClickLog) -> ClickLog:
    """The rows of the queries with the most impressions."""
    shown = np.bincount(log.query, log.shown, len(log.queries))
    most = np.argsort(-shown, kind="stable")[:MOST_QUERIES]
    return log.rows(np.isin(log.query, most))


def _fingerprint(log: ClickLog) -> str:
    """SHA-256 over the sums: the same clicks, the same fingerprint."""
    digest = hashlib.sha256()
    for values in (log.query, log.product, log.place, log.shown, log.clicked):
        digest.update(values.tobytes())
    digest.update("\n".join((*log.queries, *log.products)).encode())
    return digest.hexdigest()


def _said(log: ClickLog, human: bool, judgments: JudgmentList) -> list[str]:
    said = []
    if log.simulated:
        said.append("simulated: the shoppers whose clicks it learned from are made up")
    if not human:
        said.append(
            f"measured on {len(judgments):,} judgments made of the same shoppers' clicks (other "
            "queries than it learned from), not on judgments of people"
        )
    return said
