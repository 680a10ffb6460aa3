"""How a `TwoTower` learns, with torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tandem.recommend.baskets import GUEST, Baskets, Sparse
from tandem.recommend.next_basket import Floats
from tandem.recommend.sessions import Ints
from tandem.recommend.two_tower import mean_of
from tandem.recommend.weights import Arrays, require_torch

if TYPE_CHECKING:
    from tandem.recommend.two_tower import TwoTower

WARM_UP = 0.05  # of all steps


def trained(model: TwoTower, baskets: Baskets, content: Floats) -> tuple[Arrays, list[float]]:
    """Weights by name, and the mean loss of every epoch. MissingExtra without torch. The same
    baskets and seed give the same weights on the same machine."""
    torch = require_torch()
    nn, functional = torch.nn, torch.nn.functional
    rng = np.random.default_rng(model.seed)
    d, known = model.dimensions, baskets.contents.counts() > 0
    histories, bought = lessons(baskets, model, rng)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(model.seed)
        own = nn.Parameter(torch.randn(baskets.size, d) * d**-0.5)
        project = nn.Parameter(torch.randn(content.shape[1], d) * d**-0.5)
        inner, outer = nn.Linear(d, 2 * d), nn.Linear(2 * d, d)
        nn.init.zeros_(outer.weight)  # a person starts as the mean of what she bought
        nn.init.zeros_(outer.bias)
        weights = [own, project, *inner.parameters(), *outer.parameters()]
        optimiser = torch.optim.Adam(weights, lr=model.rate)
        text = torch.from_numpy(content)
        has_text = torch.from_numpy(np.abs(content).sum(1) > 0)
        never = torch.from_numpy(~known)
        a_round = -(-histories.shape[0] // model.batch)
        epochs = max(model.epochs, -(-model.least_steps // max(1, a_round))) if a_round else 0
        steps, done = epochs * a_round, 0
        rising = max(1, round(WARM_UP * steps))
        losses: list[float] = []
        for _ in range(epochs):
            spent = []
            for rows in np.array_split(rng.permutation(histories.shape[0]), a_round):
                dropped = (torch.rand(baskets.size) < model.left_out) & has_text
                kept = (~(dropped | never)).float()[:, None]
                goods = functional.normalize(own * kept + text @ project, dim=1)
                pooled = torch.sparse.mm(_tensor(torch, histories[rows]), goods)
                moved = pooled + outer(functional.relu(inner(pooled)))
                alike = functional.normalize(moved, dim=1) @ goods.T * model.sharpness
                chance = alike.masked_fill(never, -1e9).log_softmax(1)
                at = _tensor(torch, bought[rows]).coalesce()
                loss = -(chance[at.indices()[0], at.indices()[1]] * at.values()).sum() / rows.size
                for group in optimiser.param_groups:
                    group["lr"] = model.rate * min((done + 1) / rising, 1.02 - done / steps)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                done += 1
                spent.append(float(loss.detach()))
            losses.append(round(float(np.mean(spent)), 4))
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
