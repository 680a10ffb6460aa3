"""The whole loop on simulated data: from a finding in the log to a promoted or refused fix."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.random import Generator

from tandem.experiments.abtest.analysis import Analysis, analyse
from tandem.experiments.abtest.assignment import Assignment, Experiment, Layer
from tandem.experiments.abtest.effects import Metric
from tandem.experiments.inference import bootstrap_intervals, permutation_test
from tandem.experiments.interleaving.lists import team_draft
from tandem.experiments.interleaving.outcome import preferences
from tandem.experiments.offpolicy.evaluation import evaluate
from tandem.experiments.offpolicy.feedback import Feedback
from tandem.simulate.market import KINDS, NOTHING, FaultySearch, Fix, Searches

Outcome = Literal["passed", "stopped", "noted"]
_LEVEL = 0.05
_EXPLORE = 0.5
_SHOPPERS = 60_000


@dataclass(frozen=True, slots=True)
class Step:
    """One stage: what it saw (`figures`), whether it let the fix through, and why."""

    name: str
    outcome: Outcome
    because: str
    figures: dict[str, Any]


@dataclass(frozen=True)
class Loop:
    """The log of one fix. promoted: the decision. truth: the real change of orders per search.
    registry: the decision as the registry holds it, of a fix in a real search.

    right: a fix is promoted if, and only if, it truly helps.
    """

    fix: Fix
    steps: tuple[Step, ...]
    promoted: bool
    because: str
    truth: float
    analysis: Analysis | None
    registry: dict[str, Any] | None = None

    @property
    def right(self) -> bool:
        return self.promoted == (self.fix == "helpful")

    def to_json(self) -> dict[str, Any]:
        return {
            "simulated": True,
            "fix": self.fix,
            "steps": [asdict(s) for s in self.steps],
            "decision": "promoted" if self.promoted else "refused",
            "because": self.because,
            "registry": self.registry,
            "truth": {"orders_per_search": self.truth, "should_ship": self.fix == "helpful"},
            "decision_matches_truth": self.right,
            "experiment": self.analysis.to_json() if self.analysis else None,
        }


def run_loop(fix: Fix, *, seed: int = 7, shoppers: int = _SHOPPERS) -> Loop:
    """Walk one fix through every stage; the first stage that shows harm stops it.

    No stage looks at the truth; it is compared with the decision at the end.
    """
    search = FaultySearch.make(fix, seed=seed)
    rng = np.random.default_rng((seed, 1))
    name = f"A fix for searches for {KINDS[search.faulty]}"
    stages = (partial(_finding, search, rng), partial(_offline, search, rng))
    return walk(fix, stages, search, rng, shoppers, name)


def walk(
    fix: Fix,
    before: Sequence[Callable[[], Step]],
    search: Searches,
    rng: Generator,
    shoppers: int,
    name: str,
) -> Loop:
    """The stages `before`, then those that need shoppers; the first that shows harm ends it."""
    stages: list[Callable[[], Step]] = [
        *before,
        partial(_off_policy, search, rng),
        partial(_interleaving, search, rng),
    ]
    steps: list[Step] = []
    for stage in stages:
        step = stage()
        steps.append(step)
        if step.outcome == "stopped":
            return Loop(fix, tuple(steps), False, step.because, search.truth, None)
    analysis = _experiment(search, rng, shoppers, name)
    decision = analysis.decision
    promoted = decision.verdict == "ship"
    e = analysis.effects["orders"]
    steps.append(
        Step(
            "A/B test",
            "passed" if promoted else "stopped",
            decision.because,
            {
                "shoppers": analysis.units,
                "difference": e.difference,
                "low": e.always_low,
                "high": e.always_high,
                "p": e.always_p,
                "verdict": decision.verdict,
            },
        )
    )
    return Loop(fix, tuple(steps), promoted, decision.because, search.truth, analysis)


def _finding(search: FaultySearch, rng: Generator) -> Step:
    """Which kind of query does worst in the log of the old search?"""
    query = search.draw(20_000, rng)
    clicked, _ = search.shop(search.old, query, rng)
    hit = clicked.any(axis=1).astype(float)
    rates = {}
    for i, name in enumerate(KINDS):
        found = bootstrap_intervals(
            hit[search.kind[query] == i][:, None], (0.0, 1.0), resamples=500
        )
        rates[name] = tuple(float(x[0]) for x in (found.mean, found.low, found.high))
    worst = min(rates, key=lambda k: rates[k][0])
    others = min(low for name, (_, low, _) in rates.items() if name != worst)
    clear = rates[worst][2] < others
    return Step(
        "finding",
        "passed" if clear else "stopped",
        f"searches for {worst} end in a click less often than all others"
        if clear
        else "no kind of query stands out",
        {"searches": query.size, "click_rate": {k: v[0] for k, v in rates.items()}},
    )


def _offline(search: FaultySearch, rng: Generator) -> Step:
    """nDCG@5 on a judged third of the queries; judges are off by one in a tenth of the cases."""
    judged = rng.choice(search.queries, search.queries // 3, replace=False)
    relevance = search.relevance[judged]
    slips = (rng.random(relevance.shape) < 0.1) * rng.choice((-1, 1), relevance.shape)
    rated = np.clip(relevance + slips, 0, 3)
    discount = 1 / np.log2(np.arange(2, search.places + 2))
    ideal = -np.sort(-(2.0**rated - 1), axis=1)[:, : search.places] @ discount

    def ndcg(order: Any) -> Any:
        gains = np.take_along_axis(2.0**rated - 1, order[judged], axis=1)[:, : search.places]
        return gains @ discount / np.where(ideal > 0, ideal, np.nan)

    difference = (ndcg(search.new) - ndcg(search.old))[:, None]
    p = float(permutation_test(difference, permutations=2_000)[0])
    mean = float(np.nanmean(difference))
    worse = mean < 0 and p < _LEVEL
    return Step(
        "offline",
        "stopped" if worse else "passed",
        "the fix ranks worse on judged queries"
        if worse
        else "the fix does not rank worse on judged queries",
        {"queries": int(judged.size), "nDCG@5": mean, "p": p},
    )


def _off_policy(search: Searches, rng: Generator) -> Step:
    """Clicks on the first place, from a log that puts one of the old first five there by chance."""
    n = 40_000
    query = search.draw(n, rng)
    first, wanted = search.old[query][:, :5], search.new[query][:, 0]
    choice = np.where(rng.random(n) < _EXPLORE, rng.integers(0, 5, n), 0)
    taken = first[np.arange(n), choice]
    pscore = _EXPLORE / 5 + (1 - _EXPLORE) * (choice == 0)
    # The evaluation policy puts the fix's first product first, where the log could have shown it,
    # and leaves the search as it is elsewhere.
    shown = (first == wanted[:, None]).any(axis=1)
    target = np.where(shown, wanted, first[:, 0])
    relevance = search.relevance[query, taken][:, None]
    clicked, _ = search.use(relevance, rng)
    reward = clicked[:, 0].astype(float)
    found, before = (
        evaluate(Feedback(reward, pscore, (taken == t).astype(float)), ("SNIPW",), resamples=300)
        for t in (target, first[:, 0])
    )
    for evaluation in (found, before):
        if (refusal := evaluation.refusal) is not None:
            return Step("off-policy", "noted", refusal.message, {"refusal": refusal.reason})
    estimate, base = found.estimates["SNIPW"], before.estimates["SNIPW"].value
    worse = estimate.bootstrap.high < base
    return Step(
        "off-policy",
        "stopped" if worse else "passed",
        "the log says that the fix would get fewer first clicks"
        if worse
        else "the log does not speak against the fix",
        {
            "decisions": n,
            "effective": found.diagnostics.effective,
            "SNIPW": estimate.value,
            "low": estimate.bootstrap.low,
            "high": estimate.bootstrap.high,
            "old": base,
        },
    )


def _interleaving(search: Searches, rng: Generator) -> Step:
    """Team draft: 3,000 shoppers, one list each."""
    n = 3_000
    query = search.draw(n, rng)
    credits = np.zeros((n, 2))
    for i, q in enumerate(query):
        lists = [
            [str(p) for p in order[q] if search.relevance[q, p] != NOTHING]
            for order in (search.old, search.new)
        ]
        made = team_draft(lists, search.places, rng)
        relevance = search.relevance[q, [int(p) for p in made.shown]][None, :]
        clicked, _ = search.use(relevance, rng)
        credits[i] = made.score([p for p, c in zip(made.shown, clicked[0], strict=True) if c])
    (found,) = preferences(credits, planned=n)
    worse = found.p < _LEVEL and found.lead < 0
    return Step(
        "interleaving",
        "stopped" if worse else "passed",
        "shoppers prefer the old order" if worse else "shoppers do not prefer the old order",
        {"shoppers": n, "lead": found.lead, "low": found.low, "high": found.high, "p": found.p},
    )


def _experiment(search: Searches, rng: Generator, shoppers: int, name: str) -> Analysis:
    """The A/B test: assignment by hash, orders and clicks per shopper, three searches each."""
    assignment = Assignment(
        "loop", [Layer("ranking", [Experiment("fix", {"control": 0.5, "treatment": 0.5})])]
    )
    variants = np.array([assignment.variant(f"s{i}", "fix") for i in range(shoppers)])
    orders, clicks = np.zeros(shoppers), np.zeros(shoppers)
    for _ in range(3):
        query = search.draw(shoppers, rng)
        for arm, order in (("control", search.old), ("treatment", search.new)):
            here = variants == arm
            clicked, ordered = search.shop(order, query[here], rng)
            clicks[here] += clicked.sum(axis=1)
            orders[here] += ordered.sum(axis=1)
    return analyse(
        variants,
        {"orders": orders, "clicks": clicks},
        [Metric("orders", "orders"), Metric("clicks", "clicks", role="guardrail")],
        control="control",
        treatment="treatment",
        shares={"control": 0.5, "treatment": 0.5},
        planned=shoppers,
        name=name,
        simulated=True,
    )
