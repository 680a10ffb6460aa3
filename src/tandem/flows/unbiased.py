"""Does learning from clicks without their bias work? The semi-synthetic protocol.

Real catalogue and real judgments, simulated shoppers (Joachims, Swaminathan & Schnabel, WSDM 2017).
By fold: two rankers that learned from a few judged queries of its training part are live in turn,
shoppers whose bias and noise are known click what they show, and each method learns from these
clicks alone. What it learned ranks the fold's test queries, and the judgments say how well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.errors import InvalidInput
from tandem.contracts.judgment import JudgmentList
from tandem.experiments.folds import query_folds
from tandem.experiments.inference import bootstrap_intervals, permutation_test
from tandem.experiments.measures import parse_measures, score
from tandem.features.declarations import LTR_FEATURES
from tandem.flows.index import Progress
from tandem.flows.train import Ranked, judged_rows
from tandem.flows.workspace import Workspace
from tandem.queries.categories import NO_LESSONS
from tandem.ranking.clicks.learning import METHODS, PAIRWISE, fit_from_clicks, join_features
from tandem.ranking.clicks.propensity import Propensities, by_swaps, estimate
from tandem.ranking.learned import JudgedCandidates, LearnedRanker, fit_ranker
from tandem.ranking.models import LambdaMART, RankingModel
from tandem.reports.charts import Bar, BarChart
from tandem.reports.page import Block, Bullets, Grid, Notice, Page, Paragraph
from tandem.simulate.clicks import ClickBehaviour, simulated_clicks
from tandem.storage.atomic import write_atomic

MEASURE = "nDCG@10"
PRODUCTION, FULL, FULL_PAIRWISE = "production", "judgments", "judgments-pairwise"
Values = NDArray[np.float64]
SAYS = {
    PRODUCTION: "the ranker that was live, which learned from a few judged queries",
    FULL: "learned from all judgments: what clicks could teach at best",
    "naive": "a click is a click",
    "ips": "clicks weighed by inverse propensity",
    "dr": "doubly robust",
    "affine": "doubly robust, with trust in the order taken off",
    "naive-pairwise": "LambdaMART's trees, a click beats what was not clicked beside it",
    "pairwise": "unbiased LambdaMART",
    FULL_PAIRWISE: "LambdaMART, learned from all judgments: what clicks could teach it at best",
}


def _ends(method: str) -> tuple[str, str]:
    """What a method is held against: naive clicks and all judgments, by the same kind of model."""
    return ("naive-pairwise", FULL_PAIRWISE) if method == "pairwise" else ("naive", FULL)


@dataclass(frozen=True, slots=True)
class Point:
    """One method after so many sessions (None: it does not learn from clicks).

    mean, low, high: of the measure over queries, averaged over seeds, with a 95% interval over
    queries. lowest, highest: means of single seeds. recovered: (method - naive) / (judgments -
    naive) at these sessions, by the same kind of model, with its 95% bootstrap interval, None for
    what is not compared; p: of a paired randomisation test against naive.
    """

    method: str
    sessions: int | None
    mean: float
    low: float
    high: float
    lowest: float
    highest: float
    recovered: float | None = None
    recovered_low: float | None = None
    recovered_high: float | None = None
    p: float | None = None


@dataclass(frozen=True)
class Study:
    """What the study found. `values`: (queries,) by method and sessions, averaged over seeds.
    propensities: true, and as estimated by each way in the first fold and seed, with most sessions.
    """

    dataset: str
    model: str
    queries: int
    judgments: int
    folds: int
    seeds: int
    few: int
    behaviour: ClickBehaviour
    way: str
    points: tuple[Point, ...]
    propensities: Mapping[str, tuple[float | None, ...]]

    def point(self, method: str, sessions: int | None = None) -> Point:
        """The result of a method. StopIteration never: InvalidInput for what was not tried."""
        for p in self.points:
            if (p.method, p.sessions) == (method, sessions):
                return p
        raise InvalidInput(f"'{method}' was not tried with {sessions} sessions", field="method")

    def to_json(self) -> dict[str, Any]:
        return {
            "simulated": True,
            "what_is_simulated": "shoppers and clicks; catalogue and judgments are the workspace's",
            "workspace": self.dataset,
            "measure": MEASURE,
            "model": self.model,
            "queries": self.queries,
            "judgments": self.judgments,
            "protocol": f"{self.folds}-fold cross-validation by query, {self.seeds} seeds",
            "production_learned_from_queries": self.few,
            "shoppers": {
                "places": self.behaviour.shown,
                "severity": self.behaviour.severity,
                "noise": self.behaviour.noise,
                "trust": self.behaviour.trust,
                "swapped": self.behaviour.swapped,
            },
            "propensities_by": self.way,
            "propensities": {k: list(v) for k, v in self.propensities.items()},
            "points": [{f: getattr(p, f) for f in Point.__dataclass_fields__} for p in self.points],
        }


def study_unbiased(
    shop: Workspace,
    name: str | None = None,
    *,
    sessions: Sequence[int] = (1_000, 10_000, 100_000),
    methods: Sequence[str] = METHODS,
    model: str = "linear",
    way: str = "harvest",
    few: int = 1,
    seeds: int = 5,
    folds: int = 5,
    behaviour: ClickBehaviour | None = None,
    progress: Progress | None = None,
) -> Study:
    """Run the study on a workspace's judgment list.

    few: judged queries that each production ranker learned from. way: how propensities are
    estimated from the clicks, never the true ones: `swaps`, `harvest`, `em` or `regression-em`.
    """
    how = behaviour or ClickBehaviour()
    judgments = shop.judgment_list(name)
    rows = {r.query: r for r in judged_rows(shop, judgments, NO_LESSONS, progress)}
    queries = tuple(q for q in judgments.queries if q in rows)
    useful = [q for q in queries if rows[q].relevance.max(initial=0) > 0]
    if len(useful) < 2 * folds or few < 1:
        raise InvalidInput(
            f"{len(useful)} judged queries with a relevant candidate, {few} of them for production",
            field="judgments",
            remedy=f"judge at least {2 * folds} queries",
        )
    parts = query_folds(useful, folds)
    wanted = tuple(dict.fromkeys(("naive", *(m for x in methods for m in (_ends(x)[0], x)))))
    pairwise = any(m in PAIRWISE for m in wanted)
    values: dict[tuple[str, int | None], list[Values]] = {}
    examined: dict[str, tuple[float | None, ...]] = {}
    for seed in range(seeds):
        found: dict[tuple[str, int | None], dict[str, float]] = {}
        for number, part in enumerate(parts):
            judged = [rows[q] for q in part.train]
            for best, kind in ((FULL, model), (FULL_PAIRWISE, LambdaMART.kind)):
                # Judgments are the same for every seed.
                if seed == 0 and (pairwise or best == FULL):
                    full = fit_ranker(judged, LTR_FEATURES, kind, seed).model
                    _measure(found, (best, None), full, rows, part.test, judgments)
            rng = np.random.default_rng([seed, number])
            live = [
                fit_ranker(
                    [rows[q] for q in rng.choice(part.train, few, replace=False).tolist()],
                    LTR_FEATURES,
                    model,
                    seed,
                ).model
                for _ in range(2)
            ]
            _measure(found, (PRODUCTION, None), live[0], rows, part.test, judgments)
            rankings = [_rankings(m, rows, part.train, how.shown) for m in live]
            for many in sessions:
                made = simulated_clicks(
                    rankings,
                    judgments.subset(part.train),
                    many,
                    seed * 1_000 + number,
                    how,
                    pairs=pairwise,
                )
                clicked = join_features(made.log, rows, tuple(LTR_FEATURES))
                ways = {
                    w: (
                        by_swaps(made.swaps, made.first)
                        if w == "swaps"
                        else estimate(clicked.log, w, clicked.features)
                    )
                    for w in _ways(way, seed == number == 0 and many == max(sessions))
                }
                if len(ways) > 1:
                    examined = {
                        "true": _numbers(Propensities(how.examination, how.examination, ""))
                    }
                    examined |= {w: _numbers(p) for w, p in ways.items()}
                for method in wanted:
                    learned = fit_from_clicks(clicked, method, ways[way], model, seed)
                    _measure(found, (method, many), learned, rows, part.test, judgments)
                if progress:
                    done = (seed * len(parts) + number) * len(sessions) + sessions.index(many) + 1
                    progress("study", done, seeds * len(parts) * len(sessions))
        for key, by_query in found.items():
            values.setdefault(key, []).append(np.array([by_query[q] for q in useful]))
    return Study(
        dataset=shop.settings.name,
        model=model,
        queries=len(useful),
        judgments=len(judgments),
        folds=folds,
        seeds=seeds,
        few=few,
        behaviour=how,
        way=way,
        points=tuple(_point(key, values) for key in values),
        propensities=examined,
    )


def _ways(way: str, all_of_them: bool) -> tuple[str, ...]:
    known = ("swaps", "harvest", "em", "regression-em")
    return tuple(dict.fromkeys((way, *known))) if all_of_them else (way,)


def _numbers(found: Propensities) -> tuple[float | None, ...]:
    return tuple(None if np.isnan(x) else round(float(x), 4) for x in found.examination)


def _rankings(
    model: RankingModel, rows: Mapping[str, JudgedCandidates], queries: Sequence[str], k: int
) -> dict[str, list[str]]:
    run = Ranked(LearnedRanker(model), rows).rank(queries, k)
    return {q: [p.product_id for p in ranking] for q, ranking in run.rankings.items()}


def _measure(
    found: dict[tuple[str, int | None], dict[str, float]],
    key: tuple[str, int | None],
    model: RankingModel,
    rows: Mapping[str, JudgedCandidates],
    queries: Sequence[str],
    judgments: JudgmentList,
) -> None:
    measures = parse_measures([MEASURE])
    judged = {q: judgments.by_query[q] for q in queries}
    measured = score(_rankings(model, rows, queries, 100), judged, measures)[:, 0]
    found.setdefault(key, {}).update(zip(queries, measured.tolist(), strict=True))


def _point(
    key: tuple[str, int | None], values: Mapping[tuple[str, int | None], Sequence[Values]]
) -> Point:
    method, many = key
    by_seed = values[key]
    mean = np.mean(by_seed, axis=0)
    found = bootstrap_intervals(mean[:, None], (0.0, 1.0))
    seeds = [float(v.mean()) for v in by_seed]
    plain = (method, many, float(mean.mean()), float(found.low[0]), float(found.high[0]))
    if many is None or method.startswith("naive"):
        return Point(*plain, min(seeds), max(seeds))
    worst, best = _ends(method)
    naive = np.mean(values[worst, many], axis=0)
    full = np.mean(values[best, None], axis=0)
    share, low, high = _recovered(mean, naive, full)
    p = float(permutation_test((mean - naive)[:, None])[0]) if (mean != naive).any() else 1.0
    return Point(*plain, min(seeds), max(seeds), share, low, high, p)


def _recovered(
    method: Values, naive: Values, full: Values, resamples: int = 10_000
) -> tuple[float | None, float | None, float | None]:
    """The share of the distance that is won back, with a percentile interval over queries; None
    where there is no distance."""
    gain, room = method - naive, full - naive
    if room.mean() <= 0:
        return None, None, None
    rng = np.random.default_rng(7)
    drawn = rng.integers(0, gain.size, (resamples, gain.size))
    rooms = room[drawn].mean(1)
    # Where the distance itself might be none, its share can be anything: the interval says so.
    shares = gain[drawn].mean(1) / np.where(rooms > 0, rooms, np.nan)
    if np.isnan(shares).mean() > 0.025:
        return float(gain.mean() / room.mean()), None, None
    low, high = np.nanquantile(shares, [0.025, 0.975])
    return float(gain.mean() / room.mean()), float(low), float(high)


def write_study(study: Study, path: Path) -> None:
    """Write the study's page; the ending chooses HTML or Markdown."""
    pages = {".html": Page.html, ".md": Page.markdown}
    if path.suffix not in pages:
        raise InvalidInput(
            f"cannot write a page as '{path.suffix}'", file=str(path), remedy="use .html or .md"
        )
    write_atomic(path, pages[path.suffix](page(study)).encode())


def page(study: Study) -> Page:
    """The study on one page."""
    steps = sorted({p.sessions for p in study.points if p.sessions is not None})
    best = max((p for p in study.points if p.sessions == steps[-1]), key=lambda p: p.mean)
    naive, full = study.point(_ends(best.method)[0], steps[-1]), study.point(_ends(best.method)[1])
    blocks: list[Block] = [
        Notice(
            "Simulated clicks on real judgments: catalogue, queries and judgments are those of "
            f"'{study.dataset}'; the shoppers and what they click are made up by a program."
        ),
        Paragraph(_verdict(best, naive, full), lead=True),
        Paragraph(
            f"{study.queries:,} judged queries in {study.folds} folds: no figure is of a query "
            f"that its ranker has seen. Averages over {study.seeds} seeds. The live rankers "
            f"learned from {study.few} judged "
            f"{'query' if study.few == 1 else 'queries'} each; all others saw clicks only."
        ),
        BarChart(
            f"{MEASURE} by number of simulated searches. Thin lines: where the true mean "
            "lies with 95% confidence, for other queries of the same kind.",
            [
                ("without clicks", [_bar(p, False) for p in study.points if p.sessions is None]),
                *(
                    (
                        f"{many:,} searches",
                        [_bar(p, p is best) for p in study.points if p.sessions == many],
                    )
                    for many in steps
                ),
            ],
        ),
        Grid(
            "All numbers. Won back: the share of the distance from naive to judgments.",
            ("searches", "method", MEASURE, "95%", "single seeds", "won back", "p against naive"),
            [_row(p) for p in study.points],
            numeric=frozenset({0, 2, 3, 4, 5, 6}),
        ),
    ]
    if study.propensities:
        places = range(min(10, study.behaviour.shown))
        blocks.append(
            Grid(
                "How likely a place is looked at, relative to the first: the truth, and what the "
                "clicks tell (first fold, most searches).",
                ("way", *(str(k + 1) for k in places)),
                [
                    (way, *("unknown" if (x := v[k]) is None else f"{x:.3f}" for k in places))
                    for way, v in study.propensities.items()
                ],
                numeric=frozenset(range(1, len(places) + 1)),
            )
        )
    blocks.append(
        Bullets(
            [
                *(
                    f"{name}: {SAYS[name]}"
                    for name in dict.fromkeys(p.method for p in study.points)
                ),
                f"Shoppers look at place k with chance (1/k)^{study.behaviour.severity:g} of "
                f"{study.behaviour.shown} and click an irrelevant product that they look at with "
                f"chance {study.behaviour.noise:g}. "
                + (
                    "They trust the order: what stands first is clicked by "
                    f"{study.behaviour.trust:.0%} more of those who look."
                    if study.behaviour.trust
                    else "Real ones also trust what stands on top; see --trust."
                ),
            ]
        )
    )
    return Page("Learning from clicks without their bias", blocks)


def _verdict(best: Point, naive: Point, full: Point) -> str:
    if best.recovered is None or best.p is None:
        return "No method did better than taking clicks as they are."
    return (
        f"After {best.sessions:,} searches, '{best.method}' wins back {best.recovered:.0%} of the "
        f"distance between taking clicks as they are ({naive.mean:.3f}) and all judgments "
        f"({full.mean:.3f}); p = {best.p:.3f}."
    )


_SHORT = {"naive-pairwise": "naive pairs", "pairwise": "pairs", FULL_PAIRWISE: "judged pairs"}


def _bar(p: Point, strong: bool) -> Bar:
    return Bar(_SHORT.get(p.method, p.method), p.mean, p.low, p.high, strong)


def _row(p: Point) -> tuple[str, ...]:
    won = "" if p.recovered is None else f"{p.recovered:.0%}"
    if p.recovered_low is not None and p.recovered_high is not None:
        won += f" [{p.recovered_low:.0%}, {p.recovered_high:.0%}]"
    return (
        "" if p.sessions is None else f"{p.sessions:,}",
        p.method,
        f"{p.mean:.3f}",
        f"{p.low:.3f} to {p.high:.3f}",
        f"{p.lowest:.3f} to {p.highest:.3f}",
        won,
        "" if p.p is None else f"{p.p:.3f}",
    )
