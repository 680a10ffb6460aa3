"""Relevance judgments (qrels) and the scales they come in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

# ESCI labels (Reddy et al. 2022, arXiv:2206.06588) on the 0..3 scale that gain 2^rel - 1 expects.
ESCI_RELEVANCE: Mapping[str, int] = {"E": 3, "S": 2, "C": 1, "I": 0}


@dataclass(frozen=True, slots=True)
class Judgment:
    """One person's (or model's) verdict on one product for one query. `relevance` is 0..3."""

    query: str
    product_id: str
    relevance: int


Source = Literal["people", "clicks", "language_model", "rules"]
"""Who judges: people, or a program in their place."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where one verdict came from.

    judge: which one of its source: a tool, a model by name, never a person's name. at: when, in UTC
    to the second. looks, clicks: the support of a verdict out of clicks.
    """

    source: Source = "people"
    judge: str | None = None
    at: str | None = None
    looks: float | None = None
    clicks: int | None = None


@dataclass(frozen=True)
class JudgmentList:
    """Judgments by query text, then by product id. Immutable once built.

    A product without a judgment is *unjudged*, which is not the same as judged 0.
    source: who made the list. provenance: by query and product, where more is known.
    """

    by_query: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    name: str = "judgments"
    source: Source = "people"
    provenance: Mapping[tuple[str, str], Provenance] = field(default_factory=dict)

    @classmethod
    def of(cls, judgments: Iterable[Judgment], name: str = "judgments") -> JudgmentList:
        """Group judgments by query; the later of two verdicts on one pair wins."""
        grouped: dict[str, dict[str, int]] = {}
        for j in judgments:
            grouped.setdefault(j.query, {})[j.product_id] = j.relevance
        return cls(grouped, name)

    @property
    def queries(self) -> tuple[str, ...]:
        return tuple(self.by_query)

    def subset(self, queries: Iterable[str]) -> JudgmentList:
        kept = {q: self.by_query[q] for q in queries}
        about = {pair: p for pair, p in self.provenance.items() if pair[0] in kept}
        return JudgmentList(kept, self.name, self.source, about)

    def __iter__(self) -> Iterator[Judgment]:
        for query, products in self.by_query.items():
            for product_id, relevance in products.items():
                yield Judgment(query, product_id, relevance)

    def __len__(self) -> int:
        return sum(len(products) for products in self.by_query.values())
