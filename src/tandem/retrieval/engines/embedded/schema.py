"""How a product becomes a tantivy document.

Text fields hold terms that are analysed already, joined by spaces, so that index, queries and
ranking features share one analysis. Exact values live in raw fields, kept as columns for facets.
"""

from __future__ import annotations

from typing import Any

import orjson
import tantivy

from tandem.contracts.product import TEXT_FIELDS, AnalysedProduct, Product
from tandem.features.evidence import FIELD_WEIGHTS
from tandem.features.store import CATEGORY_SEPARATOR

# Raised whenever files of an older format would be read wrongly.
FORMAT = 3
MANIFEST = "engine.json"

# Facets and filters by exact value. `category` holds every prefix of the path.
EXACT = {
    "brand": "exact_brand",
    "merchant": "exact_merchant",
    "category": "exact_category",
    "language": "exact_language",
}
# All text fields in one, each term as often as its field weighs: plain BM25 over it is BM25F with
# one length normalisation (Robertson, Zaragoza & Taylor, CIKM 2004), at a sixth of the postings.
POOLED = "text_pooled"
TIMES = {name: max(1, round(weight)) for name, weight in FIELD_WEIGHTS.items()}

# Begins every attribute name and text in the index; see `marked`.
MARK = "="
MAX_KEY = 256  # longer attribute names are not filterable
MAX_VALUE = 1000  # tantivy refuses terms of more than 65,530 bytes; no facet value is so long


def text_field(name: str) -> str:
    return f"text_{name}"


def schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    builder.add_unsigned_field("number", indexed=True, fast=True)
    builder.add_text_field("id", tokenizer_name="raw", index_option="basic")
    for name in TEXT_FIELDS:
        option = "position" if name == "title" else "freq"
        builder.add_text_field(text_field(name), tokenizer_name="whitespace", index_option=option)
    builder.add_text_field(POOLED, tokenizer_name="whitespace", index_option="freq")
    for name in EXACT.values():
        builder.add_text_field(name, tokenizer_name="raw", index_option="basic", fast=True)
    builder.add_json_field("attributes", tokenizer_name="raw", index_option="basic", fast=True)
    for name in ("price", "rating", "created"):
        builder.add_float_field(name, indexed=True, fast=True)
    builder.add_boolean_field("sold_out", indexed=True, fast=True)
    return builder.build()


def attribute_path(key: str) -> str:
    """The path of an attribute inside the JSON field; dots in names are literal."""
    return "attributes." + marked(key).replace("\\", "\\\\").replace(".", "\\.")


def marked(text: str) -> str:
    """Attribute names and texts as they are indexed. The mark keeps tantivy from reading a text as
    a date, and an empty name from ending the path."""
    return MARK + text


def document(analysed: AnalysedProduct, number: int) -> str:
    """A product as a tantivy document in JSON, half the cost of building one call by call."""
    product = analysed.product
    doc: dict[str, Any] = {"number": number, "id": product.id}
    pooled = []
    for name in TEXT_FIELDS:
        terms = analysed.terms.get(name, ())
        if terms:
            doc[text_field(name)] = text = " ".join(terms)
            pooled += [text] * TIMES[name]
    doc[POOLED] = " ".join(pooled)
    for value, name in (
        (product.brand, "brand"),
        (product.merchant, "merchant"),
        (product.language, "language"),
    ):
        if value:
            doc[EXACT[name]] = value
    if product.category:
        doc[EXACT["category"]] = [
            CATEGORY_SEPARATOR.join(product.category[:depth])
            for depth in range(1, len(product.category) + 1)
        ]
    attributes = indexed_attributes(product)
    if attributes:
        doc["attributes"] = {
            marked(key): marked(value) if isinstance(value, str) else value
            for key, value in attributes.items()
        }
    if product.price is not None:
        doc["price"] = float(product.price.amount)
    if product.rating is not None:
        doc["rating"] = product.rating
    if product.created is not None:
        doc["created"] = product.created.timestamp()
    if product.stock == 0:
        doc["sold_out"] = True
    return orjson.dumps(doc).decode()


def indexed_attributes(product: Product) -> dict[str, bool | float | str]:
    """The attributes that can be filtered by and counted; numbers are all floats."""
    return {
        key: float(value) if isinstance(value, int) and not isinstance(value, bool) else value
        for key, value in product.attributes.items()
        if len(key) <= MAX_KEY and not (isinstance(value, str) and len(value) > MAX_VALUE)
    }
