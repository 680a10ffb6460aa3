"""How `SemanticIds` gets its codes and learns to spell, with faiss and torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tandem.recommend.models import PERIOD, Floats
from tandem.recommend.sequence_training import WARM_UP, batches, filled, start_vectors
from tandem.recommend.sessions import Ints, Sessions
from tandem.recommend.weights import Arrays, require_torch

if TYPE_CHECKING:
    from tandem.recommend.semantic import SemanticIds

ROUNDS = 15  # of k-means


def residual_codes(vectors: Floats, levels: int, codes: int, seed: int) -> Ints:
    """(n, levels) the nearest centre of every vector, then of what is left of it, and so on."""
    import faiss

    left, found = np.ascontiguousarray(vectors, np.float32), []
    for level in range(levels):
        k = min(codes, len(left))
        means = faiss.Kmeans(
            left.shape[1], k, niter=ROUNDS, seed=seed + level, min_points_per_centroid=1
        )
        means.train(left)
        nearest = means.index.search(left, 1)[1][:, 0]
        found.append(nearest.astype(np.int64))
        left = np.ascontiguousarray(left - np.asarray(means.centroids)[nearest])
    return np.column_stack(found)


def trained(model: SemanticIds, sessions: Sessions) -> tuple[Arrays, list[float]]:
    """Weights by name, and the mean loss of every epoch. MissingExtra without torch."""
    torch = require_torch()
    functional = torch.nn.functional
    rng = np.random.default_rng(model.seed)
    counts = sessions.counts()
    known = np.flatnonzero(counts)
    words = np.zeros((sessions.size, model.levels), np.int64)
    near = start_vectors(sessions, model.dimensions, rng)
    words[known] = residual_codes(near[known], model.levels, model.codes, model.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(model.seed)
        network = _network(torch, model)
        lengths = np.minimum(sessions.lengths, model.reach + 1)
        usable = np.flatnonzero(lengths > 1)
        age = (len(sessions) - 1 - np.arange(len(sessions))) / PERIOD
        worth = np.exp(-model.recency * age).astype(np.float32)
        a_round = -(-usable.size // model.batch)
        epochs = max(model.epochs, -(-model.least_steps // a_round)) if a_round else 0
        steps, done = epochs * a_round, 0
        rising = max(1, round(WARM_UP * steps))
        optimiser = torch.optim.Adam(network.parameters(), lr=model.rate)
        losses: list[float] = []
        for _ in range(epochs):
            spent = []
            for rows in batches(usable, lengths, model.batch, rng):
                clicks, held = filled(sessions, rows, lengths[rows])
                after = torch.from_numpy(held[:, 1:])
                spelling = torch.from_numpy(words[clicks])
                weight = torch.from_numpy(np.repeat(worth[rows], lengths[rows] - 1))
                levels = network(spelling[:, :-1], spelling[:, 1:], after)
                targets = spelling[:, 1:][after]
                each = sum(
                    functional.cross_entropy(logits, targets[:, level], reduction="none")
                    for level, logits in enumerate(levels)
                )
                loss = (each * weight).sum() / weight.sum()
                for group in optimiser.param_groups:
                    group["lr"] = model.rate * min((done + 1) / rising, 1.02 - done / steps)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                done += 1
                spent.append(float(loss.detach()))
            losses.append(round(float(np.mean(spent)), 4))
    arrays = {name: value.detach().numpy() for name, value in network.named_arrays().items()}
    return {**arrays, "words": words, "counts": counts}, losses


def _network(torch: Any, model: SemanticIds) -> Any:
    """The torch module whose weights have the names of `SemanticIds.shapes`."""
    nn, functional = torch.nn, torch.nn.functional
    levels, codes, d, h = model.levels, model.codes, model.dimensions, model.hidden

    class Network(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.letters = nn.Parameter(torch.randn(levels, codes, d) * d**-0.5)
            self.gru = nn.GRU(d, h, batch_first=True)
            self.spell = nn.Parameter(torch.randn(levels, codes, h) * h**-0.5)
            self.spell_bias = nn.Parameter(torch.zeros(levels, codes))
            self.turn = nn.Parameter(torch.randn(levels, h, h) * h**-0.5)
            self.letters_out = nn.Parameter(torch.randn(levels, codes, h) * h**-0.5)

        def named_arrays(self) -> dict[str, Any]:
            return {
                "letters": self.letters,
                "read": self.gru.weight_ih_l0,
                "read.bias": self.gru.bias_ih_l0,
                "kept": self.gru.weight_hh_l0,
                "kept.bias": self.gru.bias_hh_l0,
                "spell": self.spell,
                "spell.bias": self.spell_bias,
                "turn": self.turn,
                "letters.out": self.letters_out,
            }

        def forward(self, before: Any, after: Any, held: Any) -> list[Any]:
            """Logits of the codes of what came next, level by level, given the right ones so
            far (teacher forcing)."""
            read = sum(self.letters[level][before[..., level]] for level in range(levels))
            read = functional.dropout(read, model.dropout, self.training)
            state = self.gru(read)[0][held]
            state = functional.dropout(state, model.dropout, self.training)
            right, logits = after[held], []
            for level in range(levels):
                logits.append(state @ self.spell[level].T + self.spell_bias[level])
                turned = state @ self.turn[level].T
                state = torch.tanh(turned + self.letters_out[level][right[:, level]])
            return logits

    return Network()
