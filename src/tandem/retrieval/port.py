"""The engine port: what Tandem asks of a search engine, in contract types only.

An engine builds immutable generations and serves snapshots. Product numbers are the engine's
handles: dense int64 from 0, assigned in the order in which products are added, never reused
within a generation. `docs/adr/` holds this port against an OpenSearch cluster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.candidates import Candidates, Floats, Numbers
from tandem.contracts.product import AnalysedProduct, Product
from tandem.contracts.search import FacetCount, Filters, Sort, Term


@dataclass(frozen=True)
class LexicalQuery:
    """A boolean-ranked query.

    terms: scored; at least `minimum_match` of them must match (1 = any, len(terms) = all).
    expansions: scored with their weight, never required.
    excluded: products matching any of these are left out.
    field_boosts: BM25 boost by text field; a missing field is not searched.
    phrase_boost: weight of a title-phrase clause over all terms (0 = none).
    fuzzy: match terms within this edit distance (0 to 2) when they are long enough.
    """

    terms: tuple[Term, ...]
    field_boosts: Mapping[str, float]
    expansions: tuple[Term, ...] = ()
    excluded: tuple[Term, ...] = ()
    minimum_match: int = 1
    phrase_boost: float = 0.0
    fuzzy: int = 0


class Snapshot(Protocol):
    """One consistent view: a generation plus the updates applied so far. Safe for many threads."""

    @property
    def generation(self) -> str: ...

    @property
    def size(self) -> int:
        """Live products (deleted ones not counted)."""
        ...

    def lexical(self, query: LexicalQuery, k: int, filters: Filters) -> Candidates:
        """The best k by field-boosted BM25. Equal scores: lower number first."""
        ...

    def dense(self, vector: NDArray[np.float32], k: int, filters: Filters) -> Candidates:
        """The k nearest by inner product. Exact under selective filters. Empty without vectors."""
        ...

    def browse(self, filters: Filters, sort: Sort, k: int) -> Candidates:
        """Products under `filters` in the given order (relevance = newest number first)."""
        ...

    def matching(self, query: LexicalQuery | None, filters: Filters) -> int:
        """How many products match; None matches all."""
        ...

    def satisfying(self, numbers: Numbers, filters: Filters) -> Numbers:
        """Those of `numbers` that are live and satisfy the filters, in the order given."""
        ...

    def facets(
        self, query: LexicalQuery | None, filters: Filters, fields: Sequence[str], limit: int
    ) -> dict[str, tuple[FacetCount, ...]]:
        """Exact counts over the matching products, most frequent first, at most `limit` each.

        A facet's own condition in `filters` does not narrow that facet (multi-select).
        """
        ...

    def ordered(
        self, query: LexicalQuery | None, filters: Filters, sort: Sort, k: int
    ) -> Candidates:
        """Matching products in a shopper-chosen order; unknown values come last."""
        ...

    def products(self, numbers: Numbers) -> list[Product]: ...

    def ids(self, numbers: Numbers) -> list[str]:
        """Product ids, without reading whole products."""
        ...

    def vectors(self, numbers: Numbers) -> Floats | None:
        """(len(numbers), d) float32 embeddings, or None in a generation without vectors."""
        ...

    def numbers(self, ids: Sequence[str]) -> Numbers:
        """(len(ids),) int64; -1 where the id is unknown or deleted."""
        ...


__all__ = ["AnalysedProduct", "Candidates", "Floats", "LexicalQuery", "Numbers", "Snapshot"]
