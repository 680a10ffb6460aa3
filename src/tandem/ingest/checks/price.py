"""A price is an exact, finite amount that is not negative. A product may have none."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from tandem.ingest.currencies import minor_digits
from tandem.ingest.mapping import Draft
from tandem.ingest.problem import Problem, shorten

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,2})?", re.ASCII)
_NOT_FINITE = re.compile(r"[+-]?(s?nan|inf|infinity)", re.IGNORECASE)
_FINEST = Decimal("0.0001")
_LARGEST = Decimal(10) ** 14


class Price:
    """Turns amount and currency into the contract's money.

    minor_units: amounts are in cents (or whatever the currency's smallest unit is).
    Amounts are rounded to 4 decimals, the finest that the contract knows, so that floating-point
    noise (29.990000000000002) does no harm.
    """

    def __init__(self, *, minor_units: bool = False) -> None:
        self.minor_units = minor_units

    def __call__(self, draft: Draft) -> Problem | None:
        raw = draft.get("price")
        currency = draft.pop("currency")
        if raw is None:
            return None
        amount = _read(raw)
        if amount is None:
            return Problem(
                "price-not-a-number",
                "price",
                f"{shorten(repr(raw))} is no amount",
                "write digits and a decimal point only, such as 1299.00",
            )
        if not amount.is_finite():
            return Problem(
                "price-not-finite",
                "price",
                f"the price is {'NaN' if amount.is_nan() else 'infinite'}",
                "leave the price empty where it is unknown",
            )
        if amount < 0:
            return Problem(
                "price-negative",
                "price",
                f"the price is {shorten(str(raw))}",
                "leave the price empty where it is unknown",
            )
        digits = minor_digits(currency)
        if self.minor_units:
            amount = amount.scaleb(-digits)
        if amount >= _LARGEST:
            return Problem(
                "price-too-large",
                "price",
                f"the price is {shorten(str(raw))}",
                "check the column and its unit",
            )
        exact = abs(amount).quantize(_FINEST)  # abs: a price of -0.0 is 0
        whole_cents = exact.quantize(Decimal(1).scaleb(-digits))
        draft["price"] = {
            "amount": whole_cents if whole_cents == exact else exact,
            "currency": currency,
        }
        return None


def _read(raw: Any) -> Decimal | None:
    if isinstance(raw, Decimal):
        return raw
    if isinstance(raw, bool):
        return None
    if isinstance(raw, int):
        return Decimal(raw)
    text = repr(raw) if isinstance(raw, float) else raw
    if not isinstance(text, str):
        return None
    text = text.strip()
    if len(text) > 64 or not (_NUMBER.fullmatch(text) or _NOT_FINITE.fullmatch(text)):
        return None
    return Decimal(text)
