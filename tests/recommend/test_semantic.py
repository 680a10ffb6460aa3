"""Semantic ids: words of codes, spelled by beam search."""

from __future__ import annotations

import itertools
import sys

import numpy as np
import pytest

from tandem.contracts.errors import MissingExtra
from tandem.recommend.conformance import check_recommender
from tandem.recommend.semantic import SemanticIds, residual_codes
from tandem.recommend.sessions import Sessions
from tandem.recommend.weights import manifest_of

ITEMS = 9
WORDS = np.array([[0, 1], [0, 1], [1, 0], [1, 2], [2, 2], [0, 0], [2, 1], [1, 1], [2, 0]])
COUNTS = np.array([3, 1, 2, 5, 1, 4, 2, 1, 0])  # nobody ever clicked the last one


@pytest.fixture
def speller(tmp_path) -> SemanticIds:
    """Random weights, kept and read again."""
    made = SemanticIds(levels=2, codes=3, dimensions=4, hidden=5, reach=3)
    rng = np.random.default_rng(2)
    arrays = {
        name: rng.standard_normal(shape).astype(np.float32)
        for name, shape in made.shapes(ITEMS).items()
    }
    made.use({**arrays, "words": WORDS, "counts": COUNTS}, manifest_of(made, "0", 0, ITEMS, []))
    made.save(tmp_path)
    again = SemanticIds(levels=2, codes=3, dimensions=4, hidden=5, reach=3)
    again.load(tmp_path)
    return again


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def chances(model: SemanticIds, clicks: list[int]) -> np.ndarray:
    """Of every item, one number after the other, all words tried."""
    w = {k: np.asarray(v, np.float64) for k, v in model.arrays.items()}
    state = np.zeros(5)
    for item in clicks[-3:]:
        read = sum(w["letters"][level, WORDS[item, level]] for level in range(2))
        r, z, n = np.split(w["read"] @ read + w["read.bias"], 3)
        hr, hz, hn = np.split(w["kept"] @ state + w["kept.bias"], 3)
        reset, update = sigmoid(r + hr), sigmoid(z + hz)
        state = (1 - update) * np.tanh(n + reset * hn) + update * state
    found = np.zeros(ITEMS)
    for word in itertools.product(range(3), repeat=2):
        at, chance = state, 1.0
        for level, letter in enumerate(word):
            logits = w["spell"][level] @ at + w["spell.bias"][level]
            chance *= np.exp(logits[letter]) / np.exp(logits).sum()
            at = np.tanh(w["turn"][level] @ at + w["letters.out"][level, letter])
        has = (word == WORDS).all(1) & (COUNTS > 0)
        found[has] = chance * COUNTS[has] / max(1, COUNTS[has].sum())
    return found


@pytest.mark.parametrize("clicks", [[4], [0, 3], [1, 2, 3, 4, 5]])
def test_a_wide_beam_is_trying_all_words(speller, clicks):
    batch = Sessions.of([[2], [], clicks, [8]], ITEMS)
    items, scores = speller.recommend(batch, ITEMS)
    expected = chances(speller, clicks)
    assert items[2].tolist() == [*np.argsort(-expected, kind="stable")[:8], -1]
    np.testing.assert_allclose(scores[2][:8], np.sort(expected)[::-1][:8], rtol=1e-4)
    assert (items[[1, 3]] == -1).all()


def test_a_narrow_beam_keeps_the_likeliest_beginnings(speller):
    speller.beam = 2
    items, _ = speller.recommend(Sessions.of([[4, 3]], ITEMS), ITEMS)
    found = items[0][items[0] >= 0]
    assert 2 <= found.size <= 4  # two words, and one word may be of two items
    assert len({tuple(WORDS[i]) for i in found}) == 2


def test_codes_tell_more_with_every_level():
    vectors = np.random.default_rng(0).standard_normal((200, 8)).astype(np.float32)
    words = residual_codes(vectors, 3, 4, seed=1)
    assert words.shape == (200, 3)
    assert words.max() < 4
    np.testing.assert_array_equal(words, residual_codes(vectors, 3, 4, seed=1))
    spread = []
    for level in range(1, 4):
        _, group = np.unique(words[:, :level], axis=0, return_inverse=True)
        group = group.ravel()
        means = np.stack([vectors[group == g].mean(0) for g in range(group.max() + 1)])
        spread.append(((vectors - means[group]) ** 2).sum())
    assert spread[0] > spread[1] > spread[2]


def test_training_without_torch_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtra, match="torch"):
        SemanticIds().fit(Sessions.of([[0, 1]], ITEMS))


def test_semantic_ids_behave():
    pytest.importorskip("torch", reason="training needs the extra neural")
    check_recommender(lambda: SemanticIds(codes=8))
