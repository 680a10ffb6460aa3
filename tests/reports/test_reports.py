"""Every report in every format: plain words, one source of numbers, simulated data marked."""

from __future__ import annotations

import email
import json
import re
from dataclasses import replace
from email.message import EmailMessage
from email.policy import default
from html import unescape
from xml.etree import ElementTree

import pytest
from small_reports import REPORTS, insights

from tandem.contracts.errors import InvalidInput
from tandem.reports import insight
from tandem.reports.charts import DayChart, MarkChart
from tandem.reports.figures import Figure
from tandem.reports.formats import book, rendered
from tandem.reports.report import APPENDIX, SIMULATED, Report

HEADINGS = (
    "What we tried",
    "What happened",
    "How sure we are",
    "What it is worth",
    "What we recommend",
    "What could be wrong",
    "What happens next",
)
NUMBER = re.compile(r"(?<![\w.])[+-]?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?%?")
# "If we ran 100 tests like this": the one number that is part of the language. 40 searches: the
# least that `tandem insights` looks at; 1 and 0 are the ends of a score's scale.
WORDS = {"100", "40", "1", "0"}


@pytest.fixture(params=REPORTS)
def report(request: pytest.FixtureRequest) -> Report:
    return REPORTS[request.param]


def first_page(report: Report) -> str:
    text = report.page().markdown().replace("\\", "")
    return text.split(f"## {APPENDIX}")[0]


def mail(report: Report) -> EmailMessage:
    message = email.message_from_bytes(rendered(report, ".eml"), policy=default)
    assert isinstance(message, EmailMessage)
    return message


def test_the_first_page_reads_at_grade_nine_or_below(report: Report):
    """Flesch–Kincaid, by textstat, over the sentences; headings and glossary terms end in stops.
    Tables of charts are figures, no sentences."""
    textstat = pytest.importorskip("textstat")
    sentences = []
    for line in first_page(report).splitlines():
        words = re.sub(r"[*>#“”]", "", line).strip(" -")
        if words and not words.startswith("|"):
            sentences.append(words if words[-1] in ".!?:" else f"{words}.")
    assert textstat.flesch_kincaid_grade(" ".join(sentences)) <= 9


def test_every_part_is_there_in_order(report: Report):
    html = report.page().html()
    places = [html.index(f"<h2>{heading}</h2>") for heading in HEADINGS]
    assert places == sorted(places)
    for part in (report.answer, report.sure, report.worth, report.recommend, report.next):
        assert part
    assert report.happened
    assert report.doubts


def test_simulated_data_is_marked_at_the_top_of_every_format(report: Report):
    assert report.simulated
    html, text = report.page().html(), report.page().markdown()
    assert html.index(SIMULATED) < html.index('class="lead"')
    assert text.splitlines()[2] == f"> **{SIMULATED}**"
    assert next(iter(json.loads(rendered(report, ".json")))) == "simulated"
    message = mail(report)
    assert message["Subject"] == f"[Simulated] {report.title}"
    for kind in ("plain", "html"):
        body = message.get_body((kind,))
        assert body is not None
        assert SIMULATED in " ".join(body.get_content().split())[:1_500]


def written(document: dict) -> set[str]:
    """Every way in which a number of the JSON may stand in the text."""
    found = set(WORDS)
    for f in document["report"]["figures"].values():
        figure = Figure(**f)
        for value in (figure.value, figure.low, figure.high):
            found |= set(NUMBER.findall(figure.write(value)))
    return found


def test_every_number_in_the_text_is_one_of_the_json(report: Report):
    document = json.loads(rendered(report, ".json"))
    allowed = written(document)
    parts = (report.answer, report.tried, *report.happened, report.sure, report.worth)
    parts += (report.recommend, *report.doubts, report.next)
    dates = re.compile(r"\d{4}-\d{2}(-\d{2})?")
    plain = mail(report).get_body(("plain",))
    assert plain is not None
    shown = {
        "html": " ".join(unescape(re.sub(r"<[^>]+>", " ", report.page().html())).split()),
        "markdown": " ".join(first_page(report).split()),
        "mail": " ".join(plain.get_content().split()),
    }
    for part in parts:
        for format_, text in shown.items():
            assert part in text, format_
        for number in NUMBER.findall(dates.sub("", part)):
            assert number in allowed, f"{number} of: {part}"


def test_charts_are_drawn_from_the_numbers_of_the_json(report: Report):
    """Read a drawing by the ticks of its own axis: it gives back the figures."""
    figures = [
        Figure(**f) for f in json.loads(rendered(report, ".json"))["report"]["figures"].values()
    ]
    drawings = [
        ElementTree.fromstring(d)
        for d in re.findall(r"<svg.*?</svg>", report.page().html(), re.DOTALL)
    ]
    charts = [c for c in (*report.charts, *report.worth_charts) if isinstance(c, MarkChart)]
    marked = [d for d in drawings if not d.findall("polyline")]
    assert len(marked) == len(charts)
    for drawing, chart in zip(marked, charts, strict=True):
        ticks = [
            (float(t.get("x", "nan")), amount(t.text or ""))
            for t in drawing.findall("text[@class='tick']")
        ]
        (x0, v0), (x1, v1) = ticks[0], ticks[-1]
        scale = (v1 - v0) / (x1 - x0)
        assert any(v == 0 for _, v in ticks), "zero is on the axis"
        lines = [
            [float(n) for n in re.findall(r"[MH]([\d.-]+)", p.get("d", ""))[:2]]
            for p in drawing.findall("path[@class='interval']")
        ]
        dots = [float(c.get("cx", "nan")) for c in drawing.findall("circle")]
        bars = [
            (float(r.get("x", "nan")), float(r.get("width", "nan")))
            for r in drawing.findall("rect")
        ]
        drawn = iter(lines)
        for i, mark in enumerate(chart.marks):
            f = mark.figure
            assert f in figures
            assert f.value is not None
            if f.signed:
                assert v0 + (dots[i] - x0) * scale == pytest.approx(f.value, abs=abs(scale))
                assert v0 == -v1, "as far to the left of no change as to the right"
            else:
                x, width = bars[i]
                assert v0 + (x - x0) * scale == pytest.approx(0, abs=abs(scale))
                assert width * scale == pytest.approx(f.value, abs=2 * abs(scale))
            if f.low is not None:
                ends = [v0 + (x - x0) * scale for x in next(drawn)]
                assert ends == pytest.approx([f.low, f.high], abs=abs(scale))
        texts = [t.text for t in drawing.findall("text[@class='value']")]
        assert texts == [str(m.figure) for m in chart.marks]


def test_a_chart_by_day_is_drawn_from_the_numbers_of_the_json(report: Report):
    """Read a line by the ticks of its own axis: points and band give back each day's figure."""
    figures = [
        Figure(**f) for f in json.loads(rendered(report, ".json"))["report"]["figures"].values()
    ]
    drawings = [
        ElementTree.fromstring(d)
        for d in re.findall(r"<svg.*?</svg>", report.page().html(), re.DOTALL)
    ]
    charts = [c for c in (*report.charts, *report.worth_charts) if isinstance(c, DayChart)]
    lined = [d for d in drawings if d.findall("polyline")]
    assert len(lined) == len(charts)
    for drawing, chart in zip(lined, charts, strict=True):
        # Ticks of amounts stand left of the axis, those of days below it.
        ticks = [
            (float(t.get("y", "nan")) - 4, amount(t.text or ""))
            for t in drawing.findall("text[@class='tick']")
            if t.get("text-anchor") == "end" and not re.search(r"\d-\d", t.text or "")
        ]
        (y0, v0), (y1, v1) = ticks[0], ticks[-1]
        assert v0 == 0, "the axis starts at zero"
        scale = (v1 - v0) / (y1 - y0)

        def points(shape: ElementTree.Element | None) -> list[float]:
            text = "" if shape is None else shape.get("points", "")
            return [v0 + (float(p.split(",")[1]) - y0) * scale for p in text.split()]  # noqa: B023

        known = [f for _, f in chart.days if f.value is not None]
        assert all(f in figures for f in known)
        near = {"abs": 2 * abs(scale)}
        assert points(drawing.find("polyline")) == pytest.approx([f.value for f in known], **near)
        band = [f for f in known if f.low is not None and f.high is not None]
        if len(band) > 1:
            ends = [f.high for f in band] + [max(f.low or 0.0, 0.0) for f in reversed(band)]
            assert points(drawing.find("polygon")) == pytest.approx(ends, **near)
        told = drawing.get("aria-label", "")
        for day, f in chart.days:
            assert f"{day}: {f}" in told


def amount(tick: str) -> float:
    if tick == "no change":
        return 0.0
    for letter, size in (("%", 0.01), ("k", 1e3), ("bn", 1e9), ("m", 1e6)):
        if tick.endswith(letter):
            return float(tick.removesuffix(letter).replace(",", "")) * size
    return float(tick.replace(",", ""))


def test_a_mail_opens_without_network_and_carries_its_style(report: Report):
    message = mail(report)
    assert message.get_content_type() == "multipart/alternative"
    html = message.get_body(("html",))
    assert html is not None
    content = html.get_content()
    assert not re.search(r"https?://|<script|<link|<img|<style|<svg|url\(", content)
    assert "style=" in content
    assert rendered(report, ".eml") == rendered(report, ".eml")


def test_html_stands_alone(report: Report):
    assert not re.search(r"https?://|<script|<link|<img|@import|url\(", report.page().html())


@pytest.mark.parametrize(
    "name",
    [
        *("experiment ship executive", "experiment fading", "insight found", "weekly decide"),
        *("campaign running", "week up", "model with a worth", "merchant some", "creator due"),
    ],
)
def test_a_pdf_has_the_plain_part_on_one_page(name: str):
    pytest.importorskip("plutoprint")
    made = REPORTS[name]
    assert rendered(made, ".pdf").startswith(b"%PDF-")
    assert book(replace(made, appendix=()).page()).get_page_count() == 1
    assert book(made.page()).get_page_count() >= 1 + bool(made.appendix)


def test_an_unknown_ending_says_which_there_are():
    with pytest.raises(InvalidInput, match=r"\.docx") as error:
        rendered(REPORTS["weekly calm"], ".docx")
    assert ".eml" in error.value.remedy


def test_a_page_on_failures_shows_no_single_visit():
    made = REPORTS["insight found"]
    for ending in (".html", ".md", ".json", ".eml"):
        assert b"a secret" not in rendered(made, ending)


def test_real_data_is_not_called_simulated():
    made = insight.report(insights([]) | {"simulated": False})
    for ending in (".html", ".md", ".eml"):
        assert b"imulated" not in rendered(made, ending).replace(b".simulated", b"")


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        (Figure(1_234.5, "count"), "1,234"),
        (Figure(0.05, "share"), "5%"),
        (Figure(-0.0123, "share", signed=True), "-1.2%"),
        (Figure(1_234.5, "money", currency="EUR"), "1,234 EUR"),
        (Figure(3.456, "money", currency="EUR", signed=True), "+3.46 EUR"),
        (Figure(None, "money", currency="EUR"), "not known"),
        (Figure(0.33333), "0.333"),
        (Figure(12.3, "milliseconds"), "12 ms"),
    ],
)
def test_a_number_is_written_in_one_way(figure: Figure, text: str):
    assert str(figure) == text


def test_a_campaign_that_was_called_off_is_not_said_to_have_gone_as_expected():
    made = REPORTS["campaign cancelled"]
    assert made.verdict == "cancelled"
    assert "called off" in made.answer
    assert "expected" not in made.answer


def test_a_campaign_of_which_creators_withhold_figures_is_not_judged_on_them():
    made = REPORTS["campaign withheld"]
    assert made.verdict == "not_told"
    assert "from 100 EUR to 300 EUR" in made.answer
    assert "Orders are not known." in " ".join(made.happened)
