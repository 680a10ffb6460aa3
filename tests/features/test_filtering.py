"""Masks by column against reading every product."""

from __future__ import annotations

import numpy as np
import pytest

from tandem.contracts.product import TEXT_FIELDS, AnalysedProduct, Product
from tandem.contracts.search import Filters
from tandem.features.filtering import FEW, column_mask
from tandem.features.store import FeatureStore, FeatureStoreBuilder

BRANDS = [f"brand {i}" for i in range(3 * FEW)]


@pytest.fixture(scope="module")
def products() -> list[Product]:
    rng = np.random.default_rng(2)
    return [
        Product(
            id=f"p{i}",
            title="x",
            brand=None if i % 5 == 0 else BRANDS[rng.integers(len(BRANDS))],
            category=("Home", f"Kind {i % 30}", f"Sort {i % 7}"),
        )
        for i in range(300)
    ]


@pytest.fixture(scope="module")
def store(products, tmp_path_factory) -> FeatureStore:
    folder = tmp_path_factory.mktemp("store")
    builder = FeatureStoreBuilder(folder)
    builder.add([AnalysedProduct(p, {f: [] for f in TEXT_FIELDS}) for p in products])
    builder.finish()
    return FeatureStore.open(folder)


@pytest.mark.parametrize("wanted", [1, 3, FEW, FEW + 1, len(BRANDS)])
def test_brands(store, products, wanted):
    asked = (*BRANDS[-wanted:], "no such brand")
    expected = [p.brand in asked for p in products]
    assert column_mask(store, Filters(brand=asked)).tolist() == expected
    assert 0 < sum(expected) < len(products)


@pytest.mark.parametrize("path", ["Home", "Home > Kind 3", "Home > Kind 3 > Sort 3", "Elsewhere"])
def test_categories_with_all_below_them(store, products, path):
    expected = [(" > ".join(p.category) + " > ").startswith(path + " > ") for p in products]
    assert column_mask(store, Filters(category=(path,))).tolist() == expected
