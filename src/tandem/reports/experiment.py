"""An experiment's page for people who decide: plain words first, figures after.

Every number, in text, table and chart, comes from one `Analysis` (and the `Worth` made of it), so
they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tandem.experiments.abtest.analysis import Analysis, Design, known
from tandem.experiments.abtest.effects import Effect, Metric
from tandem.experiments.abtest.restraint import Novelty
from tandem.governance.release import K
from tandem.reports.charts import Chart, Mark, MarkChart
from tandem.reports.figures import Figure
from tandem.reports.page import Block, Grid, Paragraph
from tandem.reports.report import READERS, Audience, Report

VERDICTS = {
    "ship": "Ship it. The new version is better.",
    "do_not_ship": "Do not ship it.",
    "keep_running": "Keep the test running. It is too early to tell.",
    "invalid": "Do not trust this test. Fix it and run it again.",
}
_TOLD = {
    "ship": "The new version did better, so the shop will move to it.",
    "do_not_ship": "The new version did not do better, so the shop keeps the old one.",
    "keep_running": "The test still runs. It is too early to tell.",
    "invalid": "The test had a fault. The shop fixes it and runs it again.",
}
_MOST_CHARTED = 8
_MOST_DAYS = 5
_LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class Worth:
    """A year's money if everybody gets the new version: difference per unit times yearly units."""

    metric: str
    currency: str
    yearly_units: int
    value: float
    low: float
    high: float

    @property
    def figure(self) -> Figure:
        return Figure(self.value, "money", self.low, self.high, True, self.currency)


def worth(analysis: Analysis, metric: str, currency: str, yearly_units: int) -> Worth:
    """What the change of a money metric adds up to in a year; interval valid at every look."""
    e = analysis.effects[metric]
    return Worth(
        metric,
        currency,
        yearly_units,
        e.difference * yearly_units,
        e.always_low * yearly_units,
        e.always_high * yearly_units,
    )


def report(
    analysis: Analysis,
    money: Worth | None = None,
    audience: Audience = "executive",
    seen: tuple[str, Novelty] | None = None,
) -> Report:
    """The report. Merchants and creators get the outcome, and no figure of the shop's. seen: a
    metric, and its effect by days since first exposure."""
    if audience != "executive":
        return _for_partners(analysis, audience)
    invalid = analysis.decision.verdict == "invalid"
    figures = _figures(analysis, money)
    if seen is not None and not invalid:
        figures = {**figures, **_days(*seen)}
    return Report(
        kind="experiment",
        about=analysis.name,
        audience=audience,
        title=f"Did it help? {analysis.name}",
        simulated=analysis.simulated,
        verdict=analysis.decision.verdict,
        answer=f"{VERDICTS[analysis.decision.verdict]} {_why(analysis, figures)}",
        tried=_tried(analysis.design, figures),
        happened=["The groups are not as big as planned. So we do not show what happened."]
        if invalid
        else [
            *(_happened(m, analysis.effects[m.name], figures) for m in analysis.metrics),
            *_parts(analysis),
            *([_fades(*seen, figures)] if seen is not None else []),
        ],
        sure=_sure(analysis, figures),
        worth=_worth(money, figures, invalid),
        recommend=_recommend(analysis, figures),
        doubts=_doubts(analysis, seen[1] if seen else None),
        next=_next(analysis, figures),
        figures=figures,
        charts=_charts(analysis, figures, invalid, seen),
        worth_charts=[
            MarkChart(
                "A year's money, more or less than today. The dot is our best guess. "
                "The truth is most likely on the line.",
                [Mark("A year's money", figures["worth"], _points(figures["worth"], True))],
            )
        ]
        if money is not None and not invalid
        else [],
        glossary=[
            ("Old version", f"what shoppers see today (“{analysis.control}” in the data)"),
            ("New version", f"the change we test (“{analysis.treatment}” in the data)"),
            ("Chance", "luck alone can make two groups differ, even if nothing changed"),
            ("Most likely from … to …", "the span that we trust the true change to lie in"),
        ],
        appendix=[*_appendix(analysis), *([_by_day(*seen)] if seen is not None else [])],
        details=analysis.to_json()
        | {
            "worth": asdict(money) if money else None,
            "novelty": {"metric": seen[0], **asdict(seen[1])} if seen else None,
        },
    )


def _for_partners(a: Analysis, audience: Audience) -> Report:
    """What a test of the shop's means to merchants or creators: not one figure of other people's
    sales, and group sizes only where each group holds `K` people or more."""
    sizes = [a.sample_ratio.observed[v] for v in (a.control, a.treatment)]
    figures: dict[str, Figure] = {"fewest people": Figure(K, "count")}
    charts: list[Chart] = []
    if a.design.kind != "units":
        tried = (
            "The shop tried a new version. Some places or sellers got it, the others kept the old "
            "one. Who got which was left to chance."
        )
    elif min(sizes) >= K:
        figures |= {
            "old version, people": Figure(sizes[0], "count"),
            "new version, people": Figure(sizes[1], "count"),
        }
        tried = _tried(a.design, figures)
        charts.append(_sizes(a.design, figures))
    else:
        tried = (
            "Some people saw a new version of the shop. The others saw the old one. We do not tell "
            f"how many: there were fewer than {figures['fewest people']} in a group."
        )
    you = READERS[audience]
    return Report(
        kind="experiment",
        about=a.name,
        audience=audience,
        title=f"A test in the shop: {a.name}",
        simulated=a.simulated,
        verdict=a.decision.verdict,
        answer=_TOLD[a.decision.verdict],
        tried=tried,
        happened=[
            _TOLD[a.decision.verdict],
            f"The shop's own sales are not shown to {you}.",
        ],
        sure="The shop's rules ask for proof that holds no matter how often one looks.",
        worth="We do not know what it is worth to you. The test looked at the shop as a whole.",
        recommend="You need do nothing. Keep your texts and your stock up to date.",
        doubts=[
            "What is good for the shop as a whole can be bad for one of you.",
            f"We show no figure of fewer than {figures['fewest people']} people, so small groups "
            "are left out.",
        ],
        next="Ask your contact at the shop if your own figures change in the next weeks.",
        figures=figures,
        charts=charts,
        glossary=[("Old version, new version", "what people saw before, and what was tested")],
        details={"name": a.name, "verdict": a.decision.verdict},
    )


def _figures(a: Analysis, money: Worth | None) -> Mapping[str, Figure]:
    figures = {
        "old version, people": Figure(a.sample_ratio.observed[a.control], "count"),
        "new version, people": Figure(a.sample_ratio.observed[a.treatment], "count"),
        "people": Figure(a.units, "count"),
        "people planned": Figure(a.planned, "count"),
        "wrong in 100 tests": Figure(a.alpha * 100),
    }
    for m in a.metrics:
        e = a.effects[m.name]
        figures |= {
            f"{m.name}, old version": Figure(e.control),
            f"{m.name}, new version": Figure(e.treatment),
            f"{m.name}, difference": Figure(
                e.difference, "number", e.always_low, e.always_high, True
            ),
        }
        if e.relative is not None:
            figures[f"{m.name}, change"] = Figure(
                e.relative, "share", e.relative_always_low, e.relative_always_high, True
            )
    if money is not None:
        figures["worth"] = money.figure
        figures["shoppers a year"] = Figure(money.yearly_units, "count")
    return figures


def _why(a: Analysis, figures: Mapping[str, Figure]) -> str:
    match a.decision.verdict:
        case "ship":
            return f"“{a.decision.metric}” got better and nothing got worse."
        case "do_not_ship" if a.decision.metric:
            return f"“{a.decision.metric}” got worse."
        case "do_not_ship":
            return "We saw no gain that is more than luck."
        case "keep_running":
            return f"We have {figures['people']} of the {figures['people planned']} we planned for."
        case _:
            return "The two groups are not as big as we planned."


def _counted(design: Design) -> str:
    """What was left to chance, as a noun."""
    return {"units": "people", "clusters": "groups", "switchback": "spans of time"}[design.kind]


def _tried(design: Design, figures: Mapping[str, Figure]) -> str:
    new, old = figures["new version, people"], figures["old version, people"]
    if design.kind == "clusters":
        return (
            f"{new} groups got the new version, and {old} kept the old one. A group is all that "
            f"has the same “{design.clusters_of}”. What is in one group can touch the rest of it. "
            "So we gave the new version to whole groups. Which ones was left to chance."
        )
    if design.kind == "switchback":
        return (
            "People in one place can touch each other's search. So each place had one version at "
            f"a time and went back and forth. The new one ran in {new} spans of time, the old one "
            f"in {old}. Which ran when was left to chance."
        )
    return (
        f"{new} people saw the new version. {old} people saw the old one. "
        "Who saw which was left to chance. So the two groups are alike in all but this."
    )


def _parts(a: Analysis) -> list[str]:
    """Whether parts of the people differ, with restraint: a sentence for each way to part them."""
    return [
        f"The effect is not the same for each “{column}”. See the last page. This can be a hint, "
        "but is no proof."
        if h.q_p < _LEVEL
        else f"We saw no sign that it works better or worse for some kind of “{column}”."
        for column, h in a.heterogeneity.items()
    ]


def _days(metric: str, seen: Novelty) -> dict[str, Figure]:
    first, last = seen.trend_line
    return {
        f"{metric}, change on the first day": Figure(first, "number", signed=True),
        f"{metric}, change on the last day": Figure(last, "number", signed=True),
        "days": Figure(len(seen.days), "count"),
    } | {
        f"{metric}, day {day}": Figure(e, "number", e - 1.96 * s, e + 1.96 * s, True)
        for day, e, s in zip(seen.days, seen.effects, seen.errors, strict=True)
    }


def _fades(metric: str, seen: Novelty, figures: Mapping[str, Figure]) -> str:
    first = figures.get(f"{metric}, change on the first day")
    last = figures.get(f"{metric}, change on the last day")
    if first is None or last is None:
        return "The test had a fault, so we do not say if the change fades."
    if seen.fades or seen.grows:
        how = "fades: what is new pleases for a while" if seen.fades else "grows: people learn"
        return f"The change in “{metric}” {how}. It goes from about {first} to about {last} a day."
    return (
        f"We looked at {figures['days']} days. We saw no sign that the change in “{metric}” fades "
        "or grows."
    )


def _happened(m: Metric, e: Effect, figures: Mapping[str, Figure]) -> str:
    went = (
        f"“{m.name}” went from {figures[f'{m.name}, old version']} to "
        f"{figures[f'{m.name}, new version']}."
    )
    change = figures.get(f"{m.name}, change")
    if change is None:
        return f"{went} {_proof(m, e)}"
    return f"{went} That is a change of {change}. {_proof(m, e)}"


def _proof(m: Metric, e: Effect) -> str:
    better = (e.difference > 0) == (m.better == "more")
    if e.always_low <= 0 <= e.always_high:
        return "This may be luck."
    return "This is a true gain." if better else "This is a true loss."


def _points(figure: Figure, more_is_better: bool) -> bool | None:
    """Whether a difference points the right way; None where it may be luck."""
    return ((figure.value or 0.0) > 0) == more_is_better if figure.clear else None


def _charts(
    a: Analysis,
    figures: Mapping[str, Figure],
    invalid: bool,
    seen: tuple[str, Novelty] | None = None,
) -> list[Chart]:
    if invalid:
        return [_sizes(a.design, figures)]
    marks = [
        Mark(m.name, figures[name], _points(figures[name], m.better == "more"))
        for m in a.metrics[:_MOST_CHARTED]
        if (name := f"{m.name}, change") in figures
    ]
    charts: list[Chart] = []
    if marks:
        charts.append(
            MarkChart(
                "Change in each figure. The dot is our best guess. The truth is most likely "
                "on the line.",
                marks,
            )
        )
    if seen is not None and any(f"{seen[0]}, day {d}" in figures for d in seen[1].days):
        shown = _spread(seen[1].days)
        charts.append(
            MarkChart(
                f"Change in “{seen[0]}” by days since people first saw the new version.",
                [Mark(f"Day {d + 1}", figures[f"{seen[0]}, day {d}"], None) for d in shown],
            )
        )
    return [*charts, _sizes(a.design, figures)]


def _spread(days: Sequence[int]) -> list[int]:
    """At most `_MOST_DAYS` of the days, the first and the last among them."""
    step = max(1, -(-(len(days) - 1) // (_MOST_DAYS - 1)))
    return sorted({*days[::step], days[-1]})


def _sizes(design: Design, figures: Mapping[str, Figure]) -> MarkChart:
    return MarkChart(
        "How many people saw each version."
        if design.kind == "units"
        else f"How many {_counted(design)} had each version.",
        [
            Mark("Old version", figures["old version, people"]),
            Mark("New version", figures["new version, people"]),
        ],
    )


def _sure(a: Analysis, figures: Mapping[str, Figure]) -> str:
    if a.decision.verdict == "invalid":
        return "Not at all. With groups of the wrong size, no figure of this test can be trusted."
    name = a.decision.metric or a.metrics[0].name
    change = figures.get(f"{name}, change")
    span = figures[f"{name}, difference"].span if change is None else change.span
    return (
        f"The true change in “{name}” is most likely {span}. If we ran 100 tests like this, "
        f"we would be wrong in no more than {figures['wrong in 100 tests']} of them. "
        "That holds no matter how often we look."
    )


def _worth(money: Worth | None, figures: Mapping[str, Figure], invalid: bool) -> str:
    if invalid:
        return "We cannot tell. A broken test says nothing about money."
    if money is None:
        return "We do not know. This test did not count money."
    f = figures["worth"]
    return (
        f"If all shoppers get the new version, a year's money changes by about {f}. "
        f"It could be as low as {f.write(f.low)} or as high as {f.write(f.high)}. "
        f"This counts {figures['shoppers a year']} shoppers a year."
    )


def _recommend(a: Analysis, figures: Mapping[str, Figure]) -> str:
    match a.decision.verdict:
        case "ship":
            return "Give the new version to all shoppers."
        case "do_not_ship":
            return "Keep the old version."
        case "keep_running":
            return (
                f"Wait until {figures['people planned']} {_counted(a.design)} took part. "
                "Change nothing now."
            )
        case _:
            return "Draw no lesson from this test. Find the fault first."


def _doubts(a: Analysis, seen: Novelty | None) -> list[str]:
    if seen is None:
        doubts = ["New things get looked at more. Some of a gain can fade with time."]
    elif seen.fades:
        doubts = ["The change fades. So in a year it is likely less than it is now."]
    else:
        doubts = ["What holds for the first days of a change need not hold for a year."]
    if a.design.kind == "switchback":
        doubts.append(
            "We leave out the time right after a switch. What lasts longer than that is missed."
        )
    if a.decision.verdict == "invalid":
        doubts = [
            f"The fault shows most where “{column}” is “{value}”."
            for column, value, _ in a.sample_ratio.segments[:3]
        ] or ["We do not know yet where the fault is."]
    elif a.units < a.planned:
        doubts.append("The test is still short. A small change could hide in the noise.")
    if len(a.metrics) > 3:
        doubts.append("We looked at many figures. We have asked more of each one for that.")
    return doubts


def _next(a: Analysis, figures: Mapping[str, Figure]) -> str:
    match a.decision.verdict:
        case "ship":
            return (
                "Give the new version to more people, step by step. Keep a small group on the "
                "old one and watch it for a month."
            )
        case "do_not_ship":
            return "Write down what we learned. Then try a new idea."
        case "keep_running":
            return f"We read this page again when all {_counted(a.design)} we planned for are in."
        case _:
            return "Find out why the groups differ in size. Then start the test anew."


def _appendix(a: Analysis) -> list[Block]:
    r = a.sample_ratio
    rows = []
    for m in a.metrics:
        e = a.effects[m.name]
        rows.append(
            [
                m.name,
                m.role,
                f"{e.control:.5g}",
                f"{e.treatment:.5g}",
                f"{e.difference:+.4g}",
                f"{e.low:+.4g} … {e.high:+.4g}",
                f"{e.always_low:+.4g} … {e.always_high:+.4g}",
                f"{e.always_p:.3g}",
                "" if e.p_adjusted is None else f"{e.p_adjusted:.3g}",
                "" if e.variance_reduction is None else f"{e.variance_reduction:.0%}",
            ]
        )
    blocks: list[Block] = [
        Paragraph(
            f"Sample ratio: {', '.join(f'{v} {n:,}' for v, n in r.observed.items())}; "
            f"chi-squared p = {r.p:.3g}, mismatch below 0.001."
        ),
        Grid(
            "Effects. One look: Welch's interval. Always valid: asymptotic confidence sequence, "
            f"tightest at {a.planned:,} units. Adjusted: Holm over success metrics.",
            [
                "metric",
                "role",
                "control",
                "treatment",
                "difference",
                "one look",
                "always valid",
                "p",
                "adjusted",
                "CUPED",
            ],
            rows,
            frozenset(range(2, 10)),
        ),
    ]
    if a.segments:
        blocks.append(
            Grid(
                "By segment, to explore and not to decide; p adjusted over all segments.",
                ["segment", "difference", "always valid", "adjusted"],
                [
                    [
                        f"{s.column} = {s.value}",
                        f"{s.effect.difference:+.4g}",
                        f"{s.effect.always_low:+.4g} … {s.effect.always_high:+.4g}",
                        f"{s.effect.p_adjusted:.3g}",
                    ]
                    for s in a.segments
                ],
                frozenset({1, 2, 3}),
            )
        )
        for column, h in a.heterogeneity.items():
            parts = [s for s in a.segments if s.column == column and known(s)]
            blocks.append(
                Grid(
                    f"By {column}, with restraint: effects are shrunk towards their mean "
                    f"(empirical Bayes). Cochran's Q that no part differs: p = {h.q_p:.3g}.",
                    [column, "as measured", "with restraint", "95%"],
                    [
                        [
                            s.value,
                            f"{s.effect.difference:+.4g}",
                            f"{e:+.4g}",
                            f"{low:+.4g} … {high:+.4g}",
                        ]
                        for s, e, low, high in zip(parts, h.shrunk, h.low, h.high, strict=True)
                    ],
                    frozenset({1, 2, 3}),
                )
            )
    if a.design.kind == "switchback":
        blocks.append(
            Paragraph(
                "Switch-back: the unit of analysis is the mean of a period of a place; "
                f"{a.design.dropped:,} observations right after a switch are left out."
            )
        )
    if a.design.kind == "clusters":
        blocks.append(
            Paragraph(
                f"Clusters by “{a.design.clusters_of}”: means per unit by the delta method, over "
                "clusters."
            )
        )
    return blocks


def _by_day(metric: str, seen: Novelty) -> Grid:
    return Grid(
        f"{metric} by days since first exposure. Trend {seen.trend:+.4g} a day (standard error "
        f"{seen.trend_error:.2g}, p = {seen.p:.3g}; days of one unit taken as independent).",
        ["day", "effect", "standard error"],
        [
            [str(d), f"{e:+.4g}", f"{s:.2g}"]
            for d, e, s in zip(seen.days, seen.effects, seen.errors, strict=True)
        ],
        frozenset({0, 1, 2}),
    )


def decided(analysis: Analysis) -> dict[str, Any]:
    """An analysis as it is kept in a workspace, with the sentence that says what to do."""
    return {"says": VERDICTS[analysis.decision.verdict], **analysis.to_json()}
