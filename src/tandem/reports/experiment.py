"""An experiment's page for people who decide: plain words first, figures after.

Every number, in text, table and chart, comes from one `Analysis` (and the `Worth` made of it), so
they cannot disagree.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from tandem.experiments.abtest.analysis import Analysis
from tandem.experiments.abtest.effects import Effect, Metric
from tandem.reports.page import (
    Block,
    Bullets,
    Change,
    ChangeChart,
    Definitions,
    Grid,
    Heading,
    Notice,
    Page,
    Paragraph,
    percent,
)

SIMULATED = "Simulated data: a program made these shoppers up. They show how this works, no more."
APPENDIX = "For the experts"

_VERDICTS = {
    "ship": "Ship it. The new version is better.",
    "do_not_ship": "Do not ship it.",
    "keep_running": "Keep the test running. It is too early to tell.",
    "invalid": "Do not trust this test. Fix it and run it again.",
}


@dataclass(frozen=True, slots=True)
class Worth:
    """A year's money if everybody gets the new version: difference per unit times yearly units."""

    metric: str
    currency: str
    yearly_units: int
    value: float
    low: float
    high: float


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


def to_json(analysis: Analysis, money: Worth | None = None) -> dict[str, Any]:
    return analysis.to_json() | {"worth": asdict(money) if money else None}


def page(analysis: Analysis, money: Worth | None = None) -> Page:
    """The page. Up to the heading `APPENDIX` it is written for everybody."""
    blocks: list[Block] = []
    if analysis.simulated:
        blocks.append(Notice(SIMULATED))
    blocks += [
        Paragraph(f"{_VERDICTS[analysis.decision.verdict]} {_why(analysis)}", lead=True),
        Heading("What we tried"),
        Paragraph(_tried(analysis)),
        Heading("What happened"),
    ]
    if analysis.decision.verdict == "invalid":
        blocks.append(
            Paragraph("The groups are not as big as planned. So we do not show what happened.")
        )
    else:
        blocks.append(Bullets([_happened(m, analysis.effects[m.name]) for m in analysis.metrics]))
        blocks.append(
            ChangeChart(
                "Change in each figure. The dot is our best guess. The truth is most likely "
                "on the line.",
                [_change(m, analysis.effects[m.name]) for m in analysis.metrics],
            )
        )
        blocks += [Heading("How sure we are"), Paragraph(_sure(analysis))]
        if money is not None:
            blocks += [Heading("What it is worth"), Paragraph(_worth(money))]
    blocks += [
        Heading("What could be wrong"),
        Bullets(_doubts(analysis)),
        Heading("What happens next"),
        Paragraph(_next(analysis)),
        Heading("Words used here"),
        Definitions(
            [
                (
                    "Old version",
                    f"what shoppers see today (“{analysis.control}” in the data)",
                ),
                ("New version", f"the change we test (“{analysis.treatment}” in the data)"),
                ("Chance", "luck alone can make two groups differ, even if nothing changed"),
            ]
        ),
        Heading(APPENDIX),
        *_appendix(analysis),
    ]
    return Page(f"Did it help? {analysis.name}", blocks)


def _why(a: Analysis) -> str:
    match a.decision.verdict:
        case "ship":
            return f"“{a.decision.metric}” got better and nothing got worse."
        case "do_not_ship" if a.decision.metric:
            return f"“{a.decision.metric}” got worse."
        case "do_not_ship":
            return "We saw no gain that is more than luck."
        case "keep_running":
            return f"We have {a.units:,} of the {a.planned:,} we planned for."
        case _:
            return "The two groups are not as big as we planned."


def _tried(a: Analysis) -> str:
    control = a.sample_ratio.observed[a.control]
    treatment = a.sample_ratio.observed[a.treatment]
    return (
        f"{treatment:,} people saw the new version. {control:,} people saw the old one. "
        "Who saw which was left to chance. So the two groups are alike in all but this."
    )


def _happened(m: Metric, e: Effect) -> str:
    went = f"“{m.name}” went from {_figure(e.control)} to {_figure(e.treatment)}."
    if e.relative is None:
        return f"{went} {_proof(m, e)}"
    return f"{went} That is a change of {percent(e.relative)}. {_proof(m, e)}"


def _proof(m: Metric, e: Effect) -> str:
    better = (e.difference > 0) == (m.better == "more")
    if e.always_low <= 0 <= e.always_high:
        return "This may be luck."
    return "This is a true gain." if better else "This is a true loss."


def _change(m: Metric, e: Effect) -> Change:
    unclear = e.always_low <= 0 <= e.always_high
    good = None if unclear else (e.difference > 0) == (m.better == "more")
    return Change(
        m.name, e.relative, e.relative_always_low or 0.0, e.relative_always_high or 0.0, good
    )


def _sure(a: Analysis) -> str:
    m = next((m for m in a.metrics if m.name == a.decision.metric), a.metrics[0])
    e = a.effects[m.name]
    if e.relative is None or e.relative_always_low is None or e.relative_always_high is None:
        span = f"from {_figure(e.always_low)} to {_figure(e.always_high)}"
    else:
        span = f"from {percent(e.relative_always_low)} to {percent(e.relative_always_high)}"
    return (
        f"The true change in “{m.name}” is most likely {span}. If we ran 100 tests like this, "
        f"we would be wrong in no more than {a.alpha * 100:g} of them. "
        "That holds no matter how often we look."
    )


def _worth(w: Worth) -> str:
    return (
        f"If all shoppers get the new version, a year's money changes by about "
        f"{_money(w.value, w)}. "
        f"It could be as low as {_money(w.low, w)} or as high as {_money(w.high, w)}. "
        f"This counts {w.yearly_units:,} shoppers a year."
    )


def _money(value: float, w: Worth) -> str:
    return f"{value:+,.0f} {w.currency}"


def _doubts(a: Analysis) -> list[str]:
    doubts = ["New things get looked at more. Some of a gain can fade with time."]
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


def _next(a: Analysis) -> str:
    match a.decision.verdict:
        case "ship":
            return (
                "Give the new version to more people, step by step. Keep a small group on the "
                "old one and watch it for a month."
            )
        case "do_not_ship":
            return "Keep the old version. Write down what we learned. Then try a new idea."
        case "keep_running":
            return f"Let it run until {a.planned:,} people took part. Then read this page again."
        case _:
            return "Find out why the groups differ in size. Then start the test anew."


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.3g}"


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
    return blocks
