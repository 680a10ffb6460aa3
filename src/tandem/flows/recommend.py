"""Recommenders compared on what shoppers clicked next.

Measures over all items, none sampled: P@20, the share of pairs whose next item is among the first
20 (a hit rate, called so in the literature), and MRR@20, the mean of 1 ÷ its rank (0 beyond 20);
both in percent.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.errors import InvalidInput, NotFound
from tandem.recommend.files import CLICKS, Clicks, read_clicks, read_pairs
from tandem.recommend.models import Recommender
from tandem.recommend.sessions import Ints, Pairs, Sessions, pairs_of
from tandem.recommend.systems import ON_REQUEST, recommenders, system
from tandem.recommend.transactions import LAYOUTS
from tandem.recommend.weights import Network, load_manifest
from tandem.storage.atomic import new_directory

DATASETS = ("diginetica", *LAYOUTS)
CUTOFF = 20
VALIDATED = 16_000  # sessions at the end of the data that a validation keeps back
VALIDATED_SHARE = 10  # but at most one session in so many
TIMED = 300  # beginnings that latency is measured on, one at a time
HOT = 50  # clicks from which on an item is hot; warm with fewer, cold with none
NORMAL = 1.96  # half the width of a 95% interval in standard errors
Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class Measured:
    """One recommender. Percent with the 95% interval of the mean (normal; pairs are many), seconds
    to learn, and the 99th percentile of milliseconds for one session. by_target: the same measures
    apart for what came next: hot, warm and cold items (`HOT`)."""

    p: float
    p_low: float
    p_high: float
    mrr: float
    mrr_low: float
    mrr_high: float
    train_s: float
    p99_ms: float
    by_target: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class NextItem:
    """Recommenders compared on the same pairs. unknown_targets: pairs whose next item was never
    clicked before, which nobody can hit; they count as missed. left_out: who did not take part, and
    how to have it."""

    systems: dict[str, Measured]
    left_out: dict[str, str]
    protocol: str
    pairs: int
    unknown_targets: int
    train_s: float
    evaluate_s: float

    def to_json(self) -> dict[str, Any]:
        return {
            "systems": {
                name: {
                    f"P@{CUTOFF}": m.p,
                    f"MRR@{CUTOFF}": m.mrr,
                    "train_s": m.train_s,
                    "p99_ms": m.p99_ms,
                    f"P@{CUTOFF}_interval": [m.p_low, m.p_high],
                    f"MRR@{CUTOFF}_interval": [m.mrr_low, m.mrr_high],
                    "by_target": m.by_target,
                }
                for name, m in self.systems.items()
            },
            **{k: v for k, v in asdict(self).items() if k != "systems"},
            "simulated": False,
        }


def clicks_file(dataset: str, data: Path | None) -> Path:
    """Where the clicks are: in `data`, else under `TANDEM_DATA`, else under `../shared/data`."""
    return dataset_file(dataset, CLICKS, data)


def dataset_file(dataset: str, file: str, data: Path | None) -> Path:
    """Where a data set's file is: in `data`, else under `TANDEM_DATA`, else under
    `../shared/data`. Raises InvalidInput for an unknown one and NotFound."""
    if dataset not in DATASETS:
        raise InvalidInput(
            f"unknown data set '{dataset}'", field="dataset", remedy=f"use: {', '.join(DATASETS)}"
        )
    if data is not None:
        folders = [data, data / dataset]
    else:
        named = os.environ.get("TANDEM_DATA")
        repository = Path(__file__).resolve().parents[3]
        bases = [Path(named)] if named else []
        bases += [base.parent / "shared" / "data" for base in (repository, Path.cwd())]
        folders = [base / dataset for base in bases]
    for folder in folders:
        if (folder / file).is_file():
            return folder / file
    raise NotFound(
        f"no {file} in {', '.join(map(str, dict.fromkeys(folders)))}",
        remedy="name its folder with --data, or set TANDEM_DATA",
    )


def evaluate_next_item(
    dataset: str = "diginetica",
    test: Path | None = None,
    data: Path | None = None,
    systems: Sequence[str] = (),
    progress: Progress = lambda *_: None,
    weights: Path | None = None,
) -> NextItem:
    """Learn from the data set's clicks and recommend for every pair of `test`.

    Without `test`, the last sessions of the data are kept back and predicted from the ones before.
    Without `systems`, all but those `ON_REQUEST` are compared. A recommender sees beginnings only,
    never what came next. weights: folder of trained networks; those that learned from the same
    sessions are read from it, which needs no torch, and others are written to it.
    """
    named, left_out = chosen(systems, recommenders())
    models = {name: system(name) for name in named}
    clicks = read_clicks(clicks_file(dataset, data))
    if test is None:
        lesson, pairs, protocol = _kept_back(clicks)
    else:
        lesson, pairs = clicks.sessions, read_pairs(test, clicks)
        protocol = f"held-out file {test.name}"
    counts = lesson.counts()
    measured, trained, evaluated = {}, 0.0, 0.0
    for done, (name, model) in enumerate(models.items()):
        progress("recommenders", done, len(models))
        started = time.perf_counter()
        fit(model, (lesson,), weights)
        fitted = time.perf_counter()
        items, _ = model.recommend(pairs.prefixes, CUTOFF)
        ended = time.perf_counter()
        trained += fitted - started
        evaluated += ended - fitted
        measured[name] = _measured(
            items, pairs.targets, counts, fitted - started, _p99(model, pairs)
        )
    progress("recommenders", len(models), len(models))
    return NextItem(
        measured,
        left_out,
        protocol,
        len(pairs),
        int((pairs.targets < 0).sum()),
        round(trained, 1),
        round(evaluated, 1),
    )


def chosen(systems: Sequence[str], every: Collection[str]) -> tuple[list[str], dict[str, str]]:
    """Who takes part: those named, else all that nobody has to ask for, and who is left out and
    why."""
    if systems:
        return list(systems), {}
    left_out = {name: ON_REQUEST[name] for name in every if name in ON_REQUEST}
    return [name for name in every if name not in left_out], left_out


def fit(model: Any, lesson: tuple[Any, ...], weights: Path | None) -> None:
    """Learn, or read the weights of a network that has learned from the very same."""
    trained = isinstance(model, Network)
    if weights is None or not trained:
        model.fit(*lesson)
        return
    folder = weights / model.name
    if folder.is_dir():
        if load_manifest(folder).data_fingerprint != model.fingerprint(*lesson):
            raise InvalidInput(
                "these weights learned from something else or with other parameters",
                file=str(folder),
                remedy="name another folder, or remove this one to train again",
            )
        model.load(folder)
        return
    model.fit(*lesson)
    with new_directory(folder) as scratch:
        model.save(scratch)


def _kept_back(clicks: Clicks) -> tuple[Sessions, Pairs, str]:
    sessions = clicks.sessions
    held = min(VALIDATED, len(sessions) // VALIDATED_SHARE)
    lesson = sessions[: len(sessions) - held]
    pairs = pairs_of(sessions[len(sessions) - held :], lesson.counts() > 0)
    if not len(pairs):
        raise InvalidInput("too few sessions to keep any back", remedy="give a test file")
    return lesson, pairs, f"own temporal split, the last {held:,} sessions kept back"


def _measured(items: Ints, targets: Ints, counts: Ints, train_s: float, p99_ms: float) -> Measured:
    hit = (items == targets[:, None]) & (targets[:, None] >= 0)
    found = hit.any(1)
    reciprocal = np.where(found, 1 / (hit.argmax(1) + 1), 0)
    p, p_low, p_high = _interval(found.astype(float))
    mrr, mrr_low, mrr_high = _interval(reciprocal)
    clicks = np.where(targets >= 0, counts[targets], 0)
    groups = {"hot": clicks >= HOT, "warm": (clicks > 0) & (clicks < HOT), "cold": clicks == 0}
    by_target = {
        group: {
            "pairs": int(rows.sum()),
            f"P@{CUTOFF}": round(100 * float(found[rows].mean()), 2) if rows.any() else None,
            f"MRR@{CUTOFF}": round(100 * float(reciprocal[rows].mean()), 2) if rows.any() else None,
        }
        for group, rows in groups.items()
    }
    return Measured(
        p, p_low, p_high, mrr, mrr_low, mrr_high, round(train_s, 1), round(p99_ms, 2), by_target
    )


def _interval(values: NDArray[np.float64]) -> tuple[float, float, float]:
    """Mean in percent with its interval."""
    mean = float(values.mean())
    half = NORMAL * float(values.std(ddof=1)) / values.size**0.5 if values.size > 1 else 1.0
    low, high = max(0.0, mean - half), min(1.0, mean + half)
    return round(100 * mean, 2), round(100 * low, 2), round(100 * high, 2)


def _p99(model: Recommender, pairs: Pairs) -> float:
    """Milliseconds, the 99th percentile over single sessions."""
    step = max(1, len(pairs) // TIMED)
    spent = []
    for start in range(0, len(pairs), step):
        one = pairs.prefixes[start : start + 1]
        began = time.perf_counter()
        model.recommend(one, CUTOFF)
        spent.append((time.perf_counter() - began) * 1000)
    return float(np.percentile(spent, 99))
