"""Every product has an id and a title: without them it can be neither updated nor found."""

from __future__ import annotations

from tandem.ingest.mapping import Draft
from tandem.ingest.missing import is_nan
from tandem.ingest.problem import Problem

MAX_ID = 256


def check_identity(draft: Draft) -> Problem | None:
    """The id becomes text. Fails on a missing id or title and on ids that are not text."""
    identity = draft.get("id")
    if isinstance(identity, int) and not isinstance(identity, bool):
        identity = draft["id"] = str(identity)
    if identity is None or is_nan(identity):
        return Problem("missing-id", "id", "the product has no id", "give every product an id")
    if not isinstance(identity, str):
        return Problem(
            "id-type",
            "id",
            f"the id is a {type(identity).__name__}, not text",
            "write the id as text, in quotes",
        )
    if len(identity) > MAX_ID:
        return Problem(
            "too-long",
            "id",
            f"the id has {len(identity):,} characters; {MAX_ID} are allowed",
            "shorten the id",
        )
    title = draft.get("title")
    if title is None or is_nan(title):
        return Problem(
            "missing-title", "title", "the product has no title", "give every product a title"
        )
    return None
