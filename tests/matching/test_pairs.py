"""Features of pairs: worked out together, they are what each pair has by itself."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from tandem.matching import pairs


@pytest.mark.parametrize("times", [0, 1_000])
def test_likeness_is_the_same_one_by_one_and_in_one_go(monkeypatch, times):
    rng = np.random.default_rng(4)
    products = SimpleNamespace(vectors=rng.normal(size=(30, 16)).astype(np.float16))
    a, b = rng.integers(0, 30, 200), rng.integers(0, 5, 200)
    monkeypatch.setattr(pairs, "MEET_AGAIN", times)
    found = pairs._likeness(products, a, b)
    vectors = products.vectors.astype(np.float64)
    assert np.allclose(found, (vectors[a] * vectors[b]).sum(axis=1), atol=1e-3)
