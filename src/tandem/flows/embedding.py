"""Embed a catalogue, and take over from the last generation what has not changed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.candidates import Floats
from tandem.contracts.product import Product
from tandem.retrieval.encoders import TextEncoder, product_text

FILE = "embedded.npy"
VECTORS = Path("engine") / "vectors.npy"


class CatalogEmbedder:
    """Vectors for products in order. A text that the live generation holds with the same encoder
    is not embedded again, so that re-indexing costs what has changed."""

    def __init__(self, encoder: TextEncoder, previous: Path | None) -> None:
        self._encoder = encoder
        self.dimension = encoder.dimension
        self._keys: list[int] = []
        self._known: dict[int, int] = {}
        self._vectors: NDArray[np.float16] | None = None
        if previous is not None and (previous / FILE).exists():
            keys = np.load(previous / FILE)
            self._vectors = np.load(previous / VECTORS, mmap_mode="r")
            self._known = {int(key): row for row, key in enumerate(keys.tolist())}

    def embed(self, products: Sequence[Product]) -> Floats:
        """(len(products), dimension) float32."""
        texts = [product_text(p) for p in products]
        keys = [self._key(t) for t in texts]
        self._keys += keys
        out = np.empty((len(texts), self._encoder.dimension), np.float32)
        fresh = [i for i, key in enumerate(keys) if key not in self._known]
        if self._vectors is not None:
            for i, key in enumerate(keys):
                if key in self._known:
                    out[i] = self._vectors[self._known[key]]
        if fresh:
            out[fresh] = self._encoder.encode([texts[i] for i in fresh])
        return out

    def _key(self, text: str) -> int:
        digest = hashlib.blake2b(f"{self._encoder.name}\0{text}".encode(), digest_size=8)
        return int.from_bytes(digest.digest(), "little")

    def save(self, directory: Path) -> None:
        """Write the keys beside the generation's vectors."""
        np.save(directory / FILE, np.array(self._keys, np.uint64))
