"""One spelling for what is written in many ways: Unicode, case, accents, quantities, hyphens."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from tandem.queries.segmentation import CJK
from tandem.queries.units import AMBIGUOUS, MAX_UNIT, UNITS

CACHED_WORDS = 500_000

# A run of CJK, or a word: letters, digits and marks, with inner hyphens, dots, quotes and slashes.
_TOKEN = re.compile(
    rf"[{CJK}ー]+|(?:(?![{CJK}])[^\W_])(?:(?![{CJK}])(?:[^\W_]|[\u0300-\u036f\u064b-\u0652\u0640]))*"
    rf"(?:(?:[-./'’&+]|(?<=\d),(?=\d))(?:(?![{CJK}])[^\W_])+)*"
)
_PARTS = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+")
# Articles and the like that French and Italian write onto the next word.
_ELISION = re.compile(r"^(?:[ldjmtscn]|qu|jusqu|dell|nell|sull|dall|all|un)'(?=[^\W\d_]{2})")
_ARABIC_MARKS = re.compile("[\u0610-\u061a\u064b-\u065f\u0670\u0640]")
_ARABIC_LETTERS = str.maketrans("أإآٱىة", "اااايه")
_INCH = re.compile("(?<=\\d)\\s?(?:\"|''|”|″)")
# Controls, and format characters that some editors leave in text (joiners stay: Indic needs them).
_INVISIBLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
)


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


def tokens(text: str) -> list[str]:
    """Words as written, runs of Chinese, Japanese or Korean in one piece."""
    return _TOKEN.findall(normalise(text))


def is_number(term: str) -> bool:
    return term[0].isdigit() and term.replace(".", "").isdigit()


def spaced_quantity(before: str, token: str) -> str | None:
    """'500' followed by 'GB' is also the one word '500gb', as '500GB' is."""
    if len(token) > MAX_UNIT or not is_number(before):
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
