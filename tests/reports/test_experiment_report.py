"""The experiment's page: plain words, one source of numbers, simulated data marked."""

from __future__ import annotations

import re

import numpy as np
import pytest

from tandem.experiments.abtest.analysis import Analysis, analyse
from tandem.experiments.abtest.effects import Metric
from tandem.reports.experiment import APPENDIX, SIMULATED, page, to_json, worth
from tandem.reports.page import percent


def analysis(lift: float, *, n: int = 8_000, planned: int = 8_000, split: float = 0.5) -> Analysis:
    rng = np.random.default_rng(0)
    treated = rng.random(n) < split
    return analyse(
        np.where(treated, "treatment", "control"),
        {
            "revenue": rng.gamma(2.0, 10 * (1 + lift * treated)),
            "clicks": rng.poisson(2, n).astype(float),
            "views": rng.poisson(5, n) + 1.0,
        },
        [Metric("revenue", "revenue"), Metric("ctr", "clicks", "views", role="guardrail")],
        control="control",
        treatment="treatment",
        shares={"control": 0.5, "treatment": 0.5},
        segments={"country": np.where(rng.random(n) < 0.5, "DE", "FR")},
        planned=planned,
        name="New ranking",
        simulated=True,
    )


CASES = {
    "ship": analysis(0.15),
    "do_not_ship": analysis(-0.15),
    "keep_running": analysis(0.0, n=1_000),
    "invalid": analysis(0.1, split=0.4),
}


@pytest.mark.parametrize("verdict", CASES)
def test_the_first_page_reads_at_grade_nine_or_below(verdict):
    """Flesch–Kincaid, by textstat, over the sentences; headings and glossary terms end in stops."""
    textstat = pytest.importorskip("textstat")
    found = CASES[verdict]
    assert found.decision.verdict == verdict
    text = page(found, worth(found, "revenue", "EUR", 500_000)).markdown()
    first = text.split(f"## {APPENDIX}")[0]
    sentences = []
    for line in first.splitlines():
        words = re.sub(r"[*>#\\“”]", "", line).strip(" -")
        if words:
            sentences.append(words if words[-1] in ".!?:" else f"{words}.")
    assert textstat.flesch_kincaid_grade(" ".join(sentences)) <= 9


@pytest.mark.parametrize("verdict", CASES)
def test_simulated_data_is_marked_and_the_decision_leads(verdict):
    made = page(CASES[verdict])
    assert SIMULATED in made.html()
    assert made.html().index(SIMULATED) < made.html().index("What we tried")
    assert to_json(CASES[verdict])["simulated"] is True


def test_text_chart_and_json_carry_the_same_numbers():
    found = CASES["ship"]
    e = found.effects["revenue"]
    money = worth(found, "revenue", "EUR", 500_000)
    html = page(found, money).html()
    assert html.count(percent(e.relative)) >= 2  # in words and in the chart
    assert f"from {percent(e.relative_always_low)} to {percent(e.relative_always_high)}" in html
    assert f"{money.value:+,.0f} EUR" in html
    assert to_json(found, money)["worth"]["value"] == e.difference * 500_000
    assert to_json(found, money)["metrics"]["revenue"]["relative"] == e.relative


def test_an_invalid_test_shows_no_effects_in_words():
    text = page(CASES["invalid"]).markdown().split(APPENDIX)[0]
    assert "went from" not in text
    assert "Do not trust this test" in text


def test_names_cannot_break_the_page():
    found = analyse(
        np.array(["control", "treatment"] * 50),
        {"<b>x</b>": np.arange(100.0)},
        [Metric("<b>x</b>", "<b>x</b>")],
        control="control",
        treatment="treatment",
    )
    assert "<b>x</b>" not in page(found).html()
