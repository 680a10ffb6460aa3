from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tandem.matching.features import BLEND, FEATURES, compute
from tandem.matching.pool import balanced, place

finite = st.floats(-1e3, 1e3, allow_nan=False)
matrices = arrays(np.float64, st.tuples(st.integers(1, 6), st.integers(1, 8)), elements=finite)


@given(matrices)
def test_balancing_leaves_every_creator_one_unit_to_spread(scores: np.ndarray) -> None:
    np.testing.assert_allclose(np.exp(balanced(scores)).sum(axis=0), 1.0, atol=1e-9)


@given(matrices, st.floats(-5, 5), st.floats(0.1, 10))
def test_balancing_does_not_depend_on_the_scale_of_scores(
    scores: np.ndarray, shift: float, factor: float
) -> None:
    if scores.std() > 1e-6:
        other = balanced(scores * factor + shift)
        np.testing.assert_allclose(other, balanced(scores), atol=1e-4)


def test_balancing_takes_back_what_a_hub_gains() -> None:
    """Brand 0 resembles everybody a little more; creator 1 nevertheless belongs to brand 1."""
    scores = np.array([[3.0, 2.0, 2.0], [0.0, 1.5, 0.0], [0.0, 0.0, 1.5]])
    assert scores[:, 1].argmax() == 0
    assert np.exp(balanced(scores))[:, 1].argmax() == 1


@given(matrices, st.sampled_from([0, 1]))
def test_places_run_from_0_to_1_and_keep_the_order(scores: np.ndarray, axis: int) -> None:
    places = place(scores, axis)
    assert ((places >= 0) & (places <= 1)).all()
    for s, p in zip(np.moveaxis(scores, axis, 0).T, np.moveaxis(places, axis, 0).T, strict=True):
        order = np.argsort(s, kind="stable")
        assert (np.diff(p[order]) >= 0).all()


def test_missing_scores_have_no_place() -> None:
    places = place(np.array([[2.0, np.nan, 1.0]]), axis=1)
    np.testing.assert_array_equal(places, [[1.0, np.nan, 0.0]])


def test_features_are_declared_once_and_only_pool_features_look_at_other_brands() -> None:
    names = [f.name for f in FEATURES]
    assert len(set(names)) == len(names)
    rng = np.random.default_rng(0)
    sources = {f.name for f in FEATURES if not f.name.endswith(("_place", "_rivals", "_balanced"))}
    assert BLEND in sources
    scores = {name: rng.normal(size=(9, 5)) for name in sources}
    others = {n: np.vstack([s[:1], rng.normal(size=(8, 5))]) for n, s in scores.items()}
    before, after = compute(scores, FEATURES)[:5], compute(others, FEATURES)[:5]
    for i, feature in enumerate(FEATURES):
        assert np.allclose(before[:, i], after[:, i]) is not feature.pool, feature.name
