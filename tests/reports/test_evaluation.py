"""The report: one story, the same in words, table and chart, and honest about its limits."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from html import unescape
from html.parser import HTMLParser
from io import StringIO

import pytest
from rich.console import Console

from tandem.contracts.judgment import JudgmentList
from tandem.contracts.run import Run, ScoredProduct
from tandem.experiments.offline import Evaluation, evaluate
from tandem.reports.evaluation import Subject, html_page, markdown_page, table

QUERIES = [f"query {i}" for i in range(40)]
JUDGED = JudgmentList({q: {"a": 3, "b": 1, "c": 0} for q in QUERIES}, "made up")


def run(name: str, products: str, queries: list[str] = QUERIES) -> Run:
    return Run(name, {q: [ScoredProduct(p, 0) for p in products] for q in queries})


def evaluation(**options: object) -> Evaluation:
    systems = [run("bm25", "cba"), run("ltr", "abc"), run("dense", "xcb")]
    return evaluate(systems, JUDGED, ["nDCG@10", "P@1"], **options)  # type: ignore[arg-type]


def chart(page: str) -> ElementTree.Element:
    return ElementTree.fromstring(re.search(r"<svg.*?</svg>", page, re.DOTALL)[0])  # type: ignore[index]


def test_the_verdict_is_a_sentence_with_the_evidence_behind_it() -> None:
    found = evaluation()
    page = markdown_page(found, Subject(queries="real shopper queries"))
    verdict = page.splitlines()[2]
    assert verdict.startswith("**On 40 real shopper queries, ltr ranks products better than bm25")
    assert f"{found['ltr'].estimates['nDCG@10'].mean:.3f}" in verdict
    low = found.comparison("ltr", "nDCG@10").difference.low
    assert f"We are 95% sure that the gain of ltr over bm25 lies between +{low:.3f}" in page
    assert "ltr was better on 40, worse on 0 and equal on 0" in page


def test_no_winner_is_claimed_without_proof() -> None:
    def wrong_every(n: int) -> dict[str, list[ScoredProduct]]:
        return {
            q: [ScoredProduct(p, 0) for p in ("ab" if i % n else "ba")]
            for i, q in enumerate(QUERIES)
        }

    found = evaluate([Run("one", wrong_every(7)), Run("two", wrong_every(9))], JUDGED, ["nDCG@10"])
    text = markdown_page(found)
    assert found.best("nDCG@10").name == "two"
    assert not found.comparisons[0].significant
    assert "it is not proven that two ranks better than one" in text
    assert "ranks products better" not in text


def test_a_baseline_that_wins_is_said_to_win() -> None:
    text = markdown_page(evaluation(baseline="ltr"))
    assert "nothing ranks better than the baseline ltr" in text
    assert re.search(r"the loss of (bm25|dense) against ltr lies between \+", text)
    assert "loses" not in text


def test_one_system_needs_no_baseline() -> None:
    text = markdown_page(evaluate([run("bm25", "cba")], JUDGED, ["nDCG@10"]))
    assert "On 40 queries, bm25 reaches 0." in text
    assert "Against" not in text


def test_limits_are_told() -> None:
    few = JudgmentList({"one": {"a": 1}, "two": {"a": 1}, "none": {"a": 0}})
    found = evaluate([run("s", "xyza", ["one"])], few, ["RR"])
    for page in (markdown_page(found), unescape(html_page(found))):
        assert "25% of the first 10 products were judged" in page
        assert "returned nothing for 1 of 2 queries" in page.replace("\\", "")
        assert "1 of 3 queries have no relevant product" in page
        assert "nly 2 queries" in page


def test_simulated_data_is_labelled_at_the_top_and_real_data_is_not() -> None:
    found = evaluation()
    for render in (markdown_page, html_page):
        page = render(found, Subject(queries="real shopper queries"), simulated=True)
        assert page.index("Simulated data") < page.index("On 40 simulated queries")
        assert "real shopper queries" not in page
        assert "imulated" not in render(found)


def test_html_stands_alone_and_is_well_formed() -> None:
    page = html_page(evaluation())
    assert not re.search(r"https?://|<script|<link|<img|@import|url\(", page)
    assert "prefers-color-scheme: dark" in page

    class Balance(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.open: list[str] = []

        def handle_starttag(self, tag: str, attrs: object) -> None:
            if tag != "meta":
                self.open.append(tag)

        def handle_startendtag(self, tag: str, attrs: object) -> None:
            pass

        def handle_endtag(self, tag: str) -> None:
            assert self.open.pop() == tag

    balance = Balance()
    balance.feed(page)
    assert balance.open == []


def test_bars_start_at_zero_and_show_the_typed_numbers() -> None:
    found = evaluation()
    svg = chart(html_page(found))
    bars = [e for e in svg if e.tag == "rect"]
    means = [s.estimates[m.name].mean for m in found.measures for s in found.systems]
    assert len(bars) == len(means) == 6
    assert len({bar.get("x") for bar in bars}) == 1
    widths = [float(bar.get("width", "nan")) for bar in bars]
    assert [w / max(widths) for w in widths] == pytest.approx(
        [(m or 0) / max(filter(None, means)) for m in means], abs=0.01
    )
    shown = [e.text for e in svg if e.get("class") == "value"]
    assert shown == [f"{m:.3f}" for m in means]
    assert [e.get("class") for e in bars] == ["bar", "bar strong", "bar"] * 2


def test_what_is_not_measurable_is_not_drawn_as_zero() -> None:
    judged = JudgmentList({q: {"a": 1} for q in QUERIES})
    page = html_page(evaluate([run("s", "a")], judged, ["RR", "R(rel=3)@10"]))
    svg = chart(page)
    assert sum(e.tag == "rect" for e in svg) == 1
    assert "not measurable" in [e.text for e in svg]
    assert "–" in page


def test_text_from_outside_cannot_break_the_page() -> None:
    nasty = "<script>alert(1)</script> | `x` *y*\n# z"
    judged = JudgmentList({nasty: {"a": 3}, "other": {"a": 3}})
    found = evaluate(
        [run("<b>s</b>", "ba", [nasty, "other"]), run("t|u", "a", [nasty])], judged, ["RR"]
    )
    page, text = html_page(found), markdown_page(found)
    assert "<script>" not in page
    assert "<b>s" not in page
    chart(page)
    row = next(line for line in text.splitlines() if "alert" in line)
    assert len(re.findall(r"(?<!\\)\|", row)) == 5  # query, two systems, counts
    assert "\n# z" not in text


def test_terminal_table_marks_significance_and_fits() -> None:
    console = Console(width=80, record=True, file=StringIO())
    console.print(table(evaluation()))
    text = console.export_text()
    assert "bm25 (baseline)" in text
    assert "1.000*" in text
    assert "40 queries" in text
    assert all(len(line) <= 80 for line in text.splitlines())


def test_condensed_values_are_explained_only_when_there_are_any() -> None:
    assert "Condensed" in markdown_page(evaluation())
    assert "ondensed" not in markdown_page(evaluation(condensed=False))
