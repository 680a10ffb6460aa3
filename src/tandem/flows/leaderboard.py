"""All rankers and recommenders side by side: quality with intervals, time, memory, cost.

Each runs in a process of its own, so that its memory is its own, one that fails costs nobody else,
and a method of somebody else's package is treated like Tandem's.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np

from tandem.contracts.errors import InvalidInput, MissingExtra, TandemError
from tandem.contracts.judgment import JudgmentList
from tandem.contracts.run import Run
from tandem.experiments.measures import depth, parse_measures
from tandem.experiments.offline import COVERAGE_DEPTH, evaluate
from tandem.flows.next_basket import MEASURES as BASKET_MEASURES
from tandem.flows.next_basket import evaluate_next_basket
from tandem.flows.recommend import CUTOFF, DATASETS, Progress, evaluate_next_item
from tandem.flows.view import View
from tandem.flows.workspace import open_workspace
from tandem.ranking.learned import judgments_fingerprint
from tandem.recommend.systems import basket_recommenders, recommenders
from tandem.recommend.transactions import LAYOUTS
from tandem.storage.atomic import write_json_atomic
from tandem.storage.layout import Layout

RANKERS = "tandem.rankers"
KEPT = "leaderboard.json"  # in reports/
RANKER_MEASURES = ("nDCG@10", "R@100")
CLICK_MEASURES = (f"P@{CUTOFF}", f"MRR@{CUTOFF}")
CROSS_VALIDATED = "quality by cross-validation: no query was ranked by a model that had seen it"
CHIEF = {"next_click": f"MRR@{CUTOFF}", "next_basket": f"NDCG@{CUTOFF}", "ranking": "nDCG@10"}


@dataclass(frozen=True)
class Estimate:
    """A measure with its 95% interval."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Entry:
    """One method on one data set. Missing is not zero: null where it was not measured.

    train_s, p99_ms: seconds to learn, milliseconds for one request. cpu_s, memory_mib: processor
    seconds and peak memory of the whole run, data included. failed: why there is no result.
    notes: what to know before believing it.
    """

    system: str
    task: str
    measures: dict[str, Estimate]
    train_s: float | None = None
    p99_ms: float | None = None
    cpu_s: float | None = None
    memory_mib: float | None = None
    failed: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Leaderboard:
    """Entries best first by `chief`, those that failed last."""

    dataset: str
    task: str
    chief: str
    simulated: bool
    protocol: str
    entries: tuple[Entry, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def leaderboard(
    dataset: str | None = None,
    workspace: Path | None = None,
    systems: Sequence[str] = (),
    test: Path | None = None,
    data: Path | None = None,
    progress: Progress = lambda *_: None,
) -> Leaderboard:
    """Compare recommenders on a data set, or rankers on a workspace's judgments.

    Without `systems`, all that are there. Raises InvalidInput for an unknown data set or system;
    what goes wrong within a method stands in its entry.
    """
    if (dataset is None) == (workspace is None):
        raise InvalidInput(
            "a leaderboard is of one data set or one workspace",
            field="dataset",
            remedy=f"name one of {', '.join(DATASETS)}, or a workspace with -w",
        )
    work: Callable[..., dict[str, Any]]
    if workspace is not None:
        task, known, work = "ranking", _rankers(workspace), _ranked
        place: tuple[Any, ...] = (workspace,)
    else:
        if dataset not in DATASETS:
            raise InvalidInput(
                f"unknown data set '{dataset}'", field="dataset", remedy=f"use {DATASETS}"
            )
        baskets = dataset in LAYOUTS
        task = "next_basket" if baskets else "next_click"
        known = tuple(basket_recommenders() if baskets else recommenders())
        work, place = (_baskets if baskets else _clicks), (dataset, test, data)
    unknown = [name for name in systems if name not in known]
    if unknown:
        raise InvalidInput(
            f"no method '{unknown[0]}' for {task}",
            field="systems",
            remedy=f"use some of: {', '.join(known)}",
        )
    chosen = tuple(systems) or known
    found = []
    for done, name in enumerate(chosen):
        progress("methods", done, len(chosen))
        found.append(_alone(work, name, *place))
    progress("methods", len(chosen), len(chosen))
    return _board(dataset or str(workspace), task, found)


def keep_leaderboard(layout: Layout, board: Leaderboard) -> None:
    """Keep it in the workspace, instead of the one before."""
    made = {"made": datetime.now(UTC).isoformat()}
    write_json_atomic(layout.reports / KEPT, board.to_json() | made)


def _board(dataset: str, task: str, found: Sequence[dict[str, Any]]) -> Leaderboard:
    entries = [
        Entry(task=task, **{k: v for k, v in one.items() if k not in ("protocol", "simulated")})
        for one in found
    ]
    chief = CHIEF[task]

    def rank(entry: Entry) -> float:
        return -entry.measures[chief].value if chief in entry.measures else np.inf

    return Leaderboard(
        dataset,
        task,
        chief,
        any(one.get("simulated", False) for one in found),
        next((one["protocol"] for one in found if one.get("protocol")), ""),
        tuple(sorted(entries, key=rank)),
    )


def _alone(work: Callable[..., dict[str, Any]], name: str, *place: Any) -> dict[str, Any]:
    """Run one method in a fresh process, which is gone afterwards."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        try:
            return process.submit(_measured, work, name, *place).result()
        except BrokenProcessPool:
            return {"system": name, "measures": {}, "failed": "the process died (out of memory?)"}


def _measured(work: Callable[..., dict[str, Any]], name: str, *place: Any) -> dict[str, Any]:
    try:
        found = work(name, *place)
    except MissingExtra as missing:
        return {"system": name, "measures": {}, "failed": f"{missing.message}: {missing.remedy}"}
    except TandemError as error:
        return {"system": name, "measures": {}, "failed": error.message}
    except Exception as error:  # whatever a method of another package raises
        return {"system": name, "measures": {}, "failed": f"{type(error).__name__}: {error}"}
    used = resource.getrusage(resource.RUSAGE_SELF)
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return {
        "system": name,
        "cpu_s": round(used.ru_utime + used.ru_stime, 1),
        "memory_mib": round(used.ru_maxrss * unit / (1 << 20), 1),
        **found,
    }


def _clicks(name: str, dataset: str, test: Path | None, data: Path | None) -> dict[str, Any]:
    result = evaluate_next_item(dataset, test, data, (name,)).to_json()
    return _of_recommender(result, name, CLICK_MEASURES)


def _baskets(name: str, dataset: str, test: Path | None, data: Path | None) -> dict[str, Any]:
    result = evaluate_next_basket(dataset, test, data, (name,)).to_json()
    return _of_recommender(result, name, BASKET_MEASURES)


def _of_recommender(result: dict[str, Any], name: str, measures: Sequence[str]) -> dict[str, Any]:
    row = result["systems"][name]
    return {
        "measures": {m: Estimate(row[m], *row[f"{m}_interval"]) for m in measures},
        "train_s": row["train_s"],
        "p99_ms": row["p99_ms"],
        "protocol": result["protocol"],
        "simulated": result["simulated"],
    }


def _rankers(workspace: Path) -> tuple[str, ...]:
    with open_workspace(workspace) as shop:
        return (*shop.view.stages(), *(point.name for point in entry_points(group=RANKERS)))


def _ranked(name: str, workspace: Path) -> dict[str, Any]:
    with open_workspace(workspace) as shop:
        judged = shop.judgment_list()
        if not len(judged):
            raise InvalidInput("the workspace has no judgments", remedy="import some")
        points = {point.name: point for point in entry_points(group=RANKERS)}
        own = name in shop.view.stages()
        pipeline = shop.pipeline(name if own else points[name].load()())
        k = max(depth(parse_measures(RANKER_MEASURES)), COVERAGE_DEPTH)
        rankings, spent = {}, []
        for query in judged.queries:
            began = time.perf_counter()
            rankings[query] = pipeline.rank_one(query, k)
            spent.append((time.perf_counter() - began) * 1000)
        evaluation = evaluate([Run(name, rankings)], judged, RANKER_MEASURES)
        seen = len(shop.view.learned_from(name) & set(judged.queries)) if own else 0
        measures = {
            measure: Estimate(e.mean, e.low, e.high)
            for measure, e in evaluation[name].estimates.items()
            if e.mean is not None
        }
        notes = (f"learned from {seen} of these queries: too good here",) if seen else ()
        if own and (unseen := _cross_validated(shop.view, name, judged)):
            measures, notes = unseen, (CROSS_VALIDATED,)
        return {
            "measures": measures,
            "p99_ms": round(float(np.percentile(spent, 99)), 2),
            "protocol": f"{len(judged):,} judged queries of the workspace",
            "simulated": shop.settings.simulated,
            "notes": notes,
        }


def _cross_validated(view: View, name: str, judged: JudgmentList) -> dict[str, Estimate]:
    """What a ranker's training measured by query-wise cross-validation, where it was on these very
    judgments; else nothing."""
    manifest = view.manifest if name == "ltr" else None
    if manifest is None or manifest.data_fingerprint != judgments_fingerprint(judged):
        return {}
    known = {m: manifest.metrics.get(m) for m in RANKER_MEASURES}
    return {
        m: Estimate(e["mean"], e["low"], e["high"])
        for m, e in known.items()
        if e is not None and e.get("mean") is not None
    }
