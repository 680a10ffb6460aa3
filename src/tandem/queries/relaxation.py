"""Relaxation: what to search for when a query matches nothing, and how to say so."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tandem.contracts.search import Filters, Term, Understanding

Reader = Callable[[str, str | None], Understanding]
Rarity = Callable[[Term], float]


def relaxations(
    u: Understanding, rarity: Rarity, read: Reader
) -> Iterator[tuple[Understanding, str]]:
    """Ever weaker queries, each with a sentence that says what was given up.

    First the price goes, then the spelling is doubted, then names are changed for synonyms, then
    the words that say least go one by one, until any one word is enough.

    rarity: how telling a term is (idf); words that the catalogue lacks come out lowest.
    read: understands a text, for a spelling that was only a suggestion so far.
    """
    if not u.filters.is_empty():
        yield (
            u.model_copy(update={"filters": Filters()}),
            "Nothing matches within that price. Showing any price.",
        )
    if u.suggestion:
        corrected = read(u.suggestion, u.language)
        yield (
            corrected,
            f"Nothing matches “{u.text}”. Showing results for “{u.suggestion}”.",
        )
    loose = u.model_copy(update={"filters": Filters()})
    if u.expansions:
        others = tuple(t.model_copy(update={"weight": 1.0}) for t in u.expansions)
        yield (
            loose.model_copy(update={"terms": others, "expansions": ()}),
            "Nothing has these words. Showing what is called by another name.",
        )
    terms = sorted(u.terms, key=rarity)
    for keep in range(len(terms) - 1, 0, -1):
        kept = set(terms[len(terms) - keep :])
        dropped = ", ".join(f"“{t.text}”" for t in u.terms if t not in kept)
        yield (
            loose.model_copy(update={"terms": tuple(t for t in u.terms if t in kept)}),
            f"Nothing matches all the words. Showing results without {dropped}.",
        )
    for term in reversed(terms[:-1]):
        yield (
            loose.model_copy(update={"terms": (term,)}),
            f"Nothing matches all the words. Showing results for “{term.text}”.",
        )
