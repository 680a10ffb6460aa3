"""A run: what one system returned for every query of a query set (trec_eval's `run`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ScoredProduct:
    """A product id and the score it was ranked by; order in a list is the rank."""

    product_id: str
    score: float


@dataclass(frozen=True)
class Run:
    """`rankings[query]` is best first. Ties keep the order in which the system returned them."""

    system: str
    rankings: Mapping[str, Sequence[ScoredProduct]]
