"""The experiment's page: plain words, one source of numbers, simulated data marked."""

from __future__ import annotations

import numpy as np
import pytest
from small_reports import EXPERIMENTS

from tandem.experiments.abtest.analysis import analyse
from tandem.experiments.abtest.effects import Metric
from tandem.governance.release import K
from tandem.reports.experiment import report, worth


def test_money_is_the_difference_times_the_year():
    found = EXPERIMENTS["ship"]
    money = worth(found, "revenue", "EUR", 500_000)
    e = found.effects["revenue"]
    made = report(found, money).to_json()
    assert made["worth"]["value"] == e.difference * 500_000
    assert made["worth"]["low"] == e.always_low * 500_000
    assert made["report"]["figures"]["worth"]["high"] == e.always_high * 500_000
    assert made["metrics"]["revenue"]["relative"] == e.relative


def test_an_invalid_test_shows_no_effects_in_words():
    money = worth(EXPERIMENTS["invalid"], "revenue", "EUR", 500_000)
    made = report(EXPERIMENTS["invalid"], money)
    assert "went from" not in " ".join(made.happened)
    assert "Do not trust this test" in made.answer
    assert "EUR" not in made.worth
    assert made.worth_charts == []


@pytest.mark.parametrize("audience", ["merchant", "creator"])
def test_merchants_and_creators_see_no_figure_of_the_shop(audience):
    made = report(EXPERIMENTS["ship"], None, audience)
    html, document = made.page().html(), made.to_json()
    assert "revenue" not in html
    assert "metrics" not in document
    assert {name for name, _ in document["report"]["figures"].items()} == {
        "fewest people",
        "old version, people",
        "new version, people",
    }


@pytest.mark.parametrize("n", [2 * (K - 1), 2 * K])
def test_group_sizes_are_told_from_k_people(n):
    found = analyse(
        np.array(["control", "treatment"] * (n // 2)),
        {"x": np.arange(float(n))},
        [Metric("x", "x")],
        control="control",
        treatment="treatment",
    )
    made = report(found, None, "merchant")
    assert (f"{n // 2} people saw" in made.tried) == (n // 2 >= K)
    assert bool(made.charts) == (n // 2 >= K)


def test_names_cannot_break_the_page():
    found = analyse(
        np.array(["control", "treatment"] * 50),
        {"<b>x</b>": np.arange(100.0)},
        [Metric("<b>x</b>", "<b>x</b>")],
        control="control",
        treatment="treatment",
    )
    assert "<b>x</b>" not in report(found).page().html()
