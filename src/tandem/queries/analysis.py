"""Analysis: text into terms, the same for products, queries and features.

Words are folded (Unicode NFKC, case, accents), split where letters meet digits, and stemmed by
the Snowball stemmer of their language. Chinese, Japanese and Korean are segmented by Lindera and
indexed by character pairs as well, so that a part of a compound is found.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache, lru_cache
from threading import Lock
from typing import Any

from tandem.contracts.product import TEXT_FIELDS, AnalysedProduct, Product, field_text
from tandem.contracts.search import Term
from tandem.queries.stopwords import STOP_WORDS
from tandem.queries.units import UNITS

STEMMERS = {
    "en": "english",
    "es": "spanish",
    "pt": "portuguese",
    "fr": "french",
    "de": "german",
    "id": "indonesian",
    "ar": "arabic",
    "it": "italian",
    "nl": "dutch",
    "ru": "russian",
    "tr": "turkish",
    "sv": "swedish",
}
DICTIONARIES = {"ja": "embedded://ipadic", "ko": "embedded://ko-dic", "zh": "embedded://cc-cedict"}
CACHED_WORDS = 500_000

_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_KANA = "\u3040-\u30ff"
_HANGUL = "\u1100-\u11ff\uac00-\ud7af"
_CJK = f"{_HAN}{_KANA}{_HANGUL}々〆"
# A run of CJK, or a word: letters, digits and marks, with inner hyphens, dots, quotes and slashes.
_TOKEN = re.compile(
    rf"[{_CJK}ー]+|(?:(?![{_CJK}])[^\W_])(?:(?![{_CJK}])(?:[^\W_]|[\u0300-\u036f\u064b-\u0652\u0640]))*"
    rf"(?:(?:[-./'’&+]|(?<=\d),(?=\d))(?:(?![{_CJK}])[^\W_])+)*"
)
_PARTS = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+")
_ARABIC_MARKS = re.compile("[\u0610-\u061a\u064b-\u065f\u0670\u0640]")
_ARABIC_LETTERS = str.maketrans("أإآٱىة", "اااايه")
_INCH = re.compile("(?<=\\d)\\s?(?:\"|''|”|″)")
# Controls, and format characters that some editors leave in text (joiners stay: Indic needs them).
_INVISIBLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
)
_lock = Lock()


def normalise(text: str) -> str:
    """NFKC, inch marks spelled out, white space squeezed. Idempotent."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    text = _INCH.sub(" inch ", text)
    return " ".join(_INVISIBLE.sub(" ", text).split())


@lru_cache(maxsize=CACHED_WORDS)
def fold(word: str) -> str:
    """A word without case, accents and Arabic vowel signs. Scripts whose marks carry meaning
    (Indic, Thai) keep them."""
    word = unicodedata.normalize("NFKC", word).casefold()
    if word.isascii():
        return word
    word = _ARABIC_MARKS.sub("", word).translate(_ARABIC_LETTERS)
    plain = [
        c
        for c in unicodedata.normalize("NFD", word)
        if not ("\u0300" <= c <= "\u036f" or unicodedata.category(c) == "Cf")
    ]
    return unicodedata.normalize("NFC", "".join(plain))


@cache
def _stemmer(language: str) -> Any:
    import Stemmer

    return Stemmer.Stemmer(STEMMERS[language])


@lru_cache(maxsize=CACHED_WORDS)
def stem(word: str, language: str) -> str:
    """A folded word's stem; words of languages without a stemmer stay as they are."""
    if language not in STEMMERS or not word.isalpha():
        return word
    with _lock:  # Snowball's stemmers hold state
        return str(_stemmer(language).stemWord(word)) or word


@cache
def _segmenter(language: str) -> Any:
    import lindera

    return lindera.Tokenizer(lindera.load_dictionary(DICTIONARIES[language]), mode="normal")


def segments(run: str, language: str) -> list[str]:
    """Words of a run of Chinese, Japanese or Korean."""
    with _lock:
        segmenter = _segmenter(language)
    return [s for t in segmenter.tokenize(run) if (s := t.surface.strip())]


def is_cjk(token: str) -> bool:
    return bool(re.match(f"[{_CJK}ー]", token))


def _cjk_language(run: str, language: str | None, languages: Sequence[str]) -> str:
    """The language of a run: by its script where that is telling, else as stated or expected."""
    if re.search(f"[{_HANGUL}]", run):
        return "ko"
    if re.search(f"[{_KANA}]", run):
        return "ja"
    if language in ("ja", "zh"):
        return language
    return "ja" if "ja" in languages and "zh" not in languages else "zh"


def pairs(run: str) -> list[str]:
    """Overlapping character pairs; a single character stands for itself."""
    return [run[i : i + 2] for i in range(len(run) - 1)] or [run]


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
        for token in _TOKEN.findall(normalise(text)):
            key = (token, language)
            found = known.get(key)
            if found is None:
                found = tuple(self._document_terms(token, language))
                if len(known) < CACHED_WORDS:
                    known[key] = found
            # '500 GB' is also the one word '500gb'.
            if out and found and found[0] in UNITS and _is_number(out[-1]):
                out += [*found, out[-1] + found[0]]
            else:
                out += found
        return out

    def _document_terms(self, token: str, language: str) -> list[str]:
        if is_cjk(token):
            found = segments(token, _cjk_language(token, language, self.languages))
            return list(dict.fromkeys([*found, *pairs(token)]))
        parts, joined = split_word(token)
        terms = [stem(p, language) for p in parts]
        return [*terms, joined] if joined else terms

    def query_terms(self, text: str, language: str | None = None) -> tuple[Term, ...]:
        """Query side: each term with the forms that it has in the catalogue's languages.

        Stop words are left out unless nothing else is there; repeated terms count once.
        """
        found: list[Term] = []
        for token in _TOKEN.findall(normalise(text)):
            found += self._query_terms(token, language)
        telling = [t for t in found if t.text not in self.stop_words] or found
        return tuple({t.forms: t for t in reversed(telling)}.values())[::-1]

    def _query_terms(self, token: str, language: str | None) -> list[Term]:
        if is_cjk(token):
            words = segments(token, _cjk_language(token, language, self.languages))
            words = [w for w in words if w not in self.stop_words] or [token]
            if any(len(w) == 1 for w in words) and len(token) > 1:
                words = [token]  # cut too finely: single characters say little
            # A long word may be part of a longer one in the catalogue: its pairs are there too.
            parts = [p for w in words for p in (pairs(w) if len(w) > 2 else [w])]
            return [Term(text=p, forms=(p,)) for p in parts]
        order = [language] if language in self.languages and language else []
        languages = [*order, *(x for x in self.languages if x != language)]
        parts, joined = split_word(token)
        terms = [
            Term(text=p, forms=tuple(dict.fromkeys(stem(p, x) for x in languages))) for p in parts
        ]
        return [*terms, Term(text=joined, forms=(joined,))] if joined else terms

    def analyse(self, product: Product) -> AnalysedProduct:
        """All text fields of a product."""
        language = product.language
        return AnalysedProduct(
            product, {f: self.terms(field_text(product, f), language) for f in TEXT_FIELDS}
        )


def _is_number(term: str) -> bool:
    return term[0].isdigit() and term.replace(".", "").isdigit()


@lru_cache(maxsize=CACHED_WORDS)
def split_word(token: str) -> tuple[tuple[str, ...], str | None]:
    """Folded parts of a word, and its joined form when the parts also make one word.

    `TN-2110` is tn, 2110 and tn2110; `usb-c` is usb, c and usbc; `don't` is dont.
    """
    word = fold(token).replace("’", "'")
    word = re.sub(r"'s$", "", word).replace("'", "")
    parts = tuple(
        (p.replace(",", "") if re.fullmatch(r"\d{1,3}(,\d{3})+", p) else p.replace(",", "."))
        if p[0].isdigit()
        else p
        for p in _PARTS.findall(word)
    )
    if len(parts) < 2:
        return parts, None
    mixed = any(p[0].isdigit() for p in parts)
    short = any(len(p) == 1 for p in parts)
    joined = re.sub(r"[^\w]|_", "", word)
    return parts, joined if (mixed or short) and joined not in parts else None
