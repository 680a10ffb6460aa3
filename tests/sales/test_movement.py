"""What moved sales: the parts are the whole, to the cent, and truth that is known is found."""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations
from math import prod

from hypothesis import given
from hypothesis import strategies as st

from tandem.sales.movement import FACTORS, UNTRACKED, Part, effects

counts = st.integers(0, 10_000)
parts = st.builds(Part, counts, counts, st.integers(0, 10**9))
businesses = st.lists(st.tuples(st.text(max_size=3), parts, parts), max_size=6)


@given(businesses)
def test_effects_sum_to_the_change_exactly(business):
    found = effects(business)
    change = sum(after.sales - before.sales for _, before, after in business)
    assert sum(e.amount for e in found) == change
    assert all(isinstance(e.amount, int) for e in found)


@given(parts, parts)
def test_there_and_back_cancel_out(before, after):
    there = {e.factor: e.amount for e in effects([("p", before, after)])}
    back = {e.factor: e.amount for e in effects([("p", after, before)])}
    for factor in there:
        assert abs(there[factor] + back[factor]) <= 1  # rounding to whole cents, each way


def amounts(before: Part, after: Part) -> dict[str, int]:
    return {e.factor: e.amount for e in effects([("p", before, after)])}


def test_one_factor_alone_gets_all_of_it():
    base = Part(1_000, 100, 500_000)
    assert amounts(base, Part(2_000, 200, 1_000_000)) == dict(
        zip(FACTORS, (500_000, 0, 0), strict=True)
    )
    assert amounts(base, Part(1_000, 150, 750_000)) == dict(
        zip(FACTORS, (0, 250_000, 0), strict=True)
    )
    assert amounts(base, Part(1_000, 100, 650_000)) == dict(
        zip(FACTORS, (0, 0, 150_000), strict=True)
    )


def test_all_three_are_averages_over_all_orders():
    # 10 views × 1/2 × 4 = 20 becomes 20 × 1/4 × 12 = 60.
    then = (Fraction(10), Fraction(1, 2), Fraction(4))
    now = (Fraction(20), Fraction(1, 4), Fraction(12))
    average = [Fraction(0)] * 3
    for order in permutations(range(3)):
        values = list(then)
        for at in order:
            without = prod(values)
            values[at] = now[at]
            average[at] += (prod(values) - without) / 6
    found = amounts(Part(10, 5, 20), Part(20, 5, 60))
    for factor, exact in zip(FACTORS, average, strict=True):
        assert abs(found[factor] - exact) < 1
    assert sum(found.values()) == 40
    assert found["conversion"] < 0 < found["basket"]


def test_new_and_gone_products_are_traffic_and_sales_without_views_are_untracked():
    assert amounts(Part(0, 0, 0), Part(10, 2, 80)) == dict(zip(FACTORS, (80, 0, 0), strict=True))
    assert amounts(Part(10, 2, 80), Part(0, 0, 0)) == dict(zip(FACTORS, (-80, 0, 0), strict=True))
    assert amounts(Part(0, 3, 90), Part(10, 2, 80)) == {UNTRACKED: -10}
    # Views without an order: the first order is conversion's, at the basket that it had.
    assert amounts(Part(10, 0, 0), Part(10, 2, 80)) == dict(zip(FACTORS, (0, 80, 0), strict=True))
