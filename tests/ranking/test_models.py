"""Every ranking model learns, explains itself, and is the same after saving and loading."""

from __future__ import annotations

import numpy as np
import pytest

from tandem.contracts.errors import InvalidInput
from tandem.features.declarations import LTR_FEATURES
from tandem.ranking.models import MODELS, TrainingSet, model_class


@pytest.fixture(scope="module")
def data() -> TrainingSet:
    rng = np.random.default_rng(3)
    names = LTR_FEATURES[:6]
    x = rng.normal(size=(40 * 30, len(names))).astype(np.float32)
    x[rng.random(x.shape) < 0.05] = np.nan
    signal = np.nan_to_num(x[:, 0]) + 0.5 * np.nan_to_num(x[:, 1])
    relevance = np.digitize(signal + rng.normal(scale=0.3, size=signal.size), [0.5, 1.0, 1.8])
    return TrainingSet(x, relevance.astype(np.float32), np.full(40, 30, np.int64), tuple(names))


@pytest.mark.parametrize("kind", MODELS)
def test_it_learns_saves_and_explains(kind, data, tmp_path):
    model = model_class(kind).fit(data, 5)
    scores = model.score(data.features)
    assert np.corrcoef(scores, data.gains)[0, 1] > 0.5
    model.save(tmp_path)
    again = model_class(kind).load(tmp_path, data.names)
    np.testing.assert_allclose(again.score(data.features), scores, rtol=1e-6)
    shares = again.contributions(data.features[:50])
    assert shares.shape == (50, len(data.names))
    assert np.ptp(scores[:50] - shares.sum(1)) < 1e-3
    assert np.abs(shares[:, 0]).mean() > np.abs(shares[:, 4]).mean()
    assert not list(tmp_path.glob("*.pkl"))


def test_an_unknown_model_names_the_choices():
    with pytest.raises(InvalidInput, match="gain-regression"):
        model_class("oracle")
