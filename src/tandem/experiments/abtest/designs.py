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
class Switchback:
    """effect: of being treated, by period. dropped: observations left out behind a switch."""

    effect: Effect
    dropped: int


def switchback_effect(
    outcome: Array,
    place: NDArray[np.int64],
    period: NDArray[np.int64],
    into: Array,
    treated: NDArray[np.bool_],
    *,
    burn_in: float = 0.25,
    planned: int = 1_000,
    alpha: float = 0.05,
) -> Switchback:
    """The effect on the mean outcome of periods.

    outcome (n,) of an observation in a place and period (numbers from 0), `into` (n,) how much of
    the period had passed, 0 to 1. treated (places, periods), as `switchback` has it. What happens
    in the first `burn_in` of a period after a switch still has the other arm in it, and is left
    out. The unit of analysis is the period of a place.
    """
    if not 0 <= burn_in < 1:
        raise InvalidInput(f"{burn_in}", field="burn_in", remedy="give a share below 1")
    switched = np.zeros_like(treated)
    switched[:, 1:] = treated[:, 1:] != treated[:, :-1]
    settled = ~(switched[place, period] & (into < burn_in))
    cell = place * treated.shape[1] + period
    sizes = np.bincount(cell[settled], minlength=treated.size)
    sums = np.bincount(cell[settled], outcome[settled], minlength=treated.size)
    known = sizes > 0
    means = (sums[known] / sizes[known])[:, None]
    arm = treated.ravel()[known]
    _enough(int((~arm).sum()), int(arm.sum()), "periods")
    found = effect(Summary.of(means[~arm]), Summary.of(means[arm]), planned=planned, alpha=alpha)
    return Switchback(found, int((~settled).sum()))


def _enough(control: int, treatment: int, what: str) -> None:
    if min(control, treatment) < FEWEST:
        raise InvalidInput(
            f"{control} and {treatment} {what}",
            field=what,
            remedy=f"an interval needs {FEWEST} of each arm: use more and smaller ones",
        )
