"""What is learned from: judged queries with the texts of their products."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.candidates import Floats


@dataclass(frozen=True)
class JudgedQuery:
    """One query as it is searched for, its products as they are embedded, relevance 0..3.

    products and relevance: (n,), in the same order.
    """

    text: str
    products: tuple[str, ...]
    relevance: NDArray[np.float32]


def gains(relevance: NDArray[np.float32]) -> Floats:
    """Exponential gain scaled to 0..1: (2^rel - 1) / 7."""
    return np.asarray((np.exp2(relevance) - 1) / 7, np.float32)


@dataclass(frozen=True)
class Part:
    """Some products of one query: `query` is its row, `products` are rows of its products."""

    query: int
    products: NDArray[np.int64]


def stratified_parts(
    queries: Sequence[JudgedQuery], size: int, rng: np.random.Generator
) -> list[Part]:
    """Divide every query's products into parts of at most `size`, each with its share of every
    relevance; parts in random order."""
    parts = []
    for row, query in enumerate(queries):
        shuffled = rng.permutation(len(query.products))
        ordered = shuffled[np.argsort(-query.relevance[shuffled], kind="stable")]
        count = -(-ordered.size // size)
        parts += [Part(row, ordered[i::count]) for i in range(count)]
    return [parts[i] for i in rng.permutation(len(parts))]


def in_batches(parts: Sequence[Part], size: int) -> Iterator[Sequence[Part]]:
    """Runs of `size` parts; a lone last one is left out, because it has no others beside it."""
    for start in range(0, len(parts), size):
        batch = parts[start : start + size]
        if len(batch) > 1 or len(parts) == 1:
            yield batch
