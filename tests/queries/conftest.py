"""A small shop whose words, brands and categories the tests know by heart."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tandem.contracts.product import Product
from tandem.queries.analysis import Analyser
from tandem.queries.model import QueryModel, QueryModelBuilder

Build = Callable[..., QueryModel]


def shop() -> list[Product]:
    lines: list[tuple[str, str, tuple[str, ...], dict[str, object]]] = []
    for i in range(6):
        lines += [
            (f"Acme bluetooth speaker {i}", "Acme", ("Audio", "Speakers"), {"color": "Black"}),
            (f"Acme wireless headset {i}", "Acme", ("Audio", "Headsets"), {"wireless": True}),
            (f"North Peak earbuds {i}", "North Peak", ("Audio", "Earbuds"), {"color": "White"}),
            (f"Zeta hard drive 500 GB {i}", "Zeta", ("Computers", "Storage"), {"capacity": 500.0}),
            (f"Zeta laser printer {i}", "Zeta", ("Computers", "Printers"), {"color": "White"}),
            (f"Trail men pants slim {i}", "Trail", ("Clothing", "Men", "Pants"), {}),
            (f"Trail baby pants soft {i}", "Trail", ("Clothing", "Baby", "Pants"), {}),
            (f"Trail water bottle with straw {i}", "Trail", ("Outdoor", "Bottles"), {}),
            (f"Toner for brother tn-2110 {i}", "Brother", ("Computers", "Toner"), {}),
            (f"Flat television set {i}", "Acme", ("Video", "Televisions"), {}),
        ]
    lines += [("Zeta laserprinter small", "Zeta", ("Computers", "Printers"), {})] * 2
    return [
        Product(id=f"p{n}", title=t, brand=b, category=c, attributes=a)  # type: ignore[arg-type]
        for n, (t, b, c, a) in enumerate(lines)
    ]


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    def built(
        products: Iterable[Product],
        languages: tuple[str, ...] = ("en",),
        synonyms: Path | None = None,
    ) -> QueryModel:
        analyser = Analyser(languages)
        builder = QueryModelBuilder(analyser, synonyms)
        for product in products:
            builder.add(analyser.analyse(product))
        return builder.finish(tmp_path_factory.mktemp("queries"))

    return built


@pytest.fixture(scope="session")
def model(build: Build) -> QueryModel:
    return build(shop())
