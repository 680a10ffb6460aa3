"""Texts stay within sizes that no honest listing reaches: a 10 MB title is a broken export."""

from __future__ import annotations

from tandem.contracts.product import MAX_TEXT, MAX_TITLE
from tandem.ingest.mapping import Draft
from tandem.ingest.problem import Problem

LIMITS = (
    ("title", MAX_TITLE),
    ("description", MAX_TEXT),
    ("brand", MAX_TITLE),
    ("merchant", MAX_TITLE),
)
LISTS = ("category", "identifiers", "images")


def check_length(draft: Draft) -> Problem | None:
    """Title, brand, merchant: 2,000 characters; description, one attribute: 100,000."""
    for field, limit in LIMITS:
        value = draft.get(field)
        if value is not None and len(value) > limit:
            return _too_long(field, len(value), limit)
    for field in LISTS:
        for item in draft.get(field, ()):
            if len(item) > MAX_TITLE:
                return _too_long(field, len(item), MAX_TITLE)
    for name, value in draft["attributes"].items():
        if isinstance(value, str) and len(value) > MAX_TEXT:
            return _too_long(f"attributes.{name}", len(value), MAX_TEXT)
    return None


def _too_long(field: str, length: int, limit: int) -> Problem:
    return Problem(
        "too-long",
        field,
        f"{length:,} characters; {limit:,} are allowed",
        "shorten it; a text this long often means a missing quote or line end",
    )
