"""NaN, which some exports write for "nothing here"."""

from __future__ import annotations

from decimal import Decimal


def is_nan(value: object) -> bool:
    """True for float and decimal NaN; a signalling decimal NaN cannot even be compared."""
    return value.is_nan() if isinstance(value, Decimal) else value != value
