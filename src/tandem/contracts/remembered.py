"""What a stacked recommender keeps of a session to compare others with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RememberedSession:
    """products: what was in one session. places: the mean place of each within it, from 1. Neither
    whose it was nor when; the order of sessions is that of time."""

    products: tuple[str, ...]
    places: tuple[float, ...]
