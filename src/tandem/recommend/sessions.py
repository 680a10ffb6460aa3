"""Sessions: what was clicked, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Sessions:
    """n sessions laid end to end, in order of time, over items 0 … `size` - 1.

    starts: (n + 1,) where each session begins. items: (starts[-1],) what was clicked.
    """

    starts: Ints
    items: Ints
    size: int

    @classmethod
    def of(cls, sessions: Sequence[Sequence[int] | NDArray[Any]], size: int) -> Sessions:
        lengths = np.array([len(s) for s in sessions], np.int64)
        flat = np.concatenate([np.asarray(s, np.int64) for s in sessions] or [np.empty(0, int)])
        return cls(np.concatenate([[0], np.cumsum(lengths)]), flat.astype(np.int64), size)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, part: slice) -> Sessions:
        """Some sessions in a row."""
        low, high, _ = part.indices(len(self))
        high = max(low, high)
        starts = self.starts[low : high + 1]
        return Sessions(starts - starts[0], self.items[starts[0] : starts[-1]], self.size)

    @cached_property
    def lengths(self) -> Ints:
        return np.diff(self.starts)

    @cached_property
    def owner(self) -> Ints:
        """(clicks,) the session of each click."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @cached_property
    def place(self) -> Ints:
        """(clicks,) clicks before it in its session."""
        return np.arange(self.items.size) - self.starts[:-1][self.owner]

    @cached_property
    def from_end(self) -> Ints:
        """(clicks,) clicks after it in its session: 0 for the last one."""
        return self.lengths[self.owner] - 1 - self.place

    def counts(self) -> Ints:
        """(size,) clicks by item."""
        return np.bincount(self.items, minlength=self.size)


@dataclass(frozen=True)
class Pairs:
    """What came next: n beginnings of sessions, and (n,) the item that followed each."""

    prefixes: Sessions
    targets: Ints

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, rows: Ints) -> Pairs:
        parts = [
            self.prefixes.items[self.prefixes.starts[r] : self.prefixes.starts[r + 1]]
            for r in rows.tolist()
        ]
        return Pairs(Sessions.of(parts, self.prefixes.size), self.targets[rows])


def pairs_of(sessions: Sessions, known: NDArray[np.bool_]) -> Pairs:
    """Every beginning of every session with what came next, over known items only.

    Items that a model cannot know are taken out first, as the published preprocessing does
    (Wu et al., AAAI 2019).
    """
    prefixes: list[Ints] = []
    targets: list[int] = []
    for low, high in zip(sessions.starts[:-1].tolist(), sessions.starts[1:].tolist(), strict=True):
        clicked = sessions.items[low:high]
        clicked = clicked[known[clicked]]
        for end in range(1, clicked.size):
            prefixes.append(clicked[:end])
            targets.append(int(clicked[end]))
    return Pairs(Sessions.of(prefixes, sessions.size), np.array(targets, np.int64))
