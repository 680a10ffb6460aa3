"""Off-policy estimators against closed forms, known truth and published figures."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.contracts.errors import InvalidInput, NotFound
from tandem.experiments.offpolicy.diagnostics import Limits, pareto_k
from tandem.experiments.offpolicy.estimators import ESTIMATORS, slope, value
from tandem.experiments.offpolicy.evaluation import evaluate
from tandem.experiments.offpolicy.feedback import Feedback
from tandem.experiments.offpolicy.intervals import bootstrap, empirical_bernstein
from tandem.experiments.offpolicy.open_bandit import production_thompson, thompson_places
from tandem.experiments.offpolicy.rewards import fit_linear
from tandem.flows.offpolicy import (
    campaigns_present,
    open_bandit_folder,
    read_feedback,
    reproduce_open_bandit,
    reproduce_synthetic,
)

LOGGING = np.array([0.5, 0.3, 0.2])
EVALUATION = np.array([0.2, 0.2, 0.6])
REWARD = np.array([0.1, 0.3, 0.5])
TRUTH = float(EVALUATION @ REWARD)


def logged(n: int, seed: int = 0, model: bool = True) -> Feedback:
    """Three actions with known rewards; the reward model is wrong by 0.1 everywhere."""
    rng = np.random.default_rng(seed)
    action = rng.choice(3, size=n, p=LOGGING)
    reward = (rng.random(n) < REWARD[action]).astype(float)
    return Feedback(
        reward,
        LOGGING[action],
        EVALUATION[action],
        REWARD[action] + 0.1 if model else None,
        np.full(n, TRUTH + 0.1) if model else None,
    )


def test_every_estimator_by_hand():
    f = Feedback(
        reward=np.array([1.0, 0.0]),
        pscore=np.array([0.5, 0.25]),
        evaluation_pscore=np.array([1.0, 0.25]),
        q_logged=np.array([0.5, 0.5]),
        q_evaluation=np.array([0.4, 0.6]),
    )
    expected = {  # weights 2 and 1; threshold 1.5
        "DM": 0.5,
        "IPW": (2 * 1 + 0) / 2,
        "SNIPW": 2 / 3,
        "clipped IPW": 1.5 / 2,
        "DR": ((0.4 + 2 * 0.5) + (0.6 - 0.5)) / 2,
        "SwitchDR": (0.4 + (0.6 - 0.5)) / 2,
        "DRos": ((0.4 + 3 / 5.5 * 0.5) + (0.6 - 1.5 / 2.5 * 0.5)) / 2,
    }
    for name, wanted in expected.items():
        assert value(ESTIMATORS[name].contributions(f, 1.5)) == pytest.approx(wanted), name


def test_weighted_estimators_find_the_truth_and_the_wrong_model_does_not():
    result = evaluate(logged(40_000), resamples=200)
    for name, e in result.estimates.items():
        if name == "DM":
            assert e.value == pytest.approx(TRUTH + 0.1)
        else:
            assert e.value == pytest.approx(TRUTH, abs=0.015), name


@given(st.floats(0.1, 10), st.integers(0, 50))
def test_snipw_stays_among_the_rewards_and_ignores_a_common_factor_of_the_propensities(scale, seed):
    rng = np.random.default_rng(seed)
    reward = rng.normal(size=30)
    pscore = rng.uniform(0.05, 0.1, 30)
    f = Feedback(reward, pscore, rng.uniform(0.1, 1, 30))
    g = Feedback(reward, pscore * min(scale, 10), f.evaluation_pscore)
    snipw = ESTIMATORS["SNIPW"].contributions
    assert value(snipw(f, np.inf)) == pytest.approx(value(snipw(g, np.inf)))
    assert reward.min() <= value(snipw(f, np.inf)) <= reward.max()


def test_thresholds_at_infinity_are_the_plain_estimators():
    f = logged(500)
    at = {name: value(e.contributions(f, np.inf)) for name, e in ESTIMATORS.items()}
    assert at["clipped IPW"] == at["IPW"]
    assert at["SwitchDR"] == at["DRos"] == at["DR"]


def test_slope_takes_no_threshold_that_changes_the_answer():
    """Half of the value sits behind weights of 20; a threshold of 10 would halve it."""
    rng = np.random.default_rng(1)
    heavy = rng.random(40_000) < 0.05
    f = Feedback(
        np.where(heavy, 1.0, 0.0) + rng.normal(0, 0.1, heavy.size),
        np.where(heavy, 0.05, 0.95),
        np.where(heavy, 1.0, 0.0),
    )
    assert slope(f, ESTIMATORS["clipped IPW"]) >= 50


def test_intervals_cover_as_often_as_they_say():
    """95% intervals over 300 logs; the band is four Monte-Carlo standard errors (0.0126)."""
    inside = {"bootstrap": 0, "bernstein": 0}
    for seed in range(300):
        f = logged(400, seed, model=False)
        c = ESTIMATORS["IPW"].contributions(f, np.inf)
        b = bootstrap(c, resamples=300, seed=seed)
        e = empirical_bernstein(c, 3.0)
        inside["bootstrap"] += b.low <= TRUTH <= b.high
        inside["bernstein"] += e.low <= TRUTH <= e.high
        assert e.low <= c.mean() <= e.high
    assert abs(inside["bootstrap"] / 300 - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 300)
    assert inside["bernstein"] / 300 >= 0.95


def test_heaps_of_rows_give_the_interval_of_rows():
    c = np.random.default_rng(3).exponential(size=100_000)
    b = bootstrap(c, resamples=400)
    half = 1.96 * c.std() / np.sqrt(c.size)
    assert b.high - b.low == pytest.approx(2 * half, rel=0.15)


@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        (np.zeros(500), "no_support"),
        (np.where(np.arange(500) < 250, 1.0, 0.0), "no_support"),
        (np.where(np.arange(500) < 250, 3.0, 1.0), "propensities_disagree"),
        (np.where(np.arange(500) < 10, 50.0, 0.0), "small_effective_sample"),
    ],
)
def test_a_log_that_cannot_answer_is_refused_with_its_reason(weights, reason):
    pscore = np.full(500, 0.02)
    reward = np.arange(500) % 2.0
    result = evaluate(Feedback(reward, pscore, weights * pscore))
    assert result.refusal is not None
    assert result.refusal.reason == reason
    assert result.refusal.remedy
    assert result.estimates == {}
    assert json.loads(json.dumps(result.to_json()))["status"] == "refused"


def test_other_refusals():
    one = np.ones(1)
    assert evaluate(Feedback(one, one, one)).refusal.reason == "no_data"
    same = np.ones(500)
    assert evaluate(Feedback(same, same / 2, same / 2)).refusal.reason == "no_variation"
    w = np.where(np.arange(4000) == 0, 300.0, (4000 - 300) / 3999)
    f = Feedback(np.arange(4000) % 2.0, np.full(4000, 0.003), w * 0.003)
    assert evaluate(f, limits=Limits(effective=10)).refusal.reason == "single_rows_decide"


def test_without_a_model_its_estimators_are_left_out_with_the_reason():
    result = evaluate(logged(5_000, model=False), resamples=100)
    assert set(result.estimates) == {"IPW", "SNIPW", "clipped IPW"}
    assert set(result.not_estimated) == {"DM", "DR", "SwitchDR", "DRos"}


def test_pareto_k_tells_light_from_heavy_tails():
    rng = np.random.default_rng(5)
    assert pareto_k(rng.exponential(size=20_000)) == pytest.approx(0.0, abs=0.15)
    assert pareto_k(rng.pareto(1.0, size=20_000)) == pytest.approx(1.0, abs=0.2)


def test_logistic_regression_reaches_the_optimum():
    """At the optimum the gradient of the penalised loss is 0."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(400, 3)) * [1, 10, 100]
    y = (rng.random(400) < 1 / (1 + np.exp(-x @ [1, 0.1, 0]))).astype(float)
    b = fit_linear(x, y, True, 100.0)
    p = 1 / (1 + np.exp(-(x @ b[:-1] + b[-1])))
    gradient = np.column_stack([x, np.ones(400)]).T @ (p - y) + np.append(b[:-1] / 100, 0)
    assert np.abs(gradient).max() < 1e-3


def test_thompson_places_by_symmetry_and_by_drawing():
    even = thompson_places(np.full(4, 3.0), np.full(4, 9.0), 3)
    assert even == pytest.approx(np.full((3, 4), 0.25), abs=1e-6)
    alpha, beta = np.array([2.0, 5.0, 1.0]), np.array([8.0, 10.0, 1.0])
    drawn = np.argsort(-np.random.default_rng(0).beta(alpha, beta, size=(40_000, 3)), axis=1)
    found = thompson_places(alpha, beta, 3)
    for place in range(3):
        share = np.bincount(drawn[:, place], minlength=3) / 40_000
        assert found[place] == pytest.approx(share, abs=4 * 0.5 / 200)


def test_production_policy_is_a_distribution_at_each_place():
    for campaign, arms in (("all", 80), ("men", 34), ("women", 46)):
        policy = production_thompson(campaign)
        assert policy.shape == (3, arms)
        assert policy.sum(axis=1) == pytest.approx(np.ones(3))


def test_the_synthetic_setting_is_reproduced_in_two_runs():
    """Within the published deviation over runs of every estimator; two runs to stay quick."""
    result = reproduce_synthetic(runs=2, seed=7)
    assert result.simulated
    for name, published in result.estimators.items():
        if published.published is not None:
            limit = published.published.mean + 3 * published.published.std
            assert published.mean <= limit, name
    assert result.estimators["DM"].mean > 3 * result.estimators["DR"].mean


@pytest.mark.data
def test_open_bandit_is_reproduced():
    """Campaign all: within the published spread. Women: shrinking the weights halves the error."""
    folder = open_bandit_folder(None)
    present = campaigns_present(folder)
    if not {"all", "women"} & set(present):
        pytest.skip(f"no Open Bandit data in {folder}; set TANDEM_DATA")
    campaign = "all" if "all" in present else "women"
    errors = reproduce_open_bandit(folder, campaign, runs=4).estimators
    if campaign == "all":
        assert all(r.within is not False for r in errors.values())
    else:
        assert all(r.published is None for r in errors.values())
        assert errors["DRos"].mean < errors["IPW"].mean / 2


def test_open_bandit_without_its_data_says_what_to_do(tmp_path):
    with pytest.raises(NotFound, match="--data"):
        reproduce_open_bandit(tmp_path, "men", runs=1)


def write(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    return path


def test_a_file_with_whole_policies_gets_a_reward_model(tmp_path):
    rng = np.random.default_rng(0)
    policy = dict(zip("abc", EVALUATION.tolist(), strict=True))
    rows = [
        {
            "action": "abc"[a],
            "reward": int(rng.random() < REWARD[a]),
            "pscore": LOGGING[a],
            "action_dist": policy,
            "context_age": float(rng.normal()),
            "position": int(i % 2),
        }
        for i, a in enumerate(rng.choice(3, size=6_000, p=LOGGING))
    ]
    f = read_feedback(write(tmp_path / "log.jsonl", rows))
    result = evaluate(f, resamples=100)
    for e in result.estimates.values():
        assert e.value == pytest.approx(TRUTH, abs=0.05)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"pscore": None}, "pscore"),
        ({"pscore": 0}, "pscore"),
        ({"reward": "much"}, "reward"),
        ({"evaluation_pscore": 1.5}, "evaluation_pscore"),
        ({"action": "a", "action_dist": '{"a": 0.4}'}, "action_dist"),
    ],
)
def test_a_bad_file_names_the_field(tmp_path, change, field):
    row = {"reward": 1, "pscore": 0.5, "evaluation_pscore": 0.5}
    with pytest.raises(InvalidInput, match=field) as error:
        read_feedback(write(tmp_path / "log.jsonl", [row | change]))
    assert error.value.remedy


def test_the_data_folder_follows_the_setting(monkeypatch, tmp_path):
    (tmp_path / "open_bandit" / "random").mkdir(parents=True)
    monkeypatch.setitem(os.environ, "TANDEM_DATA", str(tmp_path))
    assert open_bandit_folder(None) == tmp_path / "open_bandit"
