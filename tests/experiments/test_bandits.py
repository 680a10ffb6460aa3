"""Bandits on simulated arms of known worth: regret, propensities, guardrails, replay."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from tandem.contracts.errors import InvalidInput
from tandem.experiments.bandits import Guardrails, LinUCB, Replay, Slot, ThompsonSampling, replay
from tandem.experiments.offpolicy.open_bandit import read_open_bandit

WORTH = np.array([0.10, 0.30, 0.15, 0.05])
FREE = Guardrails(budget=1.0)
FLAT = np.zeros(4)


def earned(bandit, n: int, seed: int, guard=FREE, relevance=FLAT):
    """Regret by showing on simulated Bernoulli arms, and the log of what was shown."""
    rng = np.random.default_rng(seed)
    slot = Slot(bandit, guard, rng)
    log = []
    for _ in range(n):
        shown = slot.show(relevance)
        reward = float(rng.random() < WORTH[shown.arm])
        slot.learn(shown, reward)
        log.append((shown.arm, shown.pscore, reward, shown.explored))
    arms = np.array([a for a, *_ in log])
    return WORTH.max() - WORTH[arms], log, slot


def test_thompson_sampling_learns_the_best_arm():
    """Even choices lose 0.15 a showing for ever; Lai & Robbins' rate falls like log n / n."""
    regrets = np.mean([earned(ThompsonSampling(4), 2_000, s)[0] for s in range(3)], axis=0)
    assert regrets[:100].mean() > 0.05
    assert regrets[-500:].mean() < 0.02
    assert regrets.sum() < 0.25 * 0.15 * 2_000


def test_linucb_learns_what_depends_on_the_context():
    rng = np.random.default_rng(2)
    theta = np.array([[0.6, 0.0], [0.0, 0.6], [0.25, 0.25]])
    bandit = LinUCB(3, 2, width=0.5, explore=0.05)
    lost = []
    for _ in range(2_000):
        x = np.eye(2)[rng.integers(2)]
        chances = bandit.probabilities(x, np.ones(3), rng)
        arm = int(rng.choice(3, p=chances))
        means = theta @ x
        bandit.learn(x, arm, float(rng.random() < means[arm]))
        lost.append(means.max() - means[arm])
    assert np.mean(lost[-500:]) < 0.03  # 5% of even choices lose 0.32 each
    assert np.mean(lost[:20]) > np.mean(lost[-500:])
    with pytest.raises(InvalidInput, match="context"):
        bandit.probabilities(None, np.ones(3), rng)


def test_logged_probabilities_answer_for_another_policy():
    """What even choices would have earned, from the bandit's own log: inside four errors."""
    _, log, _ = earned(ThompsonSampling(4), 3_000, 1)
    _, pscore, reward, _ = (np.array(c) for c in zip(*log, strict=True))
    contributions = 0.25 / pscore * reward
    error = contributions.std() / np.sqrt(contributions.size)
    assert abs(contributions.mean() - WORTH.mean()) < 4 * error
    weights = 0.25 / pscore
    assert abs(weights.mean() - 1) < 4 * weights.std() / np.sqrt(weights.size)


def test_guardrails_hold():
    relevance = np.array([1.0, 0.2, 0.9, 0.85])
    guard = Guardrails(relevance=0.3, budget=0.1)
    _, log, _ = earned(ThompsonSampling(4), 1_000, 3, guard, relevance)
    arms = np.array([a for a, *_ in log])
    assert 1 not in arms, "too far from relevant, however well it would sell"
    explored = sum(e for *_, e in log)
    assert 20 < explored < 100 + 5 * np.sqrt(1_000 * 0.1 * 0.9)
    assert min(p for _, p, _, e in log if not e) >= 0.9 - 1e-9
    _, log, _ = earned(ThompsonSampling(4), 50, 3, guard, np.array([-np.inf, 1.0, 0.9, 0.9]))
    assert 0 not in [a for a, *_ in log], "what cannot be shown never is"


def test_a_slot_that_does_harm_stops_for_good():
    # The best by relevance truly sells best, and the bandit is made to prefer others.
    biased = ThompsonSampling(4, np.array([1.0, 1, 1, 5e4]), np.array([1e3, 1e3, 1e3, 1]))
    guard = Guardrails(budget=0.5, harm=0.0, least=100)
    _, log, slot = earned(biased, 2_000, 4, guard, np.array([0.0, 1, 0, 0]))
    assert "less a showing" in slot.stopped
    assert not any(e for *_, e in log[-500:])
    assert log[-1][1] == 1.0


def test_harm_is_seldom_seen_where_there_is_none():
    """Looked at after every one of 1,500 showings; the sequence promises 1% at any look."""
    guard = Guardrails(budget=0.5, harm=0.0, least=50)
    stops = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        slot = Slot(ThompsonSampling(2), guard, rng)
        for _ in range(1_500):
            shown = slot.show(np.zeros(2))
            slot.learn(shown, float(rng.random() < 0.3))
        stops += slot.stopped is not None
    assert stops <= 3


@pytest.mark.parametrize("make", [lambda: ThompsonSampling(3), lambda: LinUCB(3, 2)])
def test_a_slot_goes_on_from_its_state(make):
    """Restored, it chooses as the one that never stopped; a late reward counts as one in time."""
    rng = np.random.default_rng(5)
    contexts, rewards = rng.random((40, 2)), (rng.random(40) < 0.5).astype(float)
    whole = Slot(make(), FREE, np.random.default_rng(1))
    late = Slot(make(), FREE, np.random.default_rng(1))
    for x, reward in zip(contexts, rewards, strict=True):
        shown = whole.show(np.zeros(3), x)
        whole.learn(shown, reward, x)
        late.learn(shown, 0.0, x)
        late.add(shown, reward, x)
    again = Slot(make(), FREE, np.random.default_rng(9))
    again.restore(json.loads(json.dumps(late.state())))
    x = np.array([0.3, 0.7])
    whole._rng, again._rng = np.random.default_rng(2), np.random.default_rng(2)
    assert again.chances(np.zeros(3), x) == pytest.approx(whole.chances(np.zeros(3), x))
    assert (again.best, again.others) == (whole.best, whole.others)


def test_replay_needs_even_chances_and_is_unbiased_there():
    rng = np.random.default_rng(0)
    n = 6_000
    actions = rng.integers(0, 4, n)
    rewards = (rng.random(n) < WORTH[actions]).astype(float)
    found = replay(ThompsonSampling(4), actions, rewards, None, np.full(n, 0.25), 4, rng)
    assert isinstance(found, Replay)
    assert 0.2 < found.matched / n < 0.3
    assert WORTH.mean() + 3 * found.error < found.value < WORTH.max() + 4 * found.error
    with pytest.raises(InvalidInput, match="evenly"):
        replay(ThompsonSampling(4), actions, rewards, None, np.linspace(0.1, 0.4, n), 4, rng)


@pytest.mark.data
def test_replay_on_the_open_bandit_data_set():
    """Its random policy chose evenly; with 38 clicks in 10,000 only the order of size can agree."""
    base = Path(os.environ.get("TANDEM_DATA", Path(__file__).parents[3] / "shared" / "data"))
    folder = base / "open_bandit"
    if not folder.is_dir():
        pytest.skip("the Open Bandit data set is not there")
    log = read_open_bandit(folder, "random", "men")
    arms = log.action_features.shape[0]
    here = log.place == 0
    found = replay(
        ThompsonSampling(arms),
        log.action[here],
        log.reward[here],
        None,
        log.pscore[here],
        arms,
        np.random.default_rng(1),
    )
    assert 0.5 / arms < found.matched / found.rows < 2 / arms
    assert found.value < 0.05
