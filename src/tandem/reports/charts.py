"""Charts of reports as SVG within the page: no script, no network, no second file.

Axes of amounts start at zero, axes of differences reach as far to the left of no change as to the
right, and intervals are drawn. Colours come from the page's style, so charts follow its dark mode.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from tandem.reports.figures import Figure


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar from 0 to `value` (None: unknown, no bar) with its interval, all on 0 to 1."""

    label: str
    value: float | None
    low: float
    high: float
    strong: bool = False


@dataclass(frozen=True, slots=True)
class BarChart:
    """Groups of horizontal bars on an axis from 0 to 1."""

    caption: str
    groups: Sequence[tuple[str, Sequence[Bar]]]


@dataclass(frozen=True, slots=True)
class Mark:
    """A figure with its name; good: whether it points the right way, None: unclear or neither."""

    label: str
    figure: Figure
    good: bool | None = None


@dataclass(frozen=True, slots=True)
class MarkChart:
    """Figures of one unit below each other with their intervals: bars from zero for amounts, dots
    around the line of no change for differences."""

    caption: str
    marks: Sequence[Mark]


@dataclass(frozen=True, slots=True)
class DayChart:
    """One figure by day, from zero. recent_from: place of the first day that is tinted."""

    caption: str
    days: Sequence[tuple[str, Figure]]
    recent_from: int | None = None


Chart = BarChart | MarkChart | DayChart

# Narrow, so that the text stays readable when a phone scales it down.
_WIDTH, _LEFT, _RIGHT, _ROW, _BAR = 440, 100, 50, 24, 13
_LABEL = 14  # characters that fit left of the axis
_EDGE, _LINE, _NAME = 22, 44, 46  # of a chart of marks: margin, height of a line, characters
_HEIGHT = 130  # of a chart by day


def svg(chart: Chart) -> str:
    """The chart as a figure with its caption; what it shows is told to those who cannot see it."""
    match chart:
        case BarChart():
            body, height, told = _bars(chart)
        case MarkChart():
            body, height, told = _marks(chart)
        case DayChart():
            body, height, told = _days(chart)
    return (
        f'<figure><svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img" '
        f'aria-label="{escape(chart.caption)} {escape(told)}">\n{body}\n</svg>'
        f"<figcaption>{escape(chart.caption)}</figcaption></figure>"
    )


def rows(chart: MarkChart | DayChart) -> tuple[Sequence[str], list[list[str]]]:
    """The chart's numbers as a table: header, rows; without columns of intervals where it has
    none."""
    if isinstance(chart, MarkChart):
        first, named = "", [(m.label, m.figure) for m in chart.marks]
    else:
        first, named = "day", list(chart.days)
    if all(f.low is None for _, f in named):
        return (first, "value"), [[label, str(f)] for label, f in named]
    return (first, "value", "from", "to"), [
        [label, str(f), *("" if v is None else f.write(v) for v in (f.low, f.high))]
        for label, f in named
    ]


def _bars(chart: BarChart) -> tuple[str, float, str]:
    """Horizontal bars from zero, each with its interval as a line with ends."""
    plot = _WIDTH - _LEFT - _RIGHT

    def x(value: float) -> float:
        return _LEFT + value * plot

    marks: list[str] = []
    y = 6.0
    for title, bars in chart.groups:
        marks.append(f'<text class="group" x="{_LEFT}" y="{y + 15:.0f}">{escape(title)}</text>')
        y += 24
        top = y
        for bar in bars:
            middle = y + _ROW / 2
            marks.append(
                f'<text x="{_LEFT - 8}" y="{middle + 4:.1f}" text-anchor="end">'
                f"{_short(bar.label, _LABEL)}</text>"
            )
            if bar.value is None:
                marks.append(f'<text x="{_LEFT + 6}" y="{middle + 4:.1f}">not measurable</text>')
            else:
                style = "bar strong" if bar.strong else "bar"
                low, high = x(bar.low), x(bar.high)
                marks.append(
                    f'<rect class="{style}" x="{_LEFT}" y="{middle - _BAR / 2:.1f}" '
                    f'width="{bar.value * plot:.1f}" height="{_BAR}" rx="2"/>'
                    f"{_interval(low, high, middle)}"
                    f'<text class="value" x="{high + 8:.1f}" y="{middle + 4:.1f}">'
                    f"{bar.value:.3f}</text>"
                )
            y += _ROW
        grid = "".join(f"M{x(t / 4):.1f} {top:.0f}V{y:.0f}" for t in range(1, 5))
        marks.insert(0, f'<path class="grid" d="{grid}"/>')
        marks.append(f'<path class="axis" d="M{_LEFT} {top:.0f}V{y:.0f}"/>')
        y += 12
    marks += [
        f'<text class="tick" x="{x(t / 4):.1f}" y="{y + 4:.0f}" text-anchor="middle">'
        f"{t / 4:g}</text>"
        for t in range(5)
    ]
    told = "; ".join(
        f"{title}: "
        + ", ".join(
            f"{b.label} {'not measurable' if b.value is None else f'{b.value:.3f}'}" for b in bars
        )
        for title, bars in chart.groups
    )
    return "\n".join(marks), y + 14, told


def _marks(chart: MarkChart) -> tuple[str, float, str]:
    """A line of text and a line of drawing for each figure, over one axis."""
    known = [m.figure for m in chart.marks if m.figure.value is not None]
    like = known[0] if known else Figure(None)
    signed = any(f.signed for f in known)
    ends = [v for f in known for v in (f.value, f.low, f.high) if v is not None]
    far = max([abs(v) for v in ends], default=0.0) or 1.0
    bottom = min([0.0, *ends])
    low, high = (-far, far) if signed else (bottom, max([0.0, *ends]) or 1.0)
    ticks, low, high = _axis(low, high)

    def x(value: float) -> float:
        return _EDGE + (value - low) / (high - low) * (_WIDTH - 2 * _EDGE)

    down = 4 + _LINE * len(chart.marks)
    # Lines only beside what is drawn, so that none crosses a word.
    across = [(4 + _LINE * i + 21, 4 + _LINE * i + 40) for i in range(len(chart.marks))]
    grid, zero = (
        "".join(
            f"M{x(t):.1f} {top}V{end}" for top, end in across for t in ticks if bool(t) is other
        )
        for other in (True, False)
    )
    drawn = [f'<path class="grid" d="{grid}"/><path class="axis" d="{zero}"/>']
    for i, mark in enumerate(chart.marks):
        top = 4 + _LINE * i
        f, y = mark.figure, top + 30
        drawn.append(
            f'<text x="0" y="{top + 15}">{_short(mark.label, _NAME)}</text>'
            f'<text class="value" x="{_WIDTH}" y="{top + 15}" text-anchor="end">{escape(str(f))}'
            "</text>"
        )
        if f.value is None:
            continue
        kind = {None: "", True: " good", False: " bad"}[mark.good]
        if f.signed:
            at = f'<circle class="dot{kind}" cx="{x(f.value):.1f}" cy="{y}" r="5.5"/>'
        else:
            left, right = sorted((x(0), x(f.value)))
            at = (
                f'<rect class="bar{kind}" x="{left:.1f}" y="{y - 6}" width="{right - left:.1f}" '
                'height="12" rx="2"/>'
            )
        line = "" if f.low is None or f.high is None else _interval(x(f.low), x(f.high), y)
        drawn.append(line + at if f.signed else at + line)
    drawn += [
        f'<text class="tick" x="{x(t):.1f}" y="{down + 16}" text-anchor="middle">'
        f"{'no change' if signed and not t else escape(_tick(t, ticks, like))}</text>"
        for t in ticks
    ]
    told = "; ".join(
        f"{m.label}: {m.figure}" + (f", {m.figure.span}" if m.figure.low is not None else "")
        for m in chart.marks
    )
    return "\n".join(drawn), down + 24, told


def _days(chart: DayChart) -> tuple[str, float, str]:
    """A line over days with its band, from zero."""
    known = [(i, f) for i, (_, f) in enumerate(chart.days) if f.value is not None]
    like = known[0][1] if known else Figure(None)
    most = max((v for _, f in known for v in (f.value, f.high) if v is not None), default=0.0)
    ticks, low, high = _axis(0.0, most or 1.0)
    left, right, top, bottom = 58, _WIDTH - 10, 8, 8 + _HEIGHT
    steps = max(len(chart.days) - 1, 1)

    def x(i: float) -> float:
        return left + i / steps * (right - left)

    def y(value: float) -> float:
        return bottom - (value - low) / (high - low) * (bottom - top)

    drawn = []
    if chart.recent_from is not None:
        start = x(max(chart.recent_from - 0.5, 0))
        drawn.append(
            f'<rect class="recent" x="{start:.1f}" y="{top}" width="{right - start:.1f}" '
            f'height="{bottom - top}"/>'
        )
    drawn.append(
        f'<path class="grid" d="{"".join(f"M{left} {y(t):.1f}H{right}" for t in ticks if t)}"/>'
        f'<path class="axis" d="M{left} {bottom}H{right}"/>'
    )
    band = [(i, f.low, f.high) for i, f in known if f.low is not None and f.high is not None]
    if len(band) > 1:
        there = " ".join(f"{x(i):.1f},{y(up):.1f}" for i, _, up in band)
        back = " ".join(f"{x(i):.1f},{y(max(down, low)):.1f}" for i, down, _ in reversed(band))
        drawn.append(f'<polygon class="band" points="{there} {back}"/>')
    drawn.append(
        '<polyline class="line" points="'
        + " ".join(f"{x(i):.1f},{y(f.value or 0.0):.1f}" for i, f in known)
        + '"/>'
    )
    drawn += [
        f'<text class="tick" x="{left - 6}" y="{y(t) + 4:.1f}" text-anchor="end">'
        f"{escape(_tick(t, ticks, like))}</text>"
        for t in ticks
    ]
    if chart.days:
        drawn += [
            f'<text class="tick" x="{x(i):.1f}" y="{bottom + 17}" text-anchor="{anchor}">'
            f"{escape(chart.days[i][0])}</text>"
            for i, anchor in ((0, "start"), (len(chart.days) - 1, "end"))
        ]
    told = "; ".join(f"{day}: {f}" for day, f in chart.days)
    return "\n".join(drawn), bottom + 24, told


def _interval(low: float, high: float, y: float) -> str:
    return (
        f'<path class="interval" d="M{low:.1f} {y:.1f}H{high:.1f}'
        f'M{low:.1f} {y - 4:.1f}v8M{high:.1f} {y - 4:.1f}v8"/>'
    )


def _short(label: str, most: int) -> str:
    """A label that fits, with the whole of it on hover."""
    name = label if len(label) <= most else label[: most - 1].rstrip() + "…"
    return f"{escape(name)}<title>{escape(label)}</title>"


def _axis(low: float, high: float) -> tuple[list[float], float, float]:
    """Round ticks (1, 2 or 5 times a power of ten apart) and the ends of an axis around them."""
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(s * power for s in (1, 2, 5, 10) if s * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [t * step for t in range(first, last + 1)], first * step, last * step


def _tick(value: float, ticks: Sequence[float], like: Figure) -> str:
    step = ticks[1] - ticks[0]
    sign = "+" if like.signed else ""
    if like.unit == "share":
        return f"{value:{sign}.{max(0, -math.floor(math.log10(step * 100) + 1e-9))}%}"
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    for size, letter in ((1e9, "bn"), (1e6, "m"), (1e3, "k")):
        if step >= size / 2 and abs(ticks[-1]) >= size:
            if not value:
                return "0"
            return f"{value / size:{sign}.{0 if step >= size else 1}f}{letter}"
    return f"{value:{sign},.{digits}f}"
