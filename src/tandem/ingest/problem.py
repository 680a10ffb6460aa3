"""What is wrong with one row, and what one row that was turned away looks like."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

EXCERPT_COLUMNS = 12
EXCERPT_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class Problem:
    """One check's verdict on one row. `code` groups problems of a kind in summaries."""

    code: str
    field: str | None
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """One row that was turned away: where it is, why, and what to do about it."""

    file: str
    line: int
    code: str
    field: str | None
    reason: str
    remedy: str
    row: str

    def to_json(self) -> bytes:
        """One line of a quarantine file, without the line end."""
        # Escaped to ASCII: a quarantined row may hold what UTF-8 cannot (lone surrogates).
        return json.dumps(asdict(self)).encode()


def excerpt(row: Mapping[str, Any] | str) -> str:
    """A row as bounded text (at most a few hundred characters), for people to recognise it."""
    if isinstance(row, str):
        return shorten(row, EXCERPT_COLUMNS * EXCERPT_CHARACTERS)
    shown = {
        shorten(str(name)): shorten(value) if isinstance(value, str) else shorten(repr(value))
        for name, value in list(row.items())[:EXCERPT_COLUMNS]
    }
    return json.dumps(shown, ensure_ascii=False)


def shorten(text: str, limit: int = EXCERPT_CHARACTERS) -> str:
    """`text`, cut to `limit` characters with an ellipsis where it is longer."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
