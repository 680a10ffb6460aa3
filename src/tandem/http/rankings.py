"""Rankings of judged queries, kept while neither catalogue nor model changes."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from tandem.http.shop import Shop

DEPTH = 100


class Rankings:
    """The workbench asks for the same hundred queries again and again; ranking them takes seconds.

    What is kept are rankings, not measures: a new verdict changes a measure and no ranking.
    """

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self._lock = threading.Lock()
        self._kept: dict[str, dict[str, Sequence[str]]] = {}
        self._of: tuple[Any, ...] | None = None

    def of(self, ranker: str, queries: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """The best DEPTH product ids by query, best first."""
        with self._lock:
            status = self._shop.status()
            kinds = ("index", "model", "cross", "configuration")
            generations = tuple(status.get(f"{kind}_generation") for kind in kinds)
            if generations != self._of:
                self._kept, self._of = {}, generations
            kept = self._kept.setdefault(ranker, {})
            missing = [q for q in queries if q not in kept]
        if missing:
            run = self._shop.run(ranker, missing, DEPTH)
            # Into the very dictionary it was asked for: a later generation has another one.
            kept.update({q: [p.product_id for p in hits] for q, hits in run.rankings.items()})
        return {q: kept[q] for q in queries}

    def forget(self) -> None:
        """To be called when products changed within a generation."""
        with self._lock:
            self._kept = {}
