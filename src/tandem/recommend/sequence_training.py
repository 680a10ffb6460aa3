"""How a `SelfAttention` learns, with torch: every click is a target of those before it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tandem.recommend.factors import item_factors
from tandem.recommend.models import PERIOD, Floats
from tandem.recommend.sessions import Ints, Sessions
from tandem.recommend.weights import Arrays, require_torch

if TYPE_CHECKING:
    from tandem.recommend.sequence import SelfAttention

WARM_UP = 0.05  # of all steps
START, NOISE = 0.5, 0.02  # length of item vectors at the start, and what is random of it


def trained(model: SelfAttention, sessions: Sessions) -> tuple[Arrays, list[float]]:
    """Weights by name, and the mean loss of every epoch. MissingExtra without torch. The same
    sessions and seed give the same weights on the same machine."""
    torch = require_torch()
    known = sessions.counts() > 0
    rng = np.random.default_rng(model.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(model.seed)
        network = _network(torch, model, start_vectors(sessions, model.dimensions, rng))
        losses = _learned(torch, model, network, sessions, np.flatnonzero(known), rng)
    arrays = {k: v.detach().cpu().numpy() for k, v in network.state_dict().items()}
    return {**arrays, "known": known}, losses


def start_vectors(sessions: Sessions, dimensions: int, rng: np.random.Generator) -> Floats:
    """(items, dimensions) where vectors start: factors of what is clicked near what, and a little
    that is random."""
    vectors = item_factors(sessions, dimensions)
    noise = rng.standard_normal(vectors.shape) * NOISE
    return np.asarray(vectors * START + noise, np.float32)


def _network(torch: Any, model: SelfAttention, vectors: Floats) -> Any:
    """The torch module whose weights have the names of `SelfAttention.shapes`."""
    nn, functional = torch.nn, torch.nn.functional
    d = model.dimensions

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.LayerNorm(d), nn.LayerNorm(d)
            self.query, self.key, self.value, self.out = (nn.Linear(d, d) for _ in range(4))
            self.inner, self.outer = nn.Linear(d, 2 * d), nn.Linear(2 * d, d)
            self.distance = nn.Parameter(torch.zeros(model.reach))
            for layer in (self.out, self.outer):  # a block starts by adding nothing
                nn.init.zeros_(layer.weight)
                nn.init.zeros_(layer.bias)

        def forward(self, hidden: Any, back: Any, later: Any) -> Any:
            x = self.first(hidden)
            attention = self.query(x) @ self.key(x).transpose(1, 2) / d**0.5 + self.distance[back]
            attention = attention.masked_fill(later, -1e9).softmax(-1)
            drop = model.dropout
            x = self.out(attention @ self.value(x))
            hidden = hidden + functional.dropout(x, drop, self.training)
            x = self.outer(functional.relu(self.inner(self.second(hidden))))
            return hidden + functional.dropout(x, drop, self.training)

    class Network(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.items = nn.Parameter(torch.from_numpy(vectors.copy()))
            self.blocks = nn.ModuleList(Block() for _ in range(model.blocks))
            self.last = nn.LayerNorm(d)

        def vectors(self, items: Any) -> Any:
            found = functional.embedding(items, self.items)
            return functional.normalize(found, dim=-1)

        def forward(self, clicks: Any) -> Any:
            """(n, t) clicks to (n, t, d) where each beginning leads to. Sessions that are shorter
            are filled up at the end, which nothing before it sees."""
            place = torch.arange(clicks.shape[1])
            away = place[:, None] - place
            hidden = functional.dropout(self.vectors(clicks), model.dropout, self.training)
            for block in self.blocks:
                hidden = block(hidden, away.clamp(min=0), away < 0)
            return functional.normalize(self.last(hidden), dim=-1)

    return Network()


def _learned(
    torch: Any,
    model: SelfAttention,
    network: Any,
    sessions: Sessions,
    known: Ints,
    rng: np.random.Generator,
) -> list[float]:
    functional = torch.nn.functional
    lengths = np.minimum(sessions.lengths, model.reach + 1)
    usable = np.flatnonzero(lengths > 1)
    if not usable.size:
        return []
    age = (len(sessions) - 1 - np.arange(len(sessions))) / PERIOD
    worth = np.exp(-model.recency * age).astype(np.float32)
    a_round = -(-usable.size // model.batch)
    epochs = max(model.epochs, -(-model.least_steps // a_round))
    steps, done = epochs * a_round, 0
    rising = max(1, round(WARM_UP * steps))
    # Cosines lie around 0, and hardly any item is the next one: without what is taken off them,
    # the binary loss can only push all items to one side. It moves no item past another.
    bias = torch.nn.Parameter(torch.tensor(-model.sharpness / 2))
    optimiser = torch.optim.Adam([*network.parameters(), bias], lr=model.rate)
    losses: list[float] = []
    network.train()
    for _ in range(epochs):
        spent = []
        for rows in batches(usable, lengths, model.batch, rng):
            clicks, held = filled(sessions, rows, lengths[rows])
            after = torch.from_numpy(held[:, 1:])
            targets = torch.from_numpy(clicks[:, 1:])[after]
            weight = torch.from_numpy(np.repeat(worth[rows], lengths[rows] - 1))
            others = torch.from_numpy(rng.choice(known, min(model.negatives, known.size), False))
            state = network(torch.from_numpy(clicks[:, :-1]))[after]
            right = (state * network.vectors(targets)).sum(1) * model.sharpness
            wrong = state @ network.vectors(others).T * model.sharpness
            wrong = wrong.masked_fill(targets[:, None] == others, -1e9)
            if model.loss == "softmax":
                # Sampled uniformly, without repetition: each negative stands for so many items.
                stands_for = np.log((known.size - 1) / others.numel())
                every = torch.cat([right[:, None], wrong + stands_for], 1)
                loss = torch.logsumexp(every, 1) - right
            else:
                power = _power(model.calibration, others.numel() / max(1, known.size - 1))
                right, wrong = right + bias, wrong + bias
                loss = -power * functional.logsigmoid(right) + functional.softplus(wrong).sum(1)
            loss = (loss * weight).sum() / weight.sum()
            for group in optimiser.param_groups:
                group["lr"] = model.rate * min((done + 1) / rising, 1.02 - done / steps)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            done += 1
            spent.append(float(loss.detach()))
        losses.append(round(float(np.mean(spent)), 4))
    return losses


def _power(calibration: float, sampled: float) -> float:
    """The power of the positive's probability in gBCE: 1 without calibration, the share of items
    that are sampled with all of it (Petrov & Macdonald 2023, eq. 6)."""
    return float(sampled * (calibration * (1 - 1 / sampled) + 1 / sampled))


def batches(usable: Ints, lengths: Ints, batch: int, rng: np.random.Generator) -> Iterator[Ints]:
    """Sessions of like length together, so that little is filled up; batches by lot."""
    order = usable[np.lexsort((rng.random(usable.size), lengths[usable]))]
    starts = np.arange(0, order.size, batch)
    for start in rng.permutation(starts).tolist():
        yield order[start : start + batch]


def filled(sessions: Sessions, rows: Ints, lengths: Ints) -> tuple[Ints, NDArray[np.bool_]]:
    """The last `lengths` clicks of some sessions, filled up at the end, and which are held."""
    places = np.arange(int(lengths.max()))
    held = places < lengths[:, None]
    at = (sessions.starts[rows + 1] - lengths)[:, None] + places
    return np.where(held, sessions.items[np.minimum(at, sessions.items.size - 1)], 0), held
