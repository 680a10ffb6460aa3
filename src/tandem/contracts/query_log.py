"""What shoppers have asked, without who asked it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class QueryCount:
    """A query text and how often it was asked."""

    query: str
    asked: int
