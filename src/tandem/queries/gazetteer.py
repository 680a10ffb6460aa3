"""Brands, categories and attribute values that a query may name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tandem.contracts.search import Intent, Term

MAX_WORDS = 5
Key = tuple[str, ...]


@dataclass(frozen=True)
class Entry:
    """What a phrase may mean: `kind` brand, category or attribute; `share` how often it does."""

    kind: str
    value: str
    share: float
    field: str | None = None


class Gazetteer:
    """Phrases (as first forms of their terms) and what each may mean."""

    def __init__(self, entries: Mapping[Key, Sequence[Entry]]) -> None:
        self._entries = dict(entries)

    def intents(self, terms: Sequence[Term]) -> Iterator[Intent]:
        """Intents of the longest phrases first; a word serves one intent of each kind."""
        taken: dict[str, set[int]] = {"brand": set(), "category": set(), "attribute": set()}
        for length in range(min(MAX_WORDS, len(terms)), 0, -1):
            for start in range(len(terms) - length + 1):
                span = set(range(start, start + length))
                key = tuple(t.forms[0] for t in terms[start : start + length])
                for entry in self._entries.get(key, ()):
                    if span & taken[entry.kind]:
                        continue
                    taken[entry.kind] |= span
                    yield Intent(
                        kind=entry.kind,
                        value=entry.value,
                        field=entry.field,
                        confidence=round(min(1.0, entry.share), 3),
                        text=" ".join(t.text for t in terms[start : start + length]),
                    )

    def to_json(self) -> list[list[Any]]:
        return [
            [list(key), [[e.kind, e.value, e.share, e.field] for e in entries]]
            for key, entries in self._entries.items()
        ]

    @classmethod
    def from_json(cls, rows: Sequence[Sequence[Any]]) -> Gazetteer:
        return cls({tuple(key): [Entry(*entry) for entry in entries] for key, entries in rows})
