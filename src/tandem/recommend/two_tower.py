"""Two towers: people and goods as vectors in one space (Yi et al., RecSys 2019).

Trained with torch, answered with numpy. A product is its own vector and what its text says; while
learning, its own vector is left out now and then (DropoutNet, Volkovs et al., NeurIPS 2017), so
that text alone finds a product that nobody bought yet. A person is the mean of what she bought, old
baskets counting less, moved by two layers. Where there is no text, a product is its own vector
alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tandem.recommend.baskets import GUEST, Baskets, Sparse
from tandem.recommend.models import unit
from tandem.recommend.next_basket import Floats, SellingNow, ahead
from tandem.recommend.sessions import Ints
from tandem.recommend.training import learned
from tandem.recommend.weights import Arrays, Network, NetworkManifest, manifest_of, require_torch


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
        content = self._content(baskets.size)
        mark = self.fingerprint(baskets, now)
        arrays, losses = _trained(self, baskets, content)
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


def _trained(model: TwoTower, baskets: Baskets, content: Floats) -> tuple[Arrays, list[float]]:
    """Weights by name, and the mean loss of every epoch. MissingExtra without torch. The same
    baskets and seed give the same weights on the same machine."""
    torch = require_torch()
    nn, functional = torch.nn, torch.nn.functional
    rng = np.random.default_rng(model.seed)
    d, known = model.dimensions, baskets.contents.counts() > 0
    histories, bought = lessons(baskets, model, rng)
    a_round = -(-histories.shape[0] // model.batch)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(model.seed)
        own = nn.Parameter(torch.randn(baskets.size, d) * d**-0.5)
        project = nn.Parameter(torch.randn(content.shape[1], d) * d**-0.5)
        inner, outer = nn.Linear(d, 2 * d), nn.Linear(2 * d, d)
        nn.init.zeros_(outer.weight)  # a person starts as the mean of what she bought
        nn.init.zeros_(outer.bias)
        text = torch.from_numpy(content)
        has_text = torch.from_numpy(np.abs(content).sum(1) > 0)
        never = torch.from_numpy(~known)

        def loss_of(rows: Ints) -> Any:
            dropped = (torch.rand(baskets.size) < model.left_out) & has_text
            kept = (~(dropped | never)).float()[:, None]
            goods = functional.normalize(own * kept + text @ project, dim=1)
            pooled = torch.sparse.mm(_tensor(torch, histories[rows]), goods)
            moved = pooled + outer(functional.relu(inner(pooled)))
            alike = functional.normalize(moved, dim=1) @ goods.T * model.sharpness
            chance = alike.masked_fill(never, -1e9).log_softmax(1)
            at = _tensor(torch, bought[rows]).coalesce()
            return -(chance[at.indices()[0], at.indices()[1]] * at.values()).sum() / rows.size

        losses = learned(
            [own, project, *inner.parameters(), *outer.parameters()],
            lambda: np.array_split(rng.permutation(histories.shape[0]), a_round),
            loss_of,
            batches=a_round,
            epochs=model.epochs,
            least_steps=model.least_steps,
            rate=model.rate,
        )
    named = {"inner": inner, "outer": outer}
    arrays = {
        f"{name}.{part}": getattr(layer, part).detach().numpy()
        for name, layer in named.items()
        for part in ("weight", "bias")
    }
    arrays |= {"items": own.detach().numpy(), "project": project.detach().numpy()}
    return {**arrays, "known": known}, losses


def lessons(baskets: Baskets, model: TwoTower, rng: np.random.Generator) -> tuple[Sparse, Sparse]:
    """(n, items) what a person had bought, rows that add up to 1, and (n, items) what she bought
    next, rows that do so too: of at most `examples` baskets that are not somebody's first."""
    from scipy.sparse import csr_matrix

    order = np.lexsort((np.arange(len(baskets)), baskets.person))
    order = order[baskets.person[order] != GUEST]
    person = baskets.person[order]
    first = np.searchsorted(person, person)
    later = np.flatnonzero(np.arange(order.size) > first)
    chosen = np.sort(rng.choice(later, min(model.examples, later.size), replace=False))
    begin = np.maximum(first[chosen], chosen - model.baskets_back)
    row = np.repeat(np.arange(chosen.size), chosen - begin)
    before = np.arange(row.size) - np.searchsorted(row, row) + begin[row]
    age = baskets.day[order[chosen[row]]] - baskets.day[order[before]]
    contents = baskets.contents
    held = csr_matrix(
        (np.ones(contents.items.size, np.float32), contents.items, contents.starts),
        (len(baskets), baskets.size),
    )

    def picked(rows: Ints, which: Ints, worth: Any) -> Sparse:
        weights = (worth.astype(np.float32), (rows, order[which]))
        return mean_of((csr_matrix(weights, (chosen.size, len(baskets))) @ held).tocsr())

    histories = picked(row, before, 0.5 ** (age / model.recency))
    return histories, picked(np.arange(chosen.size), chosen, np.ones(chosen.size))


def _tensor(torch: Any, table: Sparse) -> Any:
    entries = table.tocoo()
    places = torch.from_numpy(np.stack([entries.row, entries.col]).astype(np.int64))
    values = torch.from_numpy(entries.data)
    return torch.sparse_coo_tensor(places, values, table.shape, check_invariants=False)
