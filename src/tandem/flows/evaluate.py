"""Compare systems of a workspace on judgments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tandem.contracts.errors import InvalidInput
from tandem.contracts.judgment import JudgmentList
from tandem.contracts.run import Run
from tandem.experiments.measures import depth, parse_measures
from tandem.experiments.offline import COVERAGE_DEPTH, Evaluation, evaluate
from tandem.flows.index import Progress
from tandem.flows.workspace import Workspace
from tandem.ingest.judgments import read_judgments
from tandem.reports.evaluation import html_page, markdown_page
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
    k = max(depth(parse_measures(measures)), COVERAGE_DEPTH)
    runs = [_run(shop, system, judged.queries, k, progress) for system in systems]
    evaluation = evaluate(runs, judged, measures, baseline=0)
    return replace(evaluation, warnings=(*evaluation.warnings, *_seen(shop, judged, systems)))


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
    if path.suffix not in pages:
        raise InvalidInput(
            f"cannot write a report as '{path.suffix}'", file=str(path), remedy="use .html or .md"
        )
    write_atomic(path, pages[path.suffix](evaluation, simulated=simulated).encode())
