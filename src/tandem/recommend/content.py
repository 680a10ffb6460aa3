"""Recommending by what goods say of themselves, so that one that nobody bought yet can be found."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tandem.recommend.baskets import Baskets
from tandem.recommend.models import unit
from tandem.recommend.next_basket import Floats, SellingNow, ahead


@dataclass
class ContentBased(SellingNow):
    """What reads like what this person buys: the cosine of text vectors, old baskets counting less
    (Pazzani & Billsus 2007). Without text there is only what sells now.

    recency: half-life of a basket, in days.
    """

    recency: float = 180.0
    name: str = "content"
    reads_content = True

    def scores(self, histories: Baskets, now: float) -> Floats:
        if self.content is None:
            return super().scores(histories, now)
        bought = histories.table(histories.aged(now, self.recency))
        alike = unit(bought @ self.content) @ self.content.T
        return ahead(np.maximum(alike, 0), self.selling)
