"""The catalogue on disk: exact, atomic, bounded."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tandem.contracts.errors import InvalidInput, NotFound
from tandem.contracts.product import Money, Product
from tandem.storage import catalog
from tandem.storage.catalog import (
    CatalogWriter,
    manifest,
    read_ids,
    read_products,
    write_generation,
)
from tandem.storage.layout import Layout, Settings


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.create(tmp_path / "shop", Settings())


def product(identity: str, **fields: Any) -> Product:
    return Product.model_validate({"id": identity, "title": f"Title {identity}", **fields})


def stored(layout: Layout, batch_size: int = 4096) -> list[Product]:
    return [p for batch in read_products(layout, batch_size) for p in batch]


FULL = product(
    "full",
    description="two\nlines",
    brand="B",
    merchant="M",
    category=("A", "B"),
    attributes={"flag": True, "off": False, "one": 1.0, "text": "1", "true": "true"},
    identifiers=("x", "y"),
    price=Money(amount=Decimal("12.50"), currency="EUR"),
    stock=0,
    rating=0.0,
    rating_count=0,
    images=("i",),
    created=datetime(2024, 5, 31, 10, 0, 0, 123456, tzinfo=timezone(timedelta(hours=2))),
    language="en",
    extra={"n": 1, "nested": {"list": [1, "ü", None]}},
)


def test_every_field_comes_back_in_its_type(layout: Layout) -> None:
    write_generation(layout, [FULL, product("bare")], {"test": 1})
    full, bare = stored(layout)
    assert full == FULL
    assert {k: type(v) for k, v in full.attributes.items()} == {
        "flag": bool,
        "off": bool,
        "one": float,
        "text": str,
        "true": str,
    }
    assert full.price is not None
    assert str(full.price.amount) == "12.50"
    assert bare == product("bare")
    assert (bare.stock, bare.rating, bare.rating_count, bare.price) == (None,) * 4


TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
NAME = TEXT.filter(str.strip).map(str.strip)
PRODUCTS = st.builds(
    Product,
    id=NAME,
    title=NAME,
    description=TEXT,
    brand=st.none() | TEXT,
    category=st.lists(TEXT, max_size=3).map(tuple),
    attributes=st.dictionaries(
        TEXT, st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | TEXT, max_size=4
    ),
    identifiers=st.lists(TEXT, max_size=3).map(tuple),
    price=st.none()
    | st.builds(
        Money,
        amount=st.decimals(min_value=0, max_value=10**12, places=4),
        currency=st.sampled_from(["EUR", "JPY"]),
    ),
    stock=st.none() | st.integers(0, 2**63 - 1),
    rating=st.none() | st.floats(0, 5),
    rating_count=st.none() | st.integers(0, 2**63 - 1),
    images=st.lists(TEXT, max_size=2).map(tuple),
    created=st.none()
    | st.datetimes(min_value=datetime(1, 1, 2)).map(lambda d: d.replace(tzinfo=UTC, fold=0)),
    language=st.none() | st.sampled_from(["en", "zh"]),
    extra=st.dictionaries(TEXT, st.none() | st.integers() | TEXT | st.lists(TEXT), max_size=3),
)


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)
@given(st.lists(PRODUCTS, min_size=1, max_size=4, unique_by=lambda p: p.id))
def test_any_product_comes_back_as_it_was(layout: Layout, products: list[Product]) -> None:
    write_generation(layout, products, {})
    again = stored(layout)
    assert again == products
    assert [repr(p) for p in again] == [
        repr(p).replace("datetime.timezone.utc", UTC_REPR) for p in products
    ]
    assert manifest(layout).products == len(products)


UTC_REPR = "zoneinfo.ZoneInfo(key='UTC')"


def test_the_fingerprint_is_that_of_the_content(layout: Layout) -> None:
    products = [product(str(n), stock=n) for n in range(20)]

    def fingerprint(of: list[Product]) -> str:
        return write_generation(layout, of, {}).fingerprint

    original = fingerprint(products)
    assert fingerprint(products[::-1]) == original
    assert fingerprint(products[1:]) != original
    assert fingerprint([*products[1:], product("0", stock=1)]) != original


def test_parts_and_batches_keep_the_order(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "ROWS_PER_GROUP", 3)
    monkeypatch.setattr(catalog, "ROWS_PER_PART", 6)
    ids = [f"{n:03}" for n in range(20)]
    described = write_generation(layout, map(product, ids), {})
    assert len(described.parts) == 4
    assert [p.id for p in stored(layout)] == ids
    assert max(len(batch) for batch in read_products(layout, 2)) == 2
    assert [identity for batch in read_ids(layout) for identity in batch] == ids


def test_large_texts_are_flushed_early(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "BYTES_PER_GROUP", 10_000)
    held = []
    with CatalogWriter(layout, source={}) as writer:
        for n in range(100):
            writer.add(product(str(n), description="x" * 3_000))
            held.append(len(writer._rows))
    assert max(held) < 5
    assert len(stored(layout)) == 100


def test_merge_keeps_others_before_new_ones(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalog, "ROWS_PER_PART", 2)
    monkeypatch.setattr(catalog, "ROWS_PER_GROUP", 2)
    write_generation(layout, map(product, "abcde"), {})
    with CatalogWriter(layout, source={}, merge=True) as writer:
        writer.add(product("c", stock=1))
        writer.add(product("x"))
    assert [p.id for p in stored(layout)] == ["a", "b", "d", "e", "c", "x"]
    assert writer.manifest.fingerprint == write_generation(layout, stored(layout), {}).fingerprint


def test_a_failure_leaves_everything_as_it_was(layout: Layout) -> None:
    write_generation(layout, [product("a")], {})
    before = sorted(layout.root.rglob("*"))

    def failing() -> Iterator[Product]:
        yield from (product(str(n)) for n in range(10_000))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_generation(layout, failing(), {})
    assert sorted(layout.root.rglob("*")) == before
    assert [p.id for p in stored(layout)] == ["a"]


def test_an_empty_catalogue_is_refused(layout: Layout) -> None:
    with pytest.raises(InvalidInput, match="no product"):
        write_generation(layout, [], {})
    assert not layout.catalog.root.exists()


def test_the_manifest_tells_where_it_came_from(layout: Layout) -> None:
    written = write_generation(layout, [product("a")], {"files": ["a.csv"]})
    assert manifest(layout) == written
    assert written.source == {"files": ["a.csv"]}
    assert written.generation == layout.catalog.live()
    first = written.generation
    write_generation(layout, [product("b")], {})
    assert manifest(layout, first) == written
    assert [p.id for batch in read_products(layout, generation=first) for p in batch] == ["a"]


def test_no_catalogue_yet(layout: Layout) -> None:
    with pytest.raises(NotFound, match="no catalogue"):
        list(read_products(layout))


@pytest.mark.parametrize("content", ["{", "{}", '{"format": 99}', '{"format": 1}', "[1]"])
def test_a_damaged_manifest_is_a_clear_error(layout: Layout, content: str) -> None:
    write_generation(layout, [product("a")], {})
    path = layout.catalog.live_path()
    assert path is not None
    (path / "manifest.json").write_text(content)
    with pytest.raises(InvalidInput) as caught:
        manifest(layout)
    assert caught.value.remedy
