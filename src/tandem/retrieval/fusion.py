"""Fusion: one list of candidates out of several."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tandem.contracts.candidates import Candidates, Floats
from tandem.contracts.errors import InvalidInput


def reciprocal_rank_fusion(
    runs: Sequence[Candidates], k: int = 60, weights: Sequence[float] | None = None
) -> Candidates:
    """Sum of 1 / (k + rank) over lists (Cormack, Clarke & Büttcher, SIGIR 2009).

    weights: how much each list counts; by default all the same. A product absent from a list gets
    nothing from it. Ties: the product met first, list by list.
    """
    shares = [1.0] * len(runs) if weights is None else weights
    if len(runs) != len(shares):
        raise InvalidInput(
            f"{len(runs)} lists but {len(shares)} weights", remedy="give each list one weight"
        )
    scores = [
        np.float32(w) * (1 / (k + np.arange(1, len(r) + 1))).astype(np.float32)
        for r, w in zip(runs, shares, strict=True)
    ]
    return _united(runs, scores)


def weighted_fusion(runs: Sequence[Candidates], weights: Sequence[float]) -> Candidates:
    """Weighted sum of scores, each list scaled to 0..1 by its own range.

    A product absent from a list counts as that list's lowest score: it scored no better.
    """
    if len(runs) != len(weights):
        raise InvalidInput(
            f"{len(runs)} lists but {len(weights)} weights", remedy="give each list one weight"
        )
    return _united(
        runs, [np.float32(w) * _scaled(r.scores) for r, w in zip(runs, weights, strict=True)]
    )


def _scaled(scores: Floats) -> Floats:
    if scores.size == 0:
        return scores
    low, spread = scores.min(), np.ptp(scores)
    return (scores - low) / spread if spread > 0 else np.ones_like(scores)


def _united(runs: Sequence[Candidates], scores: Sequence[Floats]) -> Candidates:
    """The union of the lists with summed scores; every source's own scores are kept."""
    numbers = np.concatenate([r.numbers for r in runs]) if runs else np.empty(0, np.int64)
    distinct, first, owner = np.unique(numbers, return_index=True, return_inverse=True)
    total = np.zeros(distinct.size, np.float64)
    np.add.at(total, owner, np.concatenate(scores) if runs else np.empty(0))
    sources: dict[str, Floats] = {}
    at = 0
    for run in runs:
        mine = owner[at : at + len(run)]
        at += len(run)
        for name, values in run.sources.items():
            merged = sources.setdefault(name, np.full(distinct.size, np.nan, np.float32))
            merged[mine] = np.where(np.isnan(merged[mine]), values, merged[mine])
    # Float sums of equal terms in another order differ in the last bits; those are ties.
    order = np.lexsort((first, -np.round(total, 9)))
    return Candidates(
        distinct[order],
        total[order].astype(np.float32),
        {name: values[order] for name, values in sources.items()},
    )
