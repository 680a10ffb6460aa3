"""Matching systems compared on brands that they have never seen.

Measures by brand over all creators of the pool; a creator who worked with the brand is relevant
(binary). AUC is the share of (collaborator, other creator) pairs in the right order, equal scores
counting half. nDCG@10, R@10 and R@50 are trec_eval's. MedR is the median, over brands, of the rank
of the first collaborator: the usual MedR of retrieval, less is better, not bounded by 1.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.errors import NotFound
from tandem.experiments.inference import bootstrap_intervals
from tandem.experiments.measures import parse_measures, score
from tandem.matching.files import TRAIN, read_held_out, read_market
from tandem.matching.market import Array, HeldOut, Market, leave_brands_out
from tandem.matching.systems import SYSTEMS, Lesson, fit_systems

DATASET = "collaborations"
MEASURES = ("AUC", "nDCG@10", "R@10", "R@50", "MedR")
Progress = Callable[[str, int, int | None], None]

_RESAMPLES = 10_000
_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """`mean` over brands (for MedR the median) with its 95% bootstrap interval over brands."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Matching:
    """Systems compared on the same pools. `candidates`: the pools' mean number of creators."""

    systems: dict[str, dict[str, Interval]]
    protocol: str
    brands: int
    candidates: float

    def to_json(self) -> dict[str, Any]:
        return {
            "systems": {
                name: {
                    measure: {"mean": i.mean, "low": i.low, "high": i.high}
                    for measure, i in measures.items()
                }
                for name, measures in self.systems.items()
            },
            "protocol": self.protocol,
            "brands": self.brands,
            "candidates": self.candidates,
            "simulated": False,
        }


def collaborations_folder(data: Path | None) -> Path:
    """Where the data is: `data` itself, else under `TANDEM_DATA`, else under `../shared/data`."""
    if data is not None:
        folders = [data, data / DATASET]
    else:
        named = os.environ.get("TANDEM_DATA")
        repository = Path(__file__).resolve().parents[3]
        bases = [Path(named)] if named else []
        bases += [base.parent / "shared" / "data" for base in (repository, Path.cwd())]
        folders = [base / DATASET for base in bases]
    for folder in folders:
        if (folder / TRAIN).is_file():
            return folder
    raise NotFound(
        f"no collaborations ({TRAIN}) in {', '.join(map(str, dict.fromkeys(folders)))}",
        remedy="name their folder with --data, or set TANDEM_DATA",
    )


def evaluate_file(
    test: Path,
    data: Path | None = None,
    systems: tuple[str, ...] = SYSTEMS,
    *,
    seed: int = 7,
    progress: Progress = lambda *_: None,
) -> Matching:
    """Learn from the known collaborations, rank all creators of `test` for each of its brands.

    Systems are given the file's brands and creators as two sorted sets, never its labels or rows.
    """
    market, known = read_market(collaborations_folder(data))
    held = read_held_out(test, market, known)
    return _evaluate(market, [held], systems, f"held-out file {test.name}", seed, progress, 1)


def cross_validate(
    data: Path | None = None,
    systems: tuple[str, ...] = SYSTEMS,
    *,
    folds: int = 4,
    seed: int = 7,
    progress: Progress = lambda *_: None,
) -> Matching:
    """Leave-brands-out cross-validation: every brand is ranked by models that never saw it.

    A fold's candidates are all creators who worked with one of its brands.
    """
    market, known = read_market(collaborations_folder(data))
    pools = leave_brands_out(known, folds, seed)
    protocol = f"leave-brands-out cross-validation, {folds} folds, seed {seed}"
    return _evaluate(market, pools, systems, protocol, seed, progress, folds)


def _evaluate(
    market: Market,
    pools: Iterable[HeldOut],
    systems: tuple[str, ...],
    protocol: str,
    seed: int,
    progress: Progress,
    total: int,
) -> Matching:
    values: dict[str, list[Array]] = {name: [] for name in systems}
    candidates = []
    progress("pools", 0, total)
    for done, pool in enumerate(pools, start=1):
        for name, scores in score_pool(market, pool, systems, seed):
            values[name].append(measure(scores, pool.truth))
        candidates.append(len(pool.creators))
        progress("pools", done, total)
    tables = {name: np.vstack(parts) for name, parts in values.items()}
    return Matching(
        {name: _intervals(table) for name, table in tables.items()},
        protocol,
        len(next(iter(tables.values()))),
        float(np.mean(candidates)),
    )


def score_pool(
    market: Market, pool: HeldOut, systems: tuple[str, ...], seed: int
) -> Iterator[tuple[str, Array]]:
    """(name, (brands, creators) scores) of each system; `pool.truth` is not looked at."""
    fitted = fit_systems(Lesson(market, pool.train, seed), systems)
    for name, scorer in fitted.items():
        yield name, scorer(pool.brands, pool.creators)


def measure(scores: Array, truth: NDArray[np.bool_]) -> Array:
    """(brands with a collaborator, len(MEASURES)) values.

    Equal scores rank in the order of creator ids. AUC is NaN where all creators are relevant.
    """
    from scipy.stats import rankdata

    asked = np.flatnonzero(truth.any(axis=1))
    order = np.argsort(-scores, axis=1, kind="stable")
    rankings = {str(b): [str(c) for c in order[b].tolist()] for b in asked.tolist()}
    relevant = {str(b): {str(c): 1 for c in np.flatnonzero(truth[b])} for b in asked.tolist()}
    cut = score(rankings, relevant, parse_measures(MEASURES[1:4]))
    rows = []
    for i, b in enumerate(asked.tolist()):
        good = truth[b]
        n, others = int(good.sum()), int((~good).sum())
        above = rankdata(scores[b])[good].sum() - n * (n + 1) / 2
        auc = above / (n * others) if others else np.nan
        first = 1 + int(np.flatnonzero(good[order[b]])[0])
        rows.append([auc, *cut[i], first])
    return np.array(rows, np.float64)


def _intervals(table: Array) -> dict[str, Interval]:
    means = bootstrap_intervals(table[:, :-1], (0.0, 1.0), resamples=_RESAMPLES)
    out = {
        name: Interval(float(means.mean[i]), float(means.low[i]), float(means.high[i]))
        for i, name in enumerate(MEASURES[:-1])
    }
    out["MedR"] = _median_interval(table[:, -1])
    return out


def _median_interval(ranks: Array, seed: int = 7) -> Interval:
    """Median with its percentile bootstrap interval (a median has no use for BCa's jackknife)."""
    rng = np.random.default_rng(seed)
    drawn = rng.choice(ranks, size=(_RESAMPLES, len(ranks)))
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(np.median(drawn, axis=1), [tail, 1 - tail])
    return Interval(float(np.median(ranks)), float(low), float(high))
