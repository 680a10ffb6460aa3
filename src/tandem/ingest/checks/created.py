"""Dates are ISO 8601. A time without an offset is taken as UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from tandem.ingest.mapping import Draft
from tandem.ingest.problem import Problem, shorten


def check_created(draft: Draft) -> Problem | None:
    """`created` becomes a datetime in UTC."""
    raw = draft.get("created")
    if raw is None:
        return None
    moment = _read(raw)
    if moment is None:
        return Problem(
            "date",
            "created",
            f"{shorten(repr(raw))} is no date",
            "write dates as 2024-05-31 or 2024-05-31T12:00:00Z (ISO 8601)",
        )
    draft["created"] = moment
    return None


def _read(raw: Any) -> datetime | None:
    try:
        if isinstance(raw, str):
            raw = datetime.fromisoformat(raw)
        elif isinstance(raw, date) and not isinstance(raw, datetime):
            raw = datetime(raw.year, raw.month, raw.day)
        if not isinstance(raw, datetime):
            return None
        return raw.replace(tzinfo=UTC) if raw.tzinfo is None else raw.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
