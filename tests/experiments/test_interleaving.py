"""Interleaved lists: their laws, their fairness, and their sensitivity on simulated shoppers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tandem.contracts.errors import InvalidInput
from tandem.experiments.interleaving.lists import balanced, optimised, team_draft
from tandem.experiments.interleaving.outcome import preferences
from tandem.flows.interleaving import sensitivity

rankings = st.permutations([str(i) for i in range(6)])


@settings(deadline=None, max_examples=50)
@given(rankings, rankings, st.integers(1, 6), st.integers(0, 1_000))
def test_lists_hold_distinct_products_and_keep_what_both_agree_on(a, b, length, seed):
    rng = np.random.default_rng(seed)
    for made in (
        team_draft([a, b], length, rng),
        balanced(a, b, length, rng),
        optimised(a, b, length).draw(rng),
    ):
        assert len(set(made.shown)) == len(made.shown) == length
        assert made.shown[0] in (a[0], b[0])
        if a[:length] == b[:length]:
            assert list(made.shown) == a[:length]


@given(rankings, rankings, st.integers(0, 100))
def test_team_draft_teams_stay_even(a, b, seed):
    made = team_draft([a, b], 6, np.random.default_rng(seed))
    assert made.credit.sum() == 6
    assert np.abs(np.diff(made.credit.cumsum(axis=1), axis=0)).max() <= 1


def test_multileaving_gives_every_ranker_its_round():
    made = team_draft([list("abcd"), list("efgh"), list("ijkl")], 6, np.random.default_rng(0))
    assert made.credit.sum(axis=1).tolist() == [2, 2, 2]
    assert set(made.shown) == set("abefij")


def test_balanced_by_hand():
    """From 'abc' and 'bca', one of both begins; three places are read to depth two."""
    made = {balanced("abc", "bca", 3, np.random.default_rng(s)).shown for s in range(20)}
    assert made == {("a", "b", "c"), ("b", "a", "c")}


@pytest.mark.parametrize("pair", [("abcd", "bcda"), ("abcd", "dcba"), ("abcd", "bacd")])
def test_optimised_lists_favour_nobody_who_clicks_at_random(pair):
    found = optimised(*pair, 3)
    assert found.chances.sum() == pytest.approx(1)
    for k in range(1, 4):
        lead = sum(
            p * (li.credit[0, :k] - li.credit[1, :k]).sum()
            for p, li in zip(found.chances, found.lists, strict=True)
        )
        assert lead == pytest.approx(0, abs=1e-6)


def test_purchases_count_by_their_money():
    made = team_draft([["a", "b"], ["c", "d"]], 2, np.random.default_rng(0))
    team = {p: int(made.credit[1, i]) for i, p in enumerate(made.shown)}
    score = made.score(["a", "c"], [10.0, 2.5])
    assert (score[team["a"]], score[team["c"]]) == (10.0, 2.5)
    with pytest.raises(InvalidInput, match="not in the list"):
        made.score(["zzz"])


def test_equal_rankers_are_called_different_in_at_most_five_percent():
    rng = np.random.default_rng(0)
    alarms = sum(
        preferences(rng.poisson(1.0, (600, 2)).astype(float))[0].p < 0.05 for _ in range(500)
    )
    assert alarms / 500 <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / 500)


def test_a_better_ranker_wins_and_several_are_corrected():
    rng = np.random.default_rng(0)
    credits = rng.poisson([1.0, 1.5, 1.0], (1_500, 3)).astype(float)
    better, same = preferences(credits)
    assert better.p < 0.05
    assert better.low > 0
    assert better.wins + better.ties + better.losses == 1_500
    assert same.p > 0.05


def test_interleaving_needs_fewer_shoppers_than_ab_in_simulation():
    found = sensitivity(4_000, (2.5, 0.5), seed=1, methods=("team draft", "balanced"))
    assert found.to_json()["simulated"] is True
    assert found.shoppers["team draft"] < found.shoppers["A/B"] / 1.5
    assert found.shoppers["balanced"] < found.shoppers["A/B"] / 1.5


@pytest.mark.parametrize("bad", [[["a", "a"], ["b"]], [["a"]]])
def test_bad_rankings_are_refused(bad):
    with pytest.raises(InvalidInput):
        team_draft(bad, 2, np.random.default_rng(0))
