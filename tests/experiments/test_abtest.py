"""Controlled experiments: calibration by simulation, peers' figures, decisions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.contracts.errors import InvalidInput
from tandem.experiments.abtest.analysis import analyse
from tandem.experiments.abtest.assignment import BUCKETS, Assignment, Experiment, Layer
from tandem.experiments.abtest.effects import Metric, always_valid_p, effect, sequence_width
from tandem.experiments.abtest.health import sample_ratio
from tandem.experiments.abtest.planning import plan
from tandem.experiments.abtest.summary import Summary
from tandem.flows.experiment import analyse_file

HALVES = {"control": 0.5, "treatment": 0.5}
UNITS = [f"k1.{i:022d}" for i in range(8_000)]


# Assignment


def test_assignment_is_the_same_everywhere_and_follows_the_weights():
    a = Assignment("salt", [Layer("ranking", [Experiment("x", {"control": 3, "treatment": 1})])])
    found = [a.variant(u, "x") for u in UNITS]
    assert found == [a.variant(u, "x") for u in UNITS]
    share = found.count("treatment") / len(UNITS)
    assert abs(share - 0.25) < 4 * np.sqrt(0.25 * 0.75 / len(UNITS))
    # Known answer: another version or machine must serve the same variants.
    assert "".join(v[0] for v in found[:16]) == "ctctccccctcctctt"
    other = Assignment("pepper", a.layers)
    assert found != [other.variant(u, "x") for u in UNITS]


def test_one_layer_excludes_and_two_layers_are_independent():
    half = BUCKETS // 2
    one = [Experiment("a", HALVES, 0, half), Experiment("b", HALVES, half, half)]
    a = Assignment("s", [Layer("l1", one), Layer("l2", [Experiment("c", HALVES)])])
    seen = [a.variants(u) for u in UNITS]
    assert all(("a" in v) != ("b" in v) for v in seen)
    table = np.zeros((2, 2))
    for v in seen:
        if "a" in v:
            table[int(v["a"] == "treatment"), int(v["c"] == "treatment")] += 1
    expected = table.sum(1)[:, None] * table.sum(0) / table.sum()
    assert ((table - expected) ** 2 / expected).sum() < 15  # chi-squared, 1 df, p = 1e-4
    with pytest.raises(InvalidInput, match="shares buckets"):
        Layer("l", [Experiment("a", HALVES), Experiment("b", HALVES, 5, 10)])


def test_a_ramp_only_adds_and_a_stop_or_holdout_takes_all_out():
    def served(**change):
        e = Experiment("x", HALVES, **change)
        return [Assignment("s", [Layer("l", [e])]).variant(u, "x") for u in UNITS]

    small, large = served(ramp=0.1), served(ramp=0.6)
    assert all(s is None or s == w for s, w in zip(small, large, strict=True))
    assert abs(sum(s is not None for s in small) / len(UNITS) - 0.1) < 0.02
    assert set(served(stopped=True)) == {None}
    held = Assignment("s", [Layer("l", [Experiment("x", HALVES)])], holdout=0.2)
    assert abs(sum(held.variant(u, "x") is None for u in UNITS) / len(UNITS) - 0.2) < 0.02


# Statistics


@given(st.integers(2, 40), st.integers(2, 40), st.integers(0, 9))
def test_summaries_add_up(n, m, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(n, 3)), rng.normal(3, 2, size=(m, 3))
    both, whole = Summary.of(a) + Summary.of(b), Summary.of(np.vstack([a, b]))
    assert both.n == whole.n
    assert both.mean == pytest.approx(whole.mean)
    assert both.covariance == pytest.approx(whole.covariance)


@pytest.mark.parametrize("ratio", [False, True])
@pytest.mark.parametrize("covariate", [False, True])
def test_effects_are_those_of_tea_tasting(ratio, covariate):
    aggr = pytest.importorskip("tea_tasting.aggr")
    mean = pytest.importorskip("tea_tasting.metrics.mean")
    rng = np.random.default_rng(4)
    pre = rng.normal(5, 1, 3_000)
    views = rng.poisson(6, 3_000) + 1.0
    clicks = views * 0.2 + pre * 0.3 + rng.normal(size=3_000)
    columns = {"clicks": clicks, "views": views, "pre": pre}
    names = ["clicks", *(["views"] * ratio), *(["pre"] * covariate)]
    arms = [np.column_stack([columns[c][s] for c in names]) for s in (np.s_[:1_400], np.s_[1_400:])]
    found = effect(*map(Summary.of, arms), ratio=ratio, covariate=covariate)
    peers = []
    for arm in arms:
        s = Summary.of(arm)
        peers.append(
            aggr.Aggregates(
                s.n,
                dict(zip(names, s.mean.tolist(), strict=True)),
                dict(zip(names, s.covariance.diagonal().tolist(), strict=True)),
                {
                    (a, b): float(s.covariance[i, j])
                    for i, a in enumerate(names)
                    for j, b in enumerate(names)
                    if i < j
                },
            )
        )
    metric = mean.RatioOfMeans(
        "clicks",
        "views" if ratio else None,
        "pre" if covariate else None,
        equal_var=False,
        use_t=True,
        confidence_level=0.95,
        alternative="two-sided",
    )
    peer = metric.analyze_aggregates(*peers)
    assert found.difference == pytest.approx(peer.effect_size)
    assert found.low == pytest.approx(peer.effect_size_ci_lower, rel=1e-3)
    assert found.high == pytest.approx(peer.effect_size_ci_upper, rel=1e-3)
    assert found.p == pytest.approx(peer.pvalue, rel=1e-2)
    if not covariate:
        assert found.relative_low == pytest.approx(peer.rel_effect_size_ci_lower, rel=1e-3)


def test_cuped_takes_out_what_the_past_explains():
    """The share of variance taken out is the squared correlation, 0.64."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=40_000)
    y = 0.8 * x + 0.6 * rng.normal(size=x.size)
    data = np.column_stack([y, x])
    e = effect(Summary.of(data[:20_000]), Summary.of(data[20_000:]), covariate=True)
    assert e.variance_reduction == pytest.approx(0.64, abs=0.02)
    plain = effect(Summary.of(data[:20_000, :1]), Summary.of(data[20_000:, :1]))
    assert (e.high - e.low) / (plain.high - plain.low) == pytest.approx(0.6, abs=0.02)


def peeks(effect_size: float, runs: int, seed: int) -> tuple[float, float]:
    """Simulated: how often 40 looks at up to 4,000 units cry 'different', sequence and t test."""
    rng = np.random.default_rng(seed)
    looks = np.linspace(100, 4_000, 40).astype(int)
    always = once = 0
    for _ in range(runs):
        # Skewed outcomes, as money is.
        y = rng.exponential(size=(2, looks[-1] // 2))
        y[1] += effect_size
        sums, squares = y.cumsum(1), (y**2).cumsum(1)
        half = looks // 2
        means = sums[:, half - 1] / half
        variances = squares[:, half - 1] / half - means**2
        error = np.sqrt(variances.sum(0) / half)
        z = (means[1] - means[0]) / error
        width = [sequence_width(1.0, int(n), 4_000) for n in looks]
        always += bool((np.abs(z) > width).any())
        once += bool((np.abs(z) > 1.96).any())
    return always / runs, once / runs


def test_peeking_costs_the_t_test_its_level_and_not_the_sequence():
    always, once = peeks(0.0, 1_500, 1)
    assert always <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / 1_500)
    assert once > 0.2


def test_a_planned_effect_is_found_with_the_planned_power():
    p = plan(deviation=1.0, effect=0.15, power=0.8)
    rng = np.random.default_rng(3)
    found = 0
    for _ in range(1_000):
        half = p.units // 2
        a, b = rng.normal(size=(half, 1)), rng.normal(0.15, 1, size=(half, 1))
        found += effect(Summary.of(a), Summary.of(b)).p < 0.05
    assert abs(found / 1_000 - 0.8) < 4 * np.sqrt(0.8 * 0.2 / 1_000)
    always, _ = peeks(0.15, 300, 5)
    n = plan(deviation=1.0, effect=0.15).sequential_units
    assert n > p.units
    assert always > 0.8 or n > 4_000


def test_t_intervals_cover():
    rng = np.random.default_rng(9)
    inside = 0
    for _ in range(1_500):
        views = rng.poisson(5, (2, 200)) + 1.0
        clicks = rng.binomial(views.astype(int), 0.3).astype(float)
        arms = [Summary.of(np.column_stack([clicks[i], views[i]])) for i in (0, 1)]
        e = effect(*arms, ratio=True)
        inside += e.low <= 0 <= e.high
    assert abs(inside / 1_500 - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 1_500)


@given(st.floats(-6, 6), st.integers(100, 100_000))
def test_the_p_value_and_the_sequence_say_the_same(z, n):
    outside = abs(z) > sequence_width(1.0, n, 10_000)
    assert outside == (always_valid_p(z, n, 10_000) < 0.05)


def test_srm_is_found_and_traced_to_its_segment():
    fair = sample_ratio({"control": 5_020, "treatment": 4_980}, HALVES)
    assert not fair.mismatch
    broken = sample_ratio(
        {"control": 5_400, "treatment": 4_600},
        HALVES,
        {
            ("browser", "old"): {"control": 1_400, "treatment": 600},
            ("browser", "new"): {"control": 4_000, "treatment": 4_000},
        },
    )
    assert broken.mismatch
    assert [s[:2] for s in broken.segments] == [("browser", "old")]


# Decisions


def run(lift: float, guard: float = 0.0, n: int = 20_000, split: float = 0.5, seed: int = 0):
    rng = np.random.default_rng(seed)
    treated = rng.random(n) < split
    orders = rng.poisson(0.5 + lift * treated).astype(float)
    wait = rng.normal(100 + guard * treated, 10)
    return analyse(
        np.where(treated, "treatment", "control"),
        {"orders": orders, "wait": wait},
        [Metric("orders", "orders"), Metric("wait", "wait", role="guardrail", better="less")],
        control="control",
        treatment="treatment",
        shares=HALVES,
        planned=n,
    )


def test_decisions():
    assert run(0.1).decision.verdict == "ship"
    assert run(0.0).decision.verdict == "do_not_ship"
    harmed = run(-0.1).decision
    assert (harmed.verdict, harmed.metric) == ("do_not_ship", "orders")
    slower = run(0.1, guard=3.0).decision
    assert (slower.verdict, slower.metric) == ("do_not_ship", "wait")
    assert run(0.1, split=0.4).decision.verdict == "invalid"


def test_a_small_experiment_keeps_running():
    rng = np.random.default_rng(0)
    variants = np.where(np.arange(100) % 2, "treatment", "control")
    found = analyse(
        variants,
        {"y": rng.normal(size=100)},
        [Metric("y", "y")],
        control="control",
        treatment="treatment",
    )
    assert found.decision.verdict == "keep_running"


# Files


def test_a_file_with_ratio_covariate_segments_and_repeated_units(tmp_path):
    rng = np.random.default_rng(0)
    lines = ["unit,variant,orders,pre_orders,clicks,views,country,simulated"]
    for i in range(3_000):
        variant = "control" if i % 2 else "treatment"
        pre = rng.poisson(2)
        for _ in range(1 + i % 2):
            views = rng.poisson(5) + 1
            lines.append(
                f"u{i},{variant},{pre / 2 + rng.poisson(0.3):.1f},{pre},"
                f"{rng.binomial(views, 0.2)},{views},{'DE' if i % 3 else 'FR'},true"
            )
    file = tmp_path / "ab.csv"
    file.write_text("\n".join(lines) + "\n")
    found = analyse_file(file, success=["orders", "ctr=clicks/views"])
    assert found.units == 3_000
    assert found.simulated
    assert found.effects["orders"].variance_reduction > 0.1
    assert found.effects["ctr"].control == pytest.approx(0.2, abs=0.02)
    assert {(s.column, s.value) for s in found.segments} == {("country", "DE"), ("country", "FR")}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("group,y\na,1\n", "variant"),
        ("variant,y\ncontrol,1\na,1\nb,2\n", "--treatment"),
        ("unit,variant,y\n1,control,1\n1,b,1\n2,b,1\n", "two variants"),
        ("variant,y\ncontrol,1\n,2\n", "ab.csv:3"),
    ],
)
def test_a_bad_file_says_what_is_wrong(tmp_path, text, says):
    file = tmp_path / "ab.csv"
    file.write_text(text)
    with pytest.raises(InvalidInput) as error:
        analyse_file(file)
    assert says in str(error.value)


def test_what_was_assigned_by_cluster_is_analysed_by_cluster(tmp_path):
    """Simulated: 40 merchants, buyers of one alike; counting buyers makes up evidence."""
    rng = np.random.default_rng(0)
    lines = ["unit,merchant,variant,orders"]
    for m in range(40):
        level = rng.gamma(2, 1)
        for i in range(30):
            lines.append(f"u{m}-{i},m{m},{'ab'[m % 2]},{rng.poisson(level)}")
    file = tmp_path / "ab.csv"
    file.write_text("\n".join(lines) + "\n")
    naive = analyse_file(file, control="a").effects["orders"]
    found = analyse_file(file, control="a", cluster="merchant").effects["orders"]
    assert found.difference == pytest.approx(naive.difference)
    assert found.high - found.low > 3 * (naive.high - naive.low)
    assert found.n_control == 20
    file.write_text("unit,merchant,variant,orders\n1,m,a,1\n2,m,b,1\n")
    with pytest.raises(InvalidInput, match="two variants"):
        analyse_file(file, control="a", cluster="merchant")


def test_segments_are_shrunk_and_tested_together():
    rng = np.random.default_rng(1)
    n = 8_000
    treated, part = rng.random(n) < 0.5, rng.integers(0, 5, n)
    found = analyse(
        np.where(treated, "treatment", "control"),
        {"y": rng.normal(size=n) + 0.2 * treated},
        [Metric("y", "y")],
        control="control",
        treatment="treatment",
        segments={"country": np.array(list("ABCDE"))[part]},
    )
    h = found.heterogeneity["country"]
    assert h.q_p > 0.01, "all parts have the same effect"
    plain = [s.effect.difference for s in found.segments]
    assert np.ptp(h.shrunk) < np.ptp(plain)
    assert set(found.to_json()["heterogeneity"]["country"]["shrunk"]) == set("ABCDE")
