"""What governance remembers for speed, raw texts and identifiers among it, and how it is forgotten.

An erasure ends here too: a running server forgets what it read in the clear.
"""

from __future__ import annotations

from typing import Protocol, TypeVar
from weakref import WeakSet


class Remembering(Protocol):
    """A function behind `functools.lru_cache`."""

    def cache_clear(self) -> None: ...


F = TypeVar("F", bound=Remembering)
_memories: WeakSet[Remembering] = WeakSet()


def remembers_people(function: F) -> F:
    """Marks a cached function that is asked about identifiers or what people typed."""
    _memories.add(function)
    return function


def forget_people() -> None:
    """Empty every memory of identifiers and of what people typed in this process."""
    for memory in list(_memories):
        memory.cache_clear()
