"""Which language a query is in, as far as its script and its function words say so."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tandem.queries.negation import NEGATIONS
from tandem.queries.normalise import fold
from tandem.queries.stopwords import STOP_WORDS

_SCRIPTS = (
    ("ko", re.compile("[\u1100-\u11ff\uac00-\ud7af]")),
    ("ja", re.compile("[\u3040-\u30ff]")),
    ("zh", re.compile("[\u3400-\u4dbf\u4e00-\u9fff]")),
    ("ar", re.compile("[\u0600-\u06ff]")),
    ("ru", re.compile("[\u0400-\u04ff]")),
)


def language_of(text: str, languages: Sequence[str]) -> str | None:
    """The language of a normalised query among those of the catalogue; None when nothing says so.

    Han characters alone may be Japanese as well: then the catalogue decides.
    """
    for language, script in _SCRIPTS:
        if script.search(text):
            if language == "zh" and "ja" in languages and "zh" not in languages:
                return "ja"
            return language if language in languages else None
    if len(languages) == 1:
        return languages[0]
    words = [fold(w) for w in text.split()]
    votes = {
        x: sum(w in _FUNCTION_WORDS.get(x, ()) for w in words) for x in languages if len(words) > 1
    }
    best = sorted(votes.values(), reverse=True)[:2]
    if not best or best[0] == 0 or (len(best) > 1 and best[0] == best[1]):
        return None
    return max(votes, key=lambda x: votes[x])


_FUNCTION_WORDS = {
    x: frozenset(fold(w) for w in (*words.split(), *NEGATIONS.get(x, ())))
    for x, words in STOP_WORDS.items()
}
