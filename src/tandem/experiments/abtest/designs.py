"""Designs for when one unit's treatment reaches another: buyers share sellers' stock, creators
share slots. Whoever randomises single units then compares two halves of one market.

Clusters (Ugander et al., KDD 2013) keep those who meet in one arm; switch-backs (Bojinov, Simchi-
Levi & Zhao, Management Science 2023) give the whole market one arm at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.errors import InvalidInput
from tandem.experiments.abtest.effects import Effect, effect
from tandem.experiments.abtest.summary import Array, Summary

FEWEST = 10  # clusters or periods of an arm that an interval is told from


def cluster_effect(
    outcome: Array,
    cluster: NDArray[np.int64],
    treated: NDArray[np.bool_],
    *,
    planned: int = 10_000,
    alpha: float = 0.05,
) -> Effect:
    """The effect on the mean outcome of units whose clusters were assigned.

    outcome (n,), cluster (n,) numbers from 0, treated (clusters,). The unit of analysis is what
    was randomised: sums over sizes, as a ratio by the delta method (Deng, Knoblich & Lu, KDD
    2018). Raises InvalidInput with fewer than `FEWEST` clusters in an arm.
    """
    sizes = np.bincount(cluster, minlength=treated.size).astype(np.float64)
    sums = np.bincount(cluster, outcome, minlength=treated.size)
    rows = np.column_stack([sums, sizes])[sizes > 0]
    arm = treated[sizes > 0]
    _enough(int((~arm).sum()), int(arm.sum()), "clusters")
    return effect(
        Summary.of(rows[~arm]), Summary.of(rows[arm]), planned=planned, alpha=alpha, ratio=True
    )


def cluster_arms(salt: str, clusters: Sequence[str], sizes: Sequence[float]) -> NDArray[np.bool_]:
    """(clusters,) whether a cluster is treated: of two that follow each other by size one is, by a
    salted hash, so that the arms are as big and every server decides the same."""
    order = sorted(range(len(clusters)), key=lambda c: (-sizes[c], clusters[c]))
    treated = np.zeros(len(clusters), np.bool_)
    for pair in range(0, len(order), 2):
        both = order[pair : pair + 2]
        names = "\x1f".join(clusters[c] for c in both)
        digest = blake2b(f"{salt}\x1f{names}".encode(), digest_size=8).digest()
        # Of the last one, where their number is odd, the same bit decides.
        treated[both[digest[0] & 1 : (digest[0] & 1) + 1]] = True
    return treated


def switchback(salt: str, places: Sequence[str], periods: int) -> NDArray[np.bool_]:
    """(places, periods) whether a place is treated in a period: balanced within each pair of
    periods, by a salted hash, so that every server decides the same."""
    table = np.zeros((len(places), periods), np.bool_)
    for row, place in enumerate(places):
        for pair in range((periods + 1) // 2):
            digest = blake2b(f"{salt}\x1f{place}\x1f{pair}".encode(), digest_size=8).digest()
            first = bool(digest[0] & 1)
            table[row, 2 * pair : 2 * pair + 2] = (first, not first)[: periods - 2 * pair]
    return table


@dataclass(frozen=True, slots=True)
class Periods:
    """means (periods with observations, metrics) and their arms; place and period of each, as
    numbers. dropped: observations left out behind a switch."""

    means: Array
    treated: NDArray[np.bool_]
    place: NDArray[np.int64]
    period: NDArray[np.int64]
    dropped: int


def period_means(
    outcomes: Array,
    place: NDArray[np.int64],
    period: NDArray[np.int64],
    into: Array,
    treated: NDArray[np.bool_],
    *,
    burn_in: float = 0.25,
) -> Periods:
    """The unit of analysis of a switch-back: the mean outcomes of a period of a place.

    outcomes (n, metrics) of an observation in a place and period (numbers from 0), `into` (n,) how
    much of the period had passed, 0 to 1. treated (places, periods), as `switchback` has it. What
    happens in the first `burn_in` of a period after a switch still has the other arm in it, and is
    left out. NaN leaves an observation out of that metric. InvalidInput with too few periods.
    """
    if not 0 <= burn_in < 1:
        raise InvalidInput(f"{burn_in}", field="burn_in", remedy="give a share below 1")
    switched = np.zeros_like(treated)
    switched[:, 1:] = treated[:, 1:] != treated[:, :-1]
    settled = ~(switched[place, period] & (into < burn_in))
    cell = (place * treated.shape[1] + period)[settled]
    means = np.full((treated.size, outcomes.shape[1]), np.nan)
    for column, values in enumerate(outcomes[settled].T):
        there = ~np.isnan(values)
        sizes = np.bincount(cell[there], minlength=treated.size)
        sums = np.bincount(cell[there], values[there], minlength=treated.size)
        np.divide(sums, sizes, out=means[:, column], where=sizes > 0)
    known = np.flatnonzero(np.bincount(cell, minlength=treated.size))
    arm = treated.ravel()[known]
    _enough(int((~arm).sum()), int(arm.sum()), "periods")
    at = np.divmod(known, treated.shape[1])
    return Periods(means[known], arm, *at, int((~settled).sum()))


def switchback_effect(
    periods: Periods, *, planned: int = 1_000, alpha: float = 0.05, column: int = 0
) -> Effect:
    """The effect on the mean outcome of periods, of metric number `column`."""
    rows = periods.means[:, [column]]
    control, treatment = (Summary.of(rows[arm]) for arm in (~periods.treated, periods.treated))
    return effect(control, treatment, planned=planned, alpha=alpha)


def _enough(control: int, treatment: int, what: str) -> None:
    if min(control, treatment) < FEWEST:
        raise InvalidInput(
            f"{control} and {treatment} {what}",
            field=what,
            remedy=f"an interval needs {FEWEST} of each arm: use more and smaller ones",
        )
