"""Who wins: credit over many lists, by a test and an interval valid at every look."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tandem.experiments.abtest.effects import always_valid_p, sequence_width
from tandem.experiments.inference import adjust


@dataclass(frozen=True, slots=True)
class Preference:
    """Ranker `other` against ranker 0.

    wins, ties, losses: units in which `other` had more, equal or less credit. lead: mean over
    units of sign(credit difference), from -1 to 1; low, high, p: always valid, p corrected by
    Holm's method when there are several rankers.
    """

    other: int
    wins: int
    ties: int
    losses: int
    lead: float
    low: float
    high: float
    p: float


def preferences(
    credits: np.ndarray[tuple[int, int], np.dtype[np.float64]],
    *,
    planned: int = 1_000,
    alpha: float = 0.05,
) -> list[Preference]:
    """credits: (units, rankers), summed over the lists of one unit (a shopper), not of a list:
    one shopper's lists are not independent. planned: units at which the intervals are tightest."""
    n, rankers = credits.shape
    found = []
    for other in range(1, rankers):
        sign = np.sign(credits[:, other] - credits[:, 0])
        lead = float(sign.mean()) if n else float("nan")
        error = float(sign.std(ddof=1) / np.sqrt(n)) if n > 1 else float("nan")
        if not error > 0:
            low, high, p = -1.0, 1.0, 1.0
        else:
            wide = sequence_width(error, n, planned, alpha)
            low, high = max(lead - wide, -1.0), min(lead + wide, 1.0)
            p = always_valid_p(lead / error, n, planned, alpha)
        found.append((other, sign, lead, low, high, p))
    adjusted = adjust(np.array([f[-1] for f in found]), "holm")
    return [
        Preference(
            other,
            int((sign > 0).sum()),
            int((sign == 0).sum()),
            int((sign < 0).sum()),
            lead,
            low,
            high,
            float(q),
        )
        for (other, sign, lead, low, high, _), q in zip(found, adjusted, strict=True)
    ]
