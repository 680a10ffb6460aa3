"""Negation: what a query rules out ('water bottle without straw', 'lamp -red')."""

from __future__ import annotations

import re
from dataclasses import dataclass

# 'no' and 'non' are left out on purpose: 'no 7 serum', 'non stick pan' rule nothing out.
NEGATIONS = {
    "en": ("without", "except", "excluding", "minus", "not"),
    "es": ("sin", "excepto"),
    "pt": ("sem", "exceto"),
    "fr": ("sans", "sauf"),
    "de": ("ohne", "ausser", "außer"),
    "id": ("tanpa", "kecuali"),
    "ar": ("بدون", "دون"),
    "it": ("senza",),
    "nl": ("zonder",),
}
# In these languages the negation stands after what it rules out.
AFTER = ("なし", "抜き", "없는", "제외")
_MINUS = re.compile(r"(?:^|(?<=\s))-(?=[^\W\d_])(\S+)")


@dataclass(frozen=True)
class Negated:
    """The text without its negations, what is ruled out softly, and what is never shown."""

    text: str
    ruled_out: str
    excluded: tuple[str, ...]


def negations(text: str, languages: tuple[str, ...]) -> Negated:
    """Split a normalised query. A query that would have nothing left has no negation."""
    excluded = tuple(_MINUS.findall(text))
    rest = " ".join(_MINUS.sub(" ", text).split())
    if excluded and not rest:
        return Negated(text, "", ())
    words = rest.split()
    triggers = {w for x in dict.fromkeys((*languages, "en")) for w in NEGATIONS.get(x, ())}
    for i, word in enumerate(words):
        if word.casefold().strip(".,") in triggers and 0 < i < len(words) - 1:
            return Negated(" ".join(words[:i]), " ".join(words[i + 1 :]), excluded)
        for after in AFTER:
            if word == after and i > 1:
                kept = [*words[: i - 1], *words[i + 1 :]]
                return Negated(" ".join(kept), words[i - 1], excluded)
    return Negated(rest, "", excluded)
