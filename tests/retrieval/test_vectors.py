"""Nearest neighbours of a large catalogue, by graph, codes and clusters, against comparing all."""

from __future__ import annotations

import numpy as np
import pytest

from tandem.retrieval.engines.embedded import vectors
from tandem.retrieval.engines.embedded.vectors import Vectors, VectorWriter, ranges

PRODUCTS, DIMENSION, K = 4_000, 24, 50


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    """Vectors in groups, as products come in kinds."""
    rng = np.random.default_rng(5)
    kinds = rng.normal(size=(40, DIMENSION))
    drawn = kinds[rng.integers(40, size=PRODUCTS)] + 0.6 * rng.normal(size=(PRODUCTS, DIMENSION))
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def large(rows, tmp_path_factory):
    """The rows as a catalogue that is too large to be compared whole."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vectors, "WHOLE", 1_000)
        patch.setattr(vectors, "SCANNED", 400)
        patch.setattr(vectors, "SPARSE", 900)
        folder = tmp_path_factory.mktemp("vectors")
        writer = VectorWriter(folder, DIMENSION)
        for start in range(0, PRODUCTS, 700):
            writer.add(rows[start : start + 700])
        writer.finish()
        yield Vectors(folder)


@pytest.mark.parametrize("share", [1.0, 0.8, 0.3, 0.05, 0.01])
def test_most_of_the_nearest_are_found_whatever_is_eligible(large, rows, share):
    rng = np.random.default_rng(6)
    eligible = rng.random(PRODUCTS) < share
    found = 0
    for query in rows[rng.integers(PRODUCTS, size=30)]:
        numbers, scores = large.nearest(query, K, eligible)
        n = min(K, int(eligible.sum()))
        assert numbers.size == len(set(numbers.tolist())) == n
        assert eligible[numbers].all()
        assert np.abs(scores - rows[numbers] @ query).mean() < 5e-3
        assert (np.diff(scores) <= 0).all()
        exact = np.flatnonzero(eligible)
        exact = exact[np.argsort(-(rows[exact] @ query))[:n]]
        found += np.isin(numbers, exact).sum() / n
    assert found / 30 > 0.93


@pytest.mark.parametrize("share", [1.0, 0.999, 0.5, 0.1])
def test_a_small_catalogue_is_compared_whole_and_copied_in_small_parts_only(
    rows, tmp_path, monkeypatch, share
):
    monkeypatch.setattr(vectors, "WHOLE", PRODUCTS)
    writer = VectorWriter(tmp_path, DIMENSION)
    writer.add(rows)
    writer.finish()
    small = Vectors(tmp_path)
    eligible = np.random.default_rng(7).random(PRODUCTS) < share
    kept = np.float32(np.load(tmp_path / "vectors.npy"))
    exact = np.flatnonzero(eligible)
    copied: list[int] = []
    take = small.take
    monkeypatch.setattr(small, "take", lambda numbers: copied.append(len(numbers)) or take(numbers))
    for query in rows[:20]:
        numbers, scores = small.nearest(query, K, eligible)
        assert eligible[numbers].all()
        np.testing.assert_allclose(scores, kept[numbers] @ query, atol=1e-5)
        np.testing.assert_allclose(scores, np.sort(kept[exact] @ query)[::-1][:K], atol=1e-5)
    assert all(n < vectors.MANY * PRODUCTS for n in copied)


def test_nothing_eligible_or_nothing_asked_for(large, rows):
    assert large.nearest(rows[0], 5, np.zeros(PRODUCTS, bool))[0].size == 0
    assert large.nearest(rows[0], 0, np.ones(PRODUCTS, bool))[0].size == 0


def test_ranges():
    starts, ends = np.array([3, 9, 5]), np.array([6, 9, 7])
    assert ranges(starts, ends).tolist() == [3, 4, 5, 5, 6]
    assert ranges(starts[:0], ends[:0]).tolist() == []
