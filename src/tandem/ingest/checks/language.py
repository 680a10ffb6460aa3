"""Languages are ISO 639 codes; a region (`en-US`) is dropped."""

from __future__ import annotations

import re

from tandem.ingest.mapping import Draft
from tandem.ingest.problem import Problem, shorten

_TAG = re.compile(r"([a-z]{2,3})([-_][a-z0-9]+)*", re.ASCII)


def check_language(draft: Draft) -> Problem | None:
    """`language` becomes the two- or three-letter code in small letters."""
    raw = draft.get("language")
    if raw is None:
        return None
    tag = _TAG.fullmatch(raw.lower()) if isinstance(raw, str) else None
    if tag is None:
        return Problem(
            "language",
            "language",
            f"{shorten(repr(raw))} is no language code",
            "use the code of ISO 639, such as en",
        )
    draft["language"] = tag.group(1)
    return None
