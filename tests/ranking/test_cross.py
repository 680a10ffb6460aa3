"""The cross-encoder as a stage: it reorders the head, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

import tandem
from tandem.contracts.candidates import Candidates
from tandem.contracts.errors import InvalidInput
from tandem.ranking.cross import CrossRanker
from tandem.retrieval.encoders import product_text


class Shortest:
    """Prefers short texts, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, list[str]]] = []

    def score(self, query, texts):
        self.asked.append((query, list(texts)))
        return -np.array([len(t) for t in texts], np.float32)


@pytest.fixture(scope="module")
def shop(simulated_shop):
    with tandem.open(simulated_shop) as shop:
        yield shop


@pytest.fixture
def found(shop):
    context = shop.context(shop.judgment_queries()[0])
    candidates = shop.view.stages()["bm25"].run(context, None)
    assert len(candidates) > 12
    return context, candidates


def test_the_head_is_reordered_and_the_tail_stays(found):
    context, candidates = found
    scorer = Shortest()
    ranked = CrossRanker(scorer, depth=10).run(context, candidates)
    texts = [product_text(p) for p in context.snapshot.products(ranked.numbers[:10])]
    assert [len(t) for t in texts] == sorted(len(t) for t in texts)
    assert set(ranked.numbers[:10].tolist()) == set(candidates.numbers[:10].tolist())
    np.testing.assert_array_equal(ranked.numbers[10:], candidates.numbers[10:])
    assert (np.diff(ranked.scores) <= 0).all()
    assert "cross" in context.timings_ms


def test_it_reads_the_understood_query_and_the_text_that_is_embedded(found):
    context, candidates = found
    scorer = Shortest()
    CrossRanker(scorer, depth=3).run(context, candidates)
    texts = [product_text(p) for p in context.snapshot.products(candidates.numbers[:3])]
    assert scorer.asked == [(context.understanding.text, texts)]


def test_fewer_candidates_than_depth(found):
    context, candidates = found
    ranked = CrossRanker(Shortest()).run(context, candidates.head(2))
    assert len(ranked) == 2


def test_nothing_to_reorder(found):
    context, _ = found
    assert len(CrossRanker(Shortest()).run(context, Candidates.empty())) == 0
    with pytest.raises(InvalidInput, match="has none"):
        CrossRanker(Shortest()).run(context, None)
