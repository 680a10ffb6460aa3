"""Columns that nothing interprets are kept, as JSON and within bounds."""

from __future__ import annotations

import json
from typing import Any

from tandem.contracts.product import MAX_TEXT
from tandem.ingest.mapping import Draft
from tandem.ingest.problem import Problem


def check_extra(draft: Draft) -> Problem | None:
    """`extra` becomes plain JSON values (dates and decimals become text, NaN becomes null)."""
    raw = draft.get("extra")
    if raw is None:
        return None
    if not isinstance(raw, dict):
        return Problem(
            "not-an-object", "extra", "extra is no JSON object", 'write extra as {"name": value}'
        )
    try:
        plain = {str(name): _plain(value) for name, value in raw.items()}
        size = len(json.dumps(plain, ensure_ascii=False).encode())
    except (ValueError, RecursionError) as error:
        return Problem(
            "control-character",
            "extra",
            f"a value cannot be stored: {error}",
            "remove the column, or correct the encoding of the export",
        )
    if size > MAX_TEXT:
        return Problem(
            "too-long",
            "extra",
            f"uninterpreted columns hold {size:,} bytes; {MAX_TEXT:,} are allowed",
            "map the column to a product field, or leave it out",
        )
    draft["extra"] = plain
    return None


def _plain(value: Any) -> Any:
    match value:
        case float() if value != value or value in (float("inf"), float("-inf")):
            return None
        case int() if not isinstance(value, bool) and abs(value) >= 2**63:
            return str(value)
        case None | bool() | int() | float() | str():
            return value
        case list() | tuple():
            return [_plain(item) for item in value]
        case dict():
            return {str(name): _plain(item) for name, item in value.items()}
    return str(value)
