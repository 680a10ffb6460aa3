"""Gates: what is worse or cannot be told does not pass, and chance is not blamed."""

from __future__ import annotations

import numpy as np
import pytest

from tandem.experiments import gates

QUERIES = [f"q{i}" for i in range(100)]


def values(mean: float, seed: int) -> dict[str, float]:
    rng = np.random.default_rng(seed)
    return dict(zip(QUERIES, np.clip(rng.normal(mean, 0.2, 100), 0, 1).tolist(), strict=True))


def test_a_clear_loss_is_refused_and_a_clear_gain_passes():
    live = values(0.7, 1)
    worse = {q: v - 0.03 + 0.01 * (i % 3) for i, (q, v) in enumerate(live.items())}
    found = gates.quality(worse, live, same_judgments=True)
    assert found.passed is False
    assert found.measured["difference"] == pytest.approx(-0.0201, abs=1e-3)
    assert gates.quality(live, worse, same_judgments=True).passed is True
    assert gates.quality(live, live, same_judgments=True).passed is True


def test_an_equal_candidate_is_refused_no_more_often_than_chance_allows():
    rng = np.random.default_rng(3)
    refused = 0
    for _ in range(60):
        live = values(0.7, int(rng.integers(1 << 30)))
        noise = rng.normal(0, 0.05, 100)
        candidate = {q: live[q] + float(n) for q, n in zip(QUERIES, noise, strict=True)}
        refused += gates.quality(candidate, live, same_judgments=True).passed is False
    # Half of 5%, since only a loss refuses: 1.5 expected, more than 6 once in ten thousand times.
    assert refused <= 6


def test_a_large_loss_that_is_not_significant_is_refused_all_the_same():
    live = dict.fromkeys(QUERIES[:30], 0.5)
    noisy = {q: 0.5 + (0.45 if i % 2 else -0.51) for i, q in enumerate(live)}
    found = gates.quality(noisy, live, same_judgments=True)
    assert found.measured["p"] > 0.05
    assert found.passed is False


def test_what_cannot_be_compared_is_no_pass():
    live = values(0.7, 1)
    assert gates.quality(live, live, same_judgments=False).passed is None
    few = dict(list(live.items())[:5])
    assert gates.quality(few, live, same_judgments=True).passed is None


def test_latency_compares_medians():
    assert gates.latency([10.0] * 9 + [90.0], [9.0] * 10).passed
    assert not gates.latency([12.0] * 10, [9.0] * 10).passed


def test_exposure_may_not_gather_at_the_top():
    live = [[f"m{(i + place) % 20}" for place in range(10)] for i in range(40)]
    assert gates.exposure(live, live).passed
    gathered = [["m0", "m1", *row[2:]] for row in live]
    found = gates.exposure(gathered, live)
    assert not found.passed
    assert found.measured["head_share"] > found.measured["live_head_share"] + gates.SHARE
    assert gates.exposure([[None]], [[None]]).passed


def test_what_learned_from_people_needs_a_person_to_approve_it():
    assert gates.privacy("judgments", personal=False, approved_by=None).passed
    assert not gates.privacy("clicks", personal=True, approved_by=None).passed
    assert gates.privacy("clicks", personal=True, approved_by="privacy officer").passed
