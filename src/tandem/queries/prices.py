"""Price conditions in a query: 'under 50 €', 'unter 50 euro', '$20-$40', 'menos de 30'."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from tandem.queries.analysis import fold

CURRENCY = r"(?:€|\$|£|¥|₹|₩|eur|euros?|usd|dollars?|dolares|gbp|pounds?|reais|rp|idr|円|元|원)"
MOST = (
    r"(?:under|below|less than|cheaper than|up to|max|unter|weniger als|bis|höchstens|moins de|"
    r"sous|jusqu'?a|menos de|por menos de|hasta|debajo de|ate|abaixo de|di bawah|kurang dari|"
    r"maksimal|أقل من|تحت)"
)
LEAST = (
    r"(?:over|above|more than|at least|from|über|mehr als|ab|plus de|mas de|desde|mais de|"
    r"acima de|di atas|lebih dari|أكثر من)"
)
AMOUNT = r"(\d{1,7}(?:[.,]\d{1,2})?)"
_SPACE = r"\s*"
_RANGE = re.compile(
    rf"(?:({CURRENCY}){_SPACE})?{AMOUNT}{_SPACE}(?:{CURRENCY})?{_SPACE}(?:-|–|to|bis|a|à|até)"
    rf"{_SPACE}(?:{CURRENCY}{_SPACE})?{AMOUNT}{_SPACE}({CURRENCY})?(?=\s|$)"
)


def _one_sided(words: str) -> re.Pattern[str]:
    """Needs a currency: 'under 50' may be anything, 'under 50 €' is a price."""
    words = "|".join(sorted(map(fold, words[3:-1].split("|")), key=len, reverse=True))
    return re.compile(
        rf"(?:^|(?<=\s))(?:{words}){_SPACE}"
        rf"(?:(?P<before>{CURRENCY}){_SPACE}{AMOUNT}|{AMOUNT}{_SPACE}(?P<after>{CURRENCY}))(?=\s|$)"
    )


_MOST, _LEAST = _one_sided(MOST), _one_sided(LEAST)
_EAST = re.compile(rf"{AMOUNT}\s*(?:円|元|원)\s*(以下|이하|以内|미만|以上|이상)")


@dataclass(frozen=True)
class Price:
    """The text without its price words, and the bounds in major units that they set."""

    text: str
    least: Decimal | None = None
    most: Decimal | None = None
    said: str = ""


def price_of(text: str) -> Price:
    """Read a price condition out of a normalised query; the query itself when there is none."""
    # Folding keeps lengths for the scripts that price words are written in, so spans carry over.
    plain = " ".join(fold(w) for w in text.split(" "))
    if len(plain) != len(text):
        plain = text.lower()
    if east := _EAST.search(plain):
        amount, least = _amount(east[1]), east[2] in ("以上", "이상")
        return _found(text, east, amount if least else None, None if least else amount)
    if (span := _RANGE.search(plain)) and (span[1] or span[4]):
        low, high = sorted((_amount(span[2]), _amount(span[3])))
        return _found(text, span, low, high)
    if most := _MOST.search(plain):
        return _found(text, most, None, _amount(most[2] or most[3]))
    if least_ := _LEAST.search(plain):
        return _found(text, least_, _amount(least_[2] or least_[3]), None)
    return Price(text)


def _amount(text: str) -> Decimal:
    return Decimal(text.replace(",", "."))


def _found(text: str, match: re.Match[str], least: Decimal | None, most: Decimal | None) -> Price:
    rest = " ".join((text[: match.start()] + " " + text[match.end() :]).split())
    return Price(rest, least, most, text[match.start() : match.end()].strip())
