"""Ranking features, each declared once and computed by the same code in training and serving.

A feature is a function of the evidence (query × candidates) that returns (n,) float32. NaN means
unknown, which is not zero. `says` completes the sentence "this product stands here because …".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tandem.contracts.candidates import Floats
from tandem.contracts.errors import InvalidInput
from tandem.contracts.product import TEXT_FIELDS
from tandem.features.evidence import Evidence, Matches

Compute = Callable[[Evidence], Floats]


@dataclass(frozen=True)
class Feature:
    """A declared feature.

    monotone: 1 when more can only help, -1 when more can only harm, 0 when it depends. Trees keep
    to it, which protects a model trained on few queries from learning accidents.
    """

    name: str
    says: str
    compute: Compute
    monotone: int = 0


FEATURES: dict[str, Feature] = {}


def feature(name: str, says: str, monotone: int = 0) -> Callable[[Compute], Compute]:
    """Declare a feature under a unique name."""

    def declare(compute: Compute) -> Compute:
        if name in FEATURES:
            raise ValueError(f"feature '{name}' is declared twice")
        FEATURES[name] = Feature(name, says, compute, monotone)
        return compute

    return declare


def compute_features(evidence: Evidence, names: Sequence[str]) -> Floats:
    """(n, len(names)) float32 matrix, columns in the order of `names`."""
    unknown = [n for n in names if n not in FEATURES]
    if unknown:
        raise InvalidInput(
            f"unknown feature(s): {', '.join(unknown)}",
            remedy="retrain the model with this version: tandem train ranker",
        )
    matrix = np.empty((evidence.n, len(names)), np.float32)
    for column, name in enumerate(names):
        matrix[:, column] = FEATURES[name].compute(evidence)
    return matrix


# --- Words: how the query's terms meet each field ---------------------------------------------


def _declare_field(name: str, words: str) -> None:
    @feature(f"{name}_bm25", f"the query's words occur in its {words}", monotone=1)
    def field_bm25(e: Evidence) -> Floats:
        return e.bm25[name]


for _field, _words in zip(
    TEXT_FIELDS,
    ("title", "brand name", "category", "attributes", "description", "identifiers"),
    strict=True,
):
    _declare_field(_field, _words)


@feature("title_coverage", "its title covers what matters in the query", monotone=1)
def title_coverage(e: Evidence) -> Floats:
    """Share of the query's information (idf) whose terms the title holds."""
    return np.asarray((e.matches["title"].counts > 0) @ e.importance, np.float32)


@feature("coverage", "it covers what matters in the query", monotone=1)
def coverage(e: Evidence) -> Floats:
    """Share of the query's information that any field holds."""
    found = np.zeros((e.n, len(e.terms)), bool)
    for matches in e.matches.values():
        found |= matches.counts > 0
    return np.asarray(found @ e.importance, np.float32)


@feature("head_in_title", "its title names the thing that was asked for", monotone=1)
def head_in_title(e: Evidence) -> Floats:
    """1 when the title holds the query's last term, in many languages the head of the phrase."""
    if not e.terms:
        return np.zeros(e.n, np.float32)
    return (e.matches["title"].counts[:, -1] > 0).astype(np.float32)


@feature("title_density", "its title is about the query and little else", monotone=1)
def title_density(e: Evidence) -> Floats:
    """Share of the title's terms that are query terms."""
    matches = e.matches["title"]
    return (matches.counts.sum(1) / np.maximum(matches.lengths, 1)).astype(np.float32)


@feature("title_first", "the query's words come early in its title", monotone=1)
def title_first(e: Evidence) -> Floats:
    """1 / (1 + position of the first match); 0 without a match."""
    matches = e.matches["title"]
    first = np.full(e.n, np.inf)
    np.minimum.at(first, matches.row, matches.position)
    return (1 / (1 + first)).astype(np.float32)


@feature("title_pairs", "words of the query stand side by side in its title", monotone=1)
def title_pairs(e: Evidence) -> Floats:
    """Share of the query's neighbouring pairs that are neighbours in the title, in order."""
    if len(e.terms) < 2:
        return np.zeros(e.n, np.float32)
    pairs = _adjacent(e.matches["title"], e.n, len(e.terms))
    return pairs / np.float32(len(e.terms) - 1)


def _adjacent(m: Matches, n: int, width: int) -> Floats:
    follows = (
        (m.row[1:] == m.row[:-1])
        & (m.position[1:] == m.position[:-1] + 1)
        & (m.term[1:] == m.term[:-1] + 1)
    )
    pairs = np.unique(m.row[:-1][follows] * width + m.term[:-1][follows])
    return np.bincount(pairs // width, minlength=n).astype(np.float32)


@feature("expansion_bm25", "it matches a synonym of the query's words", monotone=1)
def expansion_bm25(e: Evidence) -> Floats:
    return e.bm25_of(e.understanding.expansions, "title")


# --- Meaning ----------------------------------------------------------------------------------


@feature("cosine", "it is close to the query in meaning", monotone=1)
def cosine(e: Evidence) -> Floats:
    return e.cosine


# --- Intent -----------------------------------------------------------------------------------


@feature("brand_intent", "it is of the brand that was asked for", monotone=1)
def brand_intent(e: Evidence) -> Floats:
    """Confidence of the brand intent that this product's brand satisfies; 0 when none."""
    values = np.zeros(e.n, np.float32)
    for intent in e.understanding.intents:
        if intent.kind == "brand":
            code = e.store.names.code("brand", intent.value)
            if code >= 0:
                values[e.columns.brand == code] = intent.confidence
    return values


@feature("category_intent", "it is in the category that was meant", monotone=1)
def category_intent(e: Evidence) -> Floats:
    """P(category | query) of the product's own category path; NaN when nothing is known."""
    if not e.categories:
        return np.full(e.n, np.nan, np.float32)
    by_code = np.zeros(len(e.store.names.category) + 1, np.float32)
    for path, probability in e.categories.items():
        by_code[e.store.names.code("category", path)] = probability
    by_code[-1] = 0.0  # products without a category
    return by_code[e.columns.category]


@feature("exclude", "it mentions what the query rules out", monotone=-1)
def exclude(e: Evidence) -> Floats:
    """BM25 in the title of the terms that 'without …' rules out."""
    return e.bm25_of(e.understanding.excluded, "title")


# --- The product itself -----------------------------------------------------------------------


@feature("rating", "shoppers rate it well", monotone=1)
def rating(e: Evidence) -> Floats:
    return e.columns.rating.astype(np.float32)


@feature("popularity", "many shoppers have rated it", monotone=1)
def popularity(e: Evidence) -> Floats:
    """log(1 + number of ratings); NaN when unknown."""
    return np.log1p(e.columns.rating_count).astype(np.float32)


@feature("price", "its price")
def price(e: Evidence) -> Floats:
    """log(1 + price in major units); NaN when unknown."""
    return np.log1p(e.columns.price).astype(np.float32)


@feature("freshness", "it is new in the catalogue")
def freshness(e: Evidence) -> Floats:
    """Years before the newest candidate, negative; NaN when unknown. Relative, so that a result
    does not depend on the day on which it is computed."""
    created = e.columns.created
    known = created[~np.isnan(created)]
    newest = known.max() if known.size else np.nan
    return ((created - newest) / 365.25).astype(np.float32)


@feature("title_length", "the length of its title")
def title_length(e: Evidence) -> Floats:
    return np.log1p(e.matches["title"].lengths).astype(np.float32)


# --- The query --------------------------------------------------------------------------------


@feature("query_terms", "how many words the query has")
def query_terms(e: Evidence) -> Floats:
    return np.full(e.n, len(e.terms), np.float32)
