"""Vectors of texts by their words alone, for workspaces without a text encoder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b

import numpy as np

from tandem.matching.pairs import Floats, unit

_WORD = re.compile(r"\w{2,}")
_PLACES = 4
_MOST_WORDS = 200


class WordVectors:
    """Signed random projections of words (Achlioptas, 2003): texts with common words are near."""

    name = "words-256"
    dimension = 256

    def encode(self, texts: Sequence[str]) -> Floats:
        """(len(texts), dimension) unit rows; a text without words is a row of zeros."""
        out = np.zeros((len(texts), self.dimension), np.float32)
        for i, text in enumerate(texts):
            for word in set(_WORD.findall(text.lower())[:_MOST_WORDS]):
                places, signs = _of_word(word)
                out[i, list(places)] += signs
        return unit(out)

    def forget(self) -> None:
        _of_word.cache_clear()


@lru_cache(maxsize=65_536)
def _of_word(word: str) -> tuple[tuple[int, ...], tuple[float, ...]]:
    digest = blake2b(word.encode(), digest_size=2 * _PLACES).digest()
    return tuple(digest[:_PLACES]), tuple(1.0 if b & 1 else -1.0 for b in digest[_PLACES:])
