"""A page as an e-mail: plain text and HTML in one message that opens without network.

Mail programs drop style sheets, scripts and SVG, so styles stand in the elements and charts are
tables. The message has no sender and no addressee: whoever opens it sends or forwards it.
"""

from __future__ import annotations

from collections.abc import Sequence
from email.message import EmailMessage
from email.policy import SMTP
from html import escape
from itertools import groupby

from tandem.reports.charts import BarChart, DayChart, Mark, MarkChart
from tandem.reports.page import (
    Block,
    Bullets,
    Definitions,
    Grid,
    Heading,
    Notice,
    Page,
    Paragraph,
    numbers,
)

_FONT = "font-family:Arial,Helvetica,sans-serif;color:#1c2430"
_P = "margin:0 0 12px;font-size:15px;line-height:1.5"
_SMALL = "margin:4px 0 14px;font-size:13px;line-height:1.4;color:#5a6675"
_CELL = "padding:5px 8px;border-bottom:1px solid #d9dee5;font-size:13px;text-align:"
_TABLE = '<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0">'
_CELLS = 100  # of a strip that stands for a figure
_PALE = {None: "#c3ccd5", True: "#8fc5a5", False: "#e09d95"}
_COLOURS = {None: "#8a98a8", True: "#1d8a4a", False: "#c0392b"}


def mail(page: Page, *, simulated: bool) -> bytes:
    """The message as a file. Simulated data is marked in its subject too."""
    message = EmailMessage(policy=SMTP)
    message["Subject"] = f"[Simulated] {page.title}" if simulated else page.title
    message["X-Unsent"] = "1"  # Outlook opens it as a draft
    message.set_content(_text(page))
    message.add_alternative(_html(page), subtype="html")
    # The boundary is drawn by chance; the same report shall be the same file.
    message.set_boundary("=_one_page_report_")
    return message.as_bytes()


def _text(page: Page) -> str:
    parts = [f"{page.title}\n{'=' * min(len(page.title), 76)}"]
    parts += [text for block in page.blocks if (text := _block_text(block))]
    return "\n\n".join(parts) + "\n"


def _block_text(block: Block) -> str:
    match block:
        case Heading(text, _):
            return f"{text}\n{'-' * len(text)}"
        case Paragraph(text, _):
            return text
        case Notice(text):
            return f"*** {text} ***"
        case Bullets(items):
            return "\n".join(f"- {item}" for item in items)
        case Definitions(terms):
            return "\n".join(f"- {term}: {meaning}" for term, meaning in terms)
        case MarkChart() | DayChart():
            return _block_text(numbers(block))
        case BarChart():
            return ""
        case Grid(caption, header, rows, _, _):
            lines = [" | ".join(row) for row in (header, *rows)]
            return "\n".join([caption, *lines])


def _html(page: Page) -> str:
    body = "\n".join(_block_html(block) for block in page.blocks)
    title = escape(page.title)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<title>{title}</title></head>\n<body style="margin:0;background:#ffffff">\n'
        '<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0"><tr>'
        f'<td align="center" style="padding:20px 12px"><table role="presentation" width="600" '
        'cellpadding="0" cellspacing="0" border="0" style="width:100%;max-width:600px"><tr>'
        f'<td style="{_FONT};text-align:left">\n'
        f'<h1 style="margin:0 0 14px;font-size:23px;line-height:1.25">{title}</h1>\n{body}\n'
        "</td></tr></table></td></tr></table>\n</body></html>\n"
    )


def _block_html(block: Block) -> str:
    match block:
        case Heading(text, _):
            style = "margin:24px 0 8px;font-size:17px"
            return f'<h2 style="{style}">{escape(text)}</h2>'
        case Paragraph(text, lead):
            style = "margin:0 0 14px;font-size:18px;line-height:1.45" if lead else _P
            return f'<p style="{style}">{escape(text)}</p>'
        case Notice(text):
            style = (
                "margin:0 0 16px;padding:10px 14px;background:#fff4d6;"
                "border-left:4px solid #d79b00;font-size:15px;font-weight:bold"
            )
            return f'<p style="{style}">{escape(text)}</p>'
        case Bullets(items):
            inner = "".join(f'<li style="margin:0 0 6px">{escape(i)}</li>' for i in items)
            return f'<ul style="{_P};padding-left:22px">{inner}</ul>'
        case Definitions(terms):
            return "".join(
                f'<p style="{_P}"><strong>{escape(t)}:</strong> {escape(m)}</p>' for t, m in terms
            )
        case MarkChart(caption, marks):
            drawn = _marks_html(marks)
            return f'{drawn}<p style="{_SMALL}">{escape(caption)}</p>'
        case DayChart(caption, days, recent):
            return _grid_html(numbers(DayChart(caption, days[-14 if recent is None else recent :])))
        case BarChart():
            return ""
        case Grid():
            return _grid_html(block)


def _grid_html(grid: Grid) -> str:
    def cells(tag: str, row: Sequence[str]) -> str:
        return "".join(
            f'<{tag} style="{_CELL}{"right" if i in grid.numeric else "left"}">{escape(c)}</{tag}>'
            for i, c in enumerate(row)
        )

    rows = "".join(f"<tr>{cells('td', row)}</tr>" for row in grid.rows)
    return (
        f'<p style="{_SMALL}">{escape(grid.caption)}</p>'
        '<table width="100%" cellpadding="0" cellspacing="0" border="0" '
        'style="border-collapse:collapse;margin:0 0 14px">'
        f"<tr>{cells('th', grid.header)}</tr>{rows}</table>"
    )


def _marks_html(marks: Sequence[Mark]) -> str:
    """Each figure with its interval as a strip of cells. The zero of all strips lies in one place,
    and is written below."""
    known = [m.figure for m in marks if m.figure.value is not None]
    ends = [v for f in known for v in (f.value, f.low, f.high) if v is not None]
    signed = any(f.signed for f in known)
    low, high = min([0.0, *ends]), max([0.0, *ends]) or 1.0
    if signed:
        low, high = -max(-low, high), max(-low, high)

    def place(value: float) -> int:
        return round((value - low) / (high - low) * (_CELLS - 1))

    zero = place(0.0)
    rows = []
    for mark in marks:
        f = mark.figure
        said = f"{f}" if f.low is None else f"{f} ({f.span})"
        rows.append(
            f'<tr><td style="padding:8px 0 2px;font-size:14px">{escape(mark.label)}: '
            f"<strong>{escape(said)}</strong></td></tr>"
        )
        if f.value is None:
            continue
        at, strip = place(f.value), ["#eef1f4"] * _CELLS
        if f.low is not None and f.high is not None:
            left, right = place(f.low), place(f.high) + 1
            strip[left:right] = ["#b9c3ce"] * (right - left)
        if f.signed:
            begin, end = max(at - 1, 0), min(at + 2, _CELLS)
        else:
            begin, end = min(zero, at), max(zero, at) + 1
        if f.signed:
            strip[zero] = "#1c2430"
        strip[begin:end] = [_COLOURS[mark.good]] * (end - begin)
        if not f.signed and f.low is not None and place(f.low) < at:
            # The part of the bar that is not sure is paler.
            strip[max(place(f.low), begin) : end] = [_PALE[mark.good]] * (
                end - max(place(f.low), begin)
            )
        cells = "".join(
            f'<td width="{100 * len(list(run)) / _CELLS:.1f}%" height="10" '
            f'style="font-size:1px;line-height:10px;background:{colour}">&nbsp;</td>'
            for colour, run in groupby(strip)
        )
        rows.append(f"<tr><td>{_TABLE}<tr>{cells}</tr></table></td></tr>")
    under = f'<td style="font-size:12px;color:#5a6675">{"no change" if signed else "0"}</td>'
    before = f'<td width="{max(100 * zero / _CELLS - (6 if signed else 0), 0):.1f}%"></td>'
    rows.append(f"<tr><td>{_TABLE}<tr>{before if zero else ''}{under}</tr></table></td></tr>")
    return f"{_TABLE}{''.join(rows)}</table>"
