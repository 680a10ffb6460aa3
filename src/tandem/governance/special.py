"""Queries that tell of special categories of personal data (GDPR Art. 9).

Such a query says something about the person who typed it that may be read with explicit consent
only. A short list of plain words in four languages, matched as whole words: it knows what it
lists, and no more. A shop in a field of its own (a pharmacy, say) has to say so itself.
"""

from __future__ import annotations

import re
from functools import lru_cache

from tandem.governance.memory import remembers_people

REMEMBERED = 16_384

_WORDS = {
    "health": (
        "hiv", "aids", "cancer", "krebs", "chemo", "chemotherapy", "chemotherapie", "diabetes",
        "diabetic", "diabetiker", "insulin", "depression", "antidepressant", "antidepressants",
        "antidepressiva", "epilepsy", "epilepsie", "dementia", "demenz", "alzheimer", "parkinson",
        "schizophrenia", "incontinence", "inkontinenz", "herpes", "hepatitis", "pregnancy test",
        "schwangerschaftstest", "test de grossesse", "prueba de embarazo", "erectile dysfunction",
        "viagra", "methadone", "psoriasis", "colostomy", "stoma bag", "stoma bags",
    ),
    "sex_life": (
        "condom", "condoms", "kondom", "kondome", "préservatif", "préservatifs", "condones",
        "sex toy", "sex toys", "sexspielzeug", "vibrator", "dildo", "lubricant gel", "lgbt",
        "lgbtq", "gay pride", "lesbian", "transgender", "chest binder",
    ),
    "religion": (
        "bible", "bibel", "biblia", "quran", "koran", "torah", "prayer rug", "prayer mat",
        "gebetsteppich", "rosary", "rosenkranz", "hijab", "kippah", "kippa", "yarmulke", "crucifix",
    ),
    "politics": (
        "trade union", "gewerkschaft", "syndicat", "sindicato", "communist", "political party",
    ),
}  # fmt: skip
_PATTERNS = {
    kind: re.compile(
        r"(?<!\w)(?:" + "|".join(re.escape(w).replace(r"\ ", r"\s+") for w in words) + r")(?!\w)",
        re.IGNORECASE,
    )
    for kind, words in _WORDS.items()
}


@remembers_people
@lru_cache(maxsize=REMEMBERED)
def special_category(text: str) -> str | None:
    """`health`, `sex_life`, `religion` or `politics` if `text` names such a thing, else None."""
    return next((kind for kind, pattern in _PATTERNS.items() if pattern.search(text)), None)
