"""Text fields hold text. A number is read as text; anything else is a sign of a wrong column."""

from __future__ import annotations

from tandem.ingest.mapping import Draft
from tandem.ingest.missing import is_nan
from tandem.ingest.problem import Problem

FIELDS = ("title", "description", "brand", "merchant")


def check_text(draft: Draft) -> Problem | None:
    """Text fields become str; NaN, which some exports write for "nothing here", is dropped."""
    for field in FIELDS:
        value = draft.get(field)
        if value is None or isinstance(value, str):
            continue
        if is_nan(value):
            del draft[field]
        elif isinstance(value, int | float) and not isinstance(value, bool):
            draft[field] = str(value)
        else:
            return Problem(
                "not-text",
                field,
                f"the {field} is a {type(value).__name__}, not text",
                "check which column the mapping takes it from",
            )
    return None
