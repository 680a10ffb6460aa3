"""What a product says of itself, in sentences and in quantities that claims are held against."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from tandem.contracts.product import Product, field_text
from tandem.queries.normalise import fold, normalise, tokens
from tandem.queries.stemming import stem
from tandem.queries.units import AMBIGUOUS, UNITS

FIELDS = ("title", "brand", "category", "attributes", "description")
MOST_FACTS = 8
_COUNTING = frozenset(["quantity", "count", "number", "of", "included"])
_COUNTED = frozenset(["quantity", "count", "number", "pieces", "ports", "buttons", "rating"])

# Units of one kind in one base unit.
_BASES: dict[str, tuple[str, Decimal]] = {
    **{u: ("g", Decimal(f)) for u, f in (("mg", "0.001"), ("g", "1"), ("kg", "1000"))},
    **{u: ("ml", Decimal(f)) for u, f in (("ml", "1"), ("cl", "10"), ("l", "1000"))},
    **{u: ("mm", Decimal(f)) for u, f in (("mm", "1"), ("cm", "10"), ("m", "1000"))},
    **{u: ("w", Decimal(f)) for u, f in (("w", "1"), ("kw", "1000"))},
    **{
        u: ("hz", Decimal(f))
        for u, f in (("hz", "1"), ("khz", "1e3"), ("mhz", "1e6"), ("ghz", "1e9"))
    },
    **{u: ("mb", Decimal(f)) for u, f in (("mb", "1"), ("gb", "1024"), ("tb", "1048576"))},
    **{w: ("h", Decimal(1)) for w in ("h", "hour", "hours", "hr", "hrs")},
    **{w: ("min", Decimal(1)) for w in ("min", "minute", "minutes")},
    **{w: ("%", Decimal(1)) for w in ("%", "percent")},
}
_QUANTITY = re.compile(r"(?<![\w.,])(\d+(?:[.,]\d+)*)\s?-?(%|[^\W\d_]{1,10})?(?![\w])")


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with a unit, in the base unit of its kind."""

    value: Decimal
    unit: str
    text: str
    start: int = 0


def quantities(text: str) -> Iterator[Quantity]:
    """Numbers with a unit of measure, as a text writes them: 500 ml, 13.3", 20-watt."""
    plain = normalise(text)
    for match in _QUANTITY.finditer(plain):
        number, word = match[1], match[2]
        if word is None:
            continue
        unit = fold(word)
        # 'in' and 'm' are words as well: they count when written onto the number.
        if unit in AMBIGUOUS and not plain[match.start() : match.end()].endswith(number + word):
            continue
        known = UNITS.get(unit, unit)
        base = _BASES.get(known) or ((known, Decimal(1)) if unit in UNITS else None)
        if base is not None:
            value = _number(number)
            if value is not None:
                yield Quantity(value * base[1], base[0], match[0].strip(), match.start())


def product_quantities(product: Product) -> list[Quantity]:
    """Every quantity that the listing states. `screen_inch: 13.3` is 13.3 inch."""
    found = [q for name in FIELDS for q in quantities(field_text(product, name))]
    for name, value in product.attributes.items():
        if isinstance(value, float) and not isinstance(value, bool):
            unit = re.split(r"[\W_]+", name)[-1]
            found += quantities(f"{value:g}{unit}")
    return found


def product_counts(product: Product) -> dict[str, list[tuple[float, str]]]:
    """How many of what the listing states, by the stem of the noun, each with its words:
    `number_of_battery_cells: 6` is six cells."""
    language = product.language or "en"
    found: dict[str, list[tuple[float, str]]] = {}
    for name, value in product.attributes.items():
        words = [fold(w) for w in re.split(r"[\W_]+", name) if w]
        nouns = [w for w in words if w not in _COUNTING and w not in UNITS]
        if isinstance(value, float) and value == int(value) and len(nouns) < len(words) and nouns:
            found.setdefault(stem(nouns[-1], language), []).append((value, " ".join(words)))
    return found


def product_words(product: Product) -> set[str]:
    """Folded words of the listing, names of flags that are true included."""
    return {fold(word) for name in FIELDS for word in tokens(field_text(product, name))}


def attribute_phrase(name: str, value: object) -> str | None:
    """An attribute in words; None for a flag that is false, and for a number of unknown unit."""
    words = re.sub(r"[\W_]+", " ", name).strip()
    if value is True:
        return words
    if value is False or value == "":
        return None
    if isinstance(value, float):
        parts = words.split()
        unit = parts[-1] if parts and fold(parts[-1]) in UNITS else None
        if unit is None and not _COUNTED.intersection(map(fold, parts)):
            return None
        label = " ".join(parts[:-1]) if unit else words
        return f"{label}: {value:g}{f' {unit}' if unit else ''}"
    return f"{words}: {value}"


def facts(product: Product) -> list[str]:
    """What may be stated about the product, the most telling first."""
    found = []
    if product.brand:
        found.append(f"brand: {product.brand}")
    for name, value in product.attributes.items():
        phrase = attribute_phrase(name, value)
        if phrase is not None and len(phrase) <= 100:
            found.append(phrase)
    if product.price is not None:
        found.append(f"price: {product.price.amount} {product.price.currency}")
    return found


def unknown(product: Product) -> list[str]:
    """What shoppers ask about and the listing does not say: `price`, `stock`, `attributes`."""
    missing = []
    if product.price is None:
        missing.append("price")
    if product.stock is None:
        missing.append("stock")
    if not product.attributes:
        missing.append("attributes")
    return missing


def _number(text: str) -> Decimal | None:
    """1,000 is a thousand; 2,5 is two and a half."""
    if re.fullmatch(r"\d{1,3}(,\d{3})+(\.\d+)?", text):
        text = text.replace(",", "")
    text = text.replace(",", ".")
    return Decimal(text) if text.count(".") <= 1 else None
