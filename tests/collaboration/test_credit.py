"""Attribution models against worked examples and simulated journeys whose causes are known."""

from __future__ import annotations

from itertools import permutations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from tandem.collaboration.credit import (
    MODELS,
    Journey,
    basis_points,
    credit,
    first_touch,
    last_touch,
    linear,
    markov,
    noisy_or,
    position_based,
    shapley,
)
from tandem.contracts.errors import InvalidInput

TRUE = {"strong": 0.10, "weak": 0.03, "idle": 0.0}
BASE = 0.01


def simulated(count: int, seed: int) -> list[Journey]:
    """Simulated people, who meet creators at random; `idle` is always last and causes nothing."""
    rng = np.random.default_rng(seed)
    journeys = []
    for _ in range(count):
        met = [n for n in ("strong", "weak") if rng.random() < 0.5]
        rng.shuffle(met)
        if rng.random() < 0.5:
            met.append("idle")
        chance = 1 - (1 - BASE) * np.prod([1 - TRUE[n] for n in met])
        journeys.append(Journey(tuple(met), bool(rng.random() < chance)))
    return journeys


def of(text: str, converted: bool = True) -> Journey:
    return Journey(tuple(text), converted)


def test_rules_by_position():
    journeys = [of("abcd"), of("a"), of("ab"), of("b", False), Journey((), True)]
    assert last_touch(journeys).conversions == {"a": 1, "b": 1, "c": 0, "d": 1}
    assert first_touch(journeys).conversions == {"a": 3, "b": 0, "c": 0, "d": 0}
    assert linear(journeys).conversions == pytest.approx(
        {"a": 1.75, "b": 0.75, "c": 0.25, "d": 0.25}
    )
    assert position_based(journeys).conversions == pytest.approx(
        {"a": 0.4 + 1 + 0.5, "b": 0.1 + 0.5, "c": 0.1, "d": 0.4}
    )
    assert last_touch(journeys).baseline == 1


def test_markov_by_hand():
    """start → a 1; a → b ½, a → conversion ½; b → conversion ½, b → nothing ½.

    Converts ¾. Without a: 0; without b: ½. Removal effects ¾ and ¼ of 3 conversions.
    """
    journeys = [of("a"), of("a"), of("ab"), of("ab", False)]
    assert markov(journeys).conversions == pytest.approx({"a": 2.25, "b": 0.75})


def test_shapley_of_one_journey_against_all_orders():
    journeys = simulated(3_000, 5)
    strength, base = noisy_or(journeys)
    names = ("idle", "strong", "weak")
    by_order = dict.fromkeys(names, 0.0)
    for order in permutations(names):
        left = 1 - base
        for name in order:
            by_order[name] += left * strength[name] / 6
            left *= 1 - strength[name]
    from tandem.collaboration.credit import _marginal

    assert _marginal(names, strength, base) == pytest.approx(by_order)


def test_the_true_causes_are_found_where_last_touch_is_misled():
    journeys = simulated(60_000, 1)
    strength, base = noisy_or(journeys)
    assert strength["strong"] == pytest.approx(TRUE["strong"], abs=0.01)
    assert strength["weak"] == pytest.approx(TRUE["weak"], abs=0.01)
    assert strength["idle"] < 0.004
    assert base == pytest.approx(BASE, abs=0.004)
    fair, last = shapley(journeys).shares, last_touch(journeys).shares
    assert fair["idle"] < 0.05
    assert fair["strong"] > 0.65
    assert last["idle"] > 0.4


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.builds(
            Journey, st.lists(st.sampled_from("abcde"), max_size=6).map(tuple), st.booleans()
        ),
        max_size=30,
    ),
    st.sampled_from(sorted(MODELS)),
)
def test_every_conversion_is_credited_once(journeys, model):
    result = credit(journeys, model)
    total = sum(result.conversions.values()) + result.baseline
    assert total == pytest.approx(sum(j.converted for j in journeys), abs=1e-6)
    assert all(v >= -1e-9 for v in result.conversions.values())


@given(st.dictionaries(st.text(min_size=1, max_size=3), st.floats(0, 1e6), max_size=8))
def test_basis_points_sum_to_the_whole(weights):
    points = basis_points(weights)
    assert sum(points.values()) == (10_000 if sum(weights.values()) > 0 else 0)
    for name, p in points.items():
        assert abs(p - weights[name] / sum(weights.values()) * 10_000) < 1


def test_an_unknown_model_is_refused():
    with pytest.raises(InvalidInput, match="shapley"):
        credit([], "gut_feeling")
