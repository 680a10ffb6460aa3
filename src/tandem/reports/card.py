"""The card of an artefact (Mitchell et al., FAccT 2019), from its lineage and decisions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tandem.contracts.artefact import Stage
from tandem.contracts.experiment import ShadowStanding
from tandem.contracts.registry import Artefact, Decision
from tandem.reports.page import Block, Bullets, Definitions, Grid, Heading, Notice, Page, Paragraph

STAGES: Mapping[Stage, str] = {
    "candidate": "is a candidate, and nobody sees what it does yet",
    "shadow": "is a shadow: it answers real requests too, and nobody sees that",
    "canary": "is a canary: it answers a small share of the people",
    "live": "is live",
    "retired": "is retired",
}
WHAT: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "models": (
        "This ranker orders search results.",
        "It reorders up to 300 products that words and meaning have found for a query. It is not "
        "meant to judge products, merchants or people, and its scores mean nothing beyond one "
        "query.",
        (
            "Judged queries are few: a difference of .01 cannot be told from chance.",
            "It knows no query that nobody judged better than its features do.",
        ),
    ),
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
    "models": "ranker",
    "configurations": "search configuration",
    "cross-encoders": "cross-encoder",
    "recommenders": "recommender",
    "personal": "personal ranker",
    "feeds": "feed ranker",
    "matchers": "matcher",
}
SYSTEMS: Mapping[str, str] = {"models": "ltr", "cross-encoders": "cross"}
"""What a kind with a cross-validated record is called in it."""
CHOSEN_BY = "nDCG@10"
WORST = 5
_FIGURES = ("metrics", "cross_validated", "held_out")
_HEAD = {"metrics": "", "cross_validated": "cross-validated", "held_out": "kept back"}
_MOST = 40  # figures on a card


def card(artefact: Artefact, evaluation: Mapping[str, Any] | None, *, simulated: bool) -> Page:
    """A page on one generation. evaluation: its cross-validated record, if its training wrote
    one."""
    says, meant, limits = WHAT[artefact.kind]
    lineage = artefact.lineage
    seen = artefact.shadowed
    blocks: list[Block] = []
    if simulated:
        blocks.append(Notice("Simulated data: what it learned from was made by a program."))
    blocks += [
        Paragraph(
            f"{says} It {STAGES[artefact.stage]}.{_reached(artefact.kind, evaluation)}", lead=True
        ),
        Heading("What it is for"),
        Paragraph(meant),
        Heading("What it came from"),
        Definitions([_origin(name, v) for name, v in lineage.items() if name not in _FIGURES]),
        Heading("How good it is"),
        *(_figures_of(lineage) if evaluation is None else _evaluated(artefact.kind, evaluation)),
    ]
    if seen is not None and seen.requests:
        blocks += [Heading("As a shadow"), Paragraph(_shadow(seen))]
    blocks += [
        Heading("Known limits"),
        Bullets(
            [
                *limits,
                "Fairness was looked at as exposure of one side only.",
                *(evaluation or {}).get("warnings", ()),
            ]
        ),
        Heading("Decisions"),
        decisions_grid(artefact.decisions),
    ]
    return Page(f"Card of the {NAMES[artefact.kind]} {artefact.generation}", blocks)


def _reached(kind: str, evaluation: Mapping[str, Any] | None) -> str:
    """The one figure to remember; nothing where none was measured."""
    of = (evaluation or {}).get("systems", {}).get(SYSTEMS.get(kind, ""), {})
    figure = of.get(CHOSEN_BY, {"mean": None})
    if figure["mean"] is None:
        return ""
    low, high = figure.get("low"), figure.get("high")
    span = "" if low is None or high is None else f", between {low:.3f} and {high:.3f}"
    return (
        f" On queries that it had never seen it reaches {CHOSEN_BY} {figure['mean']:.3f}{span}; "
        "1 would be perfect."
    )


def _figures_of(lineage: Mapping[str, Any]) -> list[Block]:
    figures = [row for name in _FIGURES for row in _figures(lineage.get(name), _HEAD[name])]
    if not figures:
        return [Paragraph("No figure was kept when it was made.")]
    return [Grid("When it was made", ["", "figure"], figures[:_MOST], numeric=frozenset([1]))]


def _evaluated(kind: str, evaluation: Mapping[str, Any]) -> list[Block]:
    """On queries that it had never seen, beside what there is without it."""
    system = SYSTEMS[kind]
    blocks: list[Block] = [quality_grid(evaluation, "Beside what there is without it", system)]
    told = f"{evaluation.get('protocol', 'cross-validated')}; intervals hold 95% over queries."
    covered = evaluation.get("per_system_coverage", {}).get(system)
    if covered is not None:
        told += (
            f" {covered:.0%} of the products in its first ten places were judged; the others count "
            "as not relevant."
        )
    values = {
        query: by_system[system]
        for query, by_system in evaluation.get("per_query", {}).get(CHOSEN_BY, {}).items()
        if by_system.get(system) is not None
    }
    worst = sorted(values.items(), key=lambda item: item[1])[:WORST]
    lines = [f"“{query}”: {value:.2f}" for query, value in worst] or ["no query was measured"]
    return [*blocks, Paragraph(told), Heading("Where it is worst"), Bullets(lines)]


def quality_grid(evaluation: Mapping[str, Any], title: str, ours: str | None = None) -> Grid:
    """Measures by system, with intervals; ours: the system to stress."""
    systems = evaluation["systems"]
    measures = list(next(iter(systems.values())))
    return Grid(
        title,
        ["system", *measures],
        [[name, *(_interval(values[m]) for m in measures)] for name, values in systems.items()],
        numeric=frozenset(range(1, len(measures) + 1)),
        strong=frozenset([list(systems).index(ours)] if ours in systems else []),
    )


def _interval(value: Mapping[str, float | None]) -> str:
    if value["mean"] is None:
        return "not measurable"
    low, high = value.get("low"), value.get("high")
    span = "" if low is None or high is None else f" [{low:.3f}, {high:.3f}]"
    return f"{value['mean']:.3f}{span}"


def decisions_grid(decisions: Sequence[Decision], title: str = "Who decided what, and why") -> Grid:
    return Grid(
        title,
        ["", "when", "stage", "who", "why", "gates"],
        [
            [
                str(d.number),
                f"{d.at:%Y-%m-%d %H:%M}",
                d.stage,
                d.who,
                d.why,
                "; ".join(
                    f"{g.name} {'passed' if g.passed else 'not passed'}: {g.says}" for g in d.gates
                )
                or "none asked",
            ]
            for d in decisions
        ],
    )


def _origin(name: str, value: Any) -> tuple[str, str]:
    if name == "clicks" and isinstance(value, Mapping):
        return "behaviour of people", _behaviour(value)
    if name.endswith("fingerprint"):
        return _words(name), str(value)[:16]
    return _words(name), _told(value)


def _behaviour(clicks: Mapping[str, Any]) -> str:
    if not clicks:
        return "none"
    return (
        f"sums of {clicks['clicks']:,} clicks in {clicks['searches']:,} searches of people who "
        f"allow it; only queries that {clicks['least_people_by_query']} or more typed"
        + ("; simulated" if clicks["simulated"] else "")
    )


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
