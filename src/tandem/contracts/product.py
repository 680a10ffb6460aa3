"""What a shop sells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

# Sizes that no honest listing reaches. They bound memory per row, so that one broken row cannot
# take the import down.
MAX_TITLE = 2_000
MAX_TEXT = 100_000
MAX_ATTRIBUTES = 1_000

ProductId = Annotated[str, StringConstraints(min_length=1, max_length=256, strip_whitespace=True)]
Label = Annotated[str, StringConstraints(max_length=MAX_TITLE)]
CurrencyCode = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
# Finite, because JSON has no other numbers: a NaN would be written and could not be read again.
AttributeValue = bool | Annotated[float, Field(allow_inf_nan=False)] | str


class Money(BaseModel):
    """An exact amount: `amount` is a decimal in major units (12.50), `currency` is ISO 4217."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    amount: Decimal = Field(ge=0, allow_inf_nan=False, max_digits=18, decimal_places=4)
    currency: CurrencyCode


class Product(BaseModel):
    """One sellable item. `None` means unknown and is never read as zero.

    `category` is a path from broad to narrow. `attributes` are typed facts (flag, number, text);
    `extra` keeps source columns that Tandem does not interpret.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: ProductId
    title: str = Field(min_length=1, max_length=MAX_TITLE)
    description: str = Field(default="", max_length=MAX_TEXT)
    brand: str | None = Field(default=None, max_length=MAX_TITLE)
    merchant: str | None = Field(default=None, max_length=MAX_TITLE)
    category: tuple[Label, ...] = ()
    attributes: dict[str, AttributeValue] = Field(default_factory=dict, max_length=MAX_ATTRIBUTES)
    identifiers: tuple[Label, ...] = ()
    price: Money | None = None
    stock: int | None = Field(default=None, ge=0)
    rating: float | None = Field(default=None, ge=0, le=5, allow_inf_nan=False)
    rating_count: int | None = Field(default=None, ge=0)
    images: tuple[str, ...] = ()
    created: datetime | None = None
    language: str | None = Field(default=None, pattern=r"^[a-z]{2,3}$")
    extra: dict[str, Any] = Field(default_factory=dict)


# The text fields of a product that are analysed into terms, in the order in which per-field
# arrays are laid out everywhere (index, forward store, features).
TEXT_FIELDS = ("title", "brand", "category", "attributes", "description", "identifiers")


def attribute_text(product: Product) -> str:
    """Attributes as text: values of text attributes, and names of flags that are true.

    Numbers are left to typed filters and attribute features: a bare `4` says nothing as a term.
    """
    parts: list[str] = []
    for name, value in product.attributes.items():
        if value is True:
            parts.append(name.replace("_", " "))
        elif isinstance(value, str):
            parts.append(value)
    return " ; ".join(parts)


def field_text(product: Product, field: str) -> str:
    """The raw text behind one of `TEXT_FIELDS`."""
    match field:
        case "title":
            return product.title
        case "brand":
            return product.brand or ""
        case "category":
            return " / ".join(product.category)
        case "attributes":
            return attribute_text(product)
        case "description":
            return product.description
        case "identifiers":
            return " ".join((product.id, *product.identifiers))
    raise KeyError(field)


@dataclass(frozen=True, slots=True)
class AnalysedProduct:
    """A product with its text fields analysed into terms, in text order, by `TEXT_FIELDS` name."""

    product: Product
    terms: Mapping[str, Sequence[str]]
