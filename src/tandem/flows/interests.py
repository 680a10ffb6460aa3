"""What is kept of a visitor, in plain words, with the products behind every word."""

from __future__ import annotations

from collections import Counter

import numpy as np

from tandem.contracts.recommend import Interest, Visitor
from tandem.features.store import CATEGORY_SEPARATOR
from tandem.flows.view import View

FEWEST = 2  # products that make an interest of a brand or a category
MOST = 8  # interests of a kind
BAND = 3  # prices at least, before they say something


def interests(view: View, visitor: Visitor) -> tuple[Interest, ...]:
    """Brands and categories of what was looked at, most products first, and the price band of its
    middle half. A single product is no interest yet."""
    ids = list(visitor.recent)
    numbers = view.snapshot.numbers(ids)
    here = [(i, n) for i, n in zip(ids, numbers.tolist(), strict=True) if n >= 0]
    products = view.snapshot.products(np.array([n for _, n in here], np.int64))
    groups: dict[tuple[str, str], list[str]] = {}
    for product in products:
        if product.brand:
            groups.setdefault(("brand", product.brand), []).append(product.id)
        if product.category:
            path = CATEGORY_SEPARATOR.join(product.category)
            groups.setdefault(("category", path), []).append(product.id)
    found: list[Interest] = []
    taken: Counter[str] = Counter()
    for (kind, value), behind in sorted(groups.items(), key=lambda g: (-len(g[1]), g[0])):
        if len(behind) >= FEWEST and taken[kind] < MOST:
            taken[kind] += 1
            found.append(
                Interest.model_validate({"kind": kind, "value": value, "products": behind})
            )
    prices = [(p.id, p.price) for p in products if p.price is not None]
    if len(prices) >= BAND:
        low, high = np.quantile([float(price.amount) for _, price in prices], [0.25, 0.75])
        said = f"{low:,.2f} to {high:,.2f} {prices[0][1].currency}"
        behind = [i for i, price in prices if low <= float(price.amount) <= high]
        found.append(Interest(kind="price", value=said, products=tuple(behind)))
    return tuple(found)
