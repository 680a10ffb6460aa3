"""A page as blocks, rendered as Markdown or as one self-contained HTML file.

Reports say what a page holds; how it looks is settled here, once, for all of them. The HTML needs
no network, no script and no second file, and follows the reader's light or dark preference.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True, slots=True)
class Heading:
    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """`lead` sets it larger: the one sentence to take away."""

    text: str
    lead: bool = False


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that must not be overlooked."""

    text: str


@dataclass(frozen=True, slots=True)
class Bullets:
    items: Sequence[str]


@dataclass(frozen=True, slots=True)
class Grid:
    """A table. Columns in `numeric` (by position) are aligned to the right.

    `strong`: positions of the rows that stand out.
    """

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: frozenset[int] = frozenset()
    strong: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Definitions:
    terms: Sequence[tuple[str, str]]


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
class Change:
    """A relative change with its interval, all as shares (0.03 is +3%). good: which way it points.

    None in `value`: it cannot be said as a share.
    """

    label: str
    value: float | None
    low: float
    high: float
    good: bool | None = None


@dataclass(frozen=True, slots=True)
class ChangeChart:
    """Changes as dots with intervals around a line at no change."""

    caption: str
    changes: Sequence[Change]


Block = Heading | Paragraph | Notice | Bullets | Grid | Definitions | BarChart | ChangeChart


@dataclass(frozen=True, slots=True)
class Page:
    title: str
    blocks: Sequence[Block]

    def markdown(self) -> str:
        """CommonMark with pipe tables. The chart's numbers stand in the tables beside it."""
        parts = [f"# {_md(self.title)}"]
        parts += [text for block in self.blocks if (text := _block_markdown(block))]
        return "\n\n".join(parts) + "\n"

    def html(self) -> str:
        body = "\n".join(_block_html(block) for block in self.blocks)
        title = escape(self.title)
        return (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
            f"<h1>{title}</h1>\n{body}\n</main>\n</body>\n</html>\n"
        )


def _md(text: str) -> str:
    """Text that Markdown shows as it is: queries and names may hold any character."""
    return re.sub(r"([\\`*_\[\]<>|#~])", r"\\\1", " ".join(text.split()))


def _block_markdown(block: Block) -> str:
    match block:
        case Heading(text):
            return f"## {_md(text)}"
        case Paragraph(text, lead):
            return f"**{_md(text)}**" if lead else _md(text)
        case Notice(text):
            return f"> **{_md(text)}**"
        case Bullets(items):
            return "\n".join(f"- {_md(item)}" for item in items)
        case Definitions(terms):
            return "\n".join(f"- **{_md(term)}**: {_md(meaning)}" for term, meaning in terms)
        case Grid(caption, header, rows, numeric, strong):
            lines = [
                _row(header),
                _row(["---:" if i in numeric else "---" for i in range(len(header))], raw=True),
            ]
            lines += [_row(row, bold=i in strong) for i, row in enumerate(rows)]
            return f"{_md(caption)}\n\n" + "\n".join(lines)
        case BarChart() | ChangeChart():
            return ""


def _row(cells: Sequence[str], *, raw: bool = False, bold: bool = False) -> str:
    shown = cells if raw else [f"**{_md(c)}**" if bold and c else _md(c) for c in cells]
    return "| " + " | ".join(shown) + " |"


def _block_html(block: Block) -> str:
    match block:
        case Heading(text):
            return f"<h2>{escape(text)}</h2>"
        case Paragraph(text, lead):
            kind = ' class="lead"' if lead else ""
            return f"<p{kind}>{escape(text)}</p>"
        case Notice(text):
            return f'<p class="notice" role="note">{escape(text)}</p>'
        case Bullets(items):
            return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>"
        case Definitions(terms):
            inner = "".join(f"<dt>{escape(t)}</dt><dd>{escape(m)}</dd>" for t, m in terms)
            return f"<dl>{inner}</dl>"
        case Grid():
            return _grid_html(block)
        case BarChart():
            return _chart_svg(block)
        case ChangeChart():
            return _change_svg(block)


def _grid_html(grid: Grid) -> str:
    def cells(tag: str, row: Sequence[str]) -> str:
        kinds = [' class="n"' if i in grid.numeric else "" for i in range(len(row))]
        return "".join(f"<{tag}{k}>{escape(c)}</{tag}>" for k, c in zip(kinds, row, strict=True))

    kinds = [' class="strong"' if i in grid.strong else "" for i in range(len(grid.rows))]
    rows = "\n".join(
        f"<tr{kind}>{cells('td', row)}</tr>" for kind, row in zip(kinds, grid.rows, strict=True)
    )
    return (
        f'<p class="caption">{escape(grid.caption)}</p>\n'
        f'<div class="scroll" tabindex="0"><table aria-label="{escape(grid.caption)}">'
        f"<thead><tr>{cells('th', grid.header)}</tr></thead>\n"
        f"<tbody>\n{rows}\n</tbody></table></div>"
    )


# Narrow, so that the text stays readable when a phone scales it down.
_WIDTH, _LEFT, _RIGHT, _ROW, _BAR = 440, 100, 50, 24, 13
_LABEL = 14  # characters that fit left of the axis


def _chart_svg(chart: BarChart) -> str:
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
            name = bar.label if len(bar.label) <= _LABEL else bar.label[: _LABEL - 1] + "…"
            marks.append(
                f'<text x="{_LEFT - 8}" y="{middle + 4:.1f}" text-anchor="end">'
                f"{escape(name)}<title>{escape(bar.label)}</title></text>"
            )
            if bar.value is None:
                marks.append(f'<text x="{_LEFT + 6}" y="{middle + 4:.1f}">not measurable</text>')
            else:
                style = "bar strong" if bar.strong else "bar"
                low, high = x(bar.low), x(bar.high)
                marks.append(
                    f'<rect class="{style}" x="{_LEFT}" y="{middle - _BAR / 2:.1f}" '
                    f'width="{bar.value * plot:.1f}" height="{_BAR}" rx="2"/>'
                    f'<path class="interval" d="M{low:.1f} {middle:.1f}H{high:.1f}'
                    f'M{low:.1f} {middle - 4:.1f}v8M{high:.1f} {middle - 4:.1f}v8"/>'
                    f'<text class="value" x="{high + 8:.1f}" y="{middle + 4:.1f}">'
                    f"{bar.value:.3f}</text>"
                )
            y += _ROW
        grid = "".join(f"M{x(t / 4):.1f} {top:.0f}V{y:.0f}" for t in range(1, 5))
        marks.insert(0, f'<path class="grid" d="{grid}"/>')
        marks.append(f'<path class="axis" d="M{_LEFT} {top:.0f}V{y:.0f}"/>')
        y += 12
    ticks = "".join(
        f'<text class="tick" x="{x(t / 4):.1f}" y="{y + 4:.0f}" text-anchor="middle">'
        f"{t / 4:g}</text>"
        for t in range(5)
    )
    described = "; ".join(
        f"{title}: "
        + ", ".join(
            f"{b.label} {'not measurable' if b.value is None else f'{b.value:.3f}'}" for b in bars
        )
        for title, bars in chart.groups
    )
    return (
        f'<figure><svg viewBox="0 0 {_WIDTH} {y + 14:.0f}" role="img" '
        f'aria-label="{escape(chart.caption)} {escape(described)}">\n'
        + "\n".join(marks)
        + f"\n{ticks}</svg><figcaption>{escape(chart.caption)}</figcaption></figure>"
    )


def percent(share: float) -> str:
    """A share as a signed percentage: +3.3%."""
    return f"{share:+.1%}"


def _change_svg(chart: ChangeChart) -> str:
    """Dots with intervals; the axis reaches as far to the left of no change as to the right."""
    known = [c for c in chart.changes if c.value is not None]
    reach = max([0.01, *(max(abs(c.low), abs(c.high)) for c in known)]) * 1.1
    middle, half = _LEFT + (_WIDTH - _LEFT - 20) / 2, (_WIDTH - _LEFT - 20) / 2

    def x(share: float) -> float:
        return middle + share / reach * half

    bottom = 12 + 2 * _ROW * len(chart.changes)
    marks = [f'<path class="axis" d="M{middle:.1f} 6V{bottom}"/>']
    for i, c in enumerate(chart.changes):
        y = 12 + 2 * _ROW * i + _ROW
        name = c.label if len(c.label) <= _LABEL else c.label[: _LABEL - 1] + "…"
        marks.append(
            f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{escape(name)}'
            f"<title>{escape(c.label)}</title></text>"
        )
        if c.value is None:
            marks.append(f'<text x="{_LEFT + 6}" y="{y + 4}">not a share</text>')
            continue
        kind = "dot" if c.good is None else "dot good" if c.good else "dot bad"
        at, low, high = x(c.value), x(c.low), x(c.high)
        marks.append(
            f'<path class="interval" d="M{low:.1f} {y}H{high:.1f}M{low:.1f} {y - 5}v10'
            f'M{high:.1f} {y - 5}v10"/><circle class="{kind}" cx="{at:.1f}" cy="{y}" r="5.5"/>'
            f'<text class="value" x="{at:.1f}" y="{y - 10}" text-anchor="middle">'
            f"{percent(c.value)}</text>"
        )
    marks += [
        f'<text class="tick" x="{x(t):.1f}" y="{bottom + 16}" text-anchor="{anchor}">{label}</text>'
        for t, label, anchor in (
            (-reach, percent(-reach), "start"),
            (0.0, "no change", "middle"),
            (reach, percent(reach), "end"),
        )
    ]
    described = "; ".join(
        f"{c.label}: "
        + (
            "not a share"
            if c.value is None
            else f"{percent(c.value)}, from {percent(c.low)} to {percent(c.high)}"
        )
        for c in chart.changes
    )
    return (
        f'<figure><svg viewBox="0 0 {_WIDTH} {bottom + 24}" role="img" '
        f'aria-label="{escape(chart.caption)} {escape(described)}">\n'
        + "\n".join(marks)
        + f"</svg><figcaption>{escape(chart.caption)}</figcaption></figure>"
    )


STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5a6675; --line: #d9dee5; --paper: #fff;
  --tint: #f3f5f8; --bar: #a9b6c6; --strong: #2563ab; --warn: #fff4d6; --warn-line: #d79b00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ecf1; --soft: #a3aebb; --line: #36404c;
  --paper: #14191f; --tint: #1d242c; --bar: #56657a; --strong: #5b9bea; --warn: #3a2f10;
  --warn-line: #e0ad2e; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
main { max-width: 860px; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 1rem; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
p, li { max-width: 70ch; overflow-wrap: anywhere; }
ul { padding-left: 1.25rem; } li { margin: .25rem 0; }
.lead { font-size: 1.2rem; line-height: 1.45; }
.notice { background: var(--warn); border-left: 4px solid var(--warn-line);
  padding: .7rem 1rem; font-weight: 600; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; margin: .4rem 0 1.2rem; }
.caption { color: var(--soft); font-size: .92rem; margin: 0 0 .3rem; }
th, td { text-align: left; padding: .38rem .6rem; border-bottom: 1px solid var(--line);
  vertical-align: top; }
th { font-weight: 600; background: var(--tint); }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr.strong td { font-weight: 650; }
figure { margin: 1rem 0; } svg { width: 100%; max-width: 540px; height: auto; display: block; }
svg text { fill: var(--ink); font-size: 13px; } svg .group { font-weight: 600; }
svg .tick { fill: var(--soft); font-size: 12px; } svg .value { font-variant-numeric: tabular-nums;
  paint-order: stroke; stroke: var(--paper); stroke-width: 4px; stroke-linejoin: round; }
.bar { fill: var(--bar); } .bar.strong { fill: var(--strong); }
.interval { stroke: var(--ink); stroke-width: 1.5; fill: none; }
.dot { fill: var(--bar); } .dot.good { fill: #1d8a4a; } .dot.bad { fill: #c0392b; }
.grid { stroke: var(--line); fill: none; } .axis { stroke: var(--soft); fill: none; }
figcaption { color: var(--soft); font-size: .88rem; }
dt { font-weight: 600; margin-top: .6rem; } dd { margin: 0; color: var(--soft); max-width: 70ch; }
@media print { main { padding: 0; } h2 { break-after: avoid; } tr { break-inside: avoid; } }
"""
