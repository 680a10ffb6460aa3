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
from tandem.queries.units import AMBIGUOUS, MAX_UNIT, UNITS

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
# The same for text that is all ASCII, several times faster.
_ASCII_TOKEN = re.compile(r"[A-Za-z0-9]+(?:(?:[-./'&+]|(?<=\d),(?=\d))[A-Za-z0-9]+)*")
_PARTS = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+")
# Articles and the like that French and Italian write onto the next word.
_ELISION = re.compile(r"^(?:[ldjmtscn]|qu|jusqu|dell|nell|sull|dall|all|un)'(?=[^\W\d_]{2})")
_ARABIC_MARKS = re.compile("[\u0610-\u061a\u064b-\u065f\u0670\u0640]")
_ARABIC_LETTERS = str.maketrans("أإآٱىة", "اااايه")
# Article, with what is written onto it (light10, Larkey, Ballesteros & Connell 2007).
_ARABIC_ARTICLE = re.compile("^(?:و?(?:ال|بال|كال|فال)|لل)(?=.{3})")
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
    """A folded word's stem; words of languages without a stemmer stay as they are. Arabic words
    are stemmed as Arabic wherever they stand, and without their article."""
    if "\u0600" <= word[0] <= "\u06ff":
        language = "ar"
        word = _ARABIC_ARTICLE.sub("", word)
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
            words = segments(token, _cjk_language(token, language, self.languages))
            words = [w for w in words if w not in self.stop_words] or [token]
            if any(len(w) == 1 for w in words) and len(token) > 1:
                words = [token]  # cut too finely: single characters say little
            # A long word may be part of a longer one in the catalogue: its pairs are there too.
            pieces = [p for w in words for p in (pairs(w) if len(w) > 2 else [w])]
            return [Term(text=p, forms=(p,)) for p in pieces]
        order = [language] if language in self.languages and language else []
        languages = [*order, *(x for x in self.languages if x != language)]
        parts, joined = split_word(token)
        if joined and len(parts) == 2 and parts[1] in UNITS and _is_number(parts[0]):
            parts = parts[:1]  # '500gb' needs 500 and 500gb; a bare gb says nothing more
        terms = [
            Term(text=p, forms=tuple(dict.fromkeys(stem(p, x) for x in languages))) for p in parts
        ]
        if joined and len(parts) == 1 and not _is_number(parts[0]):
            # An elision: "l'oreal" is found as oreal and as loreal.
            return [terms[0].model_copy(update={"forms": (*terms[0].forms, joined)})]
        return [*terms, Term(text=joined, forms=(joined,))] if joined else terms

    def analyse(self, product: Product) -> AnalysedProduct:
        """All text fields of a product."""
        language = product.language
        return AnalysedProduct(
            product, {f: self.terms(field_text(product, f), language) for f in TEXT_FIELDS}
        )


def tokens(text: str) -> list[str]:
    """Words as written, runs of Chinese, Japanese or Korean in one piece."""
    text = normalise(text)
    return (_ASCII_TOKEN if text.isascii() else _TOKEN).findall(text)


def _is_number(term: str) -> bool:
    return term[0].isdigit() and term.replace(".", "").isdigit()


def spaced_quantity(before: str, token: str) -> str | None:
    """'500' followed by 'GB' is also the one word '500gb', as '500GB' is."""
    if len(token) > MAX_UNIT or not _is_number(before):
        return None
    unit = fold(token)
    return None if unit in AMBIGUOUS or unit not in UNITS else before + UNITS[unit]


@lru_cache(maxsize=CACHED_WORDS)
def split_word(token: str) -> tuple[tuple[str, ...], str | None]:
    """Folded parts of a word, and its joined form when the parts also make one word.

    `TN-2110` is tn, 2110 and tn2110; `2,5mm` is 2.5, mm and 2.5mm; `17in` is 17, in and 17inch;
    `usb-c` is usb, c and usbc; `l'eau` is eau and leau; `don't` is dont.
    """
    word = re.sub(r"'s$", "", fold(token).replace("’", "'"))
    plain = _ELISION.sub("", word)
    parts = tuple(
        (p.replace(",", "") if re.fullmatch(r"\d{1,3}(,\d{3})+", p) else p.replace(",", "."))
        if p[0].isdigit()
        else p
        for p in _PARTS.findall(plain.replace("'", ""))
    )
    if plain != word and len(parts) == 1:
        return parts, word.replace("'", "")
    digits = sum(p[0].isdigit() for p in parts)
    if len(parts) < 2 or digits == len(parts) or not (digits or any(len(p) == 1 for p in parts)):
        return parts, None
    if len(parts) == 2 and parts[1] in UNITS and digits:
        return parts, parts[0] + UNITS[parts[1]]
    return parts, "".join(parts)
