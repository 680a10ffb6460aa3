"""Evidence: how one query meets its candidates, computed once and shared by all features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.candidates import Candidates, Floats
from tandem.contracts.product import TEXT_FIELDS
from tandem.contracts.search import Term, Understanding
from tandem.features.store import SCHEMA, Columns, FeatureStore, FieldStatistics, hashes
from tandem.features.taste import Taste

# BM25 constants as in Robertson & Zaragoza (2009); short fields repeat terms seldom, so length
# normalisation is weaker there.
K1 = 1.2
B = {
    "title": 0.5,
    "brand": 0.0,
    "category": 0.3,
    "attributes": 0.6,
    "description": 0.75,
    "identifiers": 0.0,
}

# How much a word in each field says, for BM25F (see docs/ranking.md for how they were chosen).
FIELD_WEIGHTS = {
    "title": 5.0,
    "brand": 2.0,
    "category": 3.0,
    "attributes": 1.0,
    "description": 0.5,
    "identifiers": 1.0,
}


@dataclass(frozen=True)
class Matches:
    """Where query terms occur in one field of the candidates (n candidates, t terms).

    counts: (n, t) occurrences. lengths: (n,) terms in the field.
    row, term, position: (m,) each, one entry per occurrence, in text order within a row.
    """

    counts: Floats
    lengths: NDArray[np.int64]
    row: NDArray[np.int64]
    term: NDArray[np.int64]
    position: NDArray[np.int64]


def _forms(terms: tuple[Term, ...]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """All forms' hashes, sorted, and which term each belongs to. A form that two terms share
    ('laserprinter' of laser and of printer) is there twice."""
    owner = np.repeat(np.arange(len(terms)), [len(t.forms) for t in terms])
    values = hashes(form for t in terms for form in t.forms)
    order = np.argsort(values, kind="stable")
    return values[order], owner[order]


@dataclass(frozen=True)
class Evidence:
    """One query, its candidates, and what the store knows about them. Arrays are (n, …).

    vector: (d,) the query's embedding, or None without an encoder.
    vectors: (n, d) the candidates' embeddings, or None.
    categories: P(category path | query) from query understanding; empty when unknown.
    taste: what is known of who asks, where they allow it.
    """

    understanding: Understanding
    candidates: Candidates
    store: FeatureStore
    vector: Floats | None = None
    vectors: Floats | None = None
    categories: Mapping[str, float] | None = None
    taste: Taste | None = None

    @property
    def n(self) -> int:
        return len(self.candidates)

    @property
    def terms(self) -> tuple[Term, ...]:
        return self.understanding.terms

    @cached_property
    def columns(self) -> Columns:
        return self.store.columns(self.candidates.numbers)

    @cached_property
    def _query(self) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        return _forms(self.terms)

    @cached_property
    def matches(self) -> dict[str, Matches]:
        """Matches by text field."""
        return {name: self._match(name, self._query, len(self.terms)) for name in TEXT_FIELDS}

    def _match(
        self, field: str, query: tuple[NDArray[np.uint32], NDArray[np.int64]], width: int
    ) -> Matches:
        forms, owner_term = query
        terms, owner, lengths = self.store.gather(field, self.candidates.numbers)
        if forms.size == 0 or terms.size == 0:
            none = np.empty(0, np.int64)
            return Matches(np.zeros((self.n, width), np.float32), lengths, none, none, none)
        first = np.searchsorted(forms, terms)
        hit = np.flatnonzero(forms[np.minimum(first, forms.size - 1)] == terms)
        first, shared = first[hit], np.searchsorted(forms, terms[hit], "right") - first[hit]
        if (shared > 1).any():
            step = np.arange(int(shared.sum())) - np.repeat(np.cumsum(shared) - shared, shared)
            hit, first = np.repeat(hit, shared), np.repeat(first, shared) + step
        row, term = owner[hit], owner_term[first]
        flat = np.bincount(row * width + term, minlength=self.n * width)
        counts = flat.reshape(self.n, width).astype(np.float32)
        # `gather` may interleave rows of base and updates; positions are relative to the run of
        # equal owners, which is contiguous within each.
        run_start = np.zeros(terms.size, np.int64)
        change = np.flatnonzero(np.diff(owner)) + 1
        run_start[change] = change
        position = hit - np.maximum.accumulate(run_start)[hit]
        return Matches(counts, lengths, row, term, position)

    @cached_property
    def _idf(self) -> dict[tuple[str, tuple[Term, ...]], Floats]:
        return {}

    def idf(self, field: str, terms: tuple[Term, ...]) -> Floats:
        """(t,) BM25 idf in one field; a term's frequency is its most frequent form's."""
        known = self._idf.get((field, terms))
        if known is None:
            known = self._idf[field, terms] = _rarity(self.store.statistics[field], terms)
        return known

    @cached_property
    def importance(self) -> Floats:
        """(t,) each term's share of the query's information: idf in the title, summing to 1."""
        idf = self.idf("title", self.terms) * np.array([t.weight for t in self.terms], np.float32)
        total = float(idf.sum())
        return idf / total if total > 0 else idf

    @cached_property
    def bm25(self) -> dict[str, Floats]:
        """BM25 by field, (n,) each (Robertson & Zaragoza 2009)."""
        return {name: self._bm25(name, self.matches[name], self.terms) for name in TEXT_FIELDS}

    def _bm25(self, field: str, matches: Matches, terms: tuple[Term, ...]) -> Floats:
        if not terms:
            return np.zeros(self.n, np.float32)
        mean = max(self.store.statistics[field].mean_length, 1e-9)
        norm = K1 * (1 - B[field] + B[field] * matches.lengths / mean)
        tf = matches.counts / (matches.counts + norm[:, None]) * (K1 + 1)
        weights = self.idf(field, terms) * np.array([t.weight for t in terms], np.float32)
        return (tf @ weights).astype(np.float32)

    def bm25_of(self, terms: tuple[Term, ...], field: str) -> Floats:
        """BM25 of other terms than the query's (expansions, exclusions) in one field."""
        if not terms:
            return np.zeros(self.n, np.float32)
        return self._bm25(field, self._match(field, _forms(terms), len(terms)), terms)

    @cached_property
    def bm25f(self) -> Floats:
        """(n,) BM25F over all fields of the terms asked for (Robertson & Zaragoza 2009, §3.6)."""
        return self.weighted_bm25f(FIELD_WEIGHTS)

    def weighted_bm25f(self, weights: Mapping[str, float]) -> Floats:
        """(n,) BM25F with weights of one's own by text field."""
        return self._bm25f(self.matches, self.terms, weights)

    @cached_property
    def bm25f_flat(self) -> Floats:
        """(n,) BM25F with all fields weighing the same: finds what only details mention."""
        return self._bm25f(self.matches, self.terms, dict.fromkeys(TEXT_FIELDS, 1.0))

    def _bm25f(
        self, matches: Mapping[str, Matches], terms: tuple[Term, ...], weights: Mapping[str, float]
    ) -> Floats:
        if not terms:
            return np.zeros(self.n, np.float32)
        pooled = np.zeros((self.n, len(terms)))
        for name, weight in weights.items():
            m = matches[name]
            mean = max(self.store.statistics[name].mean_length, 1e-9)
            norm = 1 - B[name] + B[name] * m.lengths / mean
            pooled += weight * m.counts / norm[:, None]
        # A term is as rare as it is in the field that has it most often.
        idf = np.min([self.idf(name, terms) for name in weights], axis=0)
        shares = np.array([t.weight for t in terms]) * idf
        return np.asarray(pooled / (pooled + K1) * (K1 + 1) @ shares, np.float32)

    @cached_property
    def negated(self) -> dict[str, Matches]:
        """Matches of the terms that the query rules out ('without straw'), by text field."""
        terms = self.understanding.negated
        query = _forms(terms)
        return {name: self._match(name, query, len(terms)) for name in TEXT_FIELDS}

    @cached_property
    def negated_bm25f(self) -> Floats:
        """(n,) BM25F of the negated terms over all fields; 0 when there are none."""
        terms = self.understanding.negated
        if not terms:
            return np.zeros(self.n, np.float32)
        return self._bm25f(self.negated, terms, FIELD_WEIGHTS)

    @cached_property
    def negated_title_bm25(self) -> Floats:
        """(n,) BM25 of the negated terms in the title; 0 when there are none."""
        terms = self.understanding.negated
        if not terms:
            return np.zeros(self.n, np.float32)
        return self._bm25("title", self.negated["title"], terms)

    @cached_property
    def cosine(self) -> Floats:
        """(n,) cosine of query and product embeddings; NaN without embeddings."""
        if self.vector is None or self.vectors is None:
            return np.full(self.n, np.nan, np.float32)
        return np.asarray(self.vectors @ self.vector, np.float32)

    # --- The candidates among themselves --------------------------------------------------------

    @cached_property
    def first_guess(self) -> Floats:
        """(n,) words and meaning together, standardised within the candidates: who is probably
        relevant before any learning. What follows asks who is like the probably relevant."""
        words = standardised(self.bm25f)
        if np.isnan(self.cosine).any():
            return words
        return np.asarray((words + standardised(self.cosine)) / 2, np.float32)

    @cached_property
    def by_guess(self) -> NDArray[np.int64]:
        """(n,) candidates by first guess, best first."""
        return np.argsort(-self.first_guess, kind="stable")

    @cached_property
    def likeness(self) -> Floats | None:
        """(n, n) cosine of embeddings among candidates, or None without embeddings."""
        if self.vectors is None:
            return None
        return np.asarray(self.vectors @ self.vectors.T, np.float32)

    @cached_property
    def diffused_likeness(self) -> tuple[Floats, Floats] | None:
        """Diffusion over likeness, or None without embeddings."""
        return None if self.likeness is None else diffused(self.likeness, self.first_guess)

    @cached_property
    def diffused_kinship(self) -> tuple[Floats, Floats]:
        """Diffusion over kinship."""
        return diffused(self.kinship, self.first_guess)

    @cached_property
    def kinship(self) -> Floats:
        """(n, n) cosine of schema terms (tf-idf) among candidates: are they of one kind?"""
        terms, owner, _ = self.store.gather(SCHEMA, self.candidates.numbers)
        distinct, column = np.unique(terms, return_inverse=True)
        statistics = self.store.statistics[SCHEMA]
        rarity = np.log1p(statistics.documents / np.maximum(statistics.df(distinct), 1))
        table = np.zeros((self.n, distinct.size), np.float32)
        table[owner, column] = rarity[column]
        norm = np.linalg.norm(table, axis=1, keepdims=True)
        table /= np.maximum(norm, 1e-9)
        return np.asarray(table @ table.T, np.float32)


TEMPERATURE = 0.1


def diffused(similarity: Floats, guess: Floats) -> tuple[Floats, Floats]:
    """Score diffusion (Diaz 2005): guesses averaged over neighbourhoods, and their log density.

    similarity: (n, n), at most 1. guess: (n,). Returns (n,) and (n,); a product is no neighbour
    of its own.
    """
    weight = np.exp((similarity - 1) / TEMPERATURE)
    np.fill_diagonal(weight, 0)
    density = weight.sum(1) + 1e-9
    return np.asarray((weight @ guess) / density), np.log(density)


def _rarity(statistics: FieldStatistics, terms: tuple[Term, ...]) -> Floats:
    """(t,) log(1 + (N - df + ½) / (df + ½)), as Lucene computes idf for BM25."""
    owner = np.repeat(np.arange(len(terms)), [len(t.forms) for t in terms])
    df = np.zeros(len(terms))
    np.maximum.at(df, owner, statistics.df(hashes(form for t in terms for form in t.forms)))
    n = statistics.documents
    return np.log1p((n - df + 0.5) / (df + 0.5)).astype(np.float32)


def standardised(values: Floats) -> Floats:
    """Zero mean and unit spread over the candidates; all 0 when they are all alike."""
    spread = float(values.std()) if values.size else 0.0
    if spread < 1e-9:
        return np.zeros_like(values)
    return np.asarray((values - values.mean()) / spread, np.float32)
