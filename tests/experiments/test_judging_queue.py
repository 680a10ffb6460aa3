"""Which pair to judge next: fewer judgments than by lot, and the lot is mixed in."""

from __future__ import annotations

import numpy as np
import pytest

from tandem.contracts.errors import InvalidInput
from tandem.contracts.judgment import JudgmentList
from tandem.contracts.run import Run, ScoredProduct
from tandem.experiments.judging import Pool, judging_queue, needed


def world(noises: tuple[float, float], queries: int = 40, products: int = 40, seed: int = 2):
    """Judgments, and two rankers that see relevance through noise."""
    rng = np.random.default_rng(seed)
    relevance = rng.choice(4, (queries, products), p=(0.6, 0.15, 0.1, 0.15))
    truth = JudgmentList(
        {f"q{q}": {f"p{p}": int(relevance[q, p]) for p in range(products)} for q in range(queries)}
    )
    runs = []
    for name, noise in zip(("one", "two"), noises, strict=True):
        scores = relevance + rng.normal(0, noise, relevance.shape)
        rankings = {
            f"q{q}": [ScoredProduct(f"p{p}", 0.0) for p in np.argsort(-scores[q])]
            for q in range(queries)
        }
        runs.append(Run(name, rankings))
    return *runs, truth


def test_fewer_judgments_than_by_lot_tell_two_rankers_apart():
    first, second, truth = world((2.5, 1.5))
    found = needed(first, second, truth, range(5))
    typical = {
        order: np.median([n.judgments or 10**6 for n in runs]) for order, runs in found.items()
    }
    assert typical["queue"] < 0.7 * typical["random"]
    assert all(n.right for n in found["queue"])


def test_nothing_is_told_apart_that_is_the_same():
    first, _, truth = world((1.5, 1.5))
    same = Run("two", first.rankings)
    pool = Pool(first, same, truth)
    assert pool.standing().difference == 0
    assert not pool.standing().told_apart
    assert pool.worth().max() == 0


def test_the_queue_leaves_out_what_is_judged_and_mixes_in_the_lot():
    first, second, truth = world((2.5, 1.5))
    known = JudgmentList({"q0": truth.by_query["q0"]})
    pairs, standing = judging_queue(first, second, known, 20)
    assert len({(p.query, p.product_id) for p in pairs}) == 20
    assert all(p.query != "q0" for p in pairs)
    assert sum(p.why == "random" for p in pairs) == 4
    assert standing.judged > 0
    chosen = [p for p in pairs if p.why == "disagreement"]
    assert [p.worth for p in chosen] == sorted((p.worth for p in chosen), reverse=True)
    for p in chosen:
        assert p.places["one"] != p.places["two"]


def test_a_ranker_is_not_beside_itself():
    first, _, truth = world((1.5, 1.5))
    with pytest.raises(InvalidInput, match="beside itself"):
        judging_queue(first, first, truth)
