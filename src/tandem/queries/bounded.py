"""Counting in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from typing import TypeVar

K = TypeVar("K", bound=Hashable)


def prune(counts: Counter[K], limit: int) -> None:
    """Forget the rarest until at most `limit` are left (as in lossy counting, Manku & Motwani
    2002): what is frequent stays, its count at worst a little low."""
    floor = 1
    while len(counts) > limit:
        floor += 1
        for key in [k for k, n in counts.items() if n < floor]:
            del counts[key]
