"""Words that some write as one and others as two: 'head set' and headset."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tandem.contracts.search import Term
from tandem.queries.analysis import Analyser

MIN_PART = 3
MIN_JOINED = 6
MIN_COUNT = 2
WEIGHT = 0.2
Parts = tuple[str, str, int, int]


def mine(
    words: Mapping[str, int], phrases: Mapping[str, int], is_term: Callable[[str], bool]
) -> dict[str, Parts]:
    """Compounds that the catalogue writes in both ways: joined word -> (first, second, titles
    with the two apart, titles with them as one).

    words, phrases: titles by folded word and by folded phrase. is_term: whether any text field
    has the word, by its stem, often enough.
    """
    found: dict[str, Parts] = {}
    for phrase, apart in phrases.items():
        first, _, second = phrase.partition(" ")
        joined = first + second
        if apart < MIN_COUNT or min(len(first), len(second)) < MIN_PART:
            continue
        if len(joined) < MIN_JOINED or not joined.isalpha() or not is_term(joined):
            continue
        if joined not in found or found[joined][2] < apart:
            found[joined] = (first, second, apart, words.get(joined, 0))
    return found


@dataclass(frozen=True)
class Compounds:
    """`terms` counts products by term; `mined` is what `mine` found."""

    analyser: Analyser
    terms: Mapping[str, int]
    mined: Mapping[str, Parts]

    def joined(self, terms: Sequence[Term]) -> tuple[tuple[Term, ...], tuple[Term, ...]]:
        """(terms, expansions): adjacent words that the catalogue rather writes as one become one
        term; where it writes both, either way matches."""
        out: list[Term] = []
        more: list[Term] = []
        at = 0
        while at < len(terms):
            here, after = terms[at], terms[at + 1] if at + 1 < len(terms) else None
            whole = None if after is None else self._as_one(here, after)
            if whole is None or after is None:
                out.append(here)
                more += self._apart(here)
                at += 1
                continue
            _, _, as_two, as_one = self.mined.get(whole.text, ("", "", 0, 1))
            if as_two < as_one:
                out.append(whole)
                if as_two:
                    more += [t.model_copy(update={"weight": WEIGHT}) for t in (here, after)]
            else:
                out += [
                    t.model_copy(update={"forms": tuple(dict.fromkeys((*t.forms, *whole.forms)))})
                    for t in (here, after)
                ]
            at += 2
        return tuple({t.forms: t for t in out}.values()), tuple(more)

    def _as_one(self, first: Term, second: Term) -> Term | None:
        """The one word, if the catalogue has it."""
        text = first.text + second.text
        if min(len(first.text), len(second.text)) < MIN_PART or len(text) < MIN_JOINED:
            return None
        if not text.isalpha() or not text.isascii():
            return None
        whole = self.analyser.query_terms(text)
        if len(whole) != 1 or all(self.terms.get(f, 0) < MIN_COUNT for f in whole[0].forms):
            return None
        return whole[0]

    def _apart(self, term: Term) -> list[Term]:
        """The two words that the catalogue also writes for this one."""
        parts = self.mined.get(term.text)
        if parts is None:
            return []
        return [
            t.model_copy(update={"weight": WEIGHT})
            for t in self.analyser.query_terms(f"{parts[0]} {parts[1]}")
        ]
