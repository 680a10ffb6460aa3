"""Offline evaluation: means, coverage, condensed lists, comparisons, failures, JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import log2

import numpy as np
import pytest

from tandem.contracts.errors import InvalidInput
from tandem.contracts.judgment import JudgmentList
from tandem.contracts.run import Run, ScoredProduct
from tandem.experiments.offline import EvaluationFailed, System, evaluate

JUDGMENTS = JudgmentList(
    {
        "laptop": {"a": 3, "b": 1, "c": 0},
        "mouse": {"d": 2, "e": 0},
        "hopeless": {"a": 0, "f": 0},
    },
    "hand-made",
)


def run(name: str, **rankings: str) -> Run:
    """A run from strings: every letter is a product."""
    return Run(name, {q: [ScoredProduct(p, 1.0) for p in r] for q, r in rankings.items()})


GOOD = run("good", laptop="abc", mouse="de", hopeless="af", unasked="zzz")
POOR = run("poor", laptop="xba", mouse="ed", hopeless="xf")


class Shelf:
    """A system that always answers with the same products, and remembers what it was asked."""

    def __init__(self, name: str, products: str) -> None:
        self.name, self.products = name, products
        self.asked: list[tuple[tuple[str, ...], int]] = []

    def rank(self, queries: Sequence[str], k: int) -> Run:
        self.asked.append((tuple(queries), k))
        return Run(self.name, {q: [ScoredProduct(p, 0.0) for p in self.products] for q in queries})


class Broken:
    name = "broken"

    def rank(self, queries: Sequence[str], k: int) -> Run:
        raise RuntimeError("the index is gone")


def test_means_by_hand() -> None:
    found = evaluate([GOOD, POOR], JUDGMENTS, ["RR", "nDCG@10"])
    assert found["good"].estimates["RR"].mean == 1.0
    assert found["poor"].estimates["RR"].mean == pytest.approx((1 / 2 + 1 / 2) / 2)
    laptop = (1 / log2(3) + 7 / 2) / (7 + 1 / log2(3))
    mouse = 1 / log2(3)
    assert found["poor"].estimates["nDCG@10"].mean == pytest.approx((laptop + mouse) / 2)
    assert found["poor"].estimates["nDCG@10"].n == 2


def test_queries_without_a_relevant_product_are_left_out_and_counted() -> None:
    found = evaluate([GOOD], JUDGMENTS, ["RR", "R(rel=3)@10"])
    assert found.queries == ("laptop", "mouse")
    assert found.excluded == ("hopeless",)
    assert any("1 of 3 queries have no relevant product" in w for w in found.warnings)
    assert found["good"].estimates["R(rel=3)@10"].n == 1
    assert found.to_json()["judgments"]["queries_without_relevant"] == 1
    assert found.to_json()["queries_by_measure"] == {"RR": 2, "R(rel=3)@10": 1}


def test_missing_queries_count_as_zero_with_a_warning() -> None:
    found = evaluate([run("half", laptop="a")], JUDGMENTS, ["RR"])
    assert found["half"].estimates["RR"].mean == 0.5
    assert found["half"].missing == ("mouse",)
    assert any("'half' returned nothing for 1 of 2 queries" in w for w in found.warnings)


def test_coverage_is_the_judged_share_of_what_was_shown() -> None:
    found = evaluate([GOOD, POOR], JUDGMENTS, ["RR"])
    assert found["good"].coverage == 1.0
    assert found["poor"].coverage == pytest.approx((2 / 3 + 1 + 1 / 2) / 3)
    assert found.coverage == pytest.approx((1 + found["poor"].coverage) / 2)
    assert any("is judged for poor (72%);" in w for w in found.warnings)
    nothing = evaluate([run("nothing")], JUDGMENTS, ["RR"])
    assert nothing.coverage is None
    assert nothing.to_json()["coverage"] is None


def test_condensed_lists_leave_out_what_nobody_judged() -> None:
    found = evaluate([run("new", laptop="xyza", mouse="zd")], JUDGMENTS, ["RR", "Judged@10"])
    assert found["new"].estimates["RR"].mean == pytest.approx((1 / 4 + 1 / 2) / 2)
    assert found["new"].condensed["RR"].mean == 1.0
    assert found["new"].condensed["Judged@10"].mean == 1.0
    assert evaluate([GOOD], JUDGMENTS, ["RR"], condensed=False)["good"].condensed == {}


def test_comparison_with_the_baseline() -> None:
    found = evaluate([GOOD, POOR], JUDGMENTS, ["RR", "P@1"], baseline="good")
    rr = found.comparison("poor", "RR")
    assert (rr.wins, rr.ties, rr.losses) == (0, 0, 2)
    assert rr.difference.mean == pytest.approx(-0.5)
    assert rr.p_value == 0.5  # 2 of the 4 signs are as extreme
    assert rr.p_adjusted == 1.0  # 2 comparisons
    assert not rr.significant
    assert found.to_json()["correction"] == {"method": "holm", "comparisons": 2}
    with pytest.raises(InvalidInput):
        found.comparison("good", "RR")


def test_a_clear_winner_is_significant_and_a_copy_is_not() -> None:
    judged = JudgmentList({f"q{i}": {"a": 3, "b": 0} for i in range(40)})
    base, copy, better = Shelf("base", "ba"), Shelf("copy", "ba"), Shelf("better", "ab")
    found = evaluate([base, copy, better], judged, ["nDCG@10", "RR"])
    assert found.comparison("better", "nDCG@10").significant
    assert found.comparison("copy", "nDCG@10").p_adjusted == 1.0
    assert found.comparison("copy", "nDCG@10").ties == 40
    assert found.comparison("copy", "nDCG@10").difference.high == 0.0
    assert found.best("nDCG@10").name == "better"


def test_worst_queries_and_losses_come_first() -> None:
    found = evaluate([GOOD, POOR], JUDGMENTS, ["RR", "nDCG@10", "R(rel=3)@1"])
    assert [r.query for r in found.worst("poor", "nDCG@10")] == ["laptop", "mouse"]
    assert [r.query for r in found.losses("poor", "nDCG@10", 1)] == ["laptop"]
    assert found.losses("good", "RR") == []
    row = found.per_query("R(rel=3)@1")[1]
    assert (row.query, row.relevant, row.judged) == ("mouse", 1, 2)
    assert row.values == {"good": None, "poor": None}
    assert [r.query for r in found.worst("good", "R(rel=3)@1")] == ["laptop"]


def test_a_system_is_asked_once_for_every_judged_query_at_the_deepest_cutoff() -> None:
    shelf = Shelf("shelf", "ad")
    assert isinstance(shelf, System)
    evaluate([shelf], JUDGMENTS, ["nDCG@10", "R@100"])
    assert shelf.asked == [(("laptop", "mouse", "hopeless"), 100)]


def test_a_broken_system_is_a_failure_and_no_result() -> None:
    twice = run("twice", laptop="aa")
    found = evaluate([GOOD, Broken(), twice], JUDGMENTS, ["RR"])
    assert [s.name for s in found.systems] == ["good"]
    assert found.to_json()["failures"] == {
        "broken": "RuntimeError: the index is gone",
        "twice": next(f.error for f in found.failures if f.name == "twice"),
    }
    assert "'a' twice for 'laptop'" in found.to_json()["failures"]["twice"]
    assert any("'broken' failed" in w for w in found.warnings)
    assert set(found.to_json()["systems"]) == {"good"}
    with pytest.raises(EvaluationFailed, match="the index is gone"):
        found["broken"]


def test_a_broken_baseline_stops_the_evaluation() -> None:
    with pytest.raises(EvaluationFailed, match="the index is gone"):
        evaluate([Broken(), GOOD], JUDGMENTS, ["RR"])


def test_json_has_the_promised_shape() -> None:
    found = evaluate([GOOD, POOR], JUDGMENTS, ["nDCG@10", "R@100", "RR"]).to_json()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert list(found)[:3] == ["systems", "queries", "coverage"]
    assert found["queries"] == 2
    assert isinstance(found["coverage"], float)
    for measured in found["systems"].values():
        assert set(measured) == {"nDCG@10", "R@100", "RR"}
        for estimate in measured.values():
            assert set(estimate) == {"mean", "low", "high"}
            assert 0 <= estimate["low"] <= estimate["mean"] <= estimate["high"] <= 1
    assert found["gains"] == {"nDCG@10": "exponential"}


def test_the_same_call_gives_the_same_result() -> None:
    first, second = (evaluate([GOOD, POOR], JUDGMENTS, ["nDCG@10"]).to_json() for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"systems": []}, "no system"),
        ({"systems": [GOOD, GOOD]}, "two systems are called 'good'"),
        ({"judgments": JudgmentList()}, "no judgments"),
        ({"judgments": JudgmentList({"q": {"a": 0}})}, "no query"),
        ({"judgments": JudgmentList({"q": {"a": 4}})}, "relevance 4"),
        ({"measures": ["nDGC@10"]}, "unknown measure"),
        ({"measures": []}, "no measure"),
        ({"baseline": 7}, "no baseline 7"),
        ({"baseline": "gone"}, "no baseline 'gone'"),
        ({"bootstrap": 5}, "too few resamples"),
        ({"correction": "sidak"}, "unknown correction"),
    ],
)
def test_bad_arguments_are_named(change: dict, message: str) -> None:
    arguments = {"systems": [GOOD], "judgments": JUDGMENTS, "measures": ["RR"]} | change
    with pytest.raises(InvalidInput, match=message) as caught:
        evaluate(**arguments)
    assert caught.value.remedy


def test_few_queries_are_warned_about_and_many_are_not() -> None:
    rng = np.random.default_rng(0)
    judged = JudgmentList({f"q{i}": {"a": int(rng.integers(1, 4))} for i in range(30)})
    assert evaluate([Shelf("s", "a")], judged, ["RR"]).warnings == ()
    assert "only 2 queries" in evaluate([GOOD], JUDGMENTS, ["RR"]).warnings[-1]
