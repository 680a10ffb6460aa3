"""What allocation is compared with: greedy by value, and every merchant for itself."""

from __future__ import annotations

import numpy as np

from tandem.matching.allocation.draft import Draft
from tandem.matching.allocation.problem import Allocation, Bools, Ints


def greedy(a: Allocation) -> Bools:
    """Pairs by value, best first, as long as they fit."""
    return _filled(a, np.argsort(-a.value, kind="stable"))


def greedy_by_cost(a: Allocation) -> Bools:
    """Pairs by value for money, best first, as long as they fit."""
    return _filled(a, np.argsort(-a.value / np.maximum(a.cost, 1), kind="stable"))


def independent(a: Allocation) -> Bools:
    """Every product asks its best-scored creators, as many as it has places for, at once.

    Nobody knows of the others: creators take their best-paid offers up to their slots and promises
    of exclusivity, merchants pay until their budget is used up, and unanswered places stay empty.
    """
    by_product = np.lexsort((-a.value, a.product))
    starts = np.r_[0, np.cumsum(np.bincount(a.product, minlength=len(a.places)))]
    place = np.arange(len(a.value)) - starts[a.product[by_product]]
    asked = by_product[place < a.places[a.product[by_product]]]
    # A creator prefers what pays most; only what was asked for can be taken.
    return _filled(a, asked[np.argsort(-a.cost[asked], kind="stable")])


def _filled(a: Allocation, order: Ints) -> Bools:
    draft = Draft(a)
    draft.fill(order)
    return draft.chosen()
