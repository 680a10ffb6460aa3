"""Ranking features, each declared once and computed by the same code in training and serving.

A feature is a function of the evidence (query × candidates) that returns (n,) float32. NaN means
unknown, which is not zero. `NAME~` is the same feature standardised within the candidates: how a
product compares with the others, whatever the query's own level is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.candidates import Floats
from tandem.contracts.errors import InvalidInput
from tandem.contracts.product import TEXT_FIELDS
from tandem.features.evidence import Evidence, Matches
from tandem.features.taste import Looked

Compute = Callable[[Evidence], Floats]
RELATIVE = "~"
CLIP = 4.0  # standardised values beyond this say no more than this


@dataclass(frozen=True)
class Feature:
    """A declared feature.

    says: completes "this product stands here because …". lacks: what holds a product back
    when the feature counts against it; empty when that is nothing about the product.
    about_query: the same for all candidates, so no reason for any one of them.
    """

    name: str
    says: str
    compute: Compute
    lacks: str = ""
    about_query: bool = False


FEATURES: dict[str, Feature] = {}


def feature(
    name: str, says: str, lacks: str = "", *, about_query: bool = False
) -> Callable[[Compute], Compute]:
    """Declare a feature under a unique name."""

    def declare(compute: Compute) -> Compute:
        if name in FEATURES:
            raise ValueError(f"feature '{name}' is declared twice")
        FEATURES[name] = Feature(name, says, compute, lacks, about_query)
        return compute

    return declare


def feature_of(column: str) -> Feature:
    """The feature behind a column name, relative or not."""
    return FEATURES[column.removesuffix(RELATIVE)]


def with_relative(names: Sequence[str]) -> tuple[str, ...]:
    """The features, and each that differs between candidates standardised as well."""
    relative = [n + RELATIVE for n in names if not FEATURES[n].about_query]
    return (*names, *relative)


def compute_features(evidence: Evidence, columns: Sequence[str]) -> Floats:
    """(n, len(columns)) float32 matrix, in the order of `columns`."""
    unknown = [c for c in columns if c.removesuffix(RELATIVE) not in FEATURES]
    if unknown:
        raise InvalidInput(
            f"unknown feature(s): {', '.join(unknown)}",
            remedy="retrain the model with this version: tandem train ranker",
        )
    values: dict[str, Floats] = {}
    for column in columns:
        name = column.removesuffix(RELATIVE)
        if name not in values:
            values[name] = FEATURES[name].compute(evidence)
    # By column in memory: written and read by column, by us and by the models.
    matrix = np.empty((evidence.n, len(columns)), np.float32, order="F")
    for i, column in enumerate(columns):
        matrix[:, i] = values[column.removesuffix(RELATIVE)]
    relative = [i for i, column in enumerate(columns) if column.endswith(RELATIVE)]
    if relative and evidence.n:
        matrix[:, relative] = _relative(matrix[:, relative])
    return matrix


def _relative(values: Floats) -> Floats:
    """Columns standardised over the candidates, unknown values left unknown."""
    known = ~np.isnan(values)
    count = np.maximum(known.sum(0), 1)
    mean = np.where(known, values, 0).sum(0) / count
    spread = np.sqrt(np.where(known, (values - mean) ** 2, 0).sum(0) / count)
    return np.asarray(np.clip((values - mean) / (spread + 1e-6), -CLIP, CLIP), np.float32)


# --- Words: how the query's terms meet each field ---------------------------------------------


def _declare_field(name: str, words: str) -> None:
    @feature(f"{name}_bm25", f"the query's words are in its {words}")
    def field_bm25(e: Evidence) -> Floats:
        return e.bm25[name]


for _field, _words in zip(
    TEXT_FIELDS,
    ("title", "brand name", "category", "attributes", "description", "identifiers"),
    strict=True,
):
    _declare_field(_field, _words)

_NAME_IT = "its title lacks words of the query"


@feature(
    "bm25f", "its texts match the query's words well", "its texts use other words than the query"
)
def bm25f(e: Evidence) -> Floats:
    return e.bm25f


@feature(
    "bm25f_flat", "its details mention the query's words", "its details say little about the query"
)
def bm25f_flat(e: Evidence) -> Floats:
    return e.bm25f_flat


@feature("bm25f_all", "its texts match all of the query's words")
def bm25f_all(e: Evidence) -> Floats:
    """BM25F of all words, negated ones too: who says 'no straw' at least talks about straws."""
    return e.bm25f + e.negated_bm25f


@feature("negated_title", "its title mentions what the query rules out")
def negated_title(e: Evidence) -> Floats:
    return e.negated_title_bm25


@feature("negated_any", "its texts mention what the query rules out")
def negated_any(e: Evidence) -> Floats:
    return e.negated_bm25f


@feature("expansion_bm25", "it matches a synonym of the query's words")
def expansion_bm25(e: Evidence) -> Floats:
    return e.bm25_of(e.understanding.expansions, "title")


def _share(found: NDArray[np.bool_], e: Evidence) -> Floats:
    """Share of the query's information (idf) that is found; found is (n, t) of bool."""
    return np.asarray(found @ e.importance, np.float32)


def _found(e: Evidence, fields: Sequence[str]) -> NDArray[np.bool_]:
    found = np.zeros((e.n, len(e.terms)), bool)
    for name in fields:
        found |= e.matches[name].counts > 0
    return found


@feature("title_coverage", "its title covers what matters in the query", _NAME_IT)
def title_coverage(e: Evidence) -> Floats:
    return _share(_found(e, ["title"]), e)


@feature("core_coverage", "title, brand and category cover what matters in the query", _NAME_IT)
def core_coverage(e: Evidence) -> Floats:
    return _share(_found(e, ["title", "brand", "category"]), e)


@feature(
    "coverage",
    "it covers what matters in the query",
    "words of the query are missing from all its texts",
)
def coverage(e: Evidence) -> Floats:
    return _share(_found(e, TEXT_FIELDS), e)


@feature(
    "term_share",
    "it has most of the query's words",
    "words of the query are missing from all its texts",
)
def term_share(e: Evidence) -> Floats:
    """Share of the query's terms that any field has, each term counting the same."""
    return _mean(_found(e, TEXT_FIELDS)) if e.terms else _zeros(e)


@feature("all_in_title", "its title has every word of the query", _NAME_IT)
def all_in_title(e: Evidence) -> Floats:
    return np.asarray(_found(e, ["title"]).all(1), np.float32)


@feature("head_in_title", "its title names the thing that was asked for", _NAME_IT)
def head_in_title(e: Evidence) -> Floats:
    """1 when the title has the query's last term, in many languages the head of the phrase."""
    return _found(e, ["title"])[:, -1].astype(np.float32) if e.terms else _zeros(e)


@feature(
    "head_in_category",
    "its category names the thing that was asked for",
    "its category is another than most matches' or is missing",
)
def head_in_category(e: Evidence) -> Floats:
    return _found(e, ["category"])[:, -1].astype(np.float32) if e.terms else _zeros(e)


@feature("rarest_in_title", "its title has the query's most telling word", _NAME_IT)
def rarest_in_title(e: Evidence) -> Floats:
    if not e.terms:
        return _zeros(e)
    return _found(e, ["title"])[:, int(np.argmax(e.importance))].astype(np.float32)


@feature(
    "brand_coverage",
    "the query names its brand",
    "the query names another brand, or its brand is missing",
)
def brand_coverage(e: Evidence) -> Floats:
    """Share of the query's terms that are in the brand's name."""
    return _mean(_found(e, ["brand"])) if e.terms else _zeros(e)


@feature(
    "title_first",
    "the query's words come early in its title",
    "its title does not begin with what it is",
)
def title_first(e: Evidence) -> Floats:
    """1 / (1 + position of the first match); 0 without a match."""
    m = e.matches["title"]
    first = np.full(e.n, np.inf)
    np.minimum.at(first, m.row, m.position)
    return (1 / (1 + first)).astype(np.float32)


@feature("title_depth", "the query's words come early in its title")
def title_depth(e: Evidence) -> Floats:
    """Position of the first match as a share of the title's length; 1 without a match."""
    m = e.matches["title"]
    first = np.full(e.n, np.inf)
    np.minimum.at(first, m.row, m.position)
    return np.minimum(first / np.maximum(m.lengths, 1), 1).astype(np.float32)


@feature("title_pairs", "words of the query stand side by side in its title")
def title_pairs(e: Evidence) -> Floats:
    """Share of the query's neighbouring pairs that are neighbours in the title, in order."""
    if len(e.terms) < 2:
        return _zeros(e)
    return _adjacent(e.matches["title"], e.n, len(e.terms)) / np.float32(len(e.terms) - 1)


def _adjacent(m: Matches, n: int, width: int) -> Floats:
    follows = (
        (m.row[1:] == m.row[:-1])
        & (m.position[1:] == m.position[:-1] + 1)
        & (m.term[1:] == m.term[:-1] + 1)
    )
    pairs = np.unique(m.row[:-1][follows] * width + m.term[:-1][follows])
    return np.bincount(pairs // width, minlength=n).astype(np.float32)


@feature(
    "number_match",
    "the numbers in the query are in its title",
    "its title lacks the numbers of the query",
)
def number_match(e: Evidence) -> Floats:
    """Share of the query's terms with digits (sizes, models) that the title has; 1 when none."""
    numeric = [i for i, t in enumerate(e.terms) if any(c.isdigit() for c in t.text)]
    if not numeric:
        return np.ones(e.n, np.float32)
    return _mean(_found(e, ["title"])[:, numeric])


@feature("title_length", "its title is of a good length")
def title_length(e: Evidence) -> Floats:
    return np.log1p(e.matches["title"].lengths).astype(np.float32)


# --- Meaning ----------------------------------------------------------------------------------


@feature("cosine", "it is close to the query in meaning", "it is further from the query in meaning")
def cosine(e: Evidence) -> Floats:
    return e.cosine


# --- Intent -----------------------------------------------------------------------------------


@feature("brand_intent", "it is of the brand that was asked for")
def brand_intent(e: Evidence) -> Floats:
    """Confidence of the brand intent that this product's brand satisfies; 0 when none."""
    values = _zeros(e)
    for intent in e.understanding.intents:
        if intent.kind == "brand":
            code = e.store.names.code("brand", intent.value)
            if code >= 0:
                values[e.columns.brand == code] = intent.confidence
    return values


@feature(
    "category_intent",
    "it is in the category that was meant",
    "its category is another than most matches' or is missing",
)
def category_intent(e: Evidence) -> Floats:
    """P(category | query) of the product's own category path; NaN when nothing is known."""
    if not e.categories:
        return np.full(e.n, np.nan, np.float32)
    by_code = np.zeros(len(e.store.names.category) + 1, np.float32)
    for path, probability in e.categories.items():
        code = e.store.names.code("category", path)
        if code >= 0:
            by_code[code] = probability
    return by_code[e.columns.category]  # code -1 (no category) reads the last entry, 0


# --- Company: who it stands with among the candidates ------------------------------------------
# The probably relevant candidates say what the query means (pseudo-relevance feedback, Rocchio
# 1971); candidates like them are probably relevant as well (score diffusion, Diaz 2005).

_COMPANY = "it is like the products that match best"


def _to_best(likeness: Floats, e: Evidence, k: int) -> Floats:
    """Mean likeness to the k best first guesses, weighted by softmax of the guess."""
    best = e.by_guess[:k]
    guess = e.first_guess[best]
    weight = np.exp(guess - guess.max(initial=0))
    return np.asarray(likeness[:, best] @ (weight / weight.sum()), np.float32)


@feature("like_best_10", _COMPANY)
def like_best_10(e: Evidence) -> Floats:
    return _unknown(e) if e.likeness is None else _to_best(e.likeness, e, 10)


@feature("like_best_30", _COMPANY)
def like_best_30(e: Evidence) -> Floats:
    if e.likeness is None:
        return _unknown(e)
    return _mean(e.likeness[:, e.by_guess[:30]])


@feature("neighbours", _COMPANY)
def neighbours(e: Evidence) -> Floats:
    """Mean first guess of the 10 candidates nearest in meaning."""
    if e.likeness is None or e.n < 2:
        return _unknown(e)
    others = e.likeness.copy()
    np.fill_diagonal(others, -2)
    k = min(10, e.n - 1)
    # Who is at least as near as the k-th nearest: one partition of values, quicker than of places.
    near = others >= np.partition(others, e.n - k, axis=1)[:, e.n - k, None]
    return np.asarray((near @ e.first_guess) / near.sum(1), np.float32)


@feature("diffused", _COMPANY)
def diffused(e: Evidence) -> Floats:
    return _unknown(e) if e.diffused_likeness is None else e.diffused_likeness[0]


@feature("density", "many candidates are like it")
def density(e: Evidence) -> Floats:
    return _unknown(e) if e.diffused_likeness is None else e.diffused_likeness[1]


_KIND = "it is of the kind of thing that was asked for"
_KIND_LACKS = "its category and attributes differ from the best matches'"


@feature("kind_best_10", _KIND, _KIND_LACKS)
def kind_best_10(e: Evidence) -> Floats:
    return _to_best(e.kinship, e, 10)


@feature("kind_best_30", _KIND, _KIND_LACKS)
def kind_best_30(e: Evidence) -> Floats:
    return _mean(e.kinship[:, e.by_guess[:30]])


@feature("kind_diffused", _KIND, _KIND_LACKS)
def kind_diffused(e: Evidence) -> Floats:
    return e.diffused_kinship[0]


@feature("kind_density", "many candidates are of its kind")
def kind_density(e: Evidence) -> Floats:
    return e.diffused_kinship[1]


@feature(
    "category_share",
    "its category is the one that most matches are in",
    "its category is another than most matches' or is missing",
)
def category_share(e: Evidence) -> Floats:
    """Share of the 30 best first guesses that are in the same category (0 without one)."""
    return _same(e.columns.category, e)


@feature("brand_share", "its brand is common among the matches")
def brand_share(e: Evidence) -> Floats:
    return _same(e.columns.brand, e)


def _same(codes: NDArray[np.int32], e: Evidence) -> Floats:
    best = codes[e.by_guess[:30]]
    same = (codes[:, None] == best[None, :]) & (codes[:, None] >= 0)
    return _mean(same)


# --- The product itself -----------------------------------------------------------------------


@feature("rating", "shoppers rate it well")
def rating(e: Evidence) -> Floats:
    return e.columns.rating.astype(np.float32)


@feature("popularity", "many shoppers have rated it")
def popularity(e: Evidence) -> Floats:
    """log(1 + number of ratings); NaN when unknown."""
    return np.log1p(e.columns.rating_count).astype(np.float32)


@feature("price", "its price fits")
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


# --- Taste: how it goes with what the visitor looked at, where the visitor allows it -----------


def _declare_taste(when: str, words: str) -> None:
    def looked(e: Evidence) -> Looked | None:
        return None if e.taste is None else getattr(e.taste, when)

    @feature(f"{when}_brand", f"you looked at products of its brand {words}")
    def taste_brand(e: Evidence) -> Floats:
        """Weighted share of what was looked at that is of its brand; the newest counts most."""
        seen = looked(e)
        return _unknown(e) if seen is None else seen.share("brand", e.columns.brand)

    @feature(f"{when}_merchant", f"you looked at products of its seller {words}")
    def taste_merchant(e: Evidence) -> Floats:
        """Weighted share of what was looked at that is of its merchant."""
        seen = looked(e)
        return _unknown(e) if seen is None else seen.share("merchant", e.columns.merchant)

    @feature(f"{when}_category", f"you looked at products of its category {words}")
    def taste_category(e: Evidence) -> Floats:
        """Weighted overlap (Dice) of its category path with those looked at; NaN without one."""
        seen = looked(e)
        if seen is None or not any(seen.paths):
            return _unknown(e)
        share = seen.overlap(e.store, e.columns.category) @ seen.weights
        return np.where(e.columns.category >= 0, share, np.nan).astype(np.float32)

    @feature(f"{when}_price", f"its price is like those of products that you looked at {words}")
    def taste_price(e: Evidence) -> Floats:
        """exp(-|difference of log prices|), weighted mean over what was looked at, mostly over
        what is of its category; NaN where a price is unknown."""
        seen = looked(e)
        if seen is None or np.isnan(seen.columns.price).all():
            return _unknown(e)
        known = np.flatnonzero(~np.isnan(seen.columns.price))
        alike = seen.overlap(e.store, e.columns.category)[:, known] + np.float32(0.05)
        weight = alike * seen.weights[known]
        logs = np.log(np.maximum(seen.columns.price[known], 0.01))
        own = np.log(np.maximum(e.columns.price, 0.01))
        near = np.exp(-np.abs(own[:, None] - logs[None, :]))
        return np.asarray((near * weight).sum(1) / weight.sum(1), np.float32)

    @feature(f"{when}_meaning", f"it is like what you looked at {words}")
    def taste_meaning(e: Evidence) -> Floats:
        """Weighted mean cosine with what was looked at; NaN without vectors."""
        seen = looked(e)
        if seen is None or seen.centre is None or e.vectors is None:
            return _unknown(e)
        return np.asarray(e.vectors @ seen.centre, np.float32)

    @feature(f"{when}_nearest", f"it is very like something that you looked at {words}")
    def taste_nearest(e: Evidence) -> Floats:
        """Highest cosine with anything else that was looked at; NaN without vectors."""
        seen = looked(e)
        if seen is None or seen.vectors is None or e.vectors is None:
            return _unknown(e)
        cosine = e.vectors @ seen.vectors.T
        itself = e.candidates.numbers[:, None] == seen.numbers[None, :]
        nearest = np.where(itself, -1, cosine).max(1)
        return np.where(nearest > -1, nearest, np.nan).astype(np.float32)

    @feature(f"{when}_same", f"you looked at it {words}")
    def taste_same(e: Evidence) -> Floats:
        """1 for what was looked at itself."""
        seen = looked(e)
        if seen is None:
            return _unknown(e)
        return np.isin(e.candidates.numbers, seen.numbers).astype(np.float32)


_declare_taste("session", "in this visit")
_declare_taste("before", "before")

# --- The query and the first stage --------------------------------------------------------------


@feature("first_guess", "words and meaning both match")
def first_guess(e: Evidence) -> Floats:
    return e.first_guess


@feature("words_rank", "it is among the best by words")
def words_rank(e: Evidence) -> Floats:
    return _reciprocal_rank(e.bm25f)


@feature("meaning_rank", "it is among the best by meaning")
def meaning_rank(e: Evidence) -> Floats:
    return _reciprocal_rank(e.cosine)


def _reciprocal_rank(scores: Floats) -> Floats:
    if np.isnan(scores).any():
        return np.full(scores.size, np.nan, np.float32)
    rank = np.empty(scores.size, np.int64)
    rank[np.argsort(-scores, kind="stable")] = np.arange(scores.size)
    return (1 / (10 + rank)).astype(np.float32)


@feature("query_terms", "", about_query=True)
def query_terms(e: Evidence) -> Floats:
    return np.full(e.n, len(e.terms), np.float32)


@feature("query_idf", "", about_query=True)
def query_idf(e: Evidence) -> Floats:
    """Mean idf of the query's terms in titles: how specific the query is."""
    mean = float(e.idf("title", e.terms).mean()) if e.terms else 0.0
    return np.full(e.n, mean, np.float32)


@feature("query_cosine", "", about_query=True)
def query_cosine(e: Evidence) -> Floats:
    """The best candidate's cosine: whether the catalogue has what is meant."""
    best = float(e.cosine.max()) if e.n else np.nan
    return np.full(e.n, best, np.float32)


@feature("query_full_matches", "", about_query=True)
def query_full_matches(e: Evidence) -> Floats:
    """log(1 + candidates whose title has every term)."""
    return np.full(e.n, np.log1p(all_in_title(e).sum()), np.float32)


def _mean(rows: NDArray[Any]) -> Floats:
    return np.asarray(rows.mean(1, dtype=np.float32))


def _zeros(e: Evidence) -> Floats:
    return np.zeros(e.n, np.float32)


def _unknown(e: Evidence) -> Floats:
    return np.full(e.n, np.nan, np.float32)


# What the default ranker reads. Rating, popularity, price and freshness are declared for shops
# whose own data shows a gain; on the judged data sets they gave none (docs/ranking.md).
PRIORS = ("rating", "popularity", "price", "freshness")
# What the personal ranker reads, and no other: the others rank alike for everybody.
TASTE = tuple(n for n in FEATURES if n.startswith(("session_", "before_")))
LTR_FEATURES = with_relative([n for n in FEATURES if n not in PRIORS and n not in TASTE])
