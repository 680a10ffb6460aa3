"""What HTTP asks of a shop. `tandem.flows.workspace.Workspace` is one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from tandem.contracts.product import Product
from tandem.contracts.search import SearchRequest, SearchResponse, Suggestion


class Shop(Protocol):
    """A searchable catalogue. Every method may be called from many threads at once."""

    def search(self, query: SearchRequest, /) -> SearchResponse: ...

    def suggest(
        self, prefix: str, limit: int = 8, language: str | None = None
    ) -> list[Suggestion]: ...

    def product(self, product_id: str) -> Product | None: ...

    def upsert(self, products: Sequence[Product]) -> int: ...

    def delete(self, ids: Sequence[str]) -> int:
        """Remove products; returns how many of them there were."""
        ...

    def refresh(self) -> bool:
        """Take up a newer index or model generation; True if one was switched."""
        ...

    def status(self) -> Mapping[str, Any]:
        """Cheap facts: `name`, `dataset`, `simulated`, `currency`, `products`,
        `index_generation`, `model_generation`, `rankers`, `default_ranker`, `facets`.
        """
        ...

    def judgment_queries(self, name: str | None = None) -> Sequence[str]: ...

    def judgments(self, query: str) -> Mapping[str, int]:
        """Relevance 0..3 by product id; a product that is not in it is unjudged."""
        ...

    def judge(self, query: str, product_id: str, relevance: int) -> None: ...

    def query_measures(
        self, rankers: Sequence[str], measure: str = "nDCG@10"
    ) -> Mapping[str, Mapping[str, float]]:
        """By ranker, by judged query: the value of `measure`."""
        ...

    def close(self) -> None: ...
