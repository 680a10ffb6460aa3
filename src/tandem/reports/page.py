"""A page as blocks, rendered as Markdown or as one self-contained HTML file.

Reports say what a page holds; how it looks is settled here, once, for all of them. The HTML needs
no network, no script and no second file, and follows the reader's light or dark preference.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby

from tandem.reports import charts
from tandem.reports.charts import BarChart, Chart, DayChart, MarkChart


@dataclass(frozen=True, slots=True)
class Heading:
    """`apart`: begins a new page where there are pages."""

    text: str
    apart: bool = False


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


Block = Heading | Paragraph | Notice | Bullets | Grid | Definitions | Chart


@dataclass(frozen=True, slots=True)
class Page:
    title: str
    blocks: Sequence[Block]

    def markdown(self) -> str:
        """CommonMark with pipe tables; of a chart its numbers."""
        parts = [f"# {_md(self.title)}"]
        parts += [text for block in self.blocks if (text := _block_markdown(block))]
        return "\n\n".join(parts) + "\n"

    def html(self) -> str:
        body = "\n".join(
            f'<div class="charts">\n{inner}\n</div>' if drawn else inner
            for drawn, inner in _side_by_side(self.blocks)
        )
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
        case Heading(text, _):
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
        case BarChart():
            return ""  # its numbers stand in the tables beside it
        case MarkChart() | DayChart():
            return _block_markdown(numbers(block))


def numbers(chart: MarkChart | DayChart) -> Grid:
    """What a chart shows, as a table."""
    header, rows = charts.rows(chart)
    return Grid(chart.caption, header, rows, frozenset(range(1, len(header))))


def _row(cells: Sequence[str], *, raw: bool = False, bold: bool = False) -> str:
    shown = cells if raw else [f"**{_md(c)}**" if bold and c else _md(c) for c in cells]
    return "| " + " | ".join(shown) + " |"


def _side_by_side(blocks: Sequence[Block]) -> Iterator[tuple[bool, str]]:
    """The blocks as HTML; charts that follow each other are one run (True)."""
    for drawn, run in groupby(blocks, lambda b: isinstance(b, MarkChart | DayChart)):
        yield drawn, "\n".join(_block_html(block) for block in run)


def _block_html(block: Block) -> str:
    match block:
        case Heading(text, apart):
            return f"<h2{_APART if apart else ''}>{escape(text)}</h2>"
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
        case BarChart() | MarkChart() | DayChart():
            return charts.svg(block)


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


_APART = ' class="apart"'
STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5a6675; --line: #d9dee5; --paper: #fff;
  --tint: #f3f5f8; --bar: #a9b6c6; --strong: #2563ab; --warn: #fff4d6; --warn-line: #d79b00;
  --good: #1d8a4a; --bad: #c0392b; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ecf1; --soft: #a3aebb; --line: #36404c;
  --paper: #14191f; --tint: #1d242c; --bar: #56657a; --strong: #5b9bea; --warn: #3a2f10;
  --warn-line: #e0ad2e; --good: #46b476; --bad: #ef7b6c; } }
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
figure { margin: 1rem 0; } .charts { display: flex; flex-wrap: wrap; gap: 0 2rem; }
.charts figure { flex: 1 1 320px; min-width: 0; max-width: 540px; }
svg { width: 100%; max-width: 540px; height: auto; display: block; }
svg text { fill: var(--ink); font-size: 13px; } svg .group { font-weight: 600; }
svg .tick { fill: var(--soft); font-size: 12px; }
svg .value { font-variant-numeric: tabular-nums; font-weight: 600; }
.bar { fill: var(--bar); } .bar.strong { fill: var(--strong); }
.interval { stroke: var(--ink); stroke-width: 1.5; fill: none; }
.dot { fill: var(--bar); stroke: var(--paper); stroke-width: 1.5; }
.good { fill: var(--good); } .bad { fill: var(--bad); }
.line { stroke: var(--strong); stroke-width: 2; fill: none; stroke-linejoin: round; }
.band { fill: var(--strong); opacity: .16; } .recent { fill: var(--tint); }
.grid { stroke: var(--line); fill: none; } .axis { stroke: var(--soft); fill: none; }
figcaption { color: var(--soft); font-size: .88rem; }
dt { font-weight: 600; margin-top: .6rem; } dd { margin: 0; color: var(--soft); max-width: 70ch; }
@media print { main { padding: 0; max-width: none; } body { font-size: 12px; line-height: 1.4; }
  h1 { font-size: 22px; margin-bottom: 10px; } .lead { font-size: 15px; margin: 10px 0; }
  h2 { font-size: 14px; margin: 13px 0 3px; break-after: avoid; } p, li, dd { max-width: none; }
  p, ul, dl { margin: 4px 0; overflow-wrap: normal; } li { margin: 1px 0; }
  dt { float: left; clear: left; margin: 0 6px 0 0; } dt::after { content: ":"; }
  figcaption, .caption { font-size: 10.5px; }
  .notice { padding: 6px 10px; } figure { margin: 8px 0; } .charts { gap: 0 24px; }
  .charts figure { flex: 1 1 260px; max-width: 400px; } .apart { break-before: page; }
  table { font-size: 10.5px; } th, td { padding: 3px 6px; }
  tr, figure { break-inside: avoid; } .scroll { overflow: visible; } }
"""
