"""Judgments: what to judge next, out of clicks, by a program, and how these agree with people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import numpy as np

from tandem.contracts.consent import Purpose
from tandem.contracts.errors import InvalidInput, NotFound
from tandem.contracts.judgment import JudgmentList, Provenance
from tandem.contracts.run import Run
from tandem.experiments.agreement import Agreement, agreement
from tandem.experiments.judging import DEPTH, Needed, Standing, ToJudge, judging_queue, needed
from tandem.flows.index import Progress
from tandem.flows.judges import RelevanceJudge
from tandem.flows.train_clicks import stored_lists
from tandem.flows.workspace import Workspace
from tandem.ranking.clicks.judging import NAME as CLICKS
from tandem.ranking.clicks.judging import judgments_by_model, judgments_from_clicks
from tandem.ranking.clicks.models import Fit, ModelName, compare_models, fit_clicks
from tandem.ranking.clicks.propensity import estimate
from tandem.storage.judgments import save_judgments

TENTATIVE = 0.667
"""Krippendorff's alpha from which tentative conclusions may be drawn."""
SAMPLE = 200  # pairs of people's that a program is asked about first
FEWEST = 50


@dataclass(frozen=True)
class ListReport:
    """A judgment list that a program made, and how far it agrees with people where both judged.

    agreement: None where fewer than `FEWEST` pairs have both verdicts. usable: whether alpha
    (ordinal) is surely at least `least`. saved: whether the list is in the workspace now. model,
    fits: the click model behind a list out of clicks, and how well each foretells lists that it has
    not seen.
    """

    judgments: JudgmentList
    asked: int
    without_verdict: int
    both: int
    agreement: Agreement | None
    least: float
    saved: bool
    simulated: bool
    model: str | None = None
    fits: Mapping[str, Fit] = field(default_factory=dict)

    @property
    def usable(self) -> bool:
        return self.agreement is not None and self.agreement.low["ordinal"] >= self.least

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.judgments.name,
            "source": self.judgments.source,
            "judgments": len(self.judgments),
            "queries": len(self.judgments.queries),
            "by_relevance": {
                str(r): sum(j.relevance == r for j in self.judgments) for r in range(4)
            },
            "asked": self.asked,
            "without_verdict": self.without_verdict,
            "judged_by_both": self.both,
            "agreement": None if self.agreement is None else self.agreement.to_json(),
            "least_alpha": self.least,
            "usable": self.usable,
            "saved": self.saved,
            "simulated": self.simulated,
            "click_model": self.model,
            "held_out": {name: asdict(fit) for name, fit in self.fits.items()},
        }


def next_pairs(
    shop: Workspace,
    rankers: Sequence[str],
    size: int = 20,
    queries: Path | None = None,
    progress: Progress | None = None,
) -> tuple[tuple[ToJudge, ...], Standing]:
    """The pairs whose verdicts tell two rankers apart soonest. queries: a file of texts, one a
    line; by default the judged ones. Raises InvalidInput for what are not two rankers."""
    if len(rankers) != 2:
        raise InvalidInput(
            f"{len(rankers)} rankers", field="rankers", remedy="name two, say bm25,hybrid"
        )
    judged = shop.judgment_list()
    texts = judged.queries if queries is None else _texts(queries)
    if not texts:
        raise InvalidInput(
            "there are no queries to judge for",
            field="queries",
            remedy="name a file of them with --queries, or import judgments",
        )
    first, second = (_run(shop, r, texts, progress) for r in rankers)
    return judging_queue(first, second, judged, size)


def _run(shop: Workspace, name: str, queries: Sequence[str], progress: Progress | None) -> Run:
    pipeline = shop.pipeline(name)
    rankings = {}
    for done, query in enumerate(queries, start=1):
        rankings[query] = pipeline.rank_one(query, DEPTH)
        if progress:
            progress(name, done, len(queries))
    return Run(name, rankings)


def _texts(file: Path) -> tuple[str, ...]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(
            f"cannot be read: {error}", file=str(file), remedy="one query a line, in UTF-8"
        ) from None
    return tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))


@dataclass(frozen=True)
class QueueStudy:
    """How many judgments tell two rankers apart, by the queue and by lot, with verdicts looked up
    in judgments of people. difference: in nDCG@10, with the whole pool judged."""

    rankers: tuple[str, str]
    pool: int
    queries: int
    runs: Mapping[str, Sequence[Needed]]
    simulated_judge: bool = True

    def typical(self, order: str) -> float:
        """Median judgments; a run that was never sure counts as the whole pool."""
        return float(np.median([n.judgments or self.pool for n in self.runs[order]]))

    def to_json(self) -> dict[str, Any]:
        return {
            "rankers": list(self.rankers),
            "pool": self.pool,
            "queries": self.queries,
            "judge": "simulated: verdicts are looked up in the judgments of people",
            "judgments_needed": {
                order: {
                    "median": self.typical(order),
                    "each": [n.judgments for n in runs],
                    "right": sum(n.right for n in runs),
                }
                for order, runs in self.runs.items()
            },
        }


def study_queue(
    shop: Workspace, rankers: Sequence[str], seeds: int = 10, progress: Progress | None = None
) -> QueueStudy:
    """Simulate judging with the queue and by lot, on the workspace's own judgments."""
    judged = shop.judgment_list()
    useful = [q for q, r in judged.by_query.items() if max(r.values(), default=0) > 0]
    if len(rankers) != 2 or not useful:
        raise InvalidInput(
            f"{len(rankers)} rankers, {len(useful)} judged queries",
            field="rankers",
            remedy="name two rankers in a workspace with judgments",
        )
    first, second = (_run(shop, r, useful, progress) for r in rankers)
    _, standing = judging_queue(first, second, JudgmentList(), 1)
    return QueueStudy(
        (rankers[0], rankers[1]),
        standing.pool,
        len(useful),
        needed(first, second, judged, range(seeds)),
    )


# --- Lists that programs make ---------------------------------------------------------------------


def judge_by_clicks(
    shop: Workspace,
    *,
    model: str = "auto",
    way: str = "harvest",
    who: str,
    least: float = TENTATIVE,
) -> ListReport:
    """Make the list `clicks` out of stored events that may be read for analytics; it lies beside
    people's lists and never among them.

    model: `pbm` with propensities by `way`, `cascade`, `dcm`, or `auto`: whichever foretells lists
    best that were kept out, with the clicks above known; where there are too few lists, `pbm`.
    """
    if way == "regression-em":
        raise InvalidInput(
            "regression-em needs features", field="propensities", remedy="use harvest or em"
        )
    with stored_lists(shop.layout, Purpose.ANALYTICS, who) as (log, lists):
        pairs = lists.pairs
        fits: Mapping[str, Fit] = {}
        try:
            fits = {str(name): fit for name, fit in compare_models(lists).items()}
        except InvalidInput:
            if model == "auto":
                model = "pbm"
        if model == "auto":
            model = min(fits.values(), key=lambda f: f.given).name
        if model == "pbm":
            judged = judgments_from_clicks(log, estimate(log, way), name=CLICKS)
        else:
            fitted = fit_clicks(lists, cast("ModelName", model))
            judged = judgments_by_model(log, fitted, name=CLICKS)
    if not len(judged):
        raise InvalidInput(
            "no product was looked at often enough to say anything",
            field="clicks",
            remedy="wait for more searches",
        )
    save_judgments(shop.layout, judged)
    both, found = _agreement(judged, shop.judgment_list())
    return ListReport(
        judged,
        pairs,
        pairs - len(judged),
        both,
        found,
        least,
        True,
        log.simulated or shop.settings.simulated,
        model,
        fits,
    )


def ask_judge(
    shop: Workspace,
    judge: RelevanceJudge,
    rankers: Sequence[str],
    size: int = 100,
    *,
    name: str = "asked",
    sample: int = SAMPLE,
    least: float = TENTATIVE,
    seed: int = 7,
    progress: Progress | None = None,
) -> ListReport:
    """Let a program judge, if it agrees with people.

    First it is asked about `sample` pairs that people have judged, drawn by lot. Only when
    Krippendorff's alpha is surely at least `least` (lower end of its 95% interval), it judges the
    `size` pairs that tell `rankers` apart soonest, and these are saved as the list `name`.
    """
    people = shop.judgment_list()
    pairs = [(j.query, j.product_id) for j in people]
    if len(pairs) < FEWEST:
        raise InvalidInput(
            f"{len(pairs)} judgments of people to hold it against",
            field="judgments",
            remedy=f"judge {FEWEST} pairs or more first",
        )
    rng = np.random.default_rng(seed)
    drawn = [pairs[i] for i in rng.permutation(len(pairs))[:sample].tolist()]
    tried = _verdicts(shop, judge, drawn, name, "agreement", progress)
    both, found = _agreement(tried, people)
    report = ListReport(
        tried,
        len(drawn),
        len(drawn) - len(tried),
        both,
        found,
        least,
        False,
        shop.settings.simulated,
    )
    if not report.usable:
        return report
    chosen, _ = next_pairs(shop, rankers, size)
    asked = [(p.query, p.product_id) for p in chosen]
    judged = _verdicts(shop, judge, asked, name, "judge", progress)
    save_judgments(shop.layout, judged)
    return ListReport(
        judged,
        len(asked),
        len(asked) - len(judged),
        both,
        found,
        least,
        True,
        shop.settings.simulated,
    )


def _verdicts(
    shop: Workspace,
    judge: RelevanceJudge,
    pairs: Sequence[tuple[str, str]],
    name: str,
    stage: str,
    progress: Progress | None,
) -> JudgmentList:
    judged: dict[str, dict[str, int]] = {}
    about = {}
    for done, (query, product_id) in enumerate(pairs, start=1):
        product = shop.product(product_id)
        relevance = None if product is None else judge.judge(query, product)
        if relevance is not None:
            judged.setdefault(query, {})[product_id] = relevance
            now = datetime.now(UTC).isoformat(timespec="seconds")
            about[query, product_id] = Provenance(judge.source, judge.name, now)
        if progress:
            progress(stage, done, len(pairs))
    return JudgmentList(judged, name, judge.source, about)


def _agreement(judged: JudgmentList, people: JudgmentList) -> tuple[int, Agreement | None]:
    """Pairs that both judged, and how far they agree; None with too few."""
    rows = [
        (j.relevance, people.by_query[j.query][j.product_id])
        for j in judged
        if j.product_id in people.by_query.get(j.query, {})
    ]
    if len(rows) < FEWEST:
        return len(rows), None
    return len(rows), agreement(np.array(rows, np.float64), (judged.source, "people"))


def record_verdict(shop: Workspace, query: str, product_id: str, relevance: int) -> None:
    """Record one verdict of a person. NotFound for a product that the shop does not have."""
    if shop.product(product_id) is None:
        raise NotFound(f"no product '{product_id}'", remedy="judge products of this shop")
    if not query.strip():
        raise InvalidInput("a judgment needs a query", field="query", remedy="say what was asked")
    shop.judge(query, product_id, relevance)
