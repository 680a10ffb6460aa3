"""Why a search fails: the one list of causes that insight looks for and the simulator plants;
and where its batch jobs run."""

from __future__ import annotations

from typing import Literal, get_args

Cause = Literal[
    "vocabulary_gap",
    "misspelling",
    "category_intent",
    "missing_product",
    "bad_ranking",
    "out_of_stock",
    "price_mismatch",
    "filters_too_tight",
    "slow",
    "language",
    "device",
    "missing_synonym",
]

EngineName = Literal["duckdb", "spark"]
ENGINES: tuple[EngineName, ...] = get_args(EngineName)
