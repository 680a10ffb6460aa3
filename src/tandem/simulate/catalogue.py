"""A simulated catalogue: invented products with the statistics of real ones.

Brands, series, merchants and rating counts follow Zipf's law, prices are log-normal within a
category, ratings lean to the top, attributes are typed and go with the category. Every product says
`extra["simulated"] = True`. The same arguments always give the same products.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.product import AttributeValue, Money, Product
from tandem.simulate.lexicon import (
    CATEGORIES,
    DEPARTMENT_OF,
    DEPARTMENTS,
    LEXICONS,
    Lexicon,
)

BATCH = 4096
BRANDS = 2_000
SERIES = 20_000
MERCHANTS = 500
TAIL_WORDS = 200_000
NEWEST = datetime(2026, 1, 1, tzinfo=UTC)
OLDEST_DAYS = 6 * 365

# Median price (in major units of any currency) by category, in the order of `CATEGORIES`; the
# spread is the same everywhere.
_MEDIANS = """
60 80 350 800 280 420 550 180 25 18
45 90 160 600 350 30 40
35 28 40 90 60
30 50 45 90 70 65
12 9 22 55
450 25 30 150
20 25
8 55
"""
_MEDIAN_PRICES = np.array(_MEDIANS.split(), dtype=np.float64)
_PRICE_SPREAD = 0.55
_FLAT_ENDINGS = (Decimal("0.99"), Decimal("0.95"), Decimal("0.00"), Decimal("0.49"))


@dataclass(frozen=True)
class _Numeric:
    """A number attribute: its name and the values it takes, the usual ones in the middle."""

    name: str
    values: tuple[float, ...]
    unit: str


_STORAGE = _Numeric("storage_gb", (32.0, 64.0, 128.0, 256.0, 512.0, 1024.0), "GB")
_SCREEN = _Numeric("screen_inch", (5.5, 6.1, 6.7, 10.9, 13.3, 15.6, 43.0, 55.0, 65.0), "inch")
_POWER = _Numeric("power_watt", (5.0, 20.0, 45.0, 65.0, 800.0, 1200.0, 2000.0), "W")
_VOLUME = _Numeric("volume_ml", (30.0, 50.0, 100.0, 200.0, 250.0, 500.0), "ml")
_SIZE = _Numeric("size", (34.0, 36.0, 38.0, 40.0, 42.0, 44.0), "")
_WIDTH = _Numeric("width_cm", (20.0, 24.0, 28.0, 60.0, 90.0, 140.0, 160.0, 180.0), "cm")
_PIECES = _Numeric("pieces", (1.0, 2.0, 4.0, 100.0, 500.0, 1000.0), "pcs")

_BY_DEPARTMENT: dict[str, tuple[_Numeric, str]] = {
    "electronics": (_STORAGE, "wireless"),
    "home": (_WIDTH, "assembled"),
    "kitchen": (_POWER, "dishwasher_safe"),
    "fashion": (_SIZE, "machine_washable"),
    "beauty": (_VOLUME, "vegan"),
    "sports": (_WIDTH, "outdoor"),
    "toys": (_PIECES, "educational"),
    "office": (_PIECES, "recycled"),
}
_BY_CATEGORY: dict[str, _Numeric] = {
    "laptop": _SCREEN,
    "television": _SCREEN,
    "speaker": _POWER,
    "charger": _POWER,
    "pan": _WIDTH,
    "knife": _WIDTH,
}

_ONSETS = [
    "b",
    "br",
    "c",
    "ch",
    "d",
    "dr",
    "f",
    "fl",
    "g",
    "gl",
    "h",
    "j",
    "k",
    "kr",
    "l",
    "m",
    "n",
    "p",
    "pr",
    "r",
    "s",
    "sh",
    "st",
    "t",
    "tr",
    "v",
    "w",
    "z",
]
_VOWELS = ["a", "e", "i", "o", "u", "ai", "ea", "io", "ou"]
_CODAS = ["", "", "", "l", "m", "n", "r", "s", "x"]


def word(rank: int) -> str:
    """The invented word of a Zipf rank: frequent words are short. Distinct for distinct ranks."""
    parts: list[str] = []
    rest = rank + len(_ONSETS) * len(_VOWELS)
    while rest:
        rest, onset = divmod(rest, len(_ONSETS))
        rest, vowel = divmod(rest, len(_VOWELS))
        parts.append(_ONSETS[onset] + _VOWELS[vowel])
    return "".join(parts) + _CODAS[rank % len(_CODAS)]


def zipf(rng: np.random.Generator, size: int, ranks: int, exponent: float) -> NDArray[np.int64]:
    """`size` ranks in [0, ranks), rank r with probability proportional to 1/(r + 1)^exponent."""
    weights = np.cumsum(np.arange(1, ranks + 1, dtype=np.float64) ** -exponent)
    ranks_drawn: NDArray[np.int64] = np.searchsorted(weights, rng.random(size) * weights[-1])
    return ranks_drawn


def simulated_products(
    n: int,
    *,
    seed: int = 0,
    languages: Sequence[str] = ("en",),
    currency: str = "EUR",
) -> Iterator[Product]:
    """`n` invented products, one at a time, in bounded memory.

    languages: ISO 639 codes among `lexicon.LANGUAGES`; products are spread evenly over them.
    Ids are `SIM-0000001` and up, and the first products do not depend on `n`.
    """
    lexicons = [LEXICONS[language] for language in languages]
    brands = [word(r).capitalize() for r in range(BRANDS)]
    series = [word(r).capitalize() for r in range(BRANDS, BRANDS + SERIES)]
    merchants = [f"{word(r).capitalize()} Store" for r in range(MERCHANTS)]
    for start in range(0, n, BATCH):
        # A stream per batch: the first batches stay the same when n grows.
        rng = np.random.default_rng([seed, start])
        draws = _draw(rng, BATCH)
        for offset in range(min(BATCH, n - start)):
            number = start + offset
            yield _product(
                number,
                lexicons[number % len(lexicons)],
                {name: values[offset] for name, values in draws.items()},
                brands,
                series,
                merchants,
                currency,
            )


def _draw(rng: np.random.Generator, size: int) -> dict[str, list[Any]]:
    """Every random number of a batch, by name, as plain Python numbers."""
    category = zipf(rng, size, len(CATEGORIES), 0.5)
    # Each brand sells in a few categories only, as real brands do.
    brand = (zipf(rng, size, BRANDS // 8, 0.9) * 8 + category % 8).astype(np.int64)
    count = zipf(rng, size, 50_000, 1.05)
    age = rng.beta(1.0, 2.5, size) * OLDEST_DAYS
    return {
        "category": category.tolist(),
        "brand": brand.tolist(),
        "series": zipf(rng, size, SERIES, 0.8).tolist(),
        "merchant": zipf(rng, size, MERCHANTS, 1.0).tolist(),
        "noun": (rng.random(size) < 0.25).astype(int).tolist(),
        "adjective": zipf(rng, size, 10, 0.6).tolist(),
        "second": rng.integers(1, 10, size).tolist(),
        "colour": zipf(rng, size, 8, 0.7).tolist(),
        "colour_in_title": (rng.random(size) < 0.6).tolist(),
        "material": rng.integers(0, 8, size).tolist(),
        "numeric": rng.beta(2.0, 2.0, size).tolist(),
        "flag": (rng.random(size) < 0.4).tolist(),
        "price": (_MEDIAN_PRICES[category] * np.exp(rng.normal(0.0, _PRICE_SPREAD, size))).tolist(),
        "ending": rng.integers(0, len(_FLAT_ENDINGS), size).tolist(),
        "rating": np.round(5 * rng.beta(9.0, 2.0, size), 1).tolist(),
        "rating_count": count.tolist(),
        "stock": (rng.poisson(25, size) * (rng.random(size) > 0.07)).tolist(),
        "age": age.tolist(),
        "model": rng.integers(100, 10_000, size).tolist(),
        "tail": zipf(rng, size * 8, TAIL_WORDS, 1.05).reshape(size, 8).tolist(),
    }


def _product(
    number: int,
    lexicon: Lexicon,
    draw: dict[str, Any],
    brands: list[str],
    series: list[str],
    merchants: list[str],
    currency: str,
) -> Product:
    place = draw["category"]
    category = CATEGORIES[place]
    department = DEPARTMENT_OF[category]
    nouns = lexicon.noun_forms[place]
    noun = nouns[draw["noun"]]
    adjective = lexicon.adjective_list[draw["adjective"]]
    second = lexicon.adjective_list[(draw["adjective"] + draw["second"]) % 10]
    colour = lexicon.colour_list[draw["colour"]]
    material = lexicon.material_list[draw["material"]]
    numeric, flag = _BY_DEPARTMENT[department]
    numeric = _BY_CATEGORY.get(category, numeric)
    value = numeric.values[int(draw["numeric"] * len(numeric.values))]
    brand, line = brands[draw["brand"]], series[draw["series"]]
    measure = f"{value:g} {numeric.unit}".rstrip()
    model = f"{line[:2].upper()}-{draw['model']}"
    title = lexicon.title.format(
        brand=brand,
        series=line,
        adjective=adjective,
        noun=noun,
        space=lexicon.space,
        colour=f" {colour}" if draw["colour_in_title"] else "",
        model=f" {measure} {model}",
    )
    material_label, colour_label = lexicon.label_list
    tail = " ".join(map(word, draw["tail"]))
    stop = "。" if lexicon.space == "" else ". "
    description = (
        f"{nouns[0]}, {adjective}, {second}{stop}{material_label}: {material}{stop}"
        f"{colour_label}: {colour}{stop}{tail}"
    )
    attributes: dict[str, AttributeValue] = {
        "colour": colour,
        "material": material,
        "style": adjective,
        numeric.name: value,
        flag: draw["flag"],
    }
    rated = draw["rating_count"] > 0
    # Built from parts that satisfy the contract (a test holds them against it): validating a
    # million products of our own making would take most of the time.
    return Product.model_construct(
        id=f"SIM-{number + 1:07d}",
        title=title,
        description=description,
        brand=brand,
        merchant=merchants[draw["merchant"]],
        category=(lexicon.department_names[DEPARTMENTS.index(department)], nouns[0]),
        attributes=attributes,
        identifiers=(model,),
        price=Money.model_construct(
            amount=Decimal(max(1, int(draw["price"]))) + _FLAT_ENDINGS[draw["ending"]],
            currency=currency,
        ),
        stock=draw["stock"],
        rating=draw["rating"] if rated else None,
        rating_count=draw["rating_count"],
        images=(),
        created=NEWEST - timedelta(days=int(draw["age"])),
        language=lexicon.language,
        extra={"simulated": True, "category": category},
    )
