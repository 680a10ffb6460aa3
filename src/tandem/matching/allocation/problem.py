"""The allocation problem: candidate pairs of creator and product, their worth and their limits.

Choose pairs to maximise the sum of their values. Packing constraints always hold; floors (covering
constraints) hold as far as they can, and what is missing is reported as a shortfall.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.errors import InvalidInput

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

PACKING = ("slots", "budgets", "places", "exclusivity", "risk")
COVERING = ("targets", "creator floor", "merchant floor")


@dataclass(frozen=True)
class Allocation:
    """E candidate pairs of C creators with P products of M merchants.

    creator, product: (E,) numbers of the pair's two sides; merchant: (P,) whose product it is.
    value: (E,) what a pair is expected to bring, for example GMV, in one unit for all.
    cost: (E,) whole minor units (cents) that a pair is expected to cost its merchant.
    slots: (C,) collaborations that still fit into a creator's time.
    budgets: (M,) minor units. places: (P,) creators that a product takes at most.
    exclusive: (E,) group of pairs of which at most one may be chosen, -1 for none: one group for
        each creator and category in which exclusivity was promised, say.
    risky: (E,) pairs whose cost counts against `risk_share` of their merchant's budget, such as
        creators without any history.
    targets: (M,) collaborations that a merchant should get at least.
    small_creators: (C,), small_merchants: (M,) who the floors are for; creator_floor and
        merchant_floor: collaborations that go to them at least, taken together.
    shortfall_price: value that one missing collaboration of a target or floor costs the plan.
    """

    creator: Ints
    product: Ints
    merchant: Ints
    value: Floats
    cost: Ints
    slots: Ints
    budgets: Ints
    places: Ints
    exclusive: Ints
    risky: Bools
    targets: Ints
    small_creators: Bools
    small_merchants: Bools
    risk_share: float = 1.0
    creator_floor: int = 0
    merchant_floor: int = 0
    shortfall_price: float = 0.0

    def __post_init__(self) -> None:
        pairs = len(self.value)
        sizes = {
            "creator": (self.creator, pairs),
            "product": (self.product, pairs),
            "cost": (self.cost, pairs),
            "exclusive": (self.exclusive, pairs),
            "risky": (self.risky, pairs),
            "places": (self.places, len(self.merchant)),
            "targets": (self.targets, len(self.budgets)),
            "small_creators": (self.small_creators, len(self.slots)),
            "small_merchants": (self.small_merchants, len(self.budgets)),
        }
        for name, (array, size) in sizes.items():
            if array.shape != (size,):
                raise InvalidInput(
                    f"has shape {array.shape}, not ({size},)", field=name, remedy="align the arrays"
                )
        ends = {
            "creator": (self.creator, len(self.slots)),
            "product": (self.product, len(self.merchant)),
            "merchant": (self.merchant, len(self.budgets)),
        }
        for name, (array, end) in ends.items():
            if len(array) and not (array.min() >= 0 and array.max() < end):
                raise InvalidInput(
                    f"names what is not there (0 to {end - 1})", field=name, remedy="correct it"
                )
        for name in ("cost", "slots", "budgets", "places", "targets"):
            if (getattr(self, name) < 0).any():
                raise InvalidInput("is negative", field=name, remedy="use 0 or more")
        if not np.isfinite(self.value).all():
            raise InvalidInput("is not finite", field="value", remedy="leave such pairs out")
        if not 0 <= self.risk_share <= 1 or self.shortfall_price < 0:
            raise InvalidInput(
                "is out of bounds", field="risk_share", remedy="0 to 1; prices from 0"
            )

    @property
    def pair_merchant(self) -> Ints:
        """(E,) merchant of each pair."""
        return np.asarray(self.merchant[self.product])

    @property
    def risk_budgets(self) -> Ints:
        """(M,) minor units that may go into risky pairs, rounded down."""
        limits: Ints = np.floor(self.budgets * self.risk_share).astype(np.int64)
        return limits

    def shortfalls(self, chosen: Bools) -> dict[str, Ints]:
        """By covering constraint: how many collaborations are missing in each of its rows."""
        merchant = self.pair_merchant[chosen]
        got = np.bincount(merchant, minlength=len(self.budgets))
        small_c = int(self.small_creators[self.creator[chosen]].sum())
        small_m = int(self.small_merchants[merchant].sum())
        return {
            "targets": np.maximum(self.targets - got, 0),
            "creator floor": np.array([max(self.creator_floor - small_c, 0)]),
            "merchant floor": np.array([max(self.merchant_floor - small_m, 0)]),
        }

    def objective(self, chosen: Bools) -> float:
        """Value of the chosen pairs less the price of all shortfalls."""
        missing = sum(int(rows.sum()) for rows in self.shortfalls(chosen).values())
        return float(self.value[chosen].sum()) - self.shortfall_price * missing


@dataclass(frozen=True)
class Rows:
    """Constraints as sparse rows over pairs, scaled so that limits are near 1.

    Packing: `pack` x <= `limit`. Covering: `cover` x + shortfall >= `floor`. `blocks` gives each
    constraint's slice of the rows, packing first.
    """

    pack: csr_array
    limit: Floats
    cover: csr_array
    floor: Floats
    blocks: dict[str, slice]


def rows(a: Allocation) -> Rows:
    """Constraints that can bind; rows that no choice could break are left out by their scale."""
    from scipy.sparse import csr_array, vstack

    pairs = np.arange(len(a.value))
    ones = np.ones(len(a.value))

    def block(row: Ints, count: int, weight: Floats, keep: Bools | None = None) -> csr_array:
        at = pairs if keep is None else pairs[keep]
        return csr_array((weight[at], (row[at], at)), shape=(count, len(a.value)))

    merchant = a.pair_merchant
    groups = int(a.exclusive.max(initial=-1)) + 1
    # Budgets in shares of themselves: a row of cents beside rows of ones would be badly scaled.
    of_budget = a.cost / np.maximum(a.budgets, 1)[merchant]
    of_risk = a.cost / np.maximum(a.risk_budgets, 1)[merchant]
    some = np.ones(len(a.budgets))
    pack = {
        "slots": (block(a.creator, len(a.slots), ones), a.slots.astype(float)),
        "budgets": (block(merchant, len(a.budgets), of_budget), some * (a.budgets > 0)),
        "places": (block(a.product, len(a.places), ones), a.places.astype(float)),
        "exclusivity": (block(a.exclusive, groups, ones, a.exclusive >= 0), np.ones(groups)),
        "risk": (block(merchant, len(a.budgets), of_risk, a.risky), some * (a.risk_budgets > 0)),
    }
    zero = np.zeros(len(a.value), np.int64)
    cover = {
        "targets": (block(merchant, len(a.budgets), ones), a.targets.astype(float)),
        "creator floor": (
            block(zero, 1, ones, a.small_creators[a.creator]),
            np.array([float(a.creator_floor)]),
        ),
        "merchant floor": (
            block(zero, 1, ones, a.small_merchants[merchant]),
            np.array([float(a.merchant_floor)]),
        ),
    }
    blocks: dict[str, slice] = {}
    for kinds in (pack, cover):
        start = 0
        for name, (_, limits) in kinds.items():
            blocks[name] = slice(start, start + len(limits))
            start += len(limits)
    return Rows(
        csr_array(vstack([m for m, _ in pack.values()], format="csr")),
        np.concatenate([limits for _, limits in pack.values()]),
        csr_array(vstack([m for m, _ in cover.values()], format="csr")),
        np.concatenate([limits for _, limits in cover.values()]),
        blocks,
    )
