"""All prices of a catalogue are in one currency: filters and sorting by price compare amounts."""

from __future__ import annotations

from tandem.ingest.currencies import is_currency
from tandem.ingest.mapping import Draft
from tandem.ingest.problem import Problem, shorten


class OneCurrency:
    """Sets the draft's `currency`. Fails on codes that ISO 4217 lacks and on other currencies."""

    def __init__(self, expected: str) -> None:
        self.expected = expected

    def __call__(self, draft: Draft) -> Problem | None:
        price = draft.get("price")
        if isinstance(price, dict):
            unknown = price.keys() - {"amount", "currency"}
            if unknown or "amount" not in price:
                return Problem(
                    "price-not-a-number",
                    "price",
                    "a price object needs amount and currency, and nothing else",
                    'write {"amount": "12.50", "currency": "EUR"}',
                )
            draft["price"] = price["amount"]
            if price.get("currency") is not None:
                draft["currency"] = price["currency"]
        named = draft.get("currency")
        if named is None:
            draft["currency"] = self.expected
            return None
        code = named.strip().upper() if isinstance(named, str) else named
        if not is_currency(code):
            return Problem(
                "currency-unknown",
                "currency",
                f"{shorten(repr(named))} is no currency of ISO 4217",
                "use the three-letter code, such as EUR",
            )
        if code != self.expected:
            return Problem(
                "currency-other",
                "currency",
                f"the price is in {code}, but this catalogue is in {self.expected}",
                f"convert the price to {self.expected}, or import with currency {code}",
            )
        draft["currency"] = code
        return None
