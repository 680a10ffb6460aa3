"""Filters over the store's columns: which products satisfy them, as a mask by product number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.search import Filters
from tandem.features.store import CATEGORY_SEPARATOR, FeatureStore

Mask = NDArray[np.bool_]
FEW = 8  # codes that are quicker compared one by one than looked up in a table


def column_mask(store: FeatureStore, filters: Filters) -> Mask:
    """(store.size,) True where every condition holds, but for attributes, which have no column.

    A product whose value is unknown satisfies no condition on it, except `in_stock`, which only
    leaves out what is known to be sold out.
    """
    columns = store.all_columns
    mask = np.ones(store.size, bool)
    for kind, values in (
        ("brand", filters.brand),
        ("merchant", filters.merchant),
        ("language", filters.language),
    ):
        if values:
            codes = [c for v in values if (c := store.names.code(kind, v)) >= 0]
            mask &= _among(codes, getattr(columns, kind), len(getattr(store.names, kind)))
    if filters.category:
        codes = _below(store.names.category, filters.category)
        mask &= _among(codes, columns.category, len(store.names.category))
    with np.errstate(invalid="ignore"):
        if filters.price_min is not None:
            mask &= columns.price >= float(filters.price_min)
        if filters.price_max is not None:
            mask &= columns.price <= float(filters.price_max)
        if filters.rating_min is not None:
            mask &= columns.rating >= filters.rating_min
    if filters.in_stock:
        mask &= columns.stock != 0
    return mask


def _among(codes: Sequence[int], column: NDArray[np.int32], known: int) -> Mask:
    """(n,) True where the column has one of the codes; `known` is how many codes there are."""
    if len(codes) <= FEW:
        mask = np.zeros(column.size, bool)
        for code in codes:
            mask |= column == code
        return mask
    wanted = np.zeros(known + 1, bool)  # the last place is for -1, unknown
    wanted[codes] = True
    return np.asarray(wanted.take(column, mode="wrap"))


def _below(paths: Sequence[str], wanted: Sequence[str]) -> list[int]:
    return [
        code
        for code, path in enumerate(paths)
        if any(path == w or path.startswith(w + CATEGORY_SEPARATOR) for w in wanted)
    ]
