"""Where search fails, on one page: the dearest failures, what they cost, what to mend first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tandem.reports.charts import Chart, DayChart, Mark, MarkChart
from tandem.reports.figures import Figure
from tandem.reports.page import Block, Grid
from tandem.reports.report import Report

SHOWN = 5


def report(document: Mapping[str, Any]) -> Report:
    """document: what `tandem insights --json` prints."""
    findings: Sequence[Mapping[str, Any]] = document["findings"][:SHOWN]
    figures = _figures(document, findings)
    priced = [f for f in findings if f["lost_sales"] is not None]
    verdict = "failures_found" if findings else "nothing_found"
    return Report(
        kind="insight",
        about=(document["period"]["to"] or "")[:10] or "search",
        audience="executive",
        title="Where does our search fail?",
        simulated=document["simulated"],
        verdict=verdict,
        answer=_answer(findings, figures),
        tried=(
            f"We looked at {figures['searches']} searches in {figures['visits']} visits"
            f"{period(document['period'])}. We asked: who looks for something and does not get it?"
        ),
        happened=[cost(f, figures) for f in findings]
        or ["No group of shoppers does clearly worse than the others."],
        sure=(
            f"We made {figures['comparisons']} checks. Luck alone can fool some of them. So we "
            f"asked more of each: at most {figures['false findings']} of what we found should be "
            "wrong."
        ),
        worth=_worth(priced, figures),
        recommend=f"Start with the first one. {_sentence(findings[0]['fix']['summary'])}"
        if findings
        else "Leave the search as it is. Look again next month.",
        doubts=[
            "We guess what shoppers wanted from what they did. Nobody asked them.",
            "The cost is a guess too. It says what these shoppers would have spent if their search "
            "had worked like that of others.",
            "One search can be part of two of these. So the costs must not be added up.",
            "What fewer than 40 people do is too rare for us to see.",
        ],
        next=(
            "The search team tries the fix on old searches first. If it helps there, we test it "
            "on some shoppers. If it helps them too, all get it."
        )
        if findings
        else "We go on watching. This page is made anew from what shoppers do.",
        figures=figures,
        charts=_charts(document, priced, figures),
        glossary=[
            ("Search", "one time that somebody typed something and pressed enter"),
            ("Lost sales", "what shoppers would have spent if their search had worked"),
            ("From … to …", "the span that we trust the true number to lie in"),
        ],
        appendix=_appendix(document, figures),
        details={k: v for k, v in document.items() if k not in ("findings", "workspace")}
        | {"findings": [_without_visits(f) for f in findings]},
    )


def cost(f: Mapping[str, Any], figures: Mapping[str, Figure]) -> str:
    """One failure with its price."""
    lost = figures.get(f"lost {f['id']}")
    if lost is None:
        return f"{_sentence(f['title'])} What that costs is not known."
    if not lost.clear:
        return f"{_sentence(f['title'])} What that costs is not sure: {lost.span}."
    return f"{_sentence(f['title'])} About {lost} lost, {lost.span}."


def lost_sales(findings: Sequence[Mapping[str, Any]], currency: str | None) -> dict[str, Figure]:
    """The price of each failure that has one, by `lost ID`."""
    return {
        f"lost {f['id']}": Figure(
            f["lost_sales"]["estimate"],
            "money",
            f["lost_sales"]["low"],
            f["lost_sales"]["high"],
            currency=currency,
        )
        for f in findings
        if f["lost_sales"] is not None
    }


def cost_chart(
    priced: Sequence[Mapping[str, Any]], figures: Mapping[str, Figure], over: str
) -> MarkChart:
    return MarkChart(
        f"Lost sales by failure {over}. The line is the span that we trust.",
        [
            Mark(f["title"], lost, False if lost.clear else None)
            for f in priced
            for lost in [figures[f"lost {f['id']}"]]
        ],
    )


def period(of: Mapping[str, str | None]) -> str:
    if not of["from"] or not of["to"]:
        return ""
    return f" between {of['from'][:10]} and {of['to'][:10]}"


def _figures(
    document: Mapping[str, Any], findings: Sequence[Mapping[str, Any]]
) -> dict[str, Figure]:
    health = document["health"]
    figures = {
        "searches": Figure(document["searches"], "count"),
        "visits": Figure(document["sessions"], "count"),
        "comparisons": Figure(document["tests"], "count"),
        "false findings": Figure(document["false_discovery_rate"], "share"),
        "failures": Figure(len(document["findings"]), "count"),
        "searches without results": Figure(health.get("zero_results"), "share"),
        **lost_sales(findings, document["currency"]),
        **{f"searches without results, {day}": f for day, f in _days(document)},
    }
    for f in findings:
        figures[f"searches {f['id']}"] = Figure(f["searches"], "count")
        success = f["success"]
        figures[f"needs met {f['id']}"] = Figure(
            success["estimate"], "share", success["low"], success["high"]
        )
        figures[f"needs met elsewhere {f['id']}"] = Figure(f["expected"], "share")
    return figures


def _answer(findings: Sequence[Mapping[str, Any]], figures: Mapping[str, Figure]) -> str:
    if not findings:
        return "We found no clear failure of the search."
    first = figures.get(f"lost {findings[0]['id']}")
    count = figures["failures"]
    some = f"{count} ways" if (count.value or 0) > 1 else "one way"
    if first is None or not first.clear:
        return f"Our search fails shoppers in {some}. We can mend the first one."
    return f"Our search fails shoppers in {some}. The worst one has cost us about {first}."


def _worth(priced: Sequence[Mapping[str, Any]], figures: Mapping[str, Figure]) -> str:
    if not priced:
        return "We do not know. There were no sales in what we looked at."
    lost = figures[f"lost {priced[0]['id']}"]
    if not lost.clear:
        return f"We are not sure that it costs us anything: {lost.span} in that time."
    return (
        f"The dearest failure has cost about {lost} in that time. It could be as low as "
        f"{lost.write(lost.low)} or as high as {lost.write(lost.high)}."
    )


def _charts(
    document: Mapping[str, Any],
    priced: Sequence[Mapping[str, Any]],
    figures: Mapping[str, Figure],
) -> list[Chart]:
    charts: list[Chart] = []
    if priced:
        charts.append(cost_chart(priced, figures, "in that time"))
    days = _days(document)
    if len(days) > 1 and any(f.value for _, f in days):
        charts.append(
            DayChart(
                "Share of searches that found nothing, by day.",
                days,
            )
        )
    return charts


def _days(document: Mapping[str, Any]) -> list[tuple[str, Figure]]:
    """Days with the share of searches that found nothing."""
    return [
        (d["day"], Figure(d["zero_results"], "share"))
        for d in document["drift"].get("days", ())
        if d.get("zero_results") is not None
    ]


def _appendix(document: Mapping[str, Any], figures: Mapping[str, Figure]) -> list[Block]:
    rows = [
        [
            f["title"],
            f["cause"].replace("_", " "),
            f"{f['searches']:,}",
            f"{f['clients']:,}",
            f"{f['success']['estimate']:.1%} ({f['success']['low']:.1%} – "
            f"{f['success']['high']:.1%})",
            f"{f['expected']:.1%}",
            f"{f['q_value']:.2g}",
            f["id"],
        ]
        for f in document["findings"]
    ]
    return [
        Grid(
            f"All failures. {figures['comparisons']} comparisons, Benjamini-Hochberg at "
            f"{figures['false findings']}; needs met with 95% intervals. To try a fix: "
            "tandem insights try ID.",
            ["failure", "cause", "searches", "clients", "needs met", "expected", "q", "id"],
            rows,
            frozenset({2, 3, 4, 5, 6}),
        )
    ]


def _without_visits(f: Mapping[str, Any]) -> dict[str, Any]:
    """A report that is forwarded shows no single visit."""
    return {k: v for k, v in f.items() if k != "examples"}


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."
