"""Offline evaluation: systems against a judgment list, with intervals, tests and coverage.

>>> evaluation = evaluate([bm25, hybrid, ltr], judgments, ["nDCG@10", "R@100"], baseline=0)
>>> evaluation["ltr"].estimates["nDCG@10"]
>>> evaluation.worst("ltr", "nDCG@10")
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.errors import InvalidInput, TandemError
from tandem.contracts.judgment import JudgmentList
from tandem.contracts.run import Run
from tandem.experiments.inference import (
    adjust,
    bootstrap_intervals,
    effect_size,
    permutation_test,
)
from tandem.experiments.measures import MAX_RELEVANCE, Measure, depth, parse_measures, score

COVERAGE_DEPTH = 10
CONFIDENCE = 0.95
# Below these, a result is reported with a warning. About 25 queries is where TREC's collections
# stop ranking systems reliably (Buckley & Voorhees, SIGIR 2000).
FEW_QUERIES = 25
LOW_COVERAGE = 0.8

Values = NDArray[np.float64]


@runtime_checkable
class System(Protocol):
    """Anything that ranks products for queries: a retrieval pipeline, a remote service, a rule."""

    @property
    def name(self) -> str: ...

    def rank(self, queries: Sequence[str], k: int) -> Run:
        """The best `k` products for each query, best first."""
        ...


class EvaluationFailed(TandemError):  # noqa: N818 - named like its siblings
    """Nothing could be evaluated, or the baseline could not."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over `n` queries with its 95% interval; None where no query was measurable."""

    mean: float | None
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """One system against the baseline on one measure, paired by query.

    difference: system minus baseline. p_value: two-sided paired randomisation test; `p_adjusted`
    after the correction. effect_size: Cohen's d_z, None where undefined.
    """

    system: str
    baseline: str
    measure: str
    difference: Estimate
    p_value: float | None
    p_adjusted: float | None
    effect_size: float | None
    wins: int
    ties: int
    losses: int

    @property
    def significant(self) -> bool:
        """Whether the adjusted p-value is below 5%."""
        return self.p_adjusted is not None and self.p_adjusted < 1 - CONFIDENCE


@dataclass(frozen=True, slots=True)
class QueryResult:
    """One query: each system's value, None where the query says nothing about the measure."""

    query: str
    relevant: int
    judged: int
    values: Mapping[str, float | None]


@dataclass(frozen=True)
class SystemResult:
    """One system. `estimates` and `condensed` by measure name; `values` is (queries, measures).

    condensed: measured after leaving unjudged products out of the ranking (Sakai, SIGIR 2007).
    coverage: share of the top 10 that is judged, None if the system returned nothing at all.
    missing: queries for which it returned nothing; they count as 0.
    """

    name: str
    estimates: Mapping[str, Estimate]
    condensed: Mapping[str, Estimate]
    values: Values = field(repr=False)
    coverage: float | None
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SystemFailure:
    """A system that could not be evaluated, and why. It has no values that could be mistaken."""

    name: str
    error: str


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found. Every number in a report comes from here.

    queries: those with at least one relevant product; means are over them.
    excluded: queries without any relevant product, which no system could answer.
    coverage: mean of the systems' coverage; None if no system returned anything.
    """

    measures: tuple[Measure, ...]
    systems: tuple[SystemResult, ...]
    failures: tuple[SystemFailure, ...]
    baseline: str
    comparisons: tuple[Comparison, ...]
    queries: tuple[str, ...]
    excluded: tuple[str, ...]
    judgments: JudgmentList = field(repr=False)
    coverage: float | None
    warnings: tuple[str, ...]
    seed: int
    bootstrap: int
    correction: str
    protocol: str = "all queries"

    def __getitem__(self, system: str) -> SystemResult:
        for result in self.systems:
            if result.name == system:
                return result
        for failure in self.failures:
            if failure.name == system:
                raise EvaluationFailed(f"system '{system}' failed: {failure.error}")
        raise InvalidInput(
            f"no system '{system}'", remedy=f"use: {', '.join(s.name for s in self.systems)}"
        )

    def comparison(self, system: str, measure: str) -> Comparison:
        """`system` against the baseline on `measure`."""
        for c in self.comparisons:
            if (c.system, c.measure) == (system, measure):
                return c
        raise InvalidInput(f"'{system}' was not compared on '{measure}'")

    def best(self, measure: str) -> SystemResult:
        """The system with the highest mean; the first of equals."""
        self._column(measure)
        return max(self.systems, key=lambda s: s.estimates[measure].mean or 0.0)

    def per_query(self, measure: str) -> list[QueryResult]:
        """Every query's value for every system, in the order of the judgment list."""
        column = self._column(measure)
        rows = []
        for i, query in enumerate(self.queries):
            relevances = self.judgments.by_query[query].values()
            rows.append(
                QueryResult(
                    query,
                    relevant=sum(r > 0 for r in relevances),
                    judged=len(relevances),
                    values={s.name: _known(s.values[i, column]) for s in self.systems},
                )
            )
        return rows

    def worst(self, system: str, measure: str, n: int | None = None) -> list[QueryResult]:
        """The queries on which `system` does worst, worst first; ties by query text."""
        self[system]  # an unknown or failed system is an error also when no query is left
        rows = [r for r in self.per_query(measure) if r.values[system] is not None]
        return sorted(rows, key=lambda r: (r.values[system], r.query))[:n]

    def losses(self, system: str, measure: str, n: int | None = None) -> list[QueryResult]:
        """The queries on which `system` loses most against the baseline, worst first."""
        self[system]
        rows = [
            (value - base, r.query, r)
            for r in self.per_query(measure)
            if (value := r.values[system]) is not None
            and (base := r.values[self.baseline]) is not None
            and value - base < -_TIE
        ]
        return [r for _, _, r in sorted(rows, key=lambda t: t[:2])][:n]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values. `systems[NAME]` has measure names as its only keys; what is not
        known is null, never 0.
        """
        return {
            "systems": {s.name: _estimates_json(s.estimates) for s in self.systems},
            "queries": len(self.queries),
            "coverage": self.coverage,
            "per_system_coverage": {s.name: s.coverage for s in self.systems},
            "condensed": {s.name: _estimates_json(s.condensed) for s in self.systems},
            "baseline": self.baseline,
            "comparisons": [
                {
                    "system": c.system,
                    "baseline": c.baseline,
                    "measure": c.measure,
                    "difference": _estimate_json(c.difference),
                    "p_value": c.p_value,
                    "p_adjusted": c.p_adjusted,
                    "significant": c.significant,
                    "effect_size": c.effect_size,
                    "wins": c.wins,
                    "ties": c.ties,
                    "losses": c.losses,
                }
                for c in self.comparisons
            ],
            "correction": {"method": self.correction, "comparisons": len(self.comparisons)},
            "gains": {m.name: m.gains for m in self.measures if m.gains is not None},
            "judgments": {
                "name": self.judgments.name,
                "judgments": len(self.judgments),
                "queries": len(self.judgments.queries),
                "queries_without_relevant": len(self.excluded),
            },
            "queries_by_measure": {
                m.name: self.systems[0].estimates[m.name].n for m in self.measures
            },
            "missing_queries": {s.name: len(s.missing) for s in self.systems},
            "failures": {f.name: f.error for f in self.failures},
            "warnings": list(self.warnings),
            "protocol": self.protocol,
            "confidence": CONFIDENCE,
            "bootstrap": self.bootstrap,
            "seed": self.seed,
        }

    def _column(self, measure: str) -> int:
        for j, m in enumerate(self.measures):
            if m.name == measure:
                return j
        raise InvalidInput(
            f"'{measure}' was not measured",
            field="measures",
            remedy=f"use: {', '.join(m.name for m in self.measures)}",
        )


# Differences below this are ties: rounding, not a change that a shopper could see.
_TIE = 1e-9


def evaluate(
    systems: Sequence[System | Run],
    judgments: JudgmentList,
    measures: Sequence[str],
    baseline: int | str = 0,
    *,
    condensed: bool = True,
    seed: int = 7,
    bootstrap: int = 10_000,
    correction: str = "holm",
) -> Evaluation:
    """Measure systems on judged queries and compare each with the baseline.

    systems: runs, or objects with `name` and `rank(queries, k)`; k is the deepest cutoff (1,000
        for measures without one).
    baseline: position or name of the system that the others are compared with.
    condensed: also measure with unjudged products removed.
    bootstrap: resamples behind each interval, and permutations behind each test.
    correction: `holm` or `none`, over all comparisons (systems × measures) of this call.

    A system that raises, or returns a ranking that is none, becomes a `SystemFailure`. Raises
    EvaluationFailed if that is the baseline or all systems, InvalidInput for a bad argument.
    """
    wanted = parse_measures(measures)
    k = max(depth(wanted), COVERAGE_DEPTH)
    queries = judged_queries(judgments)

    def answer(system: System | Run) -> Run:
        return system if isinstance(system, Run) else system.rank(queries, k)

    return summarise(
        {name: attempt(partial(answer, s)) for name, s in named(systems).items()},
        judgments,
        wanted,
        baseline,
        condensed=condensed,
        seed=seed,
        bootstrap=bootstrap,
        correction=correction,
    )


def attempt(answer: Callable[[], Run | list[Run]]) -> list[Run] | Exception:
    """Runs of one system, or what it raised: one broken system must not hide the others."""
    try:
        runs = answer()
        return [runs] if isinstance(runs, Run) else runs
    except Exception as error:
        return error


def summarise(
    runs: Mapping[str, list[Run] | Exception],
    judgments: JudgmentList,
    measures: tuple[Measure, ...],
    baseline: int | str = 0,
    *,
    condensed: bool = True,
    seed: int = 7,
    bootstrap: int = 10_000,
    correction: str = "holm",
    protocol: str = "all queries",
) -> Evaluation:
    """An Evaluation from each system's runs. Several runs (repeats) are averaged by query."""
    adjust(np.empty(0), correction)  # an unknown correction fails before the work
    if bootstrap < 100:
        raise InvalidInput(
            "too few resamples", field="bootstrap", remedy="use at least 100; 10,000 is usual"
        )
    judged_queries(judgments)
    reference = _baseline_name(list(runs), baseline)
    queries = tuple(q for q, r in judgments.by_query.items() if max(r.values(), default=0) > 0)
    excluded = tuple(q for q in judgments.queries if q not in set(queries))
    if not queries:
        raise InvalidInput(
            f"no query of '{judgments.name}' has a relevant product",
            field="judgments",
            remedy="judge at least one product per query as relevant (above 0)",
        )
    relevances = {q: judgments.by_query[q] for q in queries}
    results: list[SystemResult] = []
    failures: list[SystemFailure] = []
    for name, outcome in runs.items():
        try:
            if isinstance(outcome, Exception):
                raise outcome
            rankings = [_rankings(run, judgments) for run in outcome]
        except TandemError as error:
            failures.append(SystemFailure(name, str(error)))
            continue
        except Exception as error:
            failures.append(SystemFailure(name, f"{type(error).__name__}: {error}"))
            continue
        values = np.mean([score(r, relevances, measures) for r in rankings], axis=0)
        shortened = (
            np.mean(
                [score(_condense(r, relevances), relevances, measures) for r in rankings], axis=0
            )
            if condensed
            else None
        )
        results.append(
            SystemResult(
                name,
                _estimates(values, measures, bootstrap, seed),
                {} if shortened is None else _estimates(shortened, measures, bootstrap, seed),
                values,
                _coverage(rankings, judgments),
                tuple(q for q in queries if not all(r.get(q) for r in rankings)),
            )
        )
    for failure in failures:
        if failure.name == reference or not results:
            raise EvaluationFailed(
                f"system '{failure.name}' failed: {failure.error}",
                remedy="correct the system, or leave it out and name another baseline",
            )
    covered = [s.coverage for s in results if s.coverage is not None]
    coverage = float(np.mean(covered)) if covered else None
    return Evaluation(
        measures=measures,
        systems=tuple(results),
        failures=tuple(failures),
        baseline=reference,
        comparisons=_compare(results, reference, measures, bootstrap, seed, correction),
        queries=queries,
        excluded=excluded,
        judgments=judgments,
        coverage=coverage,
        warnings=_warnings(results, failures, queries, excluded),
        seed=seed,
        bootstrap=bootstrap,
        correction=correction,
        protocol=protocol,
    )


def judged_queries(judgments: JudgmentList) -> tuple[str, ...]:
    """The queries to answer, after checking the judgments."""
    if not len(judgments):
        raise InvalidInput(
            f"'{judgments.name}' holds no judgments", field="judgments", remedy="import some first"
        )
    for j in judgments:
        if j.relevance not in range(MAX_RELEVANCE + 1):
            raise InvalidInput(
                f"relevance {j.relevance!r} of '{j.product_id}' for '{j.query}' is not 0 to 3",
                field="relevance",
                remedy="map the ratings to 0 (irrelevant) … 3 (exact)",
            )
    return judgments.queries


def named(systems: Sequence[System | Run]) -> dict[str, System | Run]:
    """Systems by name. Raises InvalidInput where two share one."""
    named: dict[str, System | Run] = {}
    for system in systems:
        name = system.system if isinstance(system, Run) else system.name
        if name in named:
            raise InvalidInput(
                f"two systems are called '{name}'", field="systems", remedy="rename one of them"
            )
        named[name] = system
    return named


def _baseline_name(names: Sequence[str], baseline: int | str) -> str:
    if not names:
        raise InvalidInput("no system to evaluate", field="systems", remedy="name at least one")
    if isinstance(baseline, str):
        if baseline in names:
            return baseline
    elif 0 <= baseline < len(names):
        return names[baseline]
    raise InvalidInput(
        f"no baseline {baseline!r}",
        field="baseline",
        remedy=f"use a position from 0 to {len(names) - 1} or one of: {', '.join(names)}",
    )


def _rankings(run: Run, judgments: JudgmentList) -> dict[str, list[str]]:
    """Product ids by judged query. A product that stands twice in a list makes it no ranking."""
    rankings: dict[str, list[str]] = {}
    for query in judgments.queries:
        products = [scored.product_id for scored in run.rankings.get(query, ())]
        if len(set(products)) < len(products):
            twice = next(p for i, p in enumerate(products) if p in products[:i])
            raise InvalidInput(
                f"'{run.system}' returned product '{twice}' twice for '{query}'",
                field="rankings",
                remedy="return each product once",
            )
        rankings[query] = products
    return rankings


def _condense(
    rankings: Mapping[str, Sequence[str]], relevances: Mapping[str, Mapping[str, int]]
) -> dict[str, list[str]]:
    return {q: [p for p in rankings[q] if p in judged] for q, judged in relevances.items()}


def _coverage(
    repeats: Sequence[Mapping[str, Sequence[str]]], judgments: JudgmentList
) -> float | None:
    """Mean over queries (with results) of the share of the top 10 that is judged."""
    shares = [
        sum(p in judgments.by_query[query] for p in top) / len(top)
        for rankings in repeats
        for query, products in rankings.items()
        if (top := products[:COVERAGE_DEPTH])
    ]
    return float(np.mean(shares)) if shares else None


def _estimates(
    values: Values, measures: Sequence[Measure], bootstrap: int, seed: int
) -> dict[str, Estimate]:
    found = bootstrap_intervals(
        values, (0.0, 1.0), resamples=bootstrap, confidence=CONFIDENCE, seed=seed
    )
    return {
        m.name: Estimate(
            _known(found.mean[j]), float(found.low[j]), float(found.high[j]), int(found.n[j])
        )
        for j, m in enumerate(measures)
    }


def _compare(
    systems: Sequence[SystemResult],
    baseline: str,
    measures: Sequence[Measure],
    bootstrap: int,
    seed: int,
    correction: str,
) -> tuple[Comparison, ...]:
    reference = next(s for s in systems if s.name == baseline)
    others = [s for s in systems if s is not reference]
    if not others:
        return ()
    differences = np.hstack([s.values - reference.values for s in others])
    differences[np.abs(differences) < _TIE] = 0.0
    intervals = bootstrap_intervals(
        differences, (-1.0, 1.0), resamples=bootstrap, confidence=CONFIDENCE, seed=seed
    )
    p = permutation_test(differences, permutations=bootstrap, seed=seed)
    adjusted, effects = adjust(p, correction), effect_size(differences)
    labels = [(s.name, m.name) for s in others for m in measures]
    return tuple(
        Comparison(
            system=name,
            baseline=baseline,
            measure=measure,
            difference=Estimate(
                _known(intervals.mean[c]),
                float(intervals.low[c]),
                float(intervals.high[c]),
                int(intervals.n[c]),
            ),
            p_value=_known(p[c]),
            p_adjusted=_known(adjusted[c]),
            effect_size=_known(effects[c]),
            wins=int((differences[:, c] > 0).sum()),
            ties=int((differences[:, c] == 0).sum()),
            losses=int((differences[:, c] < 0).sum()),
        )
        for c, (name, measure) in enumerate(labels)
    )


def _warnings(
    systems: Sequence[SystemResult],
    failures: Sequence[SystemFailure],
    queries: Sequence[str],
    excluded: Sequence[str],
) -> tuple[str, ...]:
    found = [f"system '{f.name}' failed and is not in the results: {f.error}" for f in failures]
    if excluded:
        found.append(
            f"{len(excluded)} of {len(queries) + len(excluded)} queries have no relevant product "
            "and are left out of the means"
        )
    for s in systems:
        if s.missing:
            found.append(
                f"'{s.name}' returned nothing for {len(s.missing)} of {len(queries)} queries; "
                "they count as 0"
            )
    if low := [s for s in systems if s.coverage is not None and s.coverage < LOW_COVERAGE]:
        shares = ", ".join(f"{s.name} ({s.coverage:.0%})" for s in low)
        found.append(
            f"less than {LOW_COVERAGE:.0%} of the top {COVERAGE_DEPTH} is judged for {shares}; "
            "unjudged products count as irrelevant, so these values may be too low"
        )
    if len(queries) < FEW_QUERIES:
        found.append(f"only {len(queries)} queries: intervals are wide and not very reliable")
    return tuple(found)


def _known(value: float) -> float | None:
    """None for NaN: JSON has no NaN, and missing is not zero."""
    return None if np.isnan(value) else float(value)


def _estimate_json(estimate: Estimate) -> dict[str, float | None]:
    return {"mean": estimate.mean, "low": estimate.low, "high": estimate.high}


def _estimates_json(estimates: Mapping[str, Estimate]) -> dict[str, dict[str, float | None]]:
    return {measure: _estimate_json(e) for measure, e in estimates.items()}
