"""Who there is to match, and who has worked with whom."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Accounts:
    """Accounts of one kind, sorted by id, and what their posts are about.

    topics: (n, t) shares of t topics, rows sum to 1 (latent Dirichlet allocation of post texts).
    hashtags: (n, h) embedding of the hashtags used. Brands and creators share both spaces.
    """

    ids: tuple[str, ...]
    topics: Array
    hashtags: Array

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Market:
    """All brands and creators whose profiles are known. Everything else names them by row."""

    brands: Accounts
    creators: Accounts


@dataclass(frozen=True)
class Collaborations:
    """Brand i worked with creator j: one (brand row, creator row) a line, (n, 2) int64, unique."""

    pairs: NDArray[np.int64]

    @property
    def brands(self) -> Rows:
        """Rows of the brands, ascending."""
        return np.unique(self.pairs[:, 0])

    @property
    def creators(self) -> Rows:
        """Rows of the creators, ascending."""
        return np.unique(self.pairs[:, 1])

    def of(self, brands: Rows) -> Collaborations:
        """Those of the given brands."""
        return Collaborations(self.pairs[np.isin(self.pairs[:, 0], brands)])

    def matrix(self, brands: Rows, creators: Rows) -> NDArray[np.bool_]:
        """(brands, creators), true where they worked together. Rows must be ascending."""
        out = np.zeros((len(brands), len(creators)), bool)
        inside = np.isin(self.pairs[:, 0], brands) & np.isin(self.pairs[:, 1], creators)
        b, c = self.pairs[inside].T
        out[np.searchsorted(brands, b), np.searchsorted(creators, c)] = True
        return out


@dataclass(frozen=True)
class HeldOut:
    """What a system may learn from, and the brands and creators that it must then match.

    `brands` have no collaboration in `train`. `creators` are all who work with one of them; most
    are unseen in `train` as well.
    """

    train: Collaborations
    brands: Rows
    creators: Rows
    truth: NDArray[np.bool_]


def leave_brands_out(collaborations: Collaborations, folds: int, seed: int) -> Iterator[HeldOut]:
    """Divide the brands at random; hold each part out together with its pool of creators."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(collaborations.brands)
    for fold in range(folds):
        held = np.sort(order[fold::folds])
        kept = np.setdiff1d(order, held)
        theirs = collaborations.of(held)
        pool = theirs.creators
        yield HeldOut(collaborations.of(kept), held, pool, theirs.matrix(held, pool))


def rows_of(ids: Sequence[str], accounts: Accounts) -> Rows:
    """Rows of known ids, in the order given. Raises KeyError for an unknown one."""
    at = {name: row for row, name in enumerate(accounts.ids)}
    return np.array([at[name] for name in ids], np.int64)
