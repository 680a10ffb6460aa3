"""The contract of a product refuses what no reader could give back."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from tandem.contracts.product import Product


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_attributes_are_finite_numbers(number: float) -> None:
    with pytest.raises(ValidationError, match=r"attributes\.w"):
        Product(id="a", title="A", attributes={"w": number})
