"""How search weighs words, fields and meaning: what can be tuned without training a model."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tandem.contracts.search import Frozen

Weight = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]


class SearchConfiguration(Frozen):
    """Weights of the systems `bm25` and `hybrid`. What is not said is as the search was built.

    field_boosts: BM25F weight by text field; empty for the built-in ones. words, meaning,
    rank_constant: of reciprocal rank fusion. tuned_on: the judged queries it was chosen by.
    """

    field_boosts: dict[str, Weight] = Field(default_factory=dict)
    words: Weight = 1.0
    meaning: Weight = 1.0
    rank_constant: int = Field(default=60, ge=1, le=1_000)
    tuned_on: tuple[str, ...] = ()
