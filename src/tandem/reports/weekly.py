"""A shop's week on one page: how search did, what failed, what was decided, what to decide now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any

from tandem.contracts.registry import Decision
from tandem.reports.charts import Chart, DayChart
from tandem.reports.figures import Figure, many
from tandem.reports.insight import cost, cost_chart, lost_sales
from tandem.reports.page import Block, Grid
from tandem.reports.report import Report

SHOWN = 3


@dataclass(frozen=True)
class Rate:
    """A mean per search with its 95% interval over shoppers; None where nothing was searched."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Day:
    day: str
    searches: int
    sales_per_search: Rate


@dataclass(frozen=True)
class Week:
    """What happened from `since` to the day before `until`.

    sales_change, empty_change: this week's rate less that of the week before, None without one.
    findings, alerts: as `tandem insights --json` has them, of this week; experiments: kept analyses
    of this week, each with `name`, `verdict` and `says`. candidates: models that wait.
    """

    since: date
    until: date
    simulated: bool
    currency: str | None
    searches: int
    searches_before: int
    shoppers: int
    sales_per_search: Rate
    sales_change: Rate | None
    empty: Rate
    empty_change: Rate | None
    days: tuple[Day, ...]
    findings: tuple[Mapping[str, Any], ...]
    tests: int
    alerts: tuple[Mapping[str, Any], ...]
    experiments: tuple[Mapping[str, Any], ...]
    decisions: tuple[Decision, ...]
    candidates: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {
            "decisions": [d.model_dump(mode="json") for d in self.decisions],
            "findings": [{k: v for k, v in f.items() if k != "examples"} for f in self.findings],
        }


def report(week: Week) -> Report:
    figures = _figures(week)
    findings = week.findings[:SHOWN]
    priced = [f for f in findings if f["lost_sales"] is not None]
    to_decide = _to_decide(week, figures)
    last = week.until - timedelta(days=1)
    return Report(
        kind="weekly",
        about=f"{week.since}",
        audience="executive",
        title=f"The week in search: {week.since} to {last}",
        simulated=week.simulated,
        verdict="decide" if to_decide else "calm" if week.searches else "no_searches",
        answer=_answer(week, figures, len(to_decide)),
        tried=_tried(week),
        happened=_happened(week, findings, figures),
        sure=_sure(week, figures),
        worth=_worth(priced, figures),
        recommend=" ".join(to_decide) or "There is nothing to decide this week.",
        doubts=[
            "A week is short. Feast days, ads and the weather move it too.",
            "We count only what shoppers let us count.",
            "What we call lost is a guess from what like shoppers spent.",
        ],
        next="The next page comes in a week. Bring back the last model at once if sales fall.",
        figures=figures,
        charts=_charts(week, priced, figures),
        glossary=[
            ("Sales per search", "money spent after a search, shared out over all searches"),
            ("From … to …", "the span that we trust the true number to lie in"),
            ("Failure", "a group of shoppers who get clearly less from search than others"),
        ],
        appendix=_appendix(week),
        details={"week": week.to_json()},
    )


def _money(rate: Rate, currency: str | None, *, signed: bool = False) -> Figure:
    return Figure(rate.value, "money", rate.low, rate.high, signed, currency)


def _share(rate: Rate, *, signed: bool = False) -> Figure:
    return Figure(rate.value, "share", rate.low, rate.high, signed)


def _figures(week: Week) -> dict[str, Figure]:
    figures = {
        "searches": Figure(week.searches, "count"),
        "searches the week before": Figure(week.searches_before, "count"),
        "shoppers": Figure(week.shoppers, "count"),
        "sales per search": _money(week.sales_per_search, week.currency),
        "searches without results": _share(week.empty),
        "failures": Figure(len(week.findings), "count"),
        "tests read": Figure(len(week.experiments), "count"),
        "models waiting": Figure(len(week.candidates), "count"),
        **lost_sales(week.findings[:SHOWN], week.currency),
        **{
            f"sales per search, {d.day}": _money(d.sales_per_search, week.currency)
            for d in week.days
        },
    }
    if week.sales_change is not None:
        figures["change of sales per search"] = _money(
            week.sales_change, week.currency, signed=True
        )
        figures["change of sales per search, size"] = _money(
            Rate(abs(week.sales_change.value or 0.0), None, None), week.currency
        )
    if week.empty_change is not None:
        figures["change of searches without results"] = _share(week.empty_change, signed=True)
    for alert in _alerts(week):
        figures[f"{alert['name']} before"] = _alert(alert, "before", week)
        figures[f"{alert['name']} now"] = _alert(alert, "now", week)
    return figures


def _alerts(week: Week) -> list[Mapping[str, Any]]:
    """Rates that changed; what single queries do is for the experts."""
    return [a for a in week.alerts if a["kind"] == "rate"][:SHOWN]


def _alert(alert: Mapping[str, Any], side: str, week: Week) -> Figure:
    if alert["name"] == "sales_per_search":
        return Figure(alert[side], "money", currency=week.currency)
    if alert["name"] == "latency_ms":
        return Figure(alert[side], "milliseconds")
    return Figure(alert[side], "share")


def _answer(week: Week, figures: Mapping[str, Figure], decisions: int) -> str:
    if not week.searches:
        return "Nobody searched in this week, as far as we can see."
    change = figures.get("change of sales per search")
    if change is None or change.value is None:
        course = f"A search brought {figures['sales per search']} on average."
    elif not change.clear:
        course = "Sales per search are about the same as in the week before."
    else:
        went = "rose" if change.value > 0 else "fell"
        course = f"Sales per search {went} by {figures['change of sales per search, size']}."
    ask = {0: "There is nothing to decide.", 1: "One thing is to be decided."}
    return f"{course} {ask.get(decisions, 'Some things are to be decided.')}"


def _tried(week: Week) -> str:
    names = [f"“{e['name']}”" for e in week.experiments[:SHOWN]]
    tests = f"We read these tests: {', '.join(names)}." if names else "We read no test."
    live = [d for d in week.decisions if d.stage == "live"]
    models = "The live model changed." if live else "No new model went live."
    return f"{tests} {models}"


def _happened(
    week: Week, findings: Sequence[Mapping[str, Any]], figures: Mapping[str, Figure]
) -> list[str]:
    said = ["No search is on record."]
    if week.searches:
        said = [
            f"{many(figures['shoppers'], 'shopper', 'shoppers')} made {figures['searches']} "
            f"searches. The week before it was {figures['searches the week before']}.",
            f"A search brought {figures['sales per search']} on average, most likely "
            f"{figures['sales per search'].span}.",
            f"{figures['searches without results']} of searches found nothing.",
            *(cost(f, figures) for f in findings),
        ]
        if not findings:
            said.append("No group of shoppers did clearly worse than the others.")
    for a in _alerts(week):
        before, now = figures[f"{a['name']} before"], figures[f"{a['name']} now"]
        said.append(f"{_word(a)} changed: {before} before, {now} now.")
    said += [f"Test “{e['name']}”: {e['says']}" for e in week.experiments[:SHOWN]]
    return said


def _word(alert: Mapping[str, Any]) -> str:
    words: str = alert["says"].split(":")[0]
    return words


def _sure(week: Week, figures: Mapping[str, Figure]) -> str:
    change = figures.get("change of sales per search")
    if change is None or change.value is None:
        return "There is no week before to hold it against."
    luck = "That is more than luck." if change.clear else "That may be luck."
    return (
        f"Sales per search changed by {change}, most likely {change.span}. {luck} A failure is "
        "shown only if luck can hardly make it."
    )


def _worth(priced: Sequence[Mapping[str, Any]], figures: Mapping[str, Figure]) -> str:
    for f in priced:
        lost = figures[f"lost {f['id']}"]
        if lost.clear:
            return (
                f"The dearest failure cost about {lost} in this week. It could be as low as "
                f"{lost.write(lost.low)} or as high as {lost.write(lost.high)}."
            )
    return "We saw no failure this week whose cost is sure."


def _to_decide(week: Week, figures: Mapping[str, Figure]) -> list[str]:
    said = []
    for e in week.experiments:
        if e["verdict"] == "ship":
            said.append(f"Give the new version of “{e['name']}” to all shoppers?")
        elif e["verdict"] == "invalid":
            said.append(f"Who mends the test “{e['name']}”?")
    if week.candidates:
        count = many(figures["models waiting"], "model waits", "models wait")
        said.append(f"{count} to go live. Shall they be checked?")
    tried = [f for f in week.findings if f["fix"]["kind"] in ("synonym", "rule")]
    if tried:
        summary = tried[0]["fix"]["summary"].rstrip(".")
        said.append(f"Try this in the search? {summary}.")
    if any(a["worse"] for a in _alerts(week)):
        said.append("Who finds out why search got worse?")
    return said


def _charts(
    week: Week, priced: Sequence[Mapping[str, Any]], figures: Mapping[str, Figure]
) -> list[Chart]:
    charts: list[Chart] = []
    if len(week.days) > 1:
        this = next((i for i, d in enumerate(week.days) if d.day >= str(week.since)), None)
        charts.append(
            DayChart(
                "Sales per search by day, with the span that we trust. This week is tinted.",
                [(d.day, figures[f"sales per search, {d.day}"]) for d in week.days],
                this,
            )
        )
    if priced:
        charts.append(cost_chart(priced, figures, "in this week"))
    return charts


def _appendix(week: Week) -> list[Block]:
    blocks: list[Block] = [
        Grid(
            "By day. Sales per search with 95% intervals over shoppers (delta method).",
            ["day", "searches", "sales per search", "from", "to"],
            [
                [d.day, f"{d.searches:,}", *(_cell(v) for v in asdict(d.sales_per_search).values())]
                for d in week.days
            ],
            frozenset({1, 2, 3, 4}),
        )
    ]
    if week.findings:
        blocks.append(
            Grid(
                f"All failures of the week; {week.tests:,} comparisons, Benjamini-Hochberg at 5%.",
                ["failure", "cause", "searches", "q", "id"],
                [
                    [
                        f["title"],
                        f["cause"].replace("_", " "),
                        f"{f['searches']:,}",
                        f"{f['q_value']:.2g}",
                        f["id"],
                    ]
                    for f in week.findings
                ],
                frozenset({2, 3}),
            )
        )
    if week.alerts:
        blocks.append(
            Grid(
                "What changed beside the days before; Welch's t-test over days.",
                ["", "q"],
                [
                    [a["says"], "–" if a["q_value"] is None else f"{a['q_value']:.2g}"]
                    for a in week.alerts
                ],
                frozenset({1}),
            )
        )
    if week.decisions:
        blocks.append(
            Grid(
                "Decisions of the week.",
                ["when", "model", "stage", "who", "why"],
                [
                    [f"{d.at:%Y-%m-%d %H:%M}", d.generation, d.stage, d.who, d.why]
                    for d in week.decisions
                ],
            )
        )
    return blocks


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
