"""What a campaign added, by a trial of regions: half of them, drawn by lot in pairs of like size,
did not see it (a paired geo experiment; Chen and Au, Annals of Applied Statistics 16, 2022).

The estimate is a difference in differences: orders in the regions that saw it, beyond what the
others say they would have been, where all regions grow alike. The interval is what a randomisation
test over the pairs does not refuse: under an effect in proportion to a region's usual orders,
changing the lot within a pair changes the sign of its difference and nothing else. Such an interval
lies between ratios of sums over subsets of pairs (Hartigan, JASA 64, 1969) and is exact, however
few orders there are and however differently regions grow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.errors import InvalidInput

Floats = NDArray[np.float64]
FEWEST_PAIRS = 5
"""For an interval of 90%: of 32 lots one lies beyond either end."""
ALL_SUBSETS = 12
"""Pairs up to which every subset is tried; of more, SUBSETS drawn by chance."""
SUBSETS = 4_000
FOUND = 0.8
"""How often an effect is found that counts as one that the trial can find."""
ASSUMPTIONS = (
    "Which regions see it is decided by lot, and it is shown in these and nowhere else.",
    "People order where they live: who sees it in one region does not order in another.",
    "Nothing else that the merchant does differs between the regions on these days.",
    "It adds the same share of a region's usual orders everywhere; where it does not, the interval "
    "is about the average and only roughly right.",
)


@dataclass(frozen=True)
class RegionEffect:
    """share: of the usual orders in the regions that saw it, with an interval of `confidence`.
    usual: orders there would have been in them without. added = share × the orders before."""

    share: float
    low: float
    high: float
    before: float
    usual: float
    confidence: float

    @property
    def added(self) -> tuple[float, float, float]:
        """Orders, with the ends of the interval."""
        return self.share * self.before, self.low * self.before, self.high * self.before


def region_effect(before: Floats, after: Floats, confidence: float = 0.9) -> RegionEffect | None:
    """before, after: (2, P) orders of each pair, first of the region that saw it, on days before
    and on the campaign's. None where fewer than FEWEST_PAIRS had orders before, or only one side
    had. InvalidInput for what does not fit together."""
    if before.shape != after.shape or before.ndim != 2 or len(before) != 2 or (before < 0).any():
        raise InvalidInput(
            f"orders of {before.shape} before beside {after.shape}",
            field="before",
            remedy="give two rows, of regions with and without it, in the same pairs",
        )
    if not before.any(axis=1).all():  # nothing to hold the other side against
        return None
    some = before.any(axis=0)
    differences, sizes = _differences(before[:, some], after[:, some])
    ends = _ends(differences, sizes, confidence)
    if ends is None:
        return None
    share = float(differences.sum() / sizes.sum())
    shown = float(before[0].sum())
    # With what pairs without orders before have had since: told apart, that would be their orders.
    usual = float(after[0].sum()) - share * shown
    return RegionEffect(share, *ends, shown, usual, confidence)


def detectable(short: Floats) -> float:
    """The smallest share of usual orders that a trial finds FOUND of the time, by what it would
    have said of times without one. short: what `missed` tells of these."""
    return float(max(np.quantile(short, FOUND, method="higher"), 0.0))


def missed(windows: list[tuple[Floats, Floats]], confidence: float = 0.9) -> Floats | None:
    """(windows,) how far the interval's lower end lay below nothing: an effect of a larger share
    would have been found. Adding a share of the orders before moves the interval by just that.
    windows: (before, after) as of `region_effect`, without effect, each with a lot of its own. None
    where one of them gives no interval."""
    lows = []
    for before, after in windows:
        found = region_effect(before, after, confidence)
        if found is None:
            return None
        lows.append(-found.low)
    return np.array(lows) if lows else None


def _differences(before: Floats, after: Floats) -> tuple[Floats, Floats]:
    """(P,) difference in differences of each pair at no effect, and by how much a share of 1 moves
    it. All regions together say how much orders grew; what the campaign added is taken out."""
    whole = before.sum()
    apart = before[0] - before[1]
    growth = after.sum() / whole
    part = before[0].sum() / whole
    return after[0] - after[1] - growth * apart, before[0] - part * apart


def _ends(differences: Floats, sizes: Floats, confidence: float) -> tuple[float, float] | None:
    pairs = len(differences)
    if pairs < FEWEST_PAIRS:
        return None
    if pairs <= ALL_SUBSETS:
        numbers = np.arange(1, 2**pairs)
        chosen = (numbers[:, None] >> np.arange(pairs)) & 1
    else:
        chosen = np.random.default_rng(pairs).integers(0, 2, (SUBSETS - 1, pairs))
        chosen = chosen[chosen.any(axis=1)]
    ratios = np.sort((chosen @ differences) / (chosen @ sizes))
    beyond = int((1 - confidence) / 2 * (len(ratios) + 1) + 1e-9)
    if not beyond:
        return None
    return float(ratios[beyond - 1]), float(ratios[-beyond])
