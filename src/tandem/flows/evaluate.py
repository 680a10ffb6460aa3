"""Compare systems of a workspace on judgments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tandem.contracts.errors import InvalidInput
from tandem.contracts.judgment import JudgmentList
from tandem.contracts.run import Run
from tandem.experiments.diff import Diff, diff
from tandem.experiments.measures import depth, parse_measures
from tandem.experiments.offline import COVERAGE_DEPTH, Evaluation, evaluate
from tandem.flows.index import Progress
from tandem.flows.workspace import Workspace
from tandem.ingest.judgments import read_judgments
from tandem.registry.lineage import DataSet, job
from tandem.reports.evaluation import SIMULATED, html_page, markdown_page
from tandem.reports.page import Block, Bullets, Grid, Heading, Notice, Page, Paragraph
from tandem.storage.atomic import write_atomic


def evaluate_systems(
    shop: Workspace,
    judgments: Path | JudgmentList | None,
    systems: Sequence[str],
    measures: Sequence[str],
    progress: Progress | None = None,
) -> Evaluation:
    """Run each system on every judged query and measure it; the first system is the baseline.

    A ranker that learned from some of these queries is measured all the same, with a warning:
    figures on queries that it has seen say little about queries that it has not.
    """
    judged = _judgments(shop, judgments)
    read = (DataSet(f"judgments/{judged.name}"), DataSet("index", shop.view.generation))
    with job(shop.layout, "evaluate", *read):
        return _evaluated(shop, judged, systems, measures, progress)


def _evaluated(
    shop: Workspace,
    judged: JudgmentList,
    systems: Sequence[str],
    measures: Sequence[str],
    progress: Progress | None,
) -> Evaluation:
    k = max(depth(parse_measures(measures)), COVERAGE_DEPTH)
    runs = [_run(shop, system, judged.queries, k, progress) for system in systems]
    evaluation = evaluate(runs, judged, measures, baseline=0)
    return replace(evaluation, warnings=(*evaluation.warnings, *_seen(shop, judged, systems)))


def diff_systems(
    shop: Workspace,
    judgments: Path | JudgmentList | None,
    systems: Sequence[str],
    measure: str = "nDCG@10",
    progress: Progress | None = None,
) -> Diff:
    """Two systems side by side on every judged query: the second against the first."""
    if len(systems) != 2:
        raise InvalidInput(
            f"{len(systems)} systems side by side",
            field="systems",
            remedy="name two: the one there is and the one that may take its place",
        )
    judged = _judgments(shop, judgments)
    k = max(depth(parse_measures([measure])), COVERAGE_DEPTH)
    before, after = (_run(shop, s, judged.queries, k, progress) for s in systems)
    found = diff(before, after, judged, measure)
    seen = _seen(shop, judged, systems)
    warned = replace(found.evaluation, warnings=(*found.evaluation.warnings, *seen))
    return replace(found, evaluation=warned)


def _judgments(shop: Workspace, judgments: Path | JudgmentList | None) -> JudgmentList:
    judged = (
        read_judgments(judgments)
        if isinstance(judgments, Path)
        else judgments
        if judgments is not None
        else shop.judgment_list()
    )
    if len(judged) == 0:
        raise InvalidInput(
            "there are no judgments to evaluate on",
            remedy="name a file with --judgments, or import one: tandem import judgments FILE",
        )
    return judged


def _run(
    shop: Workspace,
    system: str,
    queries: Sequence[str],
    k: int,
    progress: Progress | None,
) -> Run:
    pipeline = shop.pipeline(system)
    rankings = {}
    for done, query in enumerate(queries, start=1):
        rankings[query] = pipeline.rank_one(query, k)
        if progress:
            progress(system, done, len(queries))
    return Run(system, rankings)


def _seen(shop: Workspace, judged: JudgmentList, systems: Sequence[str]) -> list[str]:
    warnings = []
    for system in systems:
        overlap = len(shop.view.learned_from(system) & set(judged.queries))
        if overlap:
            warnings.append(
                f"'{system}' learned from {overlap} of these {len(judged.queries)} queries, so its "
                "figures here are too good; the cross-validated ones stand in its models' manifests"
            )
    return warnings


def write_report(evaluation: Evaluation, path: Path, *, simulated: bool) -> None:
    """Write the one-page report; the ending chooses HTML or Markdown."""
    pages = {".html": html_page, ".md": markdown_page}
    _known_ending(path)
    write_atomic(path, pages[path.suffix](evaluation, simulated=simulated).encode())


def write_diff(shop: Workspace, found: Diff, path: Path) -> None:
    """Write the page of two systems side by side; the ending chooses HTML or Markdown."""
    _known_ending(path)
    page = diff_page(found, _titles(shop, found), simulated=shop.settings.simulated)
    write_atomic(path, (page.html() if path.suffix == ".html" else page.markdown()).encode())


def _known_ending(path: Path) -> None:
    if path.suffix not in (".html", ".md"):
        raise InvalidInput(
            f"cannot write a report as '{path.suffix}'", file=str(path), remedy="use .html or .md"
        )


# --- Side by side ---------------------------------------------------------------------------------

SHOWN_QUERIES = 15
SHOWN_MOVES = 6
_GRADES = ("irrelevant", "complement", "substitute", "exact")


def _titles(shop: Workspace, found: Diff) -> Mapping[str, str]:
    """Titles of what moved, by product id; a product that is gone by now is shown by its id."""
    ids = list(dict.fromkeys(m.product_id for q in found.queries for m in q.moves))
    snapshot = shop.view.snapshot
    numbers = snapshot.numbers(ids)
    products = snapshot.products(numbers[numbers >= 0])
    return {p.id: p.title for p in products}


def diff_page(found: Diff, titles: Mapping[str, str], *, simulated: bool) -> Page:
    """Two systems side by side, for people: what gets better, what gets worse, what moved."""
    blocks: list[Block] = [Notice(SIMULATED)] if simulated else []
    difference = found.comparison.difference
    blocks += [
        Paragraph(_verdict(found), lead=True),
        Paragraph(
            f"{found.measure} changes by {difference.mean or 0:+.3f} on average, between "
            f"{difference.low:+.3f} and {difference.high:+.3f} with 95% confidence. "
            f"{found.identical} of {len(found.queries)} queries show the same first {found.depth} "
            "places as before."
        ),
    ]
    for title, some in (("Got worse", found.worse), ("Got better", found.better)):
        blocks.append(Heading(title))
        if not some:
            blocks.append(Paragraph("No query."))
        for q in some[:SHOWN_QUERIES]:
            blocks.append(
                Grid(
                    f"“{q.query}”: {found.measure} from {q.before:.2f} to {q.after:.2f} "
                    f"({q.change:+.2f})",
                    ("product", "judged", "place before", "place after"),
                    [
                        (
                            titles.get(m.product_id, m.product_id),
                            "not judged" if m.relevance is None else _GRADES[m.relevance],
                            str(m.before or "not shown"),
                            str(m.after or "not shown"),
                        )
                        for m in q.moves[:SHOWN_MOVES]
                    ],
                    numeric=frozenset({2, 3}),
                )
            )
        if len(some) > SHOWN_QUERIES:
            blocks.append(Paragraph(f"{len(some) - SHOWN_QUERIES} more are in the JSON."))
    if found.evaluation.warnings:
        blocks += [Heading("What could be wrong"), Bullets(found.evaluation.warnings)]
    return Page(f"What changes from {found.before} to {found.after}", blocks)


def _verdict(found: Diff) -> str:
    p = found.comparison.p_value
    sure = (
        "More than chance."
        if p is not None and p < 0.05
        else "Chance alone could explain a difference like this."
    )
    return (
        f"With {found.after} in place of {found.before}, {len(found.better)} of "
        f"{len(found.queries)} queries get better and {len(found.worse)} get worse. {sure}"
    )
