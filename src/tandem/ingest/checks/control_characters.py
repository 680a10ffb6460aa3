"""No control characters: they break search, logs and terminals, and mean a damaged export.

Line ends and tabs are fine. Lone surrogates are refused too: UTF-8 cannot hold them. Characters
U+0080 to U+009F are what Windows-1252 punctuation (dashes, curly quotes, €) turns into when it is
decoded as Latin-1; they are read as what was meant, as browsers do (WHATWG HTML, numeric character
reference end state), and refused only where Windows-1252 has no such character.
"""

from __future__ import annotations

import re

from tandem.ingest.mapping import Draft
from tandem.ingest.problem import Problem

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_MEANT = {
    code: bytes([code]).decode("windows-1252")
    for code in range(0x80, 0xA0)
    if code not in (0x81, 0x8D, 0x8F, 0x90, 0x9D)
} | {0x85: "\n"}  # NEL is a line end in its own right
FIELDS = ("id", "title", "description", "brand", "merchant")
LISTS = ("category", "identifiers", "images")


def check_control_characters(draft: Draft) -> Problem | None:
    """Looks at every text of the product, attributes' names and values included."""
    for field in FIELDS:
        text = draft.get(field)
        # isprintable() is many times faster than the pattern and true for most texts.
        if text is not None and not text.isprintable() and _CONTROL.search(text):
            draft[field] = text = text.translate(_MEANT)
            if found := _CONTROL.search(text):
                return _problem(field, found)
    for field in LISTS:
        if not all(text.isprintable() for text in draft.get(field, ())):
            draft[field] = tuple(text.translate(_MEANT) for text in draft[field])
            for text in draft[field]:
                if found := _CONTROL.search(text):
                    return _problem(field, found)
    attributes = draft["attributes"]
    for name, value in attributes.items():
        if not name.isprintable() and (found := _CONTROL.search(name)):
            return _problem(f"attributes.{ascii(name)[1:-1]}", found)
        if isinstance(value, str) and not value.isprintable() and _CONTROL.search(value):
            attributes[name] = value = value.translate(_MEANT)
            if found := _CONTROL.search(value):
                return _problem(f"attributes.{name}", found)
    return None


def _problem(field: str, found: re.Match[str]) -> Problem:
    return Problem(
        "control-character",
        field,
        f"control character U+{ord(found.group()):04X} at position {found.start() + 1}",
        "remove it, or correct the encoding of the export",
    )
