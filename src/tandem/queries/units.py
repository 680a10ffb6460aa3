"""Units of measure as titles and queries write them, so that both sides share one spelling."""

from __future__ import annotations

# What a quantity is called, the form that its terms end in, and its spellings (folded).
_SPELLINGS: dict[str, str] = {
    "kb": "kb ko",
    "mb": "mb mo",
    "gb": "gb go",
    "tb": "tb",
    "mm": "mm",
    "cm": "cm",
    "m": "m",
    "km": "km",
    "inch": "in inch inches zoll pouce pouces pulgada pulgadas polegada polegadas inci بوصه",
    "ft": "ft feet foot",
    "ml": "ml",
    "cl": "cl",
    "l": "l liter liters litre litres litro litros",
    "gal": "gal gallon gallons",
    "oz": "oz ounce ounces",
    "g": "g gram grams gramm gramme grammes",
    "kg": "kg kgs",
    "mg": "mg",
    "lb": "lb lbs",
    "w": "w watt watts vatios",
    "kw": "kw",
    "v": "v volt volts",
    "mah": "mah",
    "wh": "wh",
    "hz": "hz",
    "khz": "khz",
    "mhz": "mhz",
    "ghz": "ghz",
    "mp": "mp megapixel megapixels",
    "dpi": "dpi",
    "gbps": "gbps",
    "mbps": "mbps",
    "k": "k",
    "p": "p",
    "pack": "pack",
    "pcs": "pcs pieces pc",
}
UNITS: dict[str, str] = {word: unit for unit, words in _SPELLINGS.items() for word in words.split()}
MAX_UNIT = max(map(len, UNITS))

# Words as well as units: these count as units only when written onto the number ('27in', '4k').
AMBIGUOUS = frozenset(
    {"in", "go", "mo", "ko", "k", "p", "m", "feet", "foot", "pack", "pc", "pieces"}
)
