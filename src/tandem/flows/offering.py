"""Which facets a catalogue offers, decided while it is indexed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tandem.contracts.product import Product

MIN_SHARE = 0.15  # of the products must have a value
MAX_VALUES = 200  # more distinct values are no choice for a shopper
MAX_ATTRIBUTES = 6
MAX_KEYS = 20_000  # attribute names looked at; bounds memory


class FacetChoice:
    """Counts how many products have a value, and how many values there are."""

    def __init__(self) -> None:
        self._having: Counter[str] = Counter()
        self._values: dict[str, set[object]] = {}
        self._total = 0
        self._merchant_is_brand = True

    def add(self, batch: Sequence[Product]) -> None:
        for product in batch:
            self._total += 1
            self._merchant_is_brand &= product.merchant == product.brand
            named: dict[str, object] = {
                "category": product.category[:1] or None,
                "brand": product.brand,
                "merchant": product.merchant,
                "language": product.language,
            }
            for name, known in named.items():
                if known:
                    self._count(name, known)
            for key, value in product.attributes.items():
                if isinstance(value, str) and len(self._having) < MAX_KEYS:
                    self._count(f"\0{key}", value)

    def _count(self, name: str, value: object) -> None:
        self._having[name] += 1
        values = self._values.setdefault(name, set())
        if len(values) <= MAX_VALUES:
            values.add(value)

    def finish(self) -> list[str]:
        """Facet names, the general ones first, then the commonest attributes."""
        enough = MIN_SHARE * self._total
        general = [
            name
            for name in ("category", "brand", "merchant", "language")
            if self._having[name] > min(enough, 1000) and len(self._values.get(name, ())) > 1
        ]
        if self._merchant_is_brand and "merchant" in general:
            general.remove("merchant")
        attributes = [
            name[1:]
            for name, having in self._having.most_common()
            if name.startswith("\0")
            and having > enough
            and 1 < len(self._values[name]) <= MAX_VALUES
        ]
        return [*general, *attributes[:MAX_ATTRIBUTES]]
