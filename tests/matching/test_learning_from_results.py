"""Beliefs about pairs after results: exact, shared within a creator, and worth having."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tandem.contracts.errors import InvalidInput
from tandem.flows.allocate import compare_over_rounds, simulated_problem
from tandem.matching.allocation.learning import learn
from tandem.simulate.alliance import simulate_alliance


@pytest.fixture(scope="module")
def problem():
    return simulated_problem(simulate_alliance(20, 20, candidates=6, seed=5))


def test_the_posterior_is_that_of_the_whole_covariance(problem):
    """Against conditioning the joint normal of all pairs and results, written out as matrices."""
    rng = np.random.default_rng(2)
    spread = problem.value * rng.uniform(0.2, 0.8, len(problem.value))
    pair = rng.integers(0, len(spread), 60)
    brought = problem.value[pair] * rng.lognormal(0, 0.5, 60)
    shared, noise = 0.4, 0.6
    scale = problem.value
    relative = (spread / scale) ** 2
    together = np.array(
        [relative[problem.creator == c].mean() for c in problem.creator], np.float64
    )
    same = problem.creator[:, None] == problem.creator[None, :]
    prior = same * shared * together[:, None] + np.diag((1 - shared) * relative)
    prior *= scale[:, None] * scale[None, :]
    picks = np.eye(len(scale))[pair]
    around = np.diag((noise * scale[pair]) ** 2)
    gain = prior @ picks.T @ np.linalg.inv(picks @ prior @ picks.T + around)
    mean = problem.value + gain @ (brought - problem.value[pair])
    variance = np.diag(prior - gain @ picks @ prior)

    belief = learn(problem, spread, pair, brought, shared=shared, noise=noise)
    assert belief.value == pytest.approx(mean)
    assert belief.spread == pytest.approx(np.sqrt(variance))


def test_without_results_nothing_changes_where_pairs_of_a_creator_are_alike(problem):
    spread = 0.5 * problem.value
    none = np.array([], np.int64), np.array([], np.float64)
    belief = learn(problem, spread, *none)
    assert belief.value == pytest.approx(problem.value)
    assert belief.spread == pytest.approx(spread)


def test_a_result_speaks_for_the_creators_other_pairs_and_for_no_one_else(problem):
    one = int(np.argmax(np.bincount(problem.creator)[problem.creator]))
    result = np.array([one]), np.array([2 * problem.value[one]])
    mine = problem.creator == problem.creator[one]
    belief = learn(problem, 0.5 * problem.value, *result)
    better = belief.value / problem.value - 1
    assert (better[mine] > 0.01).all()
    assert better[one] == better.max()
    assert better[~mine] == pytest.approx(0)
    alone = learn(problem, 0.5 * problem.value, *result, shared=0.0)
    others = np.arange(len(mine)) != one
    assert alone.value[others] == pytest.approx(problem.value[others])


def test_who_sold_nothing_is_believed_less(problem):
    belief = learn(problem, 0.5 * problem.value, np.array([0, 0]), np.zeros(2))
    assert belief.value[0] < 0.6 * problem.value[0]
    assert belief.spread[0] < 0.5 * problem.value[0]


def test_a_pair_expected_to_bring_nothing_stays(problem):
    value = problem.value.copy()
    value[3] = 0.0
    empty = replace(problem, value=value)
    belief = learn(empty, 0.5 * value, np.array([3]), np.array([9.0]))
    assert belief.value[3] == 0
    assert np.isfinite(belief.value).all()
    assert np.isfinite(belief.spread).all()


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"spread": np.ones(2)}, "spread"),
        ({"pair": np.array([10_000])}, "pair"),
        ({"brought": np.array([np.nan])}, "shared"),
        ({"noise": 0.0}, "shared"),
    ],
)
def test_what_does_not_fit_is_refused(problem, wrong, field):
    given = {
        "spread": problem.value,
        "pair": np.array([1]),
        "brought": np.array([1.0]),
        "noise": 0.5,
    } | wrong
    noise = given.pop("noise")
    with pytest.raises(InvalidInput) as error:
        learn(problem, *given.values(), noise=noise)
    assert error.value.field == field


def test_planning_again_beats_planning_once_in_the_simulated_truth():
    seasons = compare_over_rounds(80, 80, rounds=4, share=0.15, seed=11, solver="highs")
    once, learning = seasons["once"].true, seasons["learning"].true
    assert once[0] == learning[0]
    assert len(set(once)) == 1
    assert learning[-1] > 1.01 * once[-1]
    exploring = seasons["learning and exploring"]
    assert exploring.tried > seasons["learning"].tried
    assert max(exploring.true) <= seasons["truth"].true[0] * 1.02
