"""An Evaluation for people: a table for the terminal, a page that a manager can forward."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tandem.experiments.measures import FAMILIES, Measure
from tandem.experiments.offline import (
    COVERAGE_DEPTH,
    FEW_QUERIES,
    Comparison,
    Estimate,
    Evaluation,
    QueryResult,
    SystemResult,
)
from tandem.reports.charts import Bar, BarChart
from tandem.reports.page import (
    Block,
    Bullets,
    Definitions,
    Grid,
    Heading,
    Notice,
    Page,
    Paragraph,
)

if TYPE_CHECKING:
    from rich.table import Table

SHOWN_QUERIES = 10
SIMULATED = (
    "Simulated data: the products and judgments behind this page were made by a program. "
    "It says how the software works, not how real shoppers search."
)


@dataclass(frozen=True, slots=True)
class Subject:
    """What was evaluated, in words for the page.

    queries: what the queries are ("real shopper queries"). catalogue: where was searched ("Icecat,
    19,406 products").
    """

    title: str = "How well does the search rank?"
    queries: str = "queries"
    catalogue: str = ""


def table(evaluation: Evaluation) -> Table:
    """A rich table: a row per system, a column per measure with its 95% interval.

    `*` marks a difference from the baseline that the adjusted test calls significant.
    """
    from rich.table import Table
    from rich.text import Text

    shown = Table(
        caption=f"{_many(len(evaluation.queries), 'query', 'queries')}; 95% intervals; "
        f"* differs from {evaluation.baseline} (p < 0.05, {evaluation.correction}); "
        f"{_share(evaluation.coverage)} of the top {COVERAGE_DEPTH} judged",
        caption_justify="left",
    )
    shown.add_column("system", overflow="fold")
    for measure in evaluation.measures:
        shown.add_column(Text(measure.name), justify="right")
    shown.add_column("judged", justify="right")
    for system in evaluation.systems:
        cells = []
        for measure in evaluation.measures:
            e = system.estimates[measure.name]
            leads = system.name in _leading(evaluation, measure)
            cell = Text(_number(e.mean), style="bold" if leads else "")
            cell.append("*" if _significant(evaluation, system, measure) else " ")
            cell.append(f"\n{_range(e)} ", style="dim")
            cells.append(cell)
        label = Text(system.name)
        if system.name == evaluation.baseline:
            label.append(" (baseline)", style="dim")
        shown.add_row(label, *cells, _share(system.coverage))
    return shown


def markdown_page(
    evaluation: Evaluation, subject: Subject | None = None, *, simulated: bool = False
) -> str:
    """The page as Markdown. Simulated data is labelled at its top."""
    return _page(evaluation, subject or Subject(), simulated).markdown()


def html_page(
    evaluation: Evaluation, subject: Subject | None = None, *, simulated: bool = False
) -> str:
    """The page as one self-contained HTML file. Simulated data is labelled at its top."""
    return _page(evaluation, subject or Subject(), simulated).html()


def _page(evaluation: Evaluation, subject: Subject, simulated: bool) -> Page:
    """The story is told by the first measure, against the baseline."""
    measure = evaluation.measures[0]
    best = evaluation.best(measure.name)
    blocks: list[Block] = []
    if simulated:
        blocks.append(Notice(SIMULATED))
        subject = replace(subject, queries="simulated queries")
    verdict, *evidence = _verdict(evaluation, subject, measure, best)
    blocks.append(Paragraph(verdict, lead=True))
    blocks += [Paragraph(sentence) for sentence in evidence]
    blocks += [
        BarChart(
            "Bars show the mean over all queries, from 0 (useless) to 1 (perfect); the thin lines "
            "show where the true mean lies with 95% confidence.",
            [(m.name, _bars(evaluation, m)) for m in evaluation.measures],
        ),
        Heading("What was compared"),
        Paragraph(_compared(evaluation, subject, simulated)),
        Heading("What could be wrong"),
        Bullets(_doubts(evaluation)),
        Heading("All numbers"),
        _numbers(evaluation),
    ]
    if evaluation.comparisons:
        blocks.append(_comparisons(evaluation))
    blocks += [Heading("Where to look next"), _worst(evaluation, best, measure)]
    if best.name != evaluation.baseline and evaluation.losses(best.name, measure.name):
        blocks.append(_lost(evaluation, best, measure))
    blocks += [Heading("What the words mean"), _glossary(evaluation)]
    return Page(subject.title, blocks)


def _verdict(
    evaluation: Evaluation, subject: Subject, measure: Measure, best: SystemResult
) -> list[str]:
    """The sentence to take away, then what supports it."""
    on = f"On {len(evaluation.queries):,} {subject.queries}"
    mean = _number(best.estimates[measure.name].mean)
    if not evaluation.comparisons:
        return [
            f"{on}, {best.name} reaches {mean} of 1 ({measure.name}). We are 95% sure that the "
            f"true mean lies in {_range(best.estimates[measure.name])}."
        ]
    baseline = evaluation[evaluation.baseline]
    base = _number(baseline.estimates[measure.name].mean)
    if best.name == baseline.name:
        rivals = [c for c in evaluation.comparisons if c.measure == measure.name]
        rival = max(rivals, key=lambda c: c.difference.mean or 0.0)
        return [
            f"{on}, nothing ranks better than the baseline {best.name} ({measure.name} {mean}).",
            _gain(rival, evaluation),
            _tally(rival),
        ]
    found = evaluation.comparison(best.name, measure.name)
    if found.significant:
        verdict = f"{on}, {best.name} ranks products better than {baseline.name}"
    else:
        verdict = f"{on}, it is not proven that {best.name} ranks better than {baseline.name}"
    return [
        f"{verdict}: its quality ({measure.name}, from 0 to 1) is {mean} instead of {base}.",
        _gain(found, evaluation),
        _tally(found),
    ]


def _gain(found: Comparison, evaluation: Evaluation) -> str:
    d = found.difference
    if d.mean is None or found.p_adjusted is None:
        return f"{found.system} and {found.baseline} cannot be compared on {found.measure}."
    gain, over, low, high = (
        ("gain", "over", d.low, d.high) if d.mean >= 0 else ("loss", "against", -d.high, -d.low)
    )
    tests = _many(len(evaluation.comparisons), "comparison", "comparisons")
    corrected = f" after correcting for {tests}" if evaluation.correction != "none" else ""
    if found.significant:
        chance = "Chance alone would hardly produce such a difference"
    else:
        chance = "Chance alone could produce such a difference"
    return (
        f"We are 95% sure that the {gain} of {found.system} {over} {found.baseline} lies between "
        f"{_signed(low)} and {_signed(high)}. {chance} ({_p(found.p_adjusted)}{corrected})."
    )


def _tally(found: Comparison) -> str:
    return (
        f"Query by query, {found.system} was better on {found.wins:,}, worse on {found.losses:,} "
        f"and equal on {found.ties:,}."
    )


def _bars(evaluation: Evaluation, measure: Measure) -> list[Bar]:
    leading = _leading(evaluation, measure)
    return [
        Bar(s.name, e.mean, e.low, e.high, strong=s.name in leading)
        for s in evaluation.systems
        for e in [s.estimates[measure.name]]
    ]


def _compared(evaluation: Evaluation, subject: Subject, simulated: bool) -> str:
    names = [s.name for s in evaluation.systems]
    where = f" in {subject.catalogue}" if subject.catalogue else ""
    total = len(evaluation.judgments.queries)
    left_out = (
        f" ({len(evaluation.excluded):,} more have no relevant product and are left out)"
        if evaluation.excluded
        else ""
    )
    how = {"all queries": "Every system was asked every query"}.get(
        evaluation.protocol,
        f"By {evaluation.protocol}: a system that learns was measured only on queries that it had "
        "not learned from",
    )
    judge = "A program" if simulated else "People"
    return (
        f"{', '.join(names)}{where}; the baseline is {evaluation.baseline}. "
        f"{judge} judged {len(evaluation.judgments):,} pairs of query and product, for {total:,} "
        f"queries; {len(evaluation.queries):,} queries count{left_out}. {how}."
    )


def _doubts(evaluation: Evaluation) -> list[str]:
    n, coverage = len(evaluation.queries), evaluation.coverage
    doubts = []
    if coverage is not None:
        but = ", except in the condensed values" if _condensed(evaluation) else ""
        doubts.append(
            f"{coverage:.0%} of the first {COVERAGE_DEPTH} products were judged; the others count "
            f"as irrelevant{but}."
        )
    if n >= FEW_QUERIES:
        doubts.append(
            f"The intervals hold for queries like these {n:,}, and for nothing else: other "
            "shoppers, seasons or catalogues can differ."
        )
    if len(evaluation.systems) > 2:
        doubts.append(
            f"Systems were tested against {evaluation.baseline} only, not against each other."
        )
    return doubts + [w[0].upper() + w[1:] + "." for w in evaluation.warnings]


def _numbers(evaluation: Evaluation) -> Grid:
    condensed = _condensed(evaluation)
    header = ["System", "Measure", "Mean", "95% interval"]
    header += ["Condensed"] if condensed else []
    header += ["Top 10 judged"]
    rows: list[list[str]] = []
    strong: set[int] = set()
    for measure in evaluation.measures:
        leading = _leading(evaluation, measure)
        for s in evaluation.systems:
            e = s.estimates[measure.name]
            if s.name in leading:
                strong.add(len(rows))
            row = [s.name, measure.name, _number(e.mean), _range(e)]
            row += [_number(s.condensed[measure.name].mean)] if condensed else []
            rows.append([*row, _share(s.coverage)])
    return Grid(
        "Mean over queries. The best system of each measure stands out.",
        header,
        rows,
        numeric=frozenset(range(2, len(header))),
        strong=frozenset(strong),
    )


def _comparisons(evaluation: Evaluation) -> Grid:
    return Grid(
        f"Against {evaluation.baseline}, query by query.",
        ["System", "Measure", "Difference", "95% interval", "p", "Better / equal / worse"],
        [
            [
                c.system,
                c.measure,
                _signed(c.difference.mean),
                f"{_signed(c.difference.low)} to {_signed(c.difference.high)}",
                _p(c.p_adjusted, bare=True),
                f"{c.wins} / {c.ties} / {c.losses}",
            ]
            for c in evaluation.comparisons
        ],
        numeric=frozenset({2, 3, 4, 5}),
        strong=frozenset(
            i
            for i, c in enumerate(evaluation.comparisons)
            if c.significant and (c.difference.mean or 0) > 0
        ),
    )


def _worst(evaluation: Evaluation, best: SystemResult, measure: Measure) -> Grid:
    rows = evaluation.worst(best.name, measure.name, SHOWN_QUERIES)
    return _queries(f"{measure.name}: queries that {best.name} answers worst.", rows, evaluation)


def _lost(evaluation: Evaluation, best: SystemResult, measure: Measure) -> Grid:
    rows = evaluation.losses(best.name, measure.name, SHOWN_QUERIES)
    caption = (
        f"{measure.name}: queries on which {best.name} loses most against {evaluation.baseline}."
    )
    return _queries(caption, rows, evaluation)


def _queries(caption: str, rows: list[QueryResult], evaluation: Evaluation) -> Grid:
    names = [s.name for s in evaluation.systems]
    return Grid(
        caption,
        ["Query", *names, "Relevant / judged"],
        [
            [r.query, *(_number(r.values[n]) for n in names), f"{r.relevant} / {r.judged}"]
            for r in rows
        ],
        numeric=frozenset(range(1, len(names) + 2)),
    )


def _glossary(evaluation: Evaluation) -> Definitions:
    terms = []
    for m in evaluation.measures:
        notes = [FAMILIES[m.family].meaning]
        if m.cutoff is not None:
            notes.append(f"Only the first {m.cutoff:,} products count.")
        if m.gains is not None:
            notes.append(f"Gains: {m.gains}.")
        elif FAMILIES[m.family].parameter == "rel":
            notes.append(f"Good means judged {m.relevance} or more, on a scale of 0 to 3.")
        terms.append((f"{m.name} ({m.title.lower()})", " ".join(notes)))
    terms += [
        (
            "95% interval",
            "If the same number of queries were drawn again and again, 95 of 100 such intervals "
            "would hold the true mean. From resampling queries (BCa bootstrap).",
        ),
        (
            "p",
            "How often a difference at least this large would come about if both systems were "
            "equally good and each query's winner were a coin toss (paired randomisation test).",
        ),
    ]
    if _condensed(evaluation):
        meaning = (
            "The value after leaving out products that nobody judged: beside the plain value it "
            "shows how much the missing judgments matter."
        )
        terms.append(("Condensed", meaning))
    return Definitions(terms)


def _significant(evaluation: Evaluation, system: SystemResult, measure: Measure) -> bool:
    return (
        system.name != evaluation.baseline
        and evaluation.comparison(system.name, measure.name).significant
    )


def _condensed(evaluation: Evaluation) -> bool:
    return any(s.condensed for s in evaluation.systems)


def _leading(evaluation: Evaluation, measure: Measure) -> set[str]:
    """The systems with the highest mean; none where all are equal, for then nobody leads."""
    means = {s.name: s.estimates[measure.name].mean for s in evaluation.systems}
    known = [m for m in means.values() if m is not None]
    if not known or (len(means) > 1 and len(set(means.values())) == 1):
        return set()
    return {name for name, mean in means.items() if mean == max(known)}


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _signed(value: float | None) -> str:
    if value is None:
        return "–"
    shown = f"{value:+.3f}".replace("-", "−")
    return "0.000" if shown[1:] == "0.000" else shown


def _range(e: Estimate) -> str:
    return f"{e.low:.3f}–{e.high:.3f}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"


def _p(value: float | None, *, bare: bool = False) -> str:
    if value is None:
        return "–"
    if value < 0.001:
        return "< 0.001" if bare else "p < 0.001"
    return f"{value:.3f}" if bare else f"p = {value:.3f}"


def _many(n: int, one: str, more: str) -> str:
    return f"{n:,} {one if n == 1 else more}"
