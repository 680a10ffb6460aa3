"""Agreement of judges against a kept library, a published example, and three real raters."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tandem.contracts.errors import InvalidInput
from tandem.experiments.agreement import LEVELS, agreement, cohen_kappa, krippendorff_alpha
from tandem.flows.experiment import agreement_of_file

N = np.nan
# Krippendorff, Computing Krippendorff's alpha-reliability (2011), example C: 4 judges, 12 units.
PUBLISHED = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, N, N, N],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, N, 3],
        [N, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, N],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, N],
    ]
).T


@pytest.mark.parametrize(
    ("level", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)]
)
def test_the_published_example(level, alpha):
    assert krippendorff_alpha(PUBLISHED, level) == pytest.approx(alpha, abs=5e-4)


@pytest.mark.parametrize("seed", range(3))
def test_the_kept_library_agrees(seed):
    """nltk.metrics.agreement: kappa, and alpha with nominal and interval distance."""
    nltk = pytest.importorskip("nltk.metrics.agreement")
    distance = pytest.importorskip("nltk.metrics.distance")
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 4, 60)
    ratings = np.where(rng.random((60, 3)) < 0.6, truth[:, None], rng.integers(0, 4, (60, 3)))
    rows = [(f"r{j}", i, int(ratings[i, j])) for i in range(60) for j in range(3)]
    floats = ratings.astype(float)
    task = nltk.AnnotationTask(rows)
    assert krippendorff_alpha(floats, "nominal") == pytest.approx(task.alpha())
    assert cohen_kappa(floats[:, 0], floats[:, 1]) == pytest.approx(task.kappa_pairwise("r0", "r1"))
    task = nltk.AnnotationTask(rows, distance=distance.interval_distance)
    assert krippendorff_alpha(floats, "interval") == pytest.approx(task.alpha())


def test_perfect_chance_and_constant_judges():
    rng = np.random.default_rng(0)
    one = rng.integers(0, 4, 4_000).astype(float)
    found = agreement(np.column_stack([one, one]), ["a", "b"], resamples=100)
    assert all(found.alpha[level] == pytest.approx(1) for level in LEVELS)
    two = rng.permutation(one)
    assert krippendorff_alpha(np.column_stack([one, two])) == pytest.approx(0, abs=0.05)
    assert np.isnan(cohen_kappa(np.ones(5), np.ones(5)))
    with pytest.raises(InvalidInput, match="two ratings"):
        agreement(np.array([[1.0, N], [N, 2.0]]), ["a", "b"])


@pytest.mark.data
def test_the_three_raters_of_icecat():
    base = Path(os.environ.get("TANDEM_DATA", Path(__file__).parents[3] / "shared" / "data"))
    file = base / "icecat" / "rater_judgments.csv"
    if not file.is_file():
        pytest.skip(f"no {file}; set TANDEM_DATA")
    found = agreement_of_file(file, resamples=200)
    assert found.raters == ("agent_1_rating", "agent_2_rating", "agent_3_rating")
    assert len(found.pairs) == 3
    assert found.low["ordinal"] < found.alpha["ordinal"] < found.high["ordinal"]
    assert 0 < found.alpha["ordinal"] < 1


def test_a_file_without_judges_says_what_to_do(tmp_path):
    file = tmp_path / "r.csv"
    file.write_text("query,final_rating\nx,1\n")
    with pytest.raises(InvalidInput, match="--raters"):
        agreement_of_file(file)
