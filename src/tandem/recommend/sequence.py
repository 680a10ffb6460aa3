"""Self-attention over a session: SASRec (Kang & McAuley, ICDM 2018) and gSASRec (Petrov &
Macdonald, RecSys 2023).

Trained with torch (`sequence_training`), answered with numpy: what is trained can be used where
torch is not. Different from the papers, for learning on a processor: items and sessions are
vectors of length 1 compared by cosine (Gupta et al. 2019, NISER), distance stands in the place of
position (Shaw et al., NAACL 2018, as a bias), item vectors start from a factorisation of what
follows what, and negatives are drawn once for a batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tandem.recommend.models import Floats, Recommender, Sparse, unit
from tandem.recommend.sessions import Ints, Sessions
from tandem.recommend.weights import Arrays, Network, NetworkManifest, manifest_of

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
        from tandem.recommend.sequence_training import trained

        arrays, losses = trained(self, sessions)
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
