"""What an encoder is, and what text of a product it sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tandem.contracts.candidates import Floats
from tandem.contracts.product import Product

# Words beyond this cost time at indexing and dilute the mean of the token vectors.
MAX_DESCRIPTION = 200
MAX_ATTRIBUTES = 6


class TextEncoder(Protocol):
    """Turns texts into vectors whose inner product says how alike they are in meaning."""

    @property
    def name(self) -> str: ...

    @property
    def dimension(self) -> int: ...

    def encode(self, texts: Sequence[str]) -> Floats:
        """(len(texts), dimension) float32, each of length 1. Safe for many threads."""
        ...

    def forget(self) -> None:
        """Drop what is remembered of texts that were encoded: people may have typed them."""
        ...


def product_text(product: Product) -> str:
    """The text of a product that is embedded: what it is, by whom, of which kind, and how."""
    values = [v for v in product.attributes.values() if isinstance(v, str)][:MAX_ATTRIBUTES]
    parts = (
        product.title,
        product.brand or "",
        " > ".join(product.category[-3:]),
        product.description[:MAX_DESCRIPTION],
        "; ".join(values),
    )
    return ". ".join(p for p in parts if p)
