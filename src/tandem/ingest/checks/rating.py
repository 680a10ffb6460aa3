"""A rating is a number from 0 to 5. Unrated is missing, not 0."""

from __future__ import annotations

from tandem.ingest.mapping import Draft
from tandem.ingest.problem import Problem, shorten


def check_rating(draft: Draft) -> Problem | None:
    """The rating becomes a float."""
    raw = draft.get("rating")
    if raw is None:
        return None
    try:
        rating = float("x") if isinstance(raw, bool) else float(raw)
    except (TypeError, ValueError, OverflowError):
        rating = float("nan")
    if rating != rating:
        return Problem(
            "rating-not-a-number",
            "rating",
            f"{shorten(repr(raw))} is no number",
            "leave the rating empty where there is none",
        )
    if not 0 <= rating <= 5:
        return Problem(
            "rating-out-of-range",
            "rating",
            f"the rating is {shorten(str(raw))}; ratings go from 0 to 5",
            "convert the ratings to five stars",
        )
    draft["rating"] = rating
    return None
