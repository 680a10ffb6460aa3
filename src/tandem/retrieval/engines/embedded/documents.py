"""Products for display, read by number without loading the rest.

`products.jsonl` holds one product a line; `offsets.npy` says where each line begins. Both are
memory-mapped, so that a search touches only the products that it shows.
"""

from __future__ import annotations

import mmap
from array import array
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray

from tandem.contracts.product import Product


class DocumentWriter:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._handle = (directory / "products.jsonl").open("wb")
        self._ids = (directory / "ids.txt").open("wb")
        self._lengths = array("q")
        self._id_lengths = array("q")

    def add(self, products: Sequence[Product]) -> None:
        for product in products:
            line = product.model_dump_json().encode() + b"\n"
            self._handle.write(line)
            self._lengths.append(len(line))
            name = product.id.encode()
            self._ids.write(name)
            self._id_lengths.append(len(name))

    def finish(self) -> None:
        self._handle.close()
        self._ids.close()
        for name, lengths in (("offsets", self._lengths), ("id_offsets", self._id_lengths)):
            offsets = np.zeros(len(lengths) + 1, np.int64)
            np.cumsum(lengths, out=offsets[1:])
            np.save(self._directory / f"{name}.npy", offsets)


class Documents:
    """Read side; safe for many threads."""

    def __init__(self, directory: Path) -> None:
        self._offsets = np.asarray(np.load(directory / "offsets.npy", mmap_mode="r"))
        self._id_offsets = np.asarray(np.load(directory / "id_offsets.npy", mmap_mode="r"))
        self._products = _mapped(directory / "products.jsonl")
        self._ids = _mapped(directory / "ids.txt")

    def __len__(self) -> int:
        return int(self._offsets.size) - 1

    def product(self, number: int) -> Product:
        start, end = self._offsets[number : number + 2].tolist()
        return Product.model_validate(orjson.loads(self._products[start : end - 1]))

    def id(self, number: int) -> str:
        return self._name(number).decode()

    def find(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """(len(ids),) numbers by id, -1 for those that are not here."""
        hashes, order = self._by_hash
        found = np.full(len(ids), -1, np.int64)
        for i, product_id in enumerate(ids):
            name = product_id.encode()
            key = hash(name)
            at = int(np.searchsorted(hashes, key))
            while at < hashes.size and hashes[at] == key:
                if self._name(int(order[at])) == name:
                    found[i] = order[at]
                    break
                at += 1
        return found

    def _name(self, number: int) -> bytes:
        start, end = self._id_offsets[number : number + 2].tolist()
        return self._ids[start:end]

    @cached_property
    def _by_hash(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Hashes of all ids, ascending, and whose they are. Made when first asked for: a third of
        a second and 12 MB for a million, and then a look-up costs a tenth of a search for the
        id."""
        ids, ends = self._ids[:], self._id_offsets.tolist()
        hashes = np.fromiter((hash(ids[a:b]) for a, b in pairwise(ends)), np.int64, len(self))
        order = np.argsort(hashes, kind="stable").astype(np.int32)
        return hashes[order], order


def _mapped(path: Path) -> mmap.mmap | bytes:
    """The file's bytes, mapped; an empty file cannot be mapped and is just empty."""
    if path.stat().st_size == 0:
        return b""
    with path.open("rb") as handle:
        return mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
