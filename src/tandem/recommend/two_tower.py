"""Two towers: people and goods as vectors in one space (Yi et al., RecSys 2019).

Trained with torch (`two_tower_training`), answered with numpy. A product is its own vector and what
its text says; while learning, its own vector is left out now and then (DropoutNet, Volkovs et al.,
NeurIPS 2017), so that text alone finds a product that nobody bought yet. A person is the mean of
what she bought, old baskets counting less, moved by two layers. Where there is no text, a product
is its own vector alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tandem.recommend.baskets import Baskets, Sparse
from tandem.recommend.models import unit
from tandem.recommend.next_basket import Floats, SellingNow, ahead
from tandem.recommend.weights import Arrays, Network, NetworkManifest, manifest_of


@dataclass
class TwoTower(SellingNow, Network):
    """Learns which basket follows which history, by a softmax over all goods.

    recency: half-life of a basket, in days. baskets_back: baskets of a history that it learns from.
    examples: baskets that an epoch looks at, at most. left_out: share of own vectors that are left
    out where there is text. sharpness: what cosines are multiplied by.
    """

    dimensions: int = 64
    recency: float = 90.0
    baskets_back: int = 20
    examples: int = 20_000
    batch: int = 256
    epochs: int = 6
    least_steps: int = 300
    rate: float = 5e-3
    left_out: float = 0.3
    sharpness: float = 14.0
    seed: int = 1
    name: str = "two-tower"
    reads_content = True

    def fit(self, baskets: Baskets, now: float) -> None:
        from tandem.recommend.two_tower_training import trained

        content = self._content(baskets.size)
        mark = self.fingerprint(baskets, now)
        arrays, losses = trained(self, baskets, content)
        super().fit(baskets, now)
        self.use(
            {**arrays, "selling": self.selling, "content": content},
            manifest_of(self, mark, len(baskets), baskets.size, losses, content.shape[1]),
        )

    def scores(self, histories: Baskets, now: float) -> Floats:
        bought = mean_of(histories.table(histories.aged(now, self.recency)))
        pooled = bought @ self._goods
        w = self.arrays
        hidden = np.maximum(pooled @ w["inner.weight"].T + w["inner.bias"], 0)
        people = unit(pooled + hidden @ w["outer.weight"].T + w["outer.bias"])
        people[bought.getnnz(1) == 0] = 0  # a newcomer gets what sells now
        return ahead(people @ self._goods.T, self.selling)

    def fingerprint(self, baskets: Baskets, now: float) -> str:
        """Of what it learns from and how: weights belong to one of these."""
        contents = baskets.contents
        return self.digest(
            contents.starts,
            contents.items,
            baskets.person,
            baskets.day,
            np.array([baskets.size, now]),
            self._content(baskets.size),
        )

    def _content(self, items: int) -> Floats:
        return np.zeros((items, 0), np.float32) if self.content is None else self.content

    def shapes(self, items: int, width: int = 0) -> dict[str, tuple[int, ...]]:
        d = self.dimensions
        return {
            "items": (items, d),
            "known": (items,),
            "selling": (items,),
            "content": (items, width),
            "project": (width, d),
            "inner.weight": (2 * d, d),
            "inner.bias": (2 * d,),
            "outer.weight": (d, 2 * d),
            "outer.bias": (d,),
        }

    def use(self, arrays: Arrays, manifest: NetworkManifest) -> None:
        self.arrays, self.manifest = arrays, manifest
        self.selling = arrays["selling"]
        own = arrays["items"] * arrays["known"][:, None]
        self._goods = unit(own + arrays["content"] @ arrays["project"])


def mean_of(table: Sparse) -> Sparse:
    """Rows made to add up to 1."""
    from scipy.sparse import diags

    total = np.asarray(table.sum(1)).ravel()
    return (diags((1 / np.maximum(total, 1e-30)).astype(np.float32)) @ table).tocsr()
