"""Generative retrieval with semantic ids, an experiment: TIGER (Rajput et al., NeurIPS 2023) in
small.

An item is a short word of codes, from coarse to fine, and a decoder spells the word of the item
that comes next, code by code. Items have no vector of their own, only those of their codes, so the
network stays as small with a million items. Trained with torch, answered with numpy. Different from
the paper: codes by residual k-means in place of RQ-VAE, over vectors of what is clicked near what
(or of text, where `describe` was told any), a GRU in place of a transformer, and items that share a
word are told apart by how often they were clicked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tandem.recommend.models import Floats, Recommender, Sparse
from tandem.recommend.sessions import Ints, Sessions
from tandem.recommend.training import batches, filled, learned, start_vectors, worth
from tandem.recommend.weights import Arrays, Network, NetworkManifest, manifest_of, require_torch

ROUNDS = 15  # of k-means


@dataclass
class SemanticIds(Recommender, Network):
    """Spells what comes next. levels, codes: length of a word and letters to choose from at each
    place. beam: words that are followed at once. reach: clicks that it looks back at."""

    levels: int = 3
    codes: int = 128
    dimensions: int = 64
    hidden: int = 128
    beam: int = 50
    reach: int = 20
    dropout: float = 0.2
    batch: int = 512
    epochs: int = 8
    least_steps: int = 400
    rate: float = 3e-3
    recency: float = 1.0
    seed: int = 1
    name: str = "semantic-ids"

    def fit(self, sessions: Sessions) -> None:
        arrays, losses = _trained(self, sessions)
        examples = int(sessions.items.size - len(sessions))
        self.use(
            arrays, manifest_of(self, self.fingerprint(sessions), examples, sessions.size, losses)
        )

    def fingerprint(self, sessions: Sessions) -> str:
        """Of what it learns from and how: weights belong to one of these."""
        return self.digest(sessions.starts, sessions.items, np.array([sessions.size]))

    def scores(self, prefixes: Sessions) -> Sparse:
        from scipy.sparse import csr_matrix

        shape = (len(prefixes), prefixes.size)
        kept = self._counts[prefixes.items] > 0
        rows = np.unique(prefixes.owner[kept])
        if not rows.size:
            return csr_matrix(shape, dtype=np.float32)
        owner, items = prefixes.owner[kept], prefixes.items[kept]
        at, words, chance = self.spelled(self.states(np.searchsorted(rows, owner), items))
        # The items of every word: the chance of the word, shared out by clicks.
        found = self._begins[words + 1] - self._begins[words]
        place = np.arange(int(found.sum())) - np.repeat(np.cumsum(found) - found, found)
        item = self._by_word[np.repeat(self._begins[words], found) + place]
        share = self._counts[item] / np.repeat(self._word_counts[words], found)
        value = np.maximum(np.repeat(chance, found) * share, np.finfo(np.float32).tiny)
        return csr_matrix((value.astype(np.float32), (rows[np.repeat(at, found)], item)), shape)

    def states(self, owner: Ints, items: Ints) -> Floats:
        """(m, hidden) the GRU's state after the last `reach` clicks of every session (Cho et al.,
        EMNLP 2014). owner: (clicks,) 0 … m - 1, ascending."""
        w = self.arrays
        lengths = np.bincount(owner)
        ends = np.cumsum(lengths)
        state = np.zeros((lengths.size, self.hidden), np.float32)
        for back in range(min(self.reach, int(lengths.max())), 0, -1):
            here = np.flatnonzero(lengths >= back)
            codes = w["words"][items[ends[here] - back]]
            read = sum(w["letters"][level, codes[:, level]] for level in range(self.levels))
            reset, update, new = np.split(read @ w["read"].T + w["read.bias"], 3, axis=1)
            r, z, n = np.split(state[here] @ w["kept"].T + w["kept.bias"], 3, axis=1)
            reset, update = _sigmoid(reset + r), _sigmoid(update + z)
            state[here] = (1 - update) * np.tanh(new + reset * n) + update * state[here]
        return state

    def spelled(self, state: Floats) -> tuple[Ints, Ints, Floats]:
        """The likeliest words that there are, by beam search: (f,) the session of each, (f,) the
        word, and (f,) its chance."""
        w = self.arrays
        row = np.arange(len(state))
        prefix = np.zeros(len(state), np.int64)
        chance = np.zeros(len(state), np.float32)
        for level in range(self.levels):
            logits = state @ w["spell"][level].T + w["spell.bias"][level]
            logits -= logits.max(1, keepdims=True)
            logits -= np.log(np.exp(logits).sum(1, keepdims=True))
            longer = prefix[:, None] * self.codes + np.arange(self.codes)
            known = self._prefixes[level]
            at = np.minimum(np.searchsorted(known, longer), known.size - 1)
            parent, letter = np.nonzero(known[at] == longer)
            total = chance[parent] + logits[parent, letter]
            order = np.lexsort((letter, -total, row[parent]))
            first = np.searchsorted(row[parent][order], row[parent][order])
            order = order[np.arange(order.size) - first < self.beam]
            parent, letter, chance = parent[order], letter[order], total[order]
            row, prefix = row[parent], prefix[parent] * self.codes + letter
            state = np.tanh(state[parent] @ w["turn"][level].T + w["letters.out"][level, letter])
        return row, np.searchsorted(self._prefixes[-1], prefix), np.exp(chance)

    def shapes(self, items: int, width: int = 0) -> dict[str, tuple[int, ...]]:
        levels, codes, d, h = self.levels, self.codes, self.dimensions, self.hidden
        return {
            "words": (items, levels),
            "counts": (items,),
            "letters": (levels, codes, d),
            "read": (3 * h, d),
            "read.bias": (3 * h,),
            "kept": (3 * h, h),
            "kept.bias": (3 * h,),
            "spell": (levels, codes, h),
            "spell.bias": (levels, codes),
            "turn": (levels, h, h),
            "letters.out": (levels, codes, h),
        }

    def use(self, arrays: Arrays, manifest: NetworkManifest) -> None:
        self.arrays, self.manifest = arrays, manifest
        self._counts = arrays["counts"]
        known = np.flatnonzero(self._counts > 0)
        power = self.codes ** np.arange(self.levels)[::-1]
        whole = arrays["words"][known] @ power
        self._prefixes = [
            np.unique(whole // self.codes ** (self.levels - 1 - level))
            for level in range(self.levels)
        ]
        word = np.searchsorted(self._prefixes[-1], whole)
        self._by_word = known[np.argsort(word, kind="stable")]
        counted = np.bincount(word, minlength=self._prefixes[-1].size)
        self._begins = np.concatenate([[0], np.cumsum(counted)])
        self._word_counts = np.bincount(word, self._counts[known]).astype(np.float32)


def _sigmoid(x: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-x)), np.float32)


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


def _trained(model: SemanticIds, sessions: Sessions) -> tuple[Arrays, list[float]]:
    """Weights by name, and the mean loss of every epoch. MissingExtra without torch."""
    torch = require_torch()
    functional = torch.nn.functional
    rng = np.random.default_rng(model.seed)
    counts = sessions.counts()
    known = np.flatnonzero(counts)
    words = np.zeros((sessions.size, model.levels), np.int64)
    near = start_vectors(sessions, model.dimensions, rng)
    words[known] = residual_codes(near[known], model.levels, model.codes, model.seed)
    lengths = np.minimum(sessions.lengths, model.reach + 1)
    usable = np.flatnonzero(lengths > 1)
    weights = worth(sessions, model.recency)

    def loss_of(rows: Ints) -> Any:
        clicks, held = filled(sessions, rows, lengths[rows])
        after = torch.from_numpy(held[:, 1:])
        spelling = torch.from_numpy(words[clicks])
        weight = torch.from_numpy(np.repeat(weights[rows], lengths[rows] - 1))
        levels = network(spelling[:, :-1], spelling[:, 1:], after)
        targets = spelling[:, 1:][after]
        each = sum(
            functional.cross_entropy(logits, targets[:, level], reduction="none")
            for level, logits in enumerate(levels)
        )
        return (each * weight).sum() / weight.sum()

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(model.seed)
        network = _network(torch, model)
        losses = learned(
            network.parameters(),
            lambda: batches(usable, lengths, model.batch, rng),
            loss_of,
            batches=-(-usable.size // model.batch),
            epochs=model.epochs,
            least_steps=model.least_steps,
            rate=model.rate,
        )
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
