"""A merchant's week, released: what is of enough people, and what is withheld."""

from __future__ import annotations

from datetime import date

from pydantic import Field

from tandem.contracts.search import Frozen


class WeekFigures(Frozen):
    """One week of a merchant. None: of too few people to be told, a sum mostly of one of them, or
    recorded nowhere; that is not zero.

    people: who did anything with the merchant's products. sales: in major units of the shop's
    currency.
    """

    people: int | None = None
    shown: int | None = None
    clicks: int | None = None
    carts: int | None = None
    orders: int | None = None
    sales: float | None = None


class AskedFor(Frozen):
    """A search after which the merchant's products were used. people: who did."""

    query: str
    people: int
    clicks: int


class MerchantWeek(Frozen):
    """period: ISO week. before: the week before it."""

    merchant: str
    period: str = Field(examples=["2026-W13"])
    since: date
    until: date = Field(description="The day after the week")
    k: int
    currency: str
    now: WeekFigures
    before: WeekFigures
    products: tuple[tuple[str, WeekFigures], ...] = ()
    queries: tuple[AskedFor, ...] = ()
    withheld: dict[str, int]
    simulated: bool = False
