"""Where a listing stands for a query, why, and what would move it: what merchants are told."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tandem.contracts.product import ProductId
from tandem.contracts.search import Filters, Frozen

EditKind = Literal["title", "brand", "category", "attributes", "description", "together"]


class Check(Frozen):
    """One aspect of a listing. score: 0 (missing) to 1 (as good as it gets)."""

    name: str
    score: float = Field(ge=0, le=1)
    weight: float = Field(gt=0)
    found: str = Field(description="What is there, in words")
    suggestion: str | None = Field(default=None, description="What to do; none where all is well")


class ListingQuality(Frozen):
    """How complete and clear a listing is, beside listings of its kind.

    score: 0 to 100, the weighted mean of the checks. peers: how many listings it was held against.
    """

    score: float = Field(ge=0, le=100)
    peers: int = Field(ge=0)
    peers_are: str = Field(description="Which listings those are, in words")
    checks: tuple[Check, ...]


class Rival(Frozen):
    """A listing that stands above."""

    position: int
    product_id: ProductId
    title: str
    merchant: str | None = None


class Difference(Frozen):
    """What the ranker sees in those above and not, or less, in this listing.

    effect: of the feature on this listing's score less the mean effect on those above, in units
    of the ranker's score; negative.
    """

    feature: str
    says: str
    effect: float


class Edit(Frozen):
    """A change of the listing that was tried through the real search.

    claim: what must be true of the product for the change to be honest; None where the listing
    itself already says so elsewhere.
    position: where the listing would stand; None: not among those that the ranker looks at.
    gain: places gained; None where it did not stand anywhere before or would not after.
    """

    kind: EditKind
    says: str
    before: str
    after: str
    claim: str | None = None
    position: int | None = None
    gain: int | None = None


class Standing(Frozen):
    """Where one listing stands for one query, and why.

    position: 1-based; None: not among the candidates that the ranker looks at (`considered`).
    shut_out: conditions of the search that the product does not meet, in words; with any of
    them it cannot be shown at all.
    missing: words of the query that the listing nowhere says.
    """

    query: str
    product_id: ProductId
    title: str
    ranker: str
    position: int | None
    considered: int
    matches: int = Field(description="How many products have the query's words")
    filters: Filters = Filters()
    shut_out: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    summary: str
    above: tuple[Rival, ...] = ()
    differences: tuple[Difference, ...] = ()
    edits: tuple[Edit, ...] = ()
    quality: ListingQuality
    index_generation: str
    model_generation: str | None = None
    simulated: bool = False
