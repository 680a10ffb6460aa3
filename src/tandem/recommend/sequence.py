"""Self-attention over a session: SASRec (Kang & McAuley, ICDM 2018) and gSASRec (Petrov &
Macdonald, RecSys 2023).

Trained with torch, answered with numpy: what is trained can be used where torch is not. Different
from the papers, for learning on a processor: items and sessions are vectors of length 1 compared by
cosine (Gupta et al. 2019, NISER), distance stands in the place of position (Shaw et al., NAACL
2018, as a bias), item vectors start from a factorisation of what follows what, and negatives are
drawn once for a batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tandem.recommend.models import Floats, Recommender, Sparse, unit
from tandem.recommend.sessions import Ints, Sessions
from tandem.recommend.training import batches, filled, learned, start_vectors, worth
from tandem.recommend.weights import Arrays, Network, NetworkManifest, manifest_of, require_torch

LISTED = 200  # candidates of a session; enough for a list after filters
EPSILON = 1e-5  # of the layer norm, as torch has it
MASKED = np.float32(-1e9)


@dataclass
class SelfAttention(Recommender, Network):
    """A transformer that reads a session and says what comes next.

    loss: `softmax` over the target and sampled negatives, or `gbce`, the generalised binary
    cross-entropy of gSASRec with its `calibration` (0 is the loss of SASRec). reach: clicks that
    it looks back at. sharpness: what cosines are multiplied by. recency: how fast old sessions
    lose weight. least_steps: of gradient, where there are few sessions.
    """

    loss: Literal["softmax", "gbce"] = "softmax"
    calibration: float = 0.75
    dimensions: int = 64
    blocks: int = 1
    reach: int = 20
    dropout: float = 0.2
    negatives: int = 512
    batch: int = 512
    epochs: int = 12
    least_steps: int = 300
    rate: float = 2e-3
    sharpness: float = 14.0
    recency: float = 1.0
    seed: int = 1
    name: str = "sasrec"

    def fit(self, sessions: Sessions) -> None:
        arrays, losses = _trained(self, sessions)
        examples = int(sessions.items.size - len(sessions))
        self.use(
            arrays, manifest_of(self, self.fingerprint(sessions), examples, sessions.size, losses)
        )

    def scores(self, prefixes: Sessions) -> Sparse:
        from scipy.sparse import csr_matrix

        rows, clicks, held = self.window(prefixes)
        if not rows.size:
            return csr_matrix((len(prefixes), prefixes.size), dtype=np.float32)
        alike = self.states(clicks, held) @ self._known_vectors.T
        k = min(LISTED, alike.shape[1])
        chosen = np.argpartition(-alike, k - 1, axis=1)[:, :k]
        values = np.take_along_axis(alike, chosen, 1) + np.float32(1.001)  # above 0
        items = self._known[chosen]
        shape = (len(prefixes), prefixes.size)
        return csr_matrix((values.ravel(), (np.repeat(rows, k), items.ravel())), shape)

    def alike(self, prefixes: Sessions, row: Ints, item: Ints) -> Floats:
        """(len(row),) cosine of where the beginning of each row leads to and an item; 0 where
        nothing of it is known."""
        states = np.zeros((len(prefixes), self.dimensions), np.float32)
        rows, clicks, held = self.window(prefixes)
        if rows.size:
            states[rows] = self.states(clicks, held)
        found: Floats = np.einsum("ij,ij->i", states[row], self._vectors[item])
        return found

    def window(self, prefixes: Sessions) -> tuple[Ints, Ints, NDArray[np.bool_]]:
        """(m,) the rows that have a known item, (m, t) the last `reach` of these, and which places
        are held; those of shorter sessions are empty at the end."""
        kept = self._is_known[prefixes.items]
        lengths = np.bincount(prefixes.owner[kept], minlength=len(prefixes))
        items, ends = prefixes.items[kept], np.cumsum(lengths)
        rows = np.flatnonzero(lengths)
        lengths, ends = np.minimum(lengths[rows], self.reach), ends[rows]
        width = int(lengths.max(initial=0))
        places = np.arange(width)
        held = places < lengths[:, None]
        at = np.minimum((ends - lengths)[:, None] + places, max(0, items.size - 1))
        return rows, np.where(held, items[at], 0) if items.size else at, held

    def states(self, clicks: Ints, held: NDArray[np.bool_]) -> Floats:
        """(m, dimensions) where each session leads to, vectors of length 1."""
        w = self.arrays
        n, width = clicks.shape
        hidden = self._vectors[clicks]
        back = np.maximum(np.arange(width)[:, None] - np.arange(width), 0)
        later = np.arange(width)[:, None] < np.arange(width)
        for block in range(self.blocks):
            b = f"blocks.{block}."
            x = _normed(hidden, w[b + "first.weight"], w[b + "first.bias"])
            query, key, value = (
                x @ w[f"{b}{part}.weight"].T + w[f"{b}{part}.bias"]
                for part in ("query", "key", "value")
            )
            attention = query @ key.transpose(0, 2, 1) / np.float32(np.sqrt(self.dimensions))
            attention += w[b + "distance"][back]
            attention[:, later] = MASKED
            attention -= attention.max(-1, keepdims=True)
            np.exp(attention, out=attention)
            attention /= attention.sum(-1, keepdims=True)
            hidden = np.asarray(
                hidden + (attention @ value) @ w[b + "out.weight"].T + w[b + "out.bias"], np.float32
            )
            x = _normed(hidden, w[b + "second.weight"], w[b + "second.bias"])
            x = np.maximum(x @ w[b + "inner.weight"].T + w[b + "inner.bias"], 0)
            hidden = hidden + x @ w[b + "outer.weight"].T + w[b + "outer.bias"]
        last = hidden[np.arange(n), held.sum(1) - 1]
        return unit(_normed(last, w["last.weight"], w["last.bias"]))

    def fingerprint(self, sessions: Sessions) -> str:
        """Of what it learns from and how: weights belong to one of these."""
        return self.digest(sessions.starts, sessions.items, np.array([sessions.size]))

    def shapes(self, items: int, width: int = 0) -> dict[str, tuple[int, ...]]:
        d = self.dimensions
        found: dict[str, tuple[int, ...]] = {"items": (items, d), "known": (items,)}
        for block in range(self.blocks):
            b = f"blocks.{block}."
            found[b + "distance"] = (self.reach,)
            for norm in ("first", "second"):
                found |= {f"{b}{norm}.weight": (d,), f"{b}{norm}.bias": (d,)}
            for part in ("query", "key", "value", "out"):
                found |= {f"{b}{part}.weight": (d, d), f"{b}{part}.bias": (d,)}
            found |= {b + "inner.weight": (2 * d, d), b + "inner.bias": (2 * d,)}
            found |= {b + "outer.weight": (d, 2 * d), b + "outer.bias": (d,)}
        return {**found, "last.weight": (d,), "last.bias": (d,)}

    def use(self, arrays: Arrays, manifest: NetworkManifest) -> None:
        self.arrays, self.manifest = arrays, manifest
        self._is_known = arrays["known"]
        self._known = np.flatnonzero(self._is_known)
        self._vectors = unit(self.arrays["items"])
        self._known_vectors = np.ascontiguousarray(self._vectors[self._known])


def _normed(x: Floats, weight: Floats, bias: Floats) -> Floats:
    """Layer norm (Ba, Kiros & Hinton 2016)."""
    centred = x - x.mean(-1, keepdims=True)
    spread = np.sqrt((centred**2).mean(-1, keepdims=True) + np.float32(EPSILON))
    return np.asarray(centred / spread * weight + bias, np.float32)


def _trained(model: SelfAttention, sessions: Sessions) -> tuple[Arrays, list[float]]:
    """Weights by name, and the mean loss of every epoch: every click is a target of those before
    it. MissingExtra without torch. The same sessions and seed give the same weights on the same
    machine."""
    torch = require_torch()
    known = sessions.counts() > 0
    rng = np.random.default_rng(model.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(model.seed)
        network = _network(torch, model, start_vectors(sessions, model.dimensions, rng))
        losses = _losses(torch, model, network, sessions, np.flatnonzero(known), rng)
    arrays = {k: v.detach().cpu().numpy() for k, v in network.state_dict().items()}
    return {**arrays, "known": known}, losses


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


def _losses(
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
    counts = worth(sessions, model.recency)
    # Cosines lie around 0, and hardly any item is the next one: without what is taken off them,
    # the binary loss can only push all items to one side. It moves no item past another.
    bias = torch.nn.Parameter(torch.tensor(-model.sharpness / 2))
    network.train()

    def loss_of(rows: Ints) -> Any:
        clicks, held = filled(sessions, rows, lengths[rows])
        after = torch.from_numpy(held[:, 1:])
        targets = torch.from_numpy(clicks[:, 1:])[after]
        weight = torch.from_numpy(np.repeat(counts[rows], lengths[rows] - 1))
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
        return (loss * weight).sum() / weight.sum()

    return learned(
        [*network.parameters(), bias],
        lambda: batches(usable, lengths, model.batch, rng),
        loss_of,
        batches=-(-usable.size // model.batch),
        epochs=model.epochs,
        least_steps=model.least_steps,
        rate=model.rate,
    )


def _power(calibration: float, sampled: float) -> float:
    """The power of the positive's probability in gBCE: 1 without calibration, the share of items
    that are sampled with all of it (Petrov & Macdonald 2023, eq. 6)."""
    return float(sampled * (calibration * (1 - 1 / sampled) + 1 / sampled))
