"""Analysis: text into terms, the same for products, queries and features.

Words are folded (Unicode NFKC, case, accents), split where letters meet digits, and stemmed by
the Snowball stemmer of their language. Chinese, Japanese and Korean are segmented by Lindera and
indexed by character pairs as well, so that a part of a compound is found.
"""

from __future__ import annotations

from collections.abc import Sequence

from tandem.contracts.product import TEXT_FIELDS, AnalysedProduct, Product, field_text
from tandem.contracts.search import Term
from tandem.queries.normalise import (
    CACHED_WORDS,
    fold,
    is_number,
    spaced_quantity,
    split_word,
    tokens,
)
from tandem.queries.segmentation import cjk_language, is_cjk, pairs, segments
from tandem.queries.stemming import stem
from tandem.queries.stopwords import STOP_WORDS
from tandem.queries.units import UNITS


class Analyser:
    """Analysis for a catalogue in `languages`, the most frequent first. Safe for many threads."""

    def __init__(self, languages: Sequence[str] = ("en",)) -> None:
        self.languages = tuple(languages) or ("en",)
        self.stop_words = frozenset(
            fold(w) for language in self.languages for w in STOP_WORDS.get(language, "").split()
        )
        self._document_cache: dict[tuple[str, str], tuple[str, ...]] = {}

    def terms(self, text: str, language: str | None = None) -> list[str]:
        """Document side: terms in text order. Never empty strings, never white space."""
        language = language or self.languages[0]
        out: list[str] = []
        known = self._document_cache
        for token in tokens(text):
            key = (token, language)
            found = known.get(key)
            if found is None:
                found = tuple(self._document_terms(token, language))
                if len(known) < CACHED_WORDS:
                    known[key] = found
            if out and (quantity := spaced_quantity(out[-1], token)):
                out += [*found, quantity]
            else:
                out += found
        return out

    def _document_terms(self, token: str, language: str) -> list[str]:
        if is_cjk(token):
            found = segments(token, cjk_language(token, language, self.languages))
            return list(dict.fromkeys([*found, *pairs(token)]))
        parts, joined = split_word(token)
        terms = [stem(p, language) for p in parts]
        return [*terms, joined] if joined else terms

    def query_terms(self, text: str, language: str | None = None) -> tuple[Term, ...]:
        """Query side: each term with the forms that it has in the catalogue's languages.

        Stop words are left out unless nothing else is there; repeated terms count once.
        """
        found: list[Term] = []
        for token in tokens(text):
            if found and (quantity := spaced_quantity(found[-1].text, token)):
                found.append(Term(text=quantity, forms=(quantity,)))
            else:
                found += self._query_terms(token, language)
        telling = [t for t in found if t.text not in self.stop_words] or found
        first: dict[tuple[str, ...], Term] = {}
        for term in telling:
            first.setdefault(term.forms, term)
        return tuple(first.values())

    def _query_terms(self, token: str, language: str | None) -> list[Term]:
        if is_cjk(token):
            words = segments(token, cjk_language(token, language, self.languages))
            words = [w for w in words if w not in self.stop_words] or [token]
            if any(len(w) == 1 for w in words) and len(token) > 1:
                words = [token]  # cut too finely: single characters say little
            # A long word may be part of a longer one in the catalogue: its pairs are there too.
            pieces = [p for w in words for p in (pairs(w) if len(w) > 2 else [w])]
            return [Term(text=p, forms=(p,)) for p in pieces]
        order = [language] if language in self.languages and language else []
        languages = [*order, *(x for x in self.languages if x != language)]
        parts, joined = split_word(token)
        if joined and len(parts) == 2 and parts[1] in UNITS and is_number(parts[0]):
            parts = parts[:1]  # '500gb' needs 500 and 500gb; a bare gb says nothing more
        terms = [
            Term(text=p, forms=tuple(dict.fromkeys(stem(p, x) for x in languages))) for p in parts
        ]
        if joined and len(parts) == 1 and not is_number(parts[0]):
            # An elision: "l'oreal" is found as oreal and as loreal.
            return [terms[0].model_copy(update={"forms": (*terms[0].forms, joined)})]
        return [*terms, Term(text=joined, forms=(joined,))] if joined else terms

    def analyse(self, product: Product) -> AnalysedProduct:
        """All text fields of a product."""
        language = product.language
        return AnalysedProduct(
            product, {f: self.terms(field_text(product, f), language) for f in TEXT_FIELDS}
        )
