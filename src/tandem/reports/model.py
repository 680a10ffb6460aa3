"""The model card of a ranker (Mitchell et al., FAccT 2019), from its lineage and decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tandem.contracts.registry import Decision, RegisteredModel, Stage
from tandem.reports.page import Block, Bullets, Definitions, Grid, Heading, Notice, Page, Paragraph

WORST = 5
CHOSEN_BY = "nDCG@10"
STAGES: Mapping[Stage, str] = {
    "candidate": "is a candidate, and answers nobody yet",
    "shadow": "is a shadow: it answers real requests too, and nobody sees that",
    "canary": "is a canary: it answers a small share of the people",
    "live": "is live, and answers shoppers",
    "retired": "is retired, and answers nobody any more",
}


def card(model: RegisteredModel, evaluation: Mapping[str, Any], *, simulated: bool) -> Page:
    """A page on one model. evaluation: its cross-validated record, as training wrote it."""
    lineage = model.lineage
    quality = model.metrics[CHOSEN_BY]
    blocks: list[Block] = []
    if simulated:
        blocks.append(Notice("Simulated data: products and judgments were made by a program."))
    blocks += [
        Paragraph(
            f"This {model.model} model orders search results. It {STAGES[model.stage]}. On queries "
            f"that it had never seen it reaches {CHOSEN_BY} {quality['mean']:.3f}, between "
            f"{quality['low']:.3f} and {quality['high']:.3f}; 1 would be perfect.",
            lead=True,
        ),
        Heading("What it is for"),
        Paragraph(
            "It reorders up to 300 products that words and meaning have found for a query. It is "
            "not meant to judge products, merchants or people, and its scores mean nothing beyond "
            "one query."
        ),
        Heading("What it learned from"),
        Definitions(
            [
                ("Judgments", f"“{lineage['judgments']}”, {lineage['queries']} queries"),
                ("Pairs", f"{lineage['pairs']:,} of query and product"),
                ("Behaviour of people", _behaviour(lineage)),
                ("Features", f"{len(lineage['features'])}, all declared in the code"),
                ("Data fingerprint", lineage["data_fingerprint"][:16]),
                ("Seed", str(lineage["seed"])),
                ("Code", f"Tandem {lineage['code_version']}"),
                ("Trained", lineage["trained_at"]),
                ("On index", lineage["index_generation"]),
            ]
        ),
        Heading("How good it is"),
        _quality(evaluation),
        Paragraph(
            f"{evaluation.get('protocol', 'cross-validated')}; intervals hold 95% over queries. "
            f"{evaluation['per_system_coverage']['ltr']:.0%} of the products in its first ten "
            "places were judged; the others count as not relevant."
        ),
        Heading("Where it is worst"),
        Bullets(
            [f"“{query}”: {value:.2f}" for query, value in _worst(evaluation)]
            or ["no query was measured"]
        ),
        Heading("Known limits"),
        Bullets(
            [
                "Judged queries are few: a difference of .01 cannot be told from chance.",
                "It knows no query that nobody judged better than its features do.",
                "Fairness was looked at as exposure of merchants only.",
                *evaluation.get("warnings", []),
            ]
        ),
        Heading("Decisions"),
        decisions_grid(model.decisions),
    ]
    return Page(f"Model card: {model.generation}", blocks)


def _behaviour(lineage: Mapping[str, Any]) -> str:
    clicks = lineage.get("clicks")
    if not clicks:
        return "none"
    return (
        f"sums of {clicks['clicks']:,} clicks in {clicks['searches']:,} searches of people who "
        f"allow it; only queries that {clicks['least_people_by_query']} or more typed"
        + ("; simulated" if clicks["simulated"] else "")
    )


def _quality(evaluation: Mapping[str, Any]) -> Grid:
    systems = evaluation["systems"]
    measures = list(next(iter(systems.values())))
    return Grid(
        "Beside what works without training",
        ["", *measures],
        [[name, *(_interval(values[m]) for m in measures)] for name, values in systems.items()],
        numeric=frozenset(range(1, len(measures) + 1)),
        strong=frozenset([list(systems).index("ltr")] if "ltr" in systems else []),
    )


def _interval(value: Mapping[str, float | None]) -> str:
    if value["mean"] is None:
        return "not measurable"
    return f"{value['mean']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"


def _worst(evaluation: Mapping[str, Any]) -> Sequence[tuple[str, float]]:
    values = {
        query: by_system["ltr"]
        for query, by_system in evaluation["per_query"][CHOSEN_BY].items()
        if by_system.get("ltr") is not None
    }
    return sorted(values.items(), key=lambda item: item[1])[:WORST]


def decisions_grid(decisions: Sequence[Decision]) -> Grid:
    return Grid(
        "Who decided what, and why",
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
