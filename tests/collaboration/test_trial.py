"""The trial of a campaign: the ratio by hand, and intervals that hold what they say."""

from __future__ import annotations

import numpy as np
import pytest

from tandem.collaboration.trial import FEWEST, effect
from tandem.contracts.errors import InvalidInput


def test_the_effect_is_the_difference_of_orders_by_person_over_the_audience_reached():
    people = np.array([100.0, 50, 50, 80, 80, 40])
    orders = np.array([10.0, 6, 4, 4, 3, 3])
    found = effect(people, orders, np.array([1, 1, 1, 0, 0, 0], np.bool_))
    assert found.asked == pytest.approx(20 / 200)
    assert found.held == pytest.approx(10 / 200)
    assert found.added == pytest.approx(10)
    assert found.low < found.added < found.high


def test_creators_without_an_audience_do_not_count_and_few_give_no_answer():
    people = np.array([100.0, 50, 0, 80, 80, 40])
    asked = np.array([1, 1, 1, 0, 0, 0], np.bool_)
    assert asked.sum() == FEWEST
    assert effect(people, np.zeros(6), asked) is None
    with pytest.raises(InvalidInput):
        effect(people, np.zeros(5), asked)


@pytest.mark.parametrize(("creators", "lift"), [(10, 0.0), (16, 0.01), (40, 0.01)])
def test_intervals_hold_the_truth_as_often_as_they_say(creators, lift):
    """Audiences of very different size, whose people buy differently often anyway."""
    rng = np.random.default_rng(creators)
    held = []
    for _ in range(400):
        people = np.exp(rng.normal(5, 1, creators)).round() + 1
        usual = np.exp(rng.normal(np.log(0.03), 0.5, creators))
        asked = rng.permutation(creators) < 0.6 * creators
        orders = rng.poisson(people * (usual + lift * asked)).astype(float)
        found = effect(people, orders, asked, 0.9)
        held.append(found.low <= lift * people[asked].sum() <= found.high)
    assert 0.87 <= np.mean(held) <= 0.98
