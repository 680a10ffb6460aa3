"""Category path, identifiers and images are lists of texts."""

from __future__ import annotations

from tandem.ingest.mapping import LIST_FIELDS, Draft
from tandem.ingest.problem import Problem

MAX_ITEMS = 1_000
FIELDS = tuple(sorted(LIST_FIELDS))


def check_lists(draft: Draft) -> Problem | None:
    """List fields become tuples of str."""
    for field in FIELDS:
        value = draft.get(field)
        if value is None:
            continue
        if not isinstance(value, list | tuple):
            value = [value]
        if len(value) > MAX_ITEMS:
            return Problem(
                "too-long",
                field,
                f"{len(value):,} entries; {MAX_ITEMS:,} are allowed",
                f"shorten the {field} list",
            )
        for item in value:
            if not isinstance(item, str | int) or isinstance(item, bool):
                return Problem(
                    "not-text",
                    field,
                    f"an entry is a {type(item).__name__}, not text",
                    f"write {field} as a list of texts",
                )
        draft[field] = tuple(map(str, value))
    return None
