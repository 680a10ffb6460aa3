"""Search query performance: how often a query is asked, and what of it comes to one merchant."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tandem.contracts.product import ProductId
from tandem.contracts.search import Frozen

Chance = Literal["opportunity", "supply_gap"]


class Funnel(Frozen):
    """Counts of events of at least k people. None: nothing was released, which is not zero."""

    impressions: int | None
    clicks: int | None
    carts: int | None
    purchases: int | None


class QueryPerformance(Frozen):
    """One query in one period.

    search_query_volume: how often it was asked. people: by how many browsers or apps.
    own: what came to the merchant's products; None where that is of fewer people than may be told.
    click_share: own clicks ÷ all clicks; None where either is not known or nobody clicked.
    place: of the merchant's best product in today's search; None: none among those ranked.
    """

    query: str
    search_query_volume: int
    people: int | None
    market: Funnel
    own: Funnel | None
    click_share: float | None = None
    place: int | None = None
    product_id: ProductId | None = None
    title: str | None = None
    results: int = Field(description="How many products have the query's words today")
    chance: Chance | None = None
    volume_before: int | None = Field(
        default=None, description="How often it was asked in the month before; None: not known"
    )
    rising: bool = Field(
        default=False,
        description="Its part of all searches grew by a quarter or more, and not by chance",
    )


class SearchPerformance(Frozen):
    """A merchant's report of one month. `withheld`: cells left out, by reason, both reports."""

    merchant: str
    period: str
    k: int
    queries: tuple[QueryPerformance, ...]
    withheld: dict[str, int]
    simulated: bool = False
