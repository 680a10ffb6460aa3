"""The card of what is no ranker (Mitchell et al., FAccT 2019), from its lineage and decisions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tandem.contracts.experiment import ShadowStanding
from tandem.contracts.registry import Artefact, Stage
from tandem.reports.model import decisions_grid
from tandem.reports.page import Block, Bullets, Definitions, Grid, Heading, Notice, Page, Paragraph

STAGES: Mapping[Stage, str] = {
    "candidate": "is a candidate, and nobody sees what it does yet",
    "shadow": "is a shadow: it answers real requests too, and nobody sees that",
    "canary": "is a canary: it answers a small share of the people",
    "live": "is live",
    "retired": "is retired",
}
WHAT: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "configurations": (
        "These weights say how much words, fields and meaning count in searches that no learned "
        "ranker orders.",
        "They weigh the systems bm25 and hybrid, and through these what a cross-encoder reorders. "
        "A learned ranker keeps the candidates that it learned from.",
        ("Weights tuned on few queries fit these queries: see how it was held out.",),
    ),
    "cross-encoders": (
        "This cross-encoder reads a query and a product together, and reorders the best of a "
        "search.",
        "It answers as the ranker `cross`, where that is asked for. It is not meant to judge "
        "products, merchants or people.",
        ("Judged queries are few: a difference of .01 cannot be told from chance.",),
    ),
    "recommenders": (
        "This recommender says what a session leads to, what is bought together, what is popular.",
        "It fills the lists beside products and part of the feed. It is not meant to judge "
        "products, merchants or people.",
        (
            "What was never looked at it cannot know; such products come from the catalogue.",
            "It shows again what was shown: a feed that explores tells it of the rest.",
        ),
    ),
    "personal": (
        "This ranker moves search results towards what a visitor looked at.",
        "It is asked only for visitors who allow personalisation. It knows products looked at "
        "lately and nothing else of a person.",
        ("It may show less of what is new to a visitor.",),
    ),
    "feeds": (
        "This ranker orders the feed by how likely an entry is watched, clicked, bought and liked.",
        "The shop's rules say what each is worth; caps, floors and exploration are theirs too. "
        "What is known of a visitor goes in only where the visitor allows it.",
        ("Clicks are of what was shown where: places that were never tried are guesses.",),
    ),
    "matchers": (
        "This matcher proposes creators for products, and products for creators, and says what to "
        "expect.",
        "It is an offer to both sides. It is not meant to rate creators as people.",
        (
            "Creators who are new, or agreed to no figures, are judged by what is like them.",
            "Intervals are wide, and proposals fare worse than what was once tried.",
        ),
    ),
}
NAMES: Mapping[str, str] = {
    "configurations": "search configuration",
    "cross-encoders": "cross-encoder",
    "recommenders": "recommender",
    "personal": "personal ranker",
    "feeds": "feed ranker",
    "matchers": "matcher",
}
_FIGURES = ("metrics", "cross_validated", "held_out")
_HEAD = {"metrics": "", "cross_validated": "cross-validated", "held_out": "kept back"}
_MOST = 40  # figures on a card


def card(artefact: Artefact, shadowed: ShadowStanding | None, *, simulated: bool) -> Page:
    """A page on one generation."""
    says, meant, limits = WHAT[artefact.kind]
    lineage = artefact.lineage
    figures = [row for name in _FIGURES for row in _figures(lineage.get(name), _HEAD[name])]
    blocks: list[Block] = []
    if simulated:
        blocks.append(Notice("Simulated data: what it learned from was made by a program."))
    blocks += [
        Paragraph(f"{says} It {STAGES[artefact.stage]}.", lead=True),
        Heading("What it is for"),
        Paragraph(meant),
        Heading("What it came from"),
        Definitions([(_words(k), _told(v)) for k, v in lineage.items() if k not in _FIGURES]),
        Heading("How good it is"),
        Grid("When it was made", ["", "figure"], figures[:_MOST], numeric=frozenset([1]))
        if figures
        else Paragraph("No figure was kept when it was made."),
    ]
    if shadowed is not None and shadowed.requests:
        blocks += [Heading("As a shadow"), Paragraph(_shadow(shadowed))]
    blocks += [
        Heading("Known limits"),
        Bullets([*limits, "Fairness was looked at as exposure of one side only."]),
        Heading("Decisions"),
        decisions_grid(artefact.decisions),
    ]
    return Page(f"Card of the {NAMES[artefact.kind]} {artefact.generation}", blocks)


def _shadow(s: ShadowStanding) -> str:
    told = f"It answered {s.requests:,} real requests unseen, {s.failed:,} of which failed."
    if s.overlap is not None:
        told += f" {s.overlap:.0%} of the first ten are those of the live one."
    if s.shadow_ms is not None and s.live_ms is not None:
        told += f" It usually took {s.shadow_ms:.1f} ms, beside {s.live_ms:.1f} ms."
    return told


def _figures(value: Any, name: str) -> Iterator[list[str]]:
    """Numbers of a nested record, named by their way to it."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _figures(inner, f"{name}, {key}".removeprefix(", "))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield [_words(name), f"{value:,}" if isinstance(value, int) else f"{value:.4g}"]


def _words(name: str) -> str:
    return name.replace("_", " ")


def _told(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{_words(str(k))} {_told(v)}" for k, v in value.items()) or "none"
    if isinstance(value, list | tuple):
        return f"{len(value)}" if len(value) > 5 else ", ".join(map(_told, value)) or "none"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
