"""A one-page report that decides something: the same parts in the same order, for every kind.

A kind (`experiment`, `insight`, `model`, `weekly`, `campaign`) fills in the parts; what they look
like as HTML, PDF, Markdown, JSON and e-mail is settled in one place. Everything before the heading
`APPENDIX` is written for people who are not technical.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tandem.reports.charts import Chart
from tandem.reports.figures import Figure
from tandem.reports.page import (
    Block,
    Bullets,
    Definitions,
    Heading,
    Notice,
    Page,
    Paragraph,
)

Kind = Literal["experiment", "insight", "model", "weekly", "campaign"]
Audience = Literal["executive", "merchant", "creator"]
AUDIENCES: tuple[Audience, ...] = ("executive", "merchant", "creator")
APPENDIX = "For the experts"
SIMULATED = "Simulated data: a program made these shoppers up. They show how this works, no more."
READERS = {"executive": "the shop", "merchant": "merchants", "creator": "creators"}


@dataclass(frozen=True)
class Report:
    """Typed result of one report; every format is made of it and of nothing else.

    about: what of its kind it is about (a test's name, a week), for its file's name. answer: the
    sentences to take away. happened: one sentence each. doubts: what could be wrong.
    figures: every number on the first page, by name. verdict: the answer as one word, for
    programs. details: what the figures were taken from, for the JSON.
    """

    kind: Kind
    about: str
    audience: Audience
    title: str
    simulated: bool
    verdict: str
    answer: str
    tried: str
    happened: Sequence[str]
    sure: str
    worth: str
    recommend: str
    doubts: Sequence[str]
    next: str
    figures: Mapping[str, Figure]
    charts: Sequence[Chart] = ()
    worth_charts: Sequence[Chart] = ()
    glossary: Sequence[tuple[str, str]] = ()
    appendix: Sequence[Block] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of its files: lower case, digits and hyphens."""
        parts = [self.kind, self.about, *([self.audience] if self.audience != "executive" else [])]
        return re.sub(r"[^a-z0-9]+", "-", " ".join(parts).lower()).strip("-")[:80].rstrip("-")

    def page(self) -> Page:
        blocks: list[Block] = []
        if self.simulated:
            blocks.append(Notice(SIMULATED))
        blocks += [
            Paragraph(self.answer, lead=True),
            Heading("What we tried"),
            Paragraph(self.tried),
            Heading("What happened"),
            Bullets(self.happened),
            *self.charts,
            Heading("How sure we are"),
            Paragraph(self.sure),
            Heading("What it is worth"),
            Paragraph(self.worth),
            *self.worth_charts,
            Heading("What we recommend"),
            Paragraph(self.recommend),
            Heading("What could be wrong"),
            Bullets(self.doubts),
            Heading("What happens next"),
            Paragraph(self.next),
        ]
        if self.glossary:
            blocks += [Heading("Words used here"), Definitions(self.glossary)]
        if self.appendix:
            blocks += [Heading(APPENDIX, apart=True), *self.appendix]
        return Page(self.title, blocks)

    def to_json(self) -> dict[str, Any]:
        """`simulated` stands first: who reads no further has read that."""
        return {
            "simulated": self.simulated,
            **self.details,
            "report": {
                "kind": self.kind,
                "for": self.audience,
                "title": self.title,
                "verdict": self.verdict,
                "answer": self.answer,
                "tried": self.tried,
                "happened": list(self.happened),
                "sure": self.sure,
                "worth": self.worth,
                "recommend": self.recommend,
                "doubts": list(self.doubts),
                "next": self.next,
                "figures": {name: f.to_json() for name, f in self.figures.items()},
            },
        }
