"""What goes into a search and what comes out: the same types in Python, CLI and HTTP."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from tandem.contracts.product import AttributeValue, Product

MAX_QUERY = 512
MAX_PAGE_SIZE = 200
MAX_DEPTH = 10_000


class Sort(StrEnum):
    """Orders that a shopper may ask for; `relevance` is the ranker's own."""

    RELEVANCE = "relevance"
    PRICE_ASC = "price_asc"
    PRICE_DESC = "price_desc"
    RATING = "rating"
    NEWEST = "newest"


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Filters(Frozen):
    """Conditions every result must satisfy. Values within one list are alternatives (OR);
    different conditions are all required (AND). An unknown value matches nothing.
    """

    brand: tuple[str, ...] = ()
    merchant: tuple[str, ...] = ()
    category: tuple[str, ...] = Field(
        default=(), description="Category paths joined by ' > '; a path includes what lies below"
    )
    language: tuple[str, ...] = ()
    attributes: dict[str, tuple[AttributeValue, ...]] = Field(default_factory=dict, max_length=32)
    price_min: Decimal | None = Field(default=None, ge=0)
    price_max: Decimal | None = Field(default=None, ge=0)
    rating_min: float | None = Field(default=None, ge=0, le=5)
    in_stock: bool | None = Field(
        default=None, description="True leaves out products whose stock is known to be 0"
    )

    def is_empty(self) -> bool:
        return self == Filters()


class SearchRequest(Frozen):
    """One search. `page` starts at 1. An empty `q` browses the catalogue under the filters."""

    q: str = Field(default="", max_length=MAX_QUERY, examples=["bluetooth speaker"])
    filters: Filters = Filters()
    facets: tuple[str, ...] = Field(
        default=(), max_length=16, description="Facets to count: brand, merchant, category, …"
    )
    sort: Sort = Sort.RELEVANCE
    page: int = Field(default=1, ge=1, le=MAX_DEPTH)
    size: int = Field(default=20, ge=1, le=MAX_PAGE_SIZE)
    ranker: str | None = Field(default=None, max_length=64, examples=["ltr", "bm25"])
    language: str | None = Field(default=None, pattern=r"^[a-z]{2,3}$")
    explain: bool = False
    rewrite: bool = Field(
        default=True, description="False searches for the words as typed: no spelling correction"
    )


class Step(Frozen):
    """One step of query understanding: what it saw and what it did, for `explain`."""

    name: str
    detail: str
    confidence: float | None = None


class Intent(Frozen):
    """Something the shopper meant beyond words. `hard` intents filter, the others boost.

    kind: `brand`, `category`, `attribute`, `price_max`, `price_min`, `exclude`, …
    `value` holds the attribute's value, the brand's name, the category path or the amount.
    """

    kind: str
    value: str
    confidence: float = Field(ge=0, le=1)
    field: str | None = None
    hard: bool = False
    text: str = Field(default="", description="The part of the query that says so")


class Term(Frozen):
    """One query term with the analysed forms that count as a match.

    `forms` holds the term as each language of the catalogue analyses it, best first;
    `weight` is 1 for a term the shopper typed, less for an expansion (synonym, compound part).
    """

    text: str
    forms: tuple[str, ...]
    weight: float = 1.0


class Understanding(Frozen):
    """A query after query understanding: what will really be searched."""

    raw: str
    text: str = Field(description="Normalised and, when sure enough, corrected query")
    language: str | None = None
    terms: tuple[Term, ...] = ()
    expansions: tuple[Term, ...] = Field(default=(), description="Synonyms and the like")
    negated: tuple[Term, ...] = Field(
        default=(), description="From 'without x': still retrieved by, and left to the ranker"
    )
    excluded: tuple[Term, ...] = Field(default=(), description="From '-x': never shown")
    intents: tuple[Intent, ...] = ()
    filters: Filters = Filters()
    corrected: str | None = Field(default=None, description="Set when `text` was corrected")
    suggestion: str | None = Field(default=None, description="Did you mean, not applied")
    steps: tuple[Step, ...] = ()


class FacetCount(Frozen):
    """How many matching products have a value: text, number or flag, as the product has it."""

    value: AttributeValue
    count: int


class Contribution(Frozen):
    """How one feature moved one product's score (additive, in units of the ranker's score)."""

    feature: str
    value: float | None
    contribution: float


class Explanation(Frozen):
    """Why a product stands where it stands: a sentence for merchants, numbers for scientists."""

    sentence: str
    contributions: tuple[Contribution, ...] = ()
    rules: tuple[str, ...] = ()
    sources: dict[str, float] = Field(
        default_factory=dict, description="First-stage score by source (lexical, dense)"
    )


class Hit(Frozen):
    """One result. `position` is 1-based over all pages."""

    position: int
    score: float
    product: Product
    explanation: Explanation | None = None
    because: str | None = Field(
        default=None, description="What about the visitor moved it up; null where nothing did"
    )


class SearchResponse(Frozen):
    """Results and everything needed to trace how they came about.

    `total` counts the products that have the query's words (after relaxation: all of one or two,
    most of more) and satisfy the filters; facets are counted over exactly that set. `related`
    counts further hits that are close in meaning or have fewer of the words; they can be paged to.
    `timings_ms` is by stage, in milliseconds.
    """

    query_id: str
    query: str
    hits: tuple[Hit, ...]
    total: int
    related: int = 0
    page: int
    size: int
    facets: dict[str, tuple[FacetCount, ...]] = Field(default_factory=dict)
    understanding: Understanding
    relaxed: str | None = Field(default=None, description="What was relaxed, in words")
    ranker: str
    index_generation: str
    model_generation: str | None = None
    personal: bool = Field(
        default=False, description="Whether anything about this visitor moved the list"
    )
    simulated: bool = Field(default=False, description="True when the catalogue is simulated")
    parts: dict[str, str] = Field(
        default_factory=dict,
        description="Generation by kind of everything else that had a say: catalogue, weights, "
        "encoder, cross-encoder, personal ranker",
    )
    timings_ms: dict[str, float] = Field(default_factory=dict)


class Suggestion(Frozen):
    """A completion. `kind` is `query`, `category`, `brand` or `product`."""

    text: str
    kind: str
    score: float
    product_id: str | None = None


JSON = dict[str, Any]
