"""Queries that tell of special categories of personal data (GDPR Art. 9).

Such a query says something about the person who typed it that may be read with explicit consent
only. Lists of plain words in twelve languages, `special_words/*.txt`: they know what they list,
and no more. A shop in a field of its own (a pharmacy, say) has to say so itself.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources

from tandem.governance.memory import remembers_people

REMEMBERED = 16_384
KINDS = ("health", "sex_life", "religion", "politics", "origin")
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})
# Chinese and Japanese do not part words by spaces, and in Korean particles stick to them.
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]")
_KATAKANA = r"\u30a1-\u30fa\u30fc"
# In Arabic "and", "for", "with" and the article are written as one word with what follows.
_ARTICLE = re.compile(r"^(?:[وفبك]?ال|و?لل)(?=\w{3})")
_TOKEN = re.compile(r"\w+")


@dataclass(frozen=True)
class _Lists:
    """phrases: kind by tokens of a phrase. unspaced: what is found anywhere in a text, by kind.
    longest: tokens of the longest phrase."""

    phrases: dict[tuple[str, ...], str]
    unspaced: dict[str, re.Pattern[str]]
    longest: int


@remembers_people
@lru_cache(maxsize=REMEMBERED)
def special_category(text: str) -> str | None:
    """One of KINDS if `text` names such a thing, else None. `origin` is ethnic origin and genetic
    data; `politics` has trade unions too, `sex_life` sexual orientation."""
    lists = _lists()
    folded = _folded(text)
    tokens = _tokens(folded)
    found = {
        kind
        for start in range(len(tokens))
        for end in range(start + 1, min(start + lists.longest, len(tokens)) + 1)
        if (kind := lists.phrases.get(tokens[start:end])) is not None
    }
    if _UNSPACED.search(folded):
        found |= {kind for kind, pattern in lists.unspaced.items() if pattern.search(folded)}
    return next((kind for kind in KINDS if kind in found), None)


@cache
def _lists() -> _Lists:
    phrases: dict[tuple[str, ...], str] = {}
    unspaced: dict[str, set[str]] = {kind: set() for kind in KINDS}
    for file in resources.files("tandem.governance").joinpath("special_words").iterdir():
        for line in file.read_text(encoding="utf-8").splitlines():
            kind, _, listed = line.partition(":")
            for word in (w.strip() for w in listed.split(",")):
                if _UNSPACED.search(word):
                    unspaced[kind].add(_anywhere(_folded(word)))
                    continue
                # Umlauts are typed as vowels alone, or with an e.
                for typed in (word, word.translate(_UMLAUTS)):
                    phrases.setdefault(_tokens(_folded(typed)), kind)
    patterns = {kind: re.compile("|".join(sorted(words))) for kind, words in unspaced.items()}
    return _Lists(phrases, patterns, max(map(len, phrases)))


def _anywhere(word: str) -> str:
    """Katakana spells foreign words, which begin and end somewhere: 'gay' is not in 'gain'."""
    plain = re.escape(word).replace(r"\ ", r"\s*")
    if re.fullmatch(f"[{_KATAKANA}]+", word):
        return f"(?<![{_KATAKANA}]){plain}(?![{_KATAKANA}])"
    return plain


def _tokens(folded: str) -> tuple[str, ...]:
    return tuple(_ARTICLE.sub("", token) for token in _TOKEN.findall(folded))


def _folded(text: str) -> str:
    """Lower case, compatible forms as one, without accents: they may or may not be typed."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    # Voicing marks of kana, letters of Hangul and hamzas lie elsewhere and are put back.
    kept = "".join(c for c in decomposed if not "\u0300" <= c <= "\u036f")
    return unicodedata.normalize("NFC", kept)
