"""Two systems side by side."""

from __future__ import annotations

import pytest

from tandem.contracts.errors import InvalidInput
from tandem.contracts.judgment import JudgmentList
from tandem.contracts.run import Run, ScoredProduct
from tandem.experiments.diff import Move, diff

JUDGED = JudgmentList(
    {
        "a": {"a1": 3, "a2": 0, "a3": 1},
        "b": {"b1": 3, "b2": 2},
        "c": {"c1": 1},
        "nothing": {"n": 0},
    }
)


def run(name: str, **rankings: str) -> Run:
    return Run(
        name,
        {q: [ScoredProduct(p, -i) for i, p in enumerate(r.split())] for q, r in rankings.items()},
    )


def test_queries_are_in_order_of_what_changed_and_moves_of_what_counts():
    before = run("old", a="a1 a2 a3", b="b2 b1 x", c="c1 y", nothing="n")
    after = run("new", a="a2 a3 a1", b="b1 b2 z", c="c1 y", nothing="n m")
    found = diff(before, after, JUDGED)
    assert [q.query for q in found.queries] == ["a", "c", "b"]
    assert [q.query for q in found.worse] == ["a"]
    assert [q.query for q in found.better] == ["b"]
    assert found.identical == 1
    worse = found.worse[0]
    assert worse.moves[0] == Move("a1", 1, 3, 3)
    assert worse.overlap == 1
    better = found.better[0]
    assert better.overlap == pytest.approx(2 / 3)
    assert {m.product_id: (m.before, m.after, m.relevance) for m in better.moves} == {
        "b1": (2, 1, 3),
        "b2": (1, 2, 2),
        "x": (3, None, None),
        "z": (None, 3, None),
    }
    mean = sum(q.change for q in found.queries) / 3
    document = found.to_json()
    assert document["difference"]["mean"] == pytest.approx(mean)
    assert (document["better"], document["worse"], document["queries"]) == (1, 1, 3)


def test_a_system_is_not_compared_with_itself():
    with pytest.raises(InvalidInput, match="with itself"):
        diff(run("old", a="a1"), run("old", a="a2"), JUDGED)
