"""A report as a file: HTML, PDF, Markdown, JSON, or an e-mail that can be forwarded."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any

from tandem.contracts.errors import InvalidInput, MissingExtra
from tandem.reports.mail import mail
from tandem.reports.page import Page
from tandem.reports.report import Report

if TYPE_CHECKING:
    import plutoprint


def rendered(report: Report, ending: str) -> bytes:
    """The file of one ending out of `FORMATS`. InvalidInput for another, MissingExtra for `.pdf`
    without the extra."""
    if ending not in FORMATS:
        raise InvalidInput(
            f"cannot write a report as '{ending}'",
            field="to",
            remedy=f"end it in one of: {', '.join(FORMATS)}",
        )
    return FORMATS[ending](report)


def pdf(page: Page) -> bytes:
    """A4 pages with the page's number at their foot. MissingExtra without plutoprint."""
    file = BytesIO()
    book(page).write_to_pdf_stream(file)
    return file.getvalue()


def book(page: Page) -> plutoprint.Book:
    """The page laid out on paper."""
    try:
        import plutoprint
    except ImportError:
        raise MissingExtra(
            "writing PDF needs plutoprint", remedy="pip install 'tandem-commerce[pdf]'"
        ) from None
    laid_out = plutoprint.Book(
        plutoprint.PAGE_SIZE_A4, plutoprint.PAGE_MARGINS_NORMAL, plutoprint.MEDIA_TYPE_PRINT
    )
    laid_out.load_html(page.html(), user_style=_PRINT)
    return laid_out


def _json(report: Report) -> bytes:
    text = json.dumps(_finite(report.to_json()), indent=2, ensure_ascii=False, default=str)
    return f"{text}\n".encode()


def _finite(value: Any) -> Any:
    """NaN has no place in JSON and becomes null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return value


FORMATS: Mapping[str, Callable[[Report], bytes]] = {
    ".html": lambda report: report.page().html().encode(),
    ".pdf": lambda report: pdf(report.page()),
    ".md": lambda report: report.page().markdown().encode(),
    ".json": _json,
    ".eml": lambda report: mail(report.page(), simulated=report.simulated),
}
_PRINT = """@page { margin: 13mm 16mm 14mm;
  @bottom-right { content: counter(page) " / " counter(pages); font: 9px sans-serif; } }"""
