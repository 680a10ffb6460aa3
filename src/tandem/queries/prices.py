"""Price conditions in a query: 'under 50 €', 'unter 50 euro', '$20-$40', 'menos de 30 euros'."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from tandem.queries.normalise import fold

# Not 'pounds': under 40 pounds is a weight more often than a price.
CURRENCY = r"(?:€|\$|£|¥|₹|₩|eur|euros?|usd|dollars?|dolares|gbp|quid|reais|rp|idr|يورو|دولار)"
MOST = (
    *("under", "below", "less than", "cheaper than", "up to", "max", "at most"),
    *("unter", "weniger als", "bis", "bis zu", "höchstens", "maximal"),
    *("moins de", "sous", "jusqu'a", "jusqu'à", "menos de", "por menos de", "hasta", "debajo de"),
    *("até", "abaixo de", "di bawah", "kurang dari", "maksimal", "أقل من", "تحت"),
)
LEAST = (
    *("over", "above", "more than", "at least", "from", "über", "mehr als", "ab", "mindestens"),
    *("plus de", "más de", "desde", "mais de", "acima de", "di atas", "lebih dari", "أكثر من"),
)
BETWEEN = r"(?:between|zwischen|entre|antara|from|von|de|بين)"
TO = r"(?:-|–|to|and|bis|und|a|à|até|et|y|e|hingga|sampai|dan|و)"
AMOUNT = r"(\d{1,3}(?:[.,]\d{3})+(?:[.,]\d{1,2})?|\d{1,9}(?:[.,]\d{1,2})?)"
_SPACE = r"\s*"
_RANGE = re.compile(
    rf"(?:(?:^|(?<=\s)){BETWEEN}\s+)?(?:({CURRENCY}){_SPACE})?(?<![\d.,]){AMOUNT}{_SPACE}"
    rf"(?:{CURRENCY})?{_SPACE}{TO}{_SPACE}(?:{CURRENCY}{_SPACE})?{AMOUNT}"
    rf"{_SPACE}({CURRENCY})?(?=\s|$)"
)
_EAST = re.compile(
    rf"(?:[¥₩]\s*{AMOUNT}|{AMOUNT}\s*(?:円|元|원|块|塊))\s*(以下|이하|以内|미만|以上|이상)(?:の|의|的)?"
)


def _one_sided(words: tuple[str, ...]) -> re.Pattern[str]:
    """Needs a currency: 'under 50' may be anything, 'under 50 €' is a price."""
    spelled = "|".join(sorted(map(fold, words), key=len, reverse=True))
    return re.compile(
        rf"(?:^|(?<=\s))(?:{spelled}){_SPACE}"
        rf"(?:{CURRENCY}{_SPACE}{AMOUNT}|{AMOUNT}{_SPACE}{CURRENCY})(?=\s|$)"
    )


_MOST, _LEAST = _one_sided(MOST), _one_sided(LEAST)


@dataclass(frozen=True)
class Price:
    """The text without its price words, and the bounds in major units that they set."""

    text: str
    least: Decimal | None = None
    most: Decimal | None = None
    said: str = ""


def price_of(text: str) -> Price:
    """Read a price condition out of a normalised query; the query itself when there is none."""
    if not any(c.isdigit() for c in text):
        return Price(text)
    # Folding keeps lengths for the scripts that price words are written in, so spans carry over.
    plain = " ".join(fold(w) for w in text.split(" "))
    if len(plain) != len(text):
        plain = text.lower()
        if len(plain) != len(text):
            return Price(text)
    if east := _EAST.search(plain):
        amount, least = _amount(east[1] or east[2]), east[3] in ("以上", "이상")
        return _found(text, east, amount if least else None, None if least else amount)
    if (span := _RANGE.search(plain)) and (span[1] or span[4]):
        low, high = sorted((_amount(span[2]), _amount(span[3])))
        return _found(text, span, low, high)
    if most := _MOST.search(plain):
        return _found(text, most, None, _amount(most[1] or most[2]))
    if least_ := _LEAST.search(plain):
        return _found(text, least_, _amount(least_[1] or least_[2]), None)
    return Price(text)


def _amount(text: str) -> Decimal:
    """'1.299,50', '1,299.50' and '1299.5' are one amount; three digits close a group."""
    whole = re.sub(r"[.,](?=\d{3}(?!\d))", "", text)
    return Decimal(whole.replace(",", "."))


def _found(text: str, match: re.Match[str], least: Decimal | None, most: Decimal | None) -> Price:
    rest = " ".join((text[: match.start()] + " " + text[match.end() :]).split())
    return Price(rest, least, most, text[match.start() : match.end()].strip())
