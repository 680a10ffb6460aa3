"""Measures: hand-computed values, agreement with trec_eval, bounds, names."""

from __future__ import annotations

from math import log2

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st

from tandem.contracts.errors import InvalidInput
from tandem.experiments.measures import (
    EXAMPLES,
    FAMILIES,
    GAINS,
    Measure,
    depth,
    parse_measures,
    score,
)

JUDGED = {"q": {"a": 3, "b": 2, "c": 1, "d": 0}}
RANKED = {"q": ["b", "x", "a", "d"]}
IDEAL = 7 + 3 / log2(3) + 1 / log2(4)


def value(name: str, ranked: dict[str, list[str]] = RANKED, judged: dict = JUDGED) -> float:
    return float(score(ranked, judged, parse_measures([name]))[0, 0])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("nDCG@10", (3 + 7 / log2(4)) / IDEAL),
        ("nDCG", (3 + 7 / log2(4)) / IDEAL),
        ("nDCG@2", 3 / (7 + 3 / log2(3))),
        ("nDCG(gains=exponential)@10", (3 + 7 / log2(4)) / IDEAL),
        ("nDCG(gains=linear)@10", (2 + 3 / log2(4)) / (3 + 2 / log2(3) + 1 / log2(4))),
        ("nDCG(gains=esci)@10", (0.1 + 1 / log2(4)) / (1 + 0.1 / log2(3) + 0.01 / log2(4))),
        ("RR", 1.0),
        ("RR(rel=3)", 1 / 3),
        ("RR(rel=3)@2", 0.0),
        ("RR(rel=3)@3", 1 / 3),
        ("P@4", 2 / 4),
        ("P@10", 2 / 10),
        ("P(rel=3)@4", 1 / 4),
        ("R@100", 2 / 3),
        ("R(rel=2)@100", 1.0),
        ("R@1", 1 / 3),
        ("AP", (1 + 2 / 3) / 3),
        ("AP@2", 1 / 3),
        ("Success@1", 1.0),
        ("Success(rel=3)@2", 0.0),
        ("Rprec", 2 / 3),
        ("Judged@10", 3 / 4),
        ("Judged@2", 1 / 2),
        # gdeval, which prints five decimals, on a scale up to 4: (2^rel - 1) / 16
        ("ERR@10", 3 / 16 + (1 - 3 / 16) * (7 / 16) / 3),
    ],
)
def test_hand_computed(name: str, expected: float) -> None:
    assert value(name) == pytest.approx(expected, abs=6e-6)


def test_every_example_and_every_family_can_be_computed() -> None:
    found = score(RANKED, JUDGED, parse_measures(EXAMPLES))
    assert np.all((found >= 0) & (found <= 1))
    assert {Measure.parse(name).family for name in EXAMPLES} == set(FAMILIES)


def test_measures_do_not_disturb_each_other() -> None:
    names = [*EXAMPLES, "nDCG@5", "P@10", "P(rel=1)@10", "nDCG(gains=exponential)@10"]
    together = score(RANKED, JUDGED, parse_measures(names))[0]
    alone = [value(name) for name in dict.fromkeys(names)]
    assert together.tolist() == pytest.approx(alone)


def test_the_order_of_the_run_decides_not_the_document_id() -> None:
    assert value("RR(rel=3)", {"q": ["a", "z"]}) == 1.0
    assert value("RR(rel=3)", {"q": ["z", "a"]}) == 0.5


def test_missing_and_empty_rankings_score_zero_and_hopeless_queries_nan() -> None:
    judged = {"empty": {"a": 1}, "missing": {"a": 1}, "hopeless": {"a": 0}, "low": {"a": 1}}
    found = score(
        {"empty": [], "hopeless": ["a"], "low": ["a"]},
        judged,
        parse_measures(["nDCG@10", "Judged@10", "R(rel=2)@10", "ERR@10"]),
    )
    assert found[0].tolist()[:2] == [0.0, 0.0]
    assert found[1, 3] == 0.0
    assert np.isnan(found[2]).all()
    assert np.isnan(found[3]).tolist() == [False, False, True, False]


def test_any_text_is_safe_as_query_and_product() -> None:
    query, product = "größe 42 \t 100% \n 'x'", "id with spaces\t#"
    found = score({query: [product]}, {query: {product: 3}}, parse_measures(["nDCG@10", "ERR@10"]))
    assert found.tolist() == [[1.0, pytest.approx(7 / 16, abs=6e-6)]]


grades = st.dictionaries(st.sampled_from("abcdefghij"), st.integers(0, 3), min_size=1)
lists = st.lists(st.sampled_from("abcdefghijklmnopqrst"), unique=True)


@settings(max_examples=150, deadline=None)
@given(judged=st.lists(grades, min_size=1, max_size=4), ranked=st.lists(lists, max_size=4))
def test_values_are_within_zero_and_one_and_the_ideal_list_reaches_one(
    judged: list[dict[str, int]], ranked: list[list[str]]
) -> None:
    names = [n for n in EXAMPLES if not n.startswith("ERR")]  # perl is too slow for this many
    relevances = {str(i): j for i, j in enumerate(judged)}
    found = score({str(i): r for i, r in enumerate(ranked)}, relevances, parse_measures(names))
    known = found[~np.isnan(found)]
    assert np.all((known >= 0) & (known <= 1))
    ideal = {q: sorted(j, key=lambda p, j=j: -j[p]) for q, j in relevances.items()}
    perfect = score(ideal, relevances, parse_measures(["nDCG@10", "nDCG(gains=esci)@10", "RR"]))
    assert perfect[~np.isnan(perfect)] == pytest.approx(1.0)


def test_agrees_with_trec_eval_on_random_runs() -> None:
    rng = np.random.default_rng(3)
    products = [f"p{i}" for i in range(60)]
    judged = {
        f"q{i}": {str(p): int(rng.integers(0, 4)) for p in rng.choice(products, 20, False)}
        for i in range(30)
    }
    ranked = {q: [str(p) for p in rng.permutation(products)] for q in judged}
    run = {q: {p: 1.0 / (i + 1) for i, p in enumerate(r)} for q, r in ranked.items()}
    theirs = {"recip_rank": "RR", "map": "AP", "P_7": "P@7", "recall_30": "R@30", "Rprec": "Rprec"}
    theirs |= {
        "ndcg_cut_10": "nDCG(gains=linear)@10",
        "success_3": "Success@3",
        "map_cut_9": "AP@9",
    }
    expected = pytrec_eval.RelevanceEvaluator(judged, set(theirs)).evaluate(run)
    found = score(ranked, judged, parse_measures(theirs.values()))
    for i, q in enumerate(judged):
        assert found[i].tolist() == pytest.approx([expected[q][name] for name in theirs])
    gained = {q: {p: 2**r - 1 for p, r in j.items()} for q, j in judged.items()}
    expected = pytrec_eval.RelevanceEvaluator(gained, {"ndcg_cut_10"}).evaluate(run)
    found = score(ranked, judged, parse_measures(["nDCG@10"]))
    assert found[:, 0].tolist() == pytest.approx([expected[q]["ndcg_cut_10"] for q in judged])


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("ndgc@10", "nDCG@10"),
        ("NDCG@10", "nDCG@10"),
        ("MRR@10", "RR@10"),
        ("MAP", "AP"),
        ("recall@100", "R@100"),
        ("P", "P@10"),
        ("Rprec@3", "Rprec"),
        ("nDCG(gains=made_up)@10", "nDCG"),
        ("nDCG(gains=madeup)@10", "exponential"),
        ("R(rel=4)@10", "rel=3"),
        ("nDCG(rel=2)@10", "gains="),
        ("nDCG@0", "nDCG"),
        ("nDCG@-1", "nDCG"),
        ("", "nDCG@10"),
    ],
)
def test_an_unknown_name_says_what_would_work(name: str, hint: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Measure.parse(name)
    assert hint in str(caught.value)
    assert caught.value.remedy


def test_depth_is_the_deepest_cutoff() -> None:
    assert depth(parse_measures(["nDCG@10", "R@250"])) == 250
    assert depth(parse_measures(["nDCG@10", "RR"])) == 1000


def test_repeats_count_once_and_none_is_an_error() -> None:
    assert [m.name for m in parse_measures(["RR", "P@1", "RR"])] == ["RR", "P@1"]
    with pytest.raises(InvalidInput):
        parse_measures([])


def test_every_measure_is_that_of_ir_measures() -> None:
    """trec_eval and gdeval through ir_measures; gdeval prints five decimals."""
    import ir_measures

    rng = np.random.default_rng(5)
    products = [f"p{i}" for i in range(80)]
    judged = {
        str(i): {str(p): int(rng.integers(0, 4)) for p in rng.choice(products, 25, False)}
        for i in range(40)
    }
    ranked = {q: [str(p) for p in rng.permutation(products)[: 5 + i]] for i, q in enumerate(judged)}
    run = {q: {p: float(-i) for i, p in enumerate(r)} for q, r in ranked.items()}
    gains = dict(GAINS["exponential"])
    theirs = {
        "nDCG": ir_measures.nDCG(gains=gains),
        "nDCG@7": ir_measures.nDCG(gains=gains) @ 7,
        "RR(rel=3)": ir_measures.RR(rel=3),
        "P(rel=2)@5": ir_measures.P(rel=2) @ 5,
        "R(rel=2)@9": ir_measures.R(rel=2) @ 9,
        "AP(rel=2)": ir_measures.AP(rel=2),
        "AP@6": ir_measures.AP @ 6,
        "Success(rel=3)@2": ir_measures.Success(rel=3) @ 2,
        "Rprec(rel=2)": ir_measures.Rprec(rel=2),
        "ERR@10": ir_measures.ERR @ 10,
        "Judged@10": ir_measures.Judged @ 10,
    }
    found = score(ranked, judged, parse_measures(theirs))
    rows = {q: i for i, q in enumerate(judged)}
    for column, measure in enumerate(theirs.values()):
        values = {r.query_id: r.value for r in ir_measures.iter_calc([measure], judged, run)}
        values.pop("amean", None)  # gdeval adds a row of means
        ours = {q: found[i, column] for q, i in rows.items()}
        assert ours == pytest.approx(values, abs=6e-6), measure
