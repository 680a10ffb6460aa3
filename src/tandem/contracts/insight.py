"""Why a search fails: the one list of causes that insight looks for and the simulator plants."""

from __future__ import annotations

from typing import Literal

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
