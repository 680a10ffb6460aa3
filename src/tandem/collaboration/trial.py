"""What a campaign added, by a trial: some creators were drawn by lot and not asked.

Each creator has an audience: the people who watched them before. Creators are the units that the
lot falls on, so they are the units of the interval: the ratio of sums in each arm, with a variance
over creators that leaves each of them out in turn (Bell and McCaffrey, Survey Methodology 28, 2002)
and Student's t for the creators that differently large audiences amount to.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tandem.contracts.errors import InvalidInput

Floats = NDArray[np.float64]
FEWEST = 3
"""Creators in each arm, for an interval."""
ASSUMPTIONS = (
    "Who was asked was decided by lot. Creators count on the side that it put them on, whatever "
    "they did: where some did otherwise, the difference is smaller than it would have been.",
    "People are counted with the creator whom they watched most before; what those who also watch "
    "somebody of the other side saw makes the difference smaller than it was.",
    "Only people who watched one of the creators before are counted: what new viewers bought is "
    "not in it.",
)


@dataclass(frozen=True)
class Effect:
    """Orders added in the audiences of the creators who were asked, with an interval of
    `confidence`. asked, held: orders by person of each arm."""

    asked: float
    held: float
    added: float
    low: float
    high: float
    confidence: float
    assumptions: tuple[str, ...] = ASSUMPTIONS


def effect(
    people: Floats, orders: Floats, asked: NDArray[np.bool_], confidence: float = 0.9
) -> Effect | None:
    """people, orders: (C,) of each creator's audience; asked: (C,) by the lot. None where an arm
    has fewer than FEWEST creators with an audience. InvalidInput for what does not fit together.
    """
    if not people.shape == orders.shape == asked.shape or (people < 0).any() or (orders < 0).any():
        raise InvalidInput(
            "people, orders and lots do not fit together",
            field="people",
            remedy="give one number from 0 for each creator in all of them",
        )
    arms = [_arm(people[asked == arm], orders[asked == arm]) for arm in (True, False)]
    if min(arm.creators for arm in arms) < FEWEST:
        return None
    (rate, base), reached = (arm.rate for arm in arms), float(people[asked].sum())
    variance = sum(arm.variance for arm in arms)
    spread = float(np.sqrt(variance))
    # Satterthwaite's degrees of freedom, of the creators that an arm's people amount to.
    freedom = sum(arm.variance**2 / arm.freedom for arm in arms)
    t = float(stats.t.ppf(0.5 + confidence / 2, variance**2 / freedom if freedom else 1.0))
    difference = rate - base
    return Effect(
        rate,
        base,
        difference * reached,
        (difference - t * spread) * reached,
        (difference + t * spread) * reached,
        confidence,
    )


@dataclass(frozen=True)
class _Arm:
    """Orders by person, the variance of that over creators, and what it rests on."""

    rate: float
    variance: float
    creators: int
    freedom: float


def _arm(people: Floats, orders: Floats) -> _Arm:
    some = people > 0
    people, orders = people[some], orders[some]
    if len(people) < FEWEST:
        return _Arm(0.0, 0.0, len(people), 1.0)
    share = people / people.sum()
    rate = float(orders.sum() / people.sum())
    # What each creator is off when the rate is learned from the others (as the jackknife does it).
    off = (orders / people - rate) * share / (1 - share)
    creators = float(1 / (share**2).sum())
    return _Arm(rate, float((off**2).sum()), len(people), max(creators - 1, 1.0))
