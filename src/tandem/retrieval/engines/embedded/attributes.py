"""Which products have an attribute's value: postings, for filters over vectors.

The word index can tell as well, but only hit by hit, which takes as long as the hits are many.
Files: `attribute_keys.npy` (m,) uint64 sorted hashes of (name, value), one per product that has
it; `attribute_numbers.npy` (m,) int32 those products. Two of ten million pairs share a hash with
probability 3e-6.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.product import AttributeValue, Product
from tandem.retrieval.engines.embedded.clauses import readings
from tandem.retrieval.engines.embedded.schema import indexed_attributes


class AttributeWriter:
    """Collects postings (12 bytes each) and writes them sorted."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._keys = array("Q")
        self._numbers = array("i")

    def add(self, number: int, product: Product) -> None:
        for name, value in indexed_attributes(product).items():
            self._keys.append(_key(name, value))
            self._numbers.append(number)

    def finish(self) -> None:
        keys, numbers = np.array(self._keys, np.uint64), np.array(self._numbers, np.int32)
        order = np.argsort(keys, kind="stable")
        np.save(self._directory / "attribute_keys.npy", keys[order])
        np.save(self._directory / "attribute_numbers.npy", numbers[order])


class Attributes:
    """Read side, memory-mapped; safe for many threads."""

    def __init__(self, directory: Path) -> None:
        self._keys: NDArray[np.uint64] = np.load(directory / "attribute_keys.npy", mmap_mode="r")
        self._numbers: NDArray[np.int32] = np.load(
            directory / "attribute_numbers.npy", mmap_mode="r"
        )

    def mask(self, wanted: Mapping[str, Sequence[AttributeValue]], size: int) -> NDArray[np.bool_]:
        """(size,) True where a product has, of every name, one of the values."""
        mask = np.ones(size, bool)
        for name, values in wanted.items():
            if values:
                having = np.zeros(size, bool)
                for value in values:
                    for reading in readings(value):
                        having[self._having(name, reading)] = True
                mask &= having
        return mask

    def _having(self, name: str, value: AttributeValue) -> NDArray[np.int32]:
        key = np.uint64(_key(name, value))
        start, end = self._keys.searchsorted(key, "left"), self._keys.searchsorted(key, "right")
        return self._numbers[start:end]


def _key(name: str, value: AttributeValue) -> int:
    """Flags, numbers and texts apart; the two zeros are one number."""
    typed = value + 0.0 if isinstance(value, float) else value
    text = f"{len(name)}:{name}{type(typed).__name__}:{typed}"
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")
