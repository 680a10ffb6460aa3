"""Stems of words, by the Snowball stemmer of their language."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from threading import Lock
from typing import Any

from tandem.queries.normalise import CACHED_WORDS

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
# Article, with what is written onto it (light10, Larkey, Ballesteros & Connell 2007).
_ARABIC_ARTICLE = re.compile("^(?:و?(?:ال|بال|كال|فال)|لل)(?=.{3})")
_lock = Lock()


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
