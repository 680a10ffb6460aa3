"""Attributes are typed facts: a flag, a finite number or a text, as the mapping declares."""

from __future__ import annotations

from decimal import Decimal
from math import isfinite
from typing import Any

from tandem.contracts.product import MAX_ATTRIBUTES, AttributeValue
from tandem.ingest.mapping import Draft
from tandem.ingest.problem import Problem, shorten

MAX_NAME = 256
_FLAGS = {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False}


def check_attributes(draft: Draft) -> Problem | None:
    """`(value, type)` pairs become values; a list of texts becomes one text."""
    declared: dict[str, tuple[Any, str]] = draft["attributes"]
    if len(declared) > MAX_ATTRIBUTES:
        return Problem(
            "too-long",
            "attributes",
            f"{len(declared):,} attributes; {MAX_ATTRIBUTES:,} are allowed",
            "keep the attributes that shoppers ask for",
        )
    typed: dict[str, AttributeValue] = {}
    for name, (value, kind) in declared.items():
        if value is None or value == "":
            continue
        if len(name) > MAX_NAME:
            return Problem(
                "too-long",
                f"attributes.{shorten(name)}",
                f"the name has {len(name):,} characters; {MAX_NAME} are allowed",
                "shorten the attribute's name",
            )
        read = _read(value, kind)
        if read is None:
            wanted = "flag, number or text" if kind == "any" else kind
            return Problem(
                "attribute-type",
                f"attributes.{name}",
                f"{shorten(repr(value))} is no {wanted}",
                "correct the value, or the type that the mapping declares",
            )
        typed[name] = read
    draft["attributes"] = typed
    return None


def _read(value: Any, kind: str) -> AttributeValue | None:
    """The value in its declared type, or None if it cannot be read so."""
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    if isinstance(value, str):
        if kind == "flag":
            return _FLAGS.get(value.strip().lower())
        if kind == "number":
            try:
                value = float(value)
            except ValueError:
                return None
    if isinstance(value, bool):
        return value if kind in ("flag", "any") else None
    if isinstance(value, int | float | Decimal):
        if kind == "text":
            return str(value)
        try:
            number = float(value)
        except (OverflowError, ValueError):  # a huge whole number; a signalling NaN
            return None
        return number if kind in ("number", "any") and isfinite(number) else None
    return value if isinstance(value, str) and kind in ("text", "any") else None
