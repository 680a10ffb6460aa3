"""What moved sales: a change split over traffic, conversion and basket so that parts sum exactly.

Sales of a part of the business are views × (order lines ÷ views) × (sales ÷ order lines). The
change of such a product is divided by Shapley values: each factor's effect is its average over all
orders in which the factors can be changed from then to now (Shapley 1953; for accounting
identities: Sun, "Changes in energy consumption and energy intensity: a complete decomposition
model", Energy Economics 1998). Values are exact fractions; amounts are whole minor units, rounded
so that they still sum to the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor

FACTORS = ("traffic", "conversion", "basket")
UNTRACKED = "untracked"
"""Sales without a recorded order line, or lines without a view: nothing to divide them by."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the business in one period: views, order lines and sales in minor units."""

    views: int
    lines: int
    sales: int


@dataclass(frozen=True, slots=True)
class Effect:
    """How much of a change, in minor units, one factor of one part made."""

    part: str
    factor: str
    amount: int


def effects(parts: Sequence[tuple[str, Part, Part]]) -> list[Effect]:
    """Effects of the factors of all parts `(name, before, after)`; they sum to the whole change."""
    exact = [
        (name, factor, value)
        for name, before, after in parts
        for factor, value in _shares(before, after).items()
    ]
    amounts = _rounded([value for _, _, value in exact])
    return [
        Effect(name, factor, amount)
        for (name, factor, _), amount in zip(exact, amounts, strict=True)
    ]


def _shares(before: Part, after: Part) -> dict[str, Fraction]:
    """The change of one part by factor: Shapley values of a product of three."""
    if any((p.lines and not p.views) or (p.sales and not p.lines) for p in (before, after)):
        return {UNTRACKED: Fraction(after.sales - before.sales)}
    then, now = _factors(before, after), _factors(after, before)
    found = {}
    for at, factor in enumerate(FACTORS):
        (a, b), (c, d) = ((then[i], now[i]) for i in range(len(FACTORS)) if i != at)
        # Of the six orders, two change this factor first, two last, one after either other.
        weight = (2 * a * c + b * c + a * d + 2 * b * d) / 6
        found[factor] = (now[at] - then[at]) * weight
    return found


def _factors(part: Part, other: Part) -> tuple[Fraction, Fraction, Fraction]:
    """Views, lines a view, sales a line. What is 0 ÷ 0 did not change: it is the other period's."""
    conversion = _ratio(part.lines, part.views, _ratio(other.lines, other.views, Fraction(0)))
    basket = _ratio(part.sales, part.lines, _ratio(other.sales, other.lines, Fraction(0)))
    return Fraction(part.views), conversion, basket


def _ratio(part: int, whole: int, otherwise: Fraction) -> Fraction:
    return Fraction(part, whole) if whole else otherwise


def _rounded(values: Sequence[Fraction]) -> list[int]:
    """Whole numbers that sum to the sum of `values`, which is whole, each less than one away."""
    whole = [floor(value) for value in values]
    missing = int(sum(values, Fraction(0))) - sum(whole)
    largest = sorted(range(len(values)), key=lambda i: (whole[i] - values[i], i))
    for at in largest[:missing]:
        whole[at] += 1
    return whole
