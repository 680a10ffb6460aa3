"""Negation: what a query rules out ('water bottle without straw', 'lamp -red')."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tandem.queries.normalise import fold

# 'no' and 'non' are left out on purpose: 'no 7 serum', 'non stick pan' rule nothing out. Triggers
# count in a catalogue of their language only: 'sin' is an English word too.
NEGATIONS: dict[str, tuple[str, ...]] = {
    "en": ("without", "except", "excluding", "minus", "not", "w/o"),
    "es": ("sin", "excepto"),
    "pt": ("sem", "exceto"),
    "fr": ("sans", "sauf"),
    "de": ("ohne", "ausser", "außer"),
    "id": ("tanpa", "kecuali"),
    "ar": ("بدون", "دون"),
    "it": ("senza", "tranne"),
    "nl": ("zonder", "behalve"),
    "ru": ("без",),
}
# After these, 'not' denies a verb and rules nothing out: 'gift not included', but
# 'the one for whom food is not enough'.
_VERBS = frozenset(
    {"is", "are", "was", "be", "am", "do", "does", "did", "can", "could", "will", "would"}
    | {"should", "may", "might", "or", "if"}
)
_MINUS = re.compile(r"(?:^|(?<=\s))-(?=[^\W\d_])(\S+)")
# Japanese and Korean rule out what stands before, Chinese what follows, often without a space.
_EAST_BEFORE = re.compile(
    r"^(\S+?)\s?(?:が|の)?(?:なし|無し|抜き|없는|제외)(?:の|한)?(?=\s|\S|$)\s*(.*)$"
)
_EAST_AFTER = re.compile(r"^(.*?)\s*(?:不含|不带|不帶)(\S+)$")


@dataclass(frozen=True)
class Negated:
    """The text without its negations, what is ruled out softly, and what is never shown."""

    text: str
    ruled_out: str = ""
    excluded: tuple[str, ...] = ()


def triggers(languages: Sequence[str]) -> frozenset[str]:
    """Folded negation words; the English ones count everywhere."""
    return frozenset(fold(w) for x in (*languages, "en") for w in NEGATIONS.get(x, ()))


def negations(text: str, words_of_negation: frozenset[str]) -> Negated:
    """Split a normalised query. A query that would have nothing left has no negation."""
    excluded = tuple(_MINUS.findall(text))
    rest = " ".join(_MINUS.sub(" ", text).split())
    if excluded and not rest:
        return Negated(text)
    words = rest.split()
    for i, word in enumerate(words):
        trigger = fold(word.strip(".,;"))
        if trigger == "not" and i and fold(words[i - 1]) in _VERBS:
            continue
        if trigger in words_of_negation:
            ruled_out = [w for w in words[i + 1 :] if fold(w) not in words_of_negation]
            if i and ruled_out:
                return Negated(" ".join(words[:i]), " ".join(ruled_out), excluded)
            break
    if not rest.isascii():
        if (east := _EAST_BEFORE.match(rest)) and east[2]:
            return Negated(east[2], east[1], excluded)
        if (east := _EAST_AFTER.match(rest)) and east[1]:
            return Negated(east[1], east[2], excluded)
        if len(words) > 1 and (last := _EAST_BEFORE.match(words[-1])) and not last[2]:
            return Negated(" ".join(words[:-1]), last[1], excluded)
    return Negated(rest, "", excluded)
