"""Baskets: what people bought together, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tandem.recommend.sessions import Ints, Sessions

Days = NDArray[np.float64]
Sparse = Any
"""A scipy.sparse CSR matrix; scipy ships no types."""
GUEST = -1


@dataclass(frozen=True)
class Baskets:
    """n baskets in order of time, of people 0 … `people` - 1.

    contents: n sets of items. person: (n,) who bought, `GUEST` where nobody knows. day: (n,) when,
    in days since any fixed moment.
    """

    contents: Sessions
    person: Ints
    day: Days
    people: int

    def __len__(self) -> int:
        return len(self.contents)

    @property
    def size(self) -> int:
        """How many items there are to choose from."""
        return self.contents.size

    def before(self, now: float) -> Baskets:
        """The baskets of earlier than `now`."""
        end = int(np.searchsorted(self.day, now))
        return Baskets(self.contents[:end], self.person[:end], self.day[:end], self.people)

    def of(self, people: Ints) -> Baskets:
        """The baskets of some people, who are numbered anew in the order given."""
        place = np.full(self.people + 1, GUEST)  # the last place stands for guests
        place[people] = np.arange(people.size)
        place[-1] = GUEST
        person = place[self.person]
        rows = np.flatnonzero(person != GUEST)
        return Baskets(_rows(self.contents, rows), person[rows], self.day[rows], people.size)

    def table(self, weights: NDArray[Any] | None = None) -> Sparse:
        """(people, size) of what each person bought: the weights of the baskets with it, added up;
        without weights, how many there were."""
        from scipy.sparse import csr_matrix

        weights = np.ones(len(self)) if weights is None else weights
        known = self.person != GUEST
        clicks = known[self.contents.owner]
        owner = self.contents.owner[clicks]
        places = (self.person[owner], self.contents.items[clicks])
        values = weights[owner].astype(np.float32)
        matrix = csr_matrix((values, places), (self.people, self.size))
        matrix.sum_duplicates()
        return matrix

    def aged(self, now: float, half_life: float) -> NDArray[np.float64]:
        """(n,) weight of each basket: one half after every `half_life` days."""
        return np.asarray(0.5 ** ((now - self.day) / half_life))


@dataclass(frozen=True)
class NextBaskets:
    """What is to be foretold: what was known before `now`, who came back, and what they bought."""

    known: Baskets
    now: float
    people: Ints
    targets: Sessions

    @property
    def histories(self) -> Baskets:
        return self.known.of(self.people)


def next_baskets(baskets: Baskets, now: float, until: float) -> NextBaskets:
    """Every known person's first basket in [now, until), and all that was bought before."""
    later = np.flatnonzero((baskets.day >= now) & (baskets.day < until) & (baskets.person != GUEST))
    people, first = np.unique(baskets.person[later], return_index=True)
    return NextBaskets(baskets.before(now), now, people, _rows(baskets.contents, later[first]))


def baskets_of(
    contents: Sequence[Sequence[int]],
    person: Sequence[int],
    day: Sequence[float],
    size: int,
) -> Baskets:
    """Baskets out of plain lists, put in order of time."""
    order = np.argsort(np.asarray(day, np.float64), kind="stable")
    sets = [sorted(set(contents[i])) for i in order.tolist()]
    who = np.asarray(person, np.int64)[order]
    people = int(who.max(initial=-1)) + 1
    return Baskets(Sessions.of(sets, size), who, np.asarray(day, np.float64)[order], people)


def _rows(contents: Sessions, rows: Ints) -> Sessions:
    lengths = contents.lengths[rows]
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    at = np.repeat(contents.starts[rows] - starts[:-1], lengths) + np.arange(starts[-1])
    return Sessions(starts, contents.items[at], contents.size)
