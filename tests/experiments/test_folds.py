"""Cross-validation: no leakage, each query tested once per repeat, choices made inside."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tandem.contracts.errors import InvalidInput
from tandem.contracts.judgment import JudgmentList
from tandem.contracts.run import Run, ScoredProduct
from tandem.experiments.folds import (
    Fold,
    Selecting,
    cross_validate,
    nested_folds,
    query_folds,
    same_stems,
    select,
)
from tandem.experiments.offline import EvaluationFailed, evaluate

WORDS = ["laptop", "laptops", "usb", "cable", "Cables", "tv", "4k", "café", "cafe", "鞄", "!"]
queries = st.lists(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join), unique=True
)


@settings(max_examples=150, deadline=None)
@given(queries, st.integers(2, 5), st.integers(1, 3), st.integers(0, 99))
def test_no_leak_and_each_query_is_tested_once_per_repeat(
    asked: list[str], folds: int, repeats: int, seed: int
) -> None:
    groups = {same_stems(q) for q in asked}
    if len(groups) < folds:
        with pytest.raises(InvalidInput):
            query_folds(asked, folds, repeats=repeats, seed=seed)
        return
    made = query_folds(asked, folds, repeats=repeats, seed=seed)
    assert len(made) == folds * repeats
    assert made == query_folds(asked, folds, repeats=repeats, seed=seed)
    for fold in made:
        assert fold.test
        assert set(fold.train) | set(fold.test) == set(asked)
        assert not {same_stems(q) for q in fold.train} & {same_stems(q) for q in fold.test}
    for repeat in range(repeats):
        tested = [q for fold in made if fold.repeat == repeat for q in fold.test]
        assert sorted(tested) == sorted(asked)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("laptop", "Laptops", True),
        ("usb cable", "cables, USB", True),
        ("café table", "cafe tables", True),
        ("ＵＳＢ", "usb", True),
        ("laptop", "laptop bag", False),
        ("鞄", "靴", False),
        ("!", "?", False),
    ],
)
def test_near_identical_queries(one: str, other: str, same: bool) -> None:
    assert (same_stems(one) == same_stems(other)) is same


def test_folds_are_balanced_and_repeats_differ() -> None:
    asked = [f"query{i}" for i in range(23)]
    made = query_folds(asked, 5, repeats=2)
    assert sorted(len(f.test) for f in made[:5]) == [4, 4, 5, 5, 5]
    assert {f.test for f in made[:5]} != {f.test for f in made[5:]}
    assert query_folds(asked, 5, seed=8) != made[:5]


def test_inner_folds_never_see_the_outer_test_queries() -> None:
    for nested in nested_folds([f"query{i}" for i in range(30)], 5, 4):
        for inner in nested.inner:
            assert not set(nested.outer.test) & (set(inner.train) | set(inner.test))
        assert sorted(q for i in nested.inner for q in i.test) == sorted(nested.outer.train)


@pytest.mark.parametrize(("folds", "repeats"), [(1, 1), (0, 1), (2, 0)])
def test_impossible_folds_are_refused(folds: int, repeats: int) -> None:
    with pytest.raises(InvalidInput):
        query_folds(["a", "b", "c"], folds, repeats=repeats)


JUDGMENTS = JudgmentList({f"query{i}": {f"p{i}": 3, f"n{i}": 0} for i in range(20)})


class Memory:
    """Answers right on queries that it learned from, wrong on all others."""

    name = "memory"

    def __init__(self, seen: JudgmentList) -> None:
        self.seen = set(seen.queries)

    def rank(self, queries: Sequence[str], k: int) -> Run:
        def answer(q: str) -> list[ScoredProduct]:
            products = [f"p{q[5:]}", f"n{q[5:]}"]
            return [ScoredProduct(p, 0) for p in (products if q in self.seen else products[::-1])]

        return Run(self.name, {q: answer(q) for q in queries})


class Fixed:
    """Puts the good product at `rank` for every query."""

    def __init__(self, name: str, rank: int) -> None:
        self.name, self.at = name, rank

    def rank(self, queries: Sequence[str], k: int) -> Run:
        return Run(
            self.name,
            {
                q: [ScoredProduct(f"x{i}", 0) for i in range(self.at - 1)]
                + [ScoredProduct(f"p{q[5:]}", 0)]
                for q in queries
            },
        )


def always(name: str, rank: int) -> Callable[[JudgmentList], Fixed]:
    return lambda _: Fixed(name, rank)


def test_memory_does_not_help_out_of_fold() -> None:
    assert evaluate([Memory(JUDGMENTS)], JUDGMENTS, ["RR"])["memory"].estimates["RR"].mean == 1.0
    found = cross_validate({"memory": Memory}, JUDGMENTS, ["RR"], 4, repeats=2)
    assert found["memory"].estimates["RR"].mean == 0.5
    assert found["memory"].estimates["RR"].n == 20
    assert found.protocol == "4-fold cross-validation by query, 2 repeats"


def test_learned_and_fixed_systems_are_paired_on_the_same_queries() -> None:
    found = cross_validate({"memory": Memory}, JUDGMENTS, ["RR"], 4, beside=[Fixed("third", 3)])
    assert found.baseline == "third"
    assert found.comparison("memory", "RR").wins == 20
    assert found.comparison("memory", "RR").difference.mean == pytest.approx(1 / 2 - 1 / 3)


def test_repeats_are_averaged_by_query_and_do_not_feign_more_queries() -> None:
    count = iter(range(100))

    def alternating(_: JudgmentList) -> Fixed:  # 2 folds: first repeat rank 1, second rank 2
        return Fixed("alternating", 1 + next(count) // 2)

    found = cross_validate({"alternating": alternating}, JUDGMENTS, ["RR"], 2, repeats=2)
    assert set(found["alternating"].values[:, 0]) == {0.75}
    assert len(found.queries) == 20


def test_leaking_or_incomplete_folds_are_refused() -> None:
    asked = JUDGMENTS.queries
    leaking = [Fold(asked, asked[:10]), Fold(asked[:10], asked[10:])]
    incomplete = [Fold(asked[10:], asked[:10])]
    for folds, message in ((leaking, "both parts"), (incomplete, "exactly once"), ([], "no folds")):
        with pytest.raises(InvalidInput, match=message):
            cross_validate({"memory": Memory}, JUDGMENTS, ["RR"], folds)


def test_selection_takes_the_best_candidate() -> None:
    candidates = {"second": always("s", 2), "first": always("f", 1), "memory": Memory}
    selection = select(candidates, JUDGMENTS, "RR")
    assert selection.chosen == "first"
    assert selection.means == {"second": 0.5, "first": 1.0, "memory": 0.5}
    assert selection.queries == 20


def test_a_failing_candidate_is_not_silently_passed_over() -> None:
    def broken(_: JudgmentList) -> Fixed:
        raise ValueError("no data")

    with pytest.raises(EvaluationFailed, match="no data"):
        select({"first": always("f", 1), "broken": broken}, JUDGMENTS, "RR")
    found = cross_validate({"first": always("f", 1), "broken": broken}, JUDGMENTS, ["RR"])
    assert [f.name for f in found.failures] == ["broken"]


def test_nested_selection_never_sees_the_test_queries() -> None:
    seen: list[set[str]] = []

    def recording(judgments: JudgmentList) -> Memory:
        seen.append(set(judgments.queries))
        return Memory(judgments)

    selecting = Selecting({"memory": recording, "third": always("t", 3)}, "RR", folds=3)
    folds = query_folds(JUDGMENTS.queries, 4)
    found = cross_validate({"chosen": selecting}, JUDGMENTS, ["RR"], folds)
    assert found["chosen"].estimates["RR"].mean == 0.5
    assert [s.chosen for s in selecting.selections] == ["memory"] * 4
    for i, fold in enumerate(folds):  # three inner fits and the last one on all training queries
        used = set().union(*seen[4 * i : 4 * i + 4])
        assert used == set(fold.train)


def test_two_systems_of_one_name_are_refused() -> None:
    with pytest.raises(InvalidInput, match="two systems"):
        cross_validate({"third": Memory}, JUDGMENTS, ["RR"], beside=[Fixed("third", 3)])
