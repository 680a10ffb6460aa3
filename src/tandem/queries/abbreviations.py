"""Abbreviations that a catalogue spells out: "uninterruptible power supply (UPS)".

The short form's letters are found in the long form from right to left (Schwartz & Hearst, PSB
2003). What enough products spell out becomes a synonym in both directions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

MIN_PRODUCTS = 3  # that spell an abbreviation out alike
MAX_SHORT = 8
MAX_LONG_WORDS = 4
_BEFORE = 120  # characters in front of a parenthesis that may hold the long form
_PARENTHESIS = re.compile(r"\(([^()]{2,60})\)")
_EDGES = " ,.;:"


def abbreviations(text: str) -> Iterator[tuple[str, str]]:
    """(short, long) in small letters for every abbreviation that the text spells out, written
    "long (SHORT)" or "SHORT (long)"."""
    if "(" not in text:
        return
    for match in _PARENTHESIS.finditer(text):
        inside = match[1].strip()
        before = text[max(0, match.start() - _BEFORE) : match.start()].rstrip()
        last = before.rsplit(None, 1)[-1] if before else ""
        for short, other in ((inside, before), (last, inside)):
            long = _long_form(short, other) if _is_short(short) else None
            if long and _says_more(short, long):
                yield short.lower(), long.lower()


def _is_short(word: str) -> bool:
    return (
        2 <= len(word) <= MAX_SHORT
        and word.replace("-", "").isalpha()
        and any(c.isupper() for c in word)
    )


def _says_more(short: str, long: str) -> bool:
    words = long.lower().split()
    return (
        len(long) > len(short) + 2 and len(words) <= MAX_LONG_WORDS and short.lower() not in words
    )


def _long_form(short: str, text: str) -> str | None:
    """The end of `text` that has the letters of `short` in order, the first at a word's start."""
    words = text.split()
    text = " ".join(words[-min(len(short) + 5, 2 * len(short)) :])
    at = len(text)
    letters = [c for c in short.lower() if c.isalnum()]
    for i in range(len(letters) - 1, -1, -1):
        at -= 1
        while at >= 0 and not (
            text[at].lower() == letters[i] and (i > 0 or at == 0 or not text[at - 1].isalnum())
        ):
            at -= 1
        if at < 0:
            return None
    return text[text.rfind(" ", 0, at + 1) + 1 :].strip(_EDGES) or None
