"""A plan in the making: pairs put in, taken out and swapped, with every limit kept at each step."""

from __future__ import annotations

import numpy as np

from tandem.matching.allocation.problem import Allocation, Bools, Ints

SCANNED = 64  # pairs of a merchant that are looked at for one that could make room


class Draft:
    """Chosen pairs and what is left of every limit. Plain lists: the loops are Python's."""

    def __init__(self, a: Allocation) -> None:
        self._creator, self._product = a.creator.tolist(), a.product.tolist()
        self._merchant = a.pair_merchant.tolist()
        self._cost, self._value = a.cost.tolist(), a.value.tolist()
        self._group, self._risky = a.exclusive.tolist(), a.risky.tolist()
        self._price = a.shortfall_price
        self._slots, self._places = a.slots.tolist(), a.places.tolist()
        self._budget, self._risk = a.budgets.tolist(), a.risk_budgets.tolist()
        # Collaborations that are still missing, below zero once there are more than enough.
        self._target = a.targets.tolist()
        self._creator_floor, self._merchant_floor = a.creator_floor, a.merchant_floor
        self._small_creator, self._small_merchant = (
            a.small_creators.tolist(),
            a.small_merchants.tolist(),
        )
        self._of_creator: list[list[int]] = [[] for _ in self._slots]
        self._of_product: list[list[int]] = [[] for _ in self._places]
        self._of_merchant: list[list[int]] = [[] for _ in self._budget]
        self._place = [0] * len(self._value)  # in the list of its merchant
        self._of_group: dict[int, int] = {}
        self._in = bytearray(len(self._value))
        self._turn = 0

    def fill(self, order: Ints) -> None:
        """Put pairs in, in `order`, as long as they fit and are worth something."""
        for e in order.tolist():
            if not self._in[e] and self._fits(e) and self._worth(e) > 0:
                self._put(e)

    def put(self, chosen: Bools) -> None:
        """Put chosen pairs in, whatever they are worth. They have to fit."""
        for e in np.flatnonzero(chosen).tolist():
            self._put(e)

    def spend(self, order: Ints, purses: Ints) -> Bools:
        """Put pairs in, in `order`, as long as they fit and their merchant's purse pays for them.

        purses: (M,) minor units, beside the budgets. Returns which pairs came in.
        """
        left, before = purses.tolist(), bytes(self._in)
        for e in order.tolist():
            m, cost = self._merchant[e], self._cost[e]
            if not self._in[e] and cost <= left[m] and self._fits(e):
                self._put(e)
                left[m] -= cost
        return self.chosen() & ~np.frombuffer(before, np.bool_)

    def swap(self, order: Ints) -> int:
        """Put pairs in that are worth more than what has to make room for them; how many."""
        swapped = 0
        for e in order.tolist():
            if self._in[e]:
                continue
            out = self._in_the_way(e)
            if out is None:
                continue
            # Worth is not additive where floors are at stake: try it, and undo it at a loss.
            before = 0.0
            for other in out:
                self._take(other)
                before += self._worth(other)
            if self._fits(e) and self._worth(e) > before * (1 + 1e-9):
                self._put(e)
                swapped += 1
            else:
                for other in reversed(out):
                    self._put(other)
        return swapped

    def chosen(self) -> Bools:
        return np.frombuffer(bytes(self._in), np.bool_).copy()

    def _fits(self, e: int) -> bool:
        m, cost = self._merchant[e], self._cost[e]
        return (
            self._slots[self._creator[e]] > 0
            and self._places[self._product[e]] > 0
            and cost <= self._budget[m]
            and not (self._risky[e] and cost > self._risk[m])
            and self._group[e] not in self._of_group
        )

    def _worth(self, e: int) -> float:
        """What putting it in adds to the objective now."""
        floors = (
            (self._target[self._merchant[e]] > 0)
            + (self._creator_floor > 0 and self._small_creator[self._creator[e]])
            + (self._merchant_floor > 0 and self._small_merchant[self._merchant[e]])
        )
        return float(self._value[e] + self._price * floors)

    def _put(self, e: int) -> None:
        self._count(e, 1)
        self._of_creator[self._creator[e]].append(e)
        self._of_product[self._product[e]].append(e)
        own = self._of_merchant[self._merchant[e]]
        self._place[e] = len(own)
        own.append(e)
        if self._group[e] >= 0:
            self._of_group[self._group[e]] = e

    def _take(self, e: int) -> None:
        self._count(e, -1)
        self._of_creator[self._creator[e]].remove(e)
        self._of_product[self._product[e]].remove(e)
        # A large merchant has thousands of pairs: the last one takes the place that gets free.
        own = self._of_merchant[self._merchant[e]]
        last = own.pop()
        if last != e:
            own[self._place[e]] = last
            self._place[last] = self._place[e]
        self._of_group.pop(self._group[e], None)

    def _count(self, e: int, sign: int) -> None:
        c, p, m, cost = self._creator[e], self._product[e], self._merchant[e], self._cost[e] * sign
        self._in[e] = sign > 0
        self._slots[c] -= sign
        self._places[p] -= sign
        self._budget[m] -= cost
        self._target[m] -= sign
        self._creator_floor -= sign * self._small_creator[c]
        self._merchant_floor -= sign * self._small_merchant[m]
        if self._risky[e]:
            self._risk[m] -= cost

    def _in_the_way(self, e: int) -> list[int] | None:
        """The cheapest pairs to take out, found one limit after the other; None if hopeless."""
        value, m, cost = self._value, self._merchant[e], self._cost[e]
        out: list[int] = []
        if self._group[e] in self._of_group:
            out.append(self._of_group[self._group[e]])
        c, p = self._creator[e], self._product[e]
        if not self._slots[c] and not any(self._creator[o] == c for o in out):
            if not self._of_creator[c]:
                return None
            out.append(min(self._of_creator[c], key=value.__getitem__))
        if not self._places[p] and not any(self._product[o] == p for o in out):
            if not self._of_product[p]:
                return None
            out.append(min(self._of_product[p], key=value.__getitem__))
        for left, only_risky in ((self._budget[m], False), (self._risk[m], True)):
            if only_risky and not self._risky[e]:
                continue
            freed = sum(
                self._cost[o]
                for o in out
                if self._merchant[o] == m and (self._risky[o] or not only_risky)
            )
            need = cost - left - freed
            if need > 0:
                room = [
                    o
                    for o in self._some(m)
                    if self._cost[o] >= need and (self._risky[o] or not only_risky) and o not in out
                ]
                if not room:
                    return None
                out.append(min(room, key=value.__getitem__))
        return out

    def _some(self, m: int) -> list[int]:
        pairs = self._of_merchant[m]
        if len(pairs) <= SCANNED:
            return pairs
        self._turn = (self._turn + SCANNED) % (len(pairs) - SCANNED + 1)
        return pairs[self._turn : self._turn + SCANNED]
