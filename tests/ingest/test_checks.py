"""What each check makes of good values. What it makes of bad ones: tests/flows/test_import.py."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tandem.contracts.product import Product
from tandem.ingest.checks import NoDuplicates, checks_for
from tandem.ingest.currencies import is_currency, minor_digits
from tandem.ingest.mapping import TANDEM, ColumnMapping
from tandem.ingest.problem import Problem


def passed(row: dict[str, Any], mapping: ColumnMapping = TANDEM, currency: str = "EUR") -> Product:
    """The product that a row becomes; fails the test if a check turns it away."""
    result = checked(row, mapping, currency)
    assert isinstance(result, Product), result
    return result


def checked(
    row: dict[str, Any], mapping: ColumnMapping = TANDEM, currency: str = "EUR"
) -> Product | Problem:
    duplicates = NoDuplicates()
    duplicates.files.append(Path("x.jsonl"))
    draft = mapping.apply({"id": "a", "title": "t", **row})
    for check in checks_for(mapping, currency, duplicates):
        if problem := check(draft):
            return problem
    return Product.model_validate(draft)


@pytest.mark.parametrize(
    ("price", "currency", "amount"),
    [
        (12.5, "EUR", "12.50"),
        ("12.5", "EUR", "12.50"),
        (29.990000000000002, "EUR", "29.99"),
        (0, "EUR", "0.00"),
        (-0.0, "EUR", "0.00"),
        ("1.2345", "EUR", "1.2345"),
        (1200, "JPY", "1200"),
        ("1.5", "KWD", "1.500"),
        (Decimal("7"), "USD", "7.00"),
        ({"amount": "3", "currency": "eur"}, "EUR", "3.00"),
    ],
)
def test_amounts_are_exact(price: Any, currency: str, amount: str) -> None:
    money = passed({"price": price}, currency=currency).price
    assert money is not None
    assert (str(money.amount), money.currency) == (amount, currency)


@pytest.mark.parametrize(
    ("currency", "amount"), [("EUR", "49.95"), ("JPY", "4995"), ("KWD", "4.995")]
)
def test_minor_units_are_those_of_the_currency(currency: str, amount: str) -> None:
    mapping = ColumnMapping.model_validate(
        {"fields": {"id": "id", "title": "title", "price": {"from": "price", "minor_units": True}}}
    )
    money = passed({"price": 4995}, mapping, currency).price
    assert money is not None
    assert str(money.amount) == amount


@given(st.decimals(min_value=0, max_value=10**9, places=2))
def test_any_price_with_cents_comes_through_as_it_is(amount: Decimal) -> None:
    for written in (str(amount), float(amount), amount):
        money = passed({"price": written}).price
        assert money is not None
        assert money.amount == amount


@pytest.mark.parametrize(
    ("field", "raw", "value"),
    [
        ("rating", "4.5", 4.5),
        ("rating", 0, 0.0),
        ("stock", "12", 12),
        ("stock", 12.0, 12),
        ("rating_count", "12.0", 12),
        ("language", "pt_BR", "pt"),
        ("language", "ZH-Hant-TW", "zh"),
        ("created", "2024-05-31", datetime(2024, 5, 31, tzinfo=UTC)),
        ("created", "2024-05-31T10:00:00Z", datetime(2024, 5, 31, 10, tzinfo=UTC)),
        ("created", date(2024, 5, 31), datetime(2024, 5, 31, tzinfo=UTC)),
        ("created", datetime(2024, 5, 31, 3), datetime(2024, 5, 31, 3, tzinfo=UTC)),
        ("brand", 501, "501"),
        ("brand", float("nan"), None),
        ("title", "Line\none\ttab", "Line\none\ttab"),
        ("title", "Price 5 \x80 \x96 \x93nice\x94", "Price 5 € – “nice”"),
        ("id", 42, "42"),
        ("category", "A > B", ("A", "B")),
    ],
)
def test_values_get_the_type_of_the_contract(field: str, raw: Any, value: Any) -> None:
    product = passed({field: raw})
    assert getattr(product, field) == value
    assert type(getattr(product, field)) is type(value)


def test_attributes_get_the_type_that_the_mapping_declares() -> None:
    mapping = ColumnMapping.model_validate(
        {
            "fields": {"id": "id", "title": "title"},
            "attributes": [
                {"prefix": "n_", "type": "number"},
                {"prefix": "b_", "type": "flag"},
                {"prefix": "t_", "type": "text"},
                {"prefix": "a_"},
            ],
        }
    )
    row = {"n_w": "5", "b_x": "Yes", "b_y": "0", "t_z": 7, "a_l": ["p", "q"], "a_b": False}
    attributes = passed(row, mapping).attributes
    assert attributes == {"w": 5.0, "x": True, "y": False, "z": "7", "l": "p, q", "b": False}
    assert [type(v) for v in attributes.values()] == [float, bool, bool, str, str, bool]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(
        st.sampled_from(sorted(TANDEM.fields)),
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats()
            | st.text(max_size=20)
            | st.decimals(),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.text(max_size=5), inner, max_size=3)
            ),
            max_leaves=6,
        ),
    )
)
def test_whatever_a_row_holds_it_is_a_product_or_a_problem(row: dict[str, Any]) -> None:
    result = checked(row)
    if isinstance(result, Problem):
        assert result.reason
        assert result.remedy
    else:
        assert result == Product.model_validate(result.model_dump())


def test_currencies() -> None:
    assert [minor_digits(c) for c in ("EUR", "JPY", "KWD")] == [2, 0, 3]
    assert is_currency("IDR")
    assert not any(map(is_currency, ("eur", "EURO", "XXX", "XAU", "", None, 978)))


@pytest.mark.parametrize("field", sorted(TANDEM.fields))
@pytest.mark.parametrize(
    "value", [Decimal("sNaN"), Decimal("NaN"), float("nan"), float("inf"), [Decimal("sNaN")]]
)
def test_no_kind_of_nan_breaks_a_check(field: str, value: Any) -> None:
    assert isinstance(checked({field: value}), Product | Problem)
