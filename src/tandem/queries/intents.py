"""What a query names: brands, categories, attribute values and quantities of the catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tandem.contracts.search import Intent, Term

MAX_WORDS = 5
MIN_CONFIDENCE = 0.1
MEANINGS = 8  # of one phrase, the most frequent ones
SEPARATOR = " > "
Key = tuple[str, ...]


def key_of(terms: Sequence[Term]) -> Key:
    """A phrase to look up, the same in whichever order its languages come."""
    return tuple(min(t.forms) for t in terms)


@dataclass(frozen=True)
class Entry:
    """What a phrase may mean: `kind` brand, category or attribute; `share` how often it does,
    of the times that the catalogue uses it."""

    kind: str
    value: str
    share: float
    field: str | None = None


class Gazetteer:
    """Phrases of the catalogue and what each may mean."""

    def __init__(self, entries: Mapping[Key, Sequence[Entry]]) -> None:
        self._entries = entries
        self._longest = max(map(len, entries), default=0)

    @classmethod
    def of(cls, named: Iterable[tuple[Key, Entry]]) -> Gazetteer:
        entries: dict[Key, list[Entry]] = {}
        for key, entry in named:
            if key and len(key) <= MAX_WORDS and entry.share >= MIN_CONFIDENCE / 2:
                entries.setdefault(key, []).append(entry)
        return cls(
            {k: sorted(v, key=lambda e: (-e.share, e.value))[:MEANINGS] for k, v in entries.items()}
        )

    def intents(self, terms: Sequence[Term], categories: Mapping[str, float]) -> Iterator[Intent]:
        """Intents of the longest phrases first; a word serves one intent of each kind.

        categories: P(category path | query). A category's name counts as far as the whole query
        fits there: 'pants' is men's or a baby's, and the other words tell which.
        """
        taken: dict[str, set[int]] = {"brand": set(), "category": set(), "attribute": set()}
        for length in range(min(self._longest, len(terms)), 0, -1):
            for start in range(len(terms) - length + 1):
                span = set(range(start, start + length))
                for entry, confidence in self._meanings(terms[start : start + length], categories):
                    if span & taken[entry.kind] or confidence < MIN_CONFIDENCE:
                        continue
                    taken[entry.kind] |= span
                    yield Intent(
                        kind=entry.kind,
                        value=entry.value,
                        field=entry.field,
                        confidence=round(min(1.0, confidence), 3),
                        text=" ".join(t.text for t in terms[start : start + length]),
                    )

    def _meanings(
        self, part: Sequence[Term], categories: Mapping[str, float]
    ) -> list[tuple[Entry, float]]:
        found = []
        for entry in self._entries.get(key_of(part), ()):
            confidence = entry.share
            if entry.kind == "category":
                below = entry.value + SEPARATOR
                confidence = sum(
                    p for path, p in categories.items() if (path + SEPARATOR).startswith(below)
                )
            found.append((entry, confidence))
        return sorted(found, key=lambda f: -f[1])

    def to_json(self) -> list[list[Any]]:
        return [
            [list(key), [[e.kind, e.value, e.share, e.field] for e in entries]]
            for key, entries in self._entries.items()
        ]

    @classmethod
    def from_json(cls, rows: Sequence[Sequence[Any]]) -> Gazetteer:
        return cls({tuple(key): [Entry(*entry) for entry in entries] for key, entries in rows})


def quantity_of(term: str) -> tuple[str, str] | None:
    """('500', 'gb') of the term '500gb'; None of any other."""
    digits = len(term) - len(term.lstrip("0123456789."))
    number, unit = term[:digits], term[digits:]
    return (number, unit) if number and unit and number[0] != "." else None


class Measures:
    """Which numeric attribute a unit speaks of, learned from the catalogue itself.

    A title that says '500gb' of a product whose `hdd_capacity` is 500 is evidence that gb measures
    hdd_capacity.

    seen: (unit, attribute, value) -> products. units: unit -> products that say it in the title.
    """

    def __init__(self, seen: Mapping[tuple[str, str, str], int], units: Mapping[str, int]) -> None:
        self._seen, self._units = seen, units
        by_unit: dict[str, dict[str, int]] = {}
        for (unit, name, _), count in seen.items():
            names = by_unit.setdefault(unit, {})
            names[name] = names.get(name, 0) + count
        self._by_unit = {
            unit: sorted(names.items(), key=lambda n: (-n[1], n[0]))
            for unit, names in by_unit.items()
        }

    def intents(self, terms: Sequence[Term]) -> Iterator[Intent]:
        for term in terms:
            quantity = quantity_of(term.text)
            if quantity is None:
                continue
            number, unit = quantity
            value = f"{float(number):g}" if number.count(".") < 2 else number
            for name, count in self._by_unit.get(unit, ()):
                confidence = count / max(self._units.get(unit, 0), count)
                if confidence >= MIN_CONFIDENCE and (unit, name, value) in self._seen:
                    yield Intent(
                        kind="attribute",
                        value=value,
                        field=name,
                        confidence=round(confidence, 3),
                        text=term.text,
                    )
                    break

    def to_json(self) -> list[Any]:
        return [[[*key, n] for key, n in self._seen.items()], dict(self._units)]

    @classmethod
    def from_json(cls, rows: Sequence[Any]) -> Measures:
        return cls({(u, a, v): n for u, a, v, n in rows[0]}, rows[1])
