"""Synonyms: a curated file in Solr's format, and a modest built-in list of commerce words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path

from tandem.contracts.errors import InvalidInput
from tandem.contracts.search import Term
from tandem.queries.analysis import Analyser
from tandem.queries.intents import Key, key_of

WEIGHT = 0.15  # of a whole phrase; more of it costs precision on judged queries than it finds
MAX_WORDS = 4
Rule = tuple[list[str], list[str]]
"""Phrases, and what each of them is also called."""


def parse(lines: Iterable[str], file: str) -> list[Rule]:
    """Rules as (phrases, their synonyms). `a, b` makes each a synonym of the other; `a => b`
    only reads a as b. `#` starts a comment. InvalidInput names file and line."""
    rules: list[Rule] = []
    for number, line in enumerate(lines, start=1):
        text = line.split("#", 1)[0].strip()
        if not text:
            continue
        sides = [[p.strip() for p in side.split(",")] for side in text.split("=>")]
        if len(sides) > 2 or any(not p for side in sides for p in side):
            raise InvalidInput(
                f"not a synonym rule: '{text}'",
                file=file,
                line=number,
                remedy="write 'a, b, c' or 'a, b => c'",
            )
        if len(sides) == 1 and len(sides[0]) < 2:
            raise InvalidInput(
                f"'{text}' has no synonym",
                file=file,
                line=number,
                remedy="write at least two phrases, separated by commas",
            )
        rules.append((sides[0], sides[-1]))
    return rules


def load(path: Path | None, languages: Sequence[str]) -> list[Rule]:
    """The built-in rules of these languages, and those of the shop's own file.

    Only of these: 'handy' is a phone in German, and just handy in English.
    """
    rules: list[Rule] = []
    built_in = resources.files("tandem.queries").joinpath("commerce")
    for language in languages:
        file = built_in.joinpath(f"{language}.txt")
        if file.is_file():
            rules += parse(file.read_text("utf-8").splitlines(), f"built-in {language}.txt")
    if path is not None:
        try:
            rules += parse(path.read_text(encoding="utf-8").splitlines(), str(path))
        except UnicodeDecodeError as error:
            raise InvalidInput(
                f"not UTF-8: {error}", file=str(path), remedy="save the file as UTF-8"
            ) from None
    return rules


class Synonyms:
    """Analysed rules, looked up by phrase."""

    def __init__(
        self, analyser: Analyser, rules: Sequence[tuple[Sequence[str], Sequence[str]]]
    ) -> None:
        self._table: dict[Key, list[tuple[Term, ...]]] = {}
        for phrases, meant in rules:
            targets = [(m, analyser.query_terms(m)) for m in meant]
            for phrase in phrases:
                key = key_of(analyser.query_terms(phrase))
                known = self._table.setdefault(key, [])
                known += [t for m, t in targets if m != phrase and t and t not in known]

    def has(self, phrase: Sequence[Term]) -> bool:
        return key_of(phrase) in self._table

    def expansions(self, terms: Sequence[Term]) -> list[tuple[str, tuple[Term, ...]]]:
        """For each phrase of the query with synonyms: the phrase, and the terms to search as well,
        together at `WEIGHT`."""
        have = {f for t in terms for f in t.forms}
        found = []
        for length in range(min(MAX_WORDS, len(terms)), 0, -1):
            for start in range(len(terms) - length + 1):
                part = terms[start : start + length]
                for target in self._table.get(key_of(part), ()):
                    fresh = tuple(
                        t.model_copy(update={"weight": WEIGHT / len(target)})
                        for t in target
                        if not have & set(t.forms)
                    )
                    if fresh:
                        found.append((" ".join(t.text for t in part), fresh))
                        have |= {f for t in fresh for f in t.forms}
        return found
