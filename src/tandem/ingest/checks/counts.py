"""Stock and rating count are whole numbers that are not negative. Unknown is missing, not 0."""

from __future__ import annotations

from typing import Any

from tandem.ingest.mapping import Draft
from tandem.ingest.problem import Problem, shorten

FIELDS = ("stock", "rating_count")
LARGEST = 2**63 - 1


def check_counts(draft: Draft) -> Problem | None:
    """Counts become int; 12.0 counts as 12."""
    for field in FIELDS:
        raw = draft.get(field)
        if raw is None:
            continue
        count = _whole(raw)
        if count is None or not 0 <= count <= LARGEST:
            return Problem(
                "not-a-count",
                field,
                f"{shorten(repr(raw))} is no count",
                f"write {field} as a whole number from 0, or leave it empty",
            )
        draft[field] = count
    return None


def _whole(raw: Any) -> int | None:
    try:
        if isinstance(raw, str):
            raw = float(raw) if "." in raw else int(raw)
        count = int(raw)
    except (TypeError, ValueError, OverflowError):
        return None
    return None if isinstance(raw, bool) or count != raw else count
