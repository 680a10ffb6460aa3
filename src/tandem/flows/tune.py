"""Find better weights of fields and fusion by search, and check them where it did not look.

Queries are cut in two by a fixed lot. On the larger part the tuner looks for weights; how much good
looking does is measured there by cross-validation (looked for on four fifths, measured on the
fifth). The smaller part is touched once, at the end: weights that are not better there change
nothing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tandem.contracts.candidates import Candidates
from tandem.contracts.configuration import SearchConfiguration
from tandem.contracts.errors import InvalidInput, MissingExtra
from tandem.contracts.judgment import JudgmentList
from tandem.experiments.folds import query_folds
from tandem.experiments.inference import bootstrap_intervals, permutation_test
from tandem.experiments.measures import Measure, depth, parse_measures, score
from tandem.features.evidence import FIELD_WEIGHTS, Evidence
from tandem.flows.generations import made
from tandem.flows.index import Progress
from tandem.flows.telling import traced, tracked
from tandem.flows.view import RETRIEVED
from tandem.flows.workspace import Workspace
from tandem.ranking.learned import code_version
from tandem.retrieval.fusion import reciprocal_rank_fusion
from tandem.retrieval.pipeline import Dense, Lexical
from tandem.retrieval.port import Snapshot
from tandem.storage.configurations import publish_configuration

Values = NDArray[np.float64]
HELD_PARTS = 3  # one part in so many is kept back for the check
FEWEST = 20  # judged queries below which nothing is tuned
_BOOSTS = (0.1, 10.0)  # of the built-in weight
_RANK_CONSTANTS = (5, 120)


@dataclass(frozen=True, slots=True)
class Gain:
    """after - before over `queries`, with a 95% interval over queries and p of a paired
    randomisation test."""

    before: float
    after: float
    mean: float
    low: float
    high: float
    p: float
    queries: int


@dataclass(frozen=True)
class Tuning:
    """What tuning found. cross_validated: the gain of tuning on queries that it did not look at,
    within the larger part; held_out: the gain of the weights found, on the part kept back.

    better: whether both gains are above 0; only then is `configuration` live, as `generation`.
    """

    system: str
    measure: str
    trials: int
    configuration: SearchConfiguration
    cross_validated: Gain
    held_out: Gain
    tuned: float
    better: bool
    generation: str | None
    simulated: bool
    seconds: float

    @property
    def verdict(self) -> str:
        g = self.held_out
        if not self.better:
            where = "the queries kept back" if g.mean <= 0 else "cross-validation"
            return f"What was found is not better on {where}: nothing changes."
        chance = "" if g.p < 0.05 else ", though chance alone could explain that"
        return f"Better by {g.mean:+.3f} on {g.queries} queries that were kept back{chance}."

    def to_json(self) -> dict[str, Any]:
        return {
            "system": self.system,
            "measure": self.measure,
            "trials": self.trials,
            "better": self.better,
            "verdict": self.verdict,
            "generation": self.generation,
            "configuration": self.configuration.model_dump(exclude={"tuned_on"}),
            "on_the_queries_tuned_on": self.tuned,
            "cross_validated": _gain_json(self.cross_validated),
            "held_out": _gain_json(self.held_out),
            "simulated": self.simulated,
            "seconds": self.seconds,
        }


@traced("tune", "configurations", "index", "configurations")
@tracked("configurations")
def tune(
    shop: Workspace,
    name: str | None = None,
    *,
    measure: str = "nDCG@10",
    trials: int = 60,
    folds: int = 5,
    seed: int = 7,
    dry: bool = False,
    live: bool = True,
    progress: Progress | None = None,
) -> Tuning:
    """Tune the weights of `hybrid` (of `bm25` in a workspace without an encoder) by judgments.

    The tuner starts from the weights there are. dry: look and check, but change nothing. live: or
    else what is better waits as a candidate. Raises
    MissingExtra without Optuna, InvalidInput with too few judged queries.
    """
    started = time.perf_counter()
    _optuna()
    judgments = shop.judgment_list(name)
    useful = [q for q, r in judgments.by_query.items() if max(r.values(), default=0) > 0]
    if len(useful) < FEWEST:
        raise InvalidInput(
            f"{len(useful)} judged queries with a relevant product",
            field="judgments",
            remedy=f"judge {FEWEST} or more",
        )
    view = shop.view
    bench = _Bench(shop, judgments, useful, parse_measures([measure])[0], progress)
    before = bench.values(view.configuration)
    split = query_folds(useful, HELD_PARTS, seed=seed)[0]
    parts = query_folds(split.train, folds, seed=seed)
    at = {q: i for i, q in enumerate(useful)}

    def found(queries: Sequence[str], number: int) -> SearchConfiguration:
        where = np.array([at[q] for q in queries])
        made = _search(bench, where, view.configuration, trials, seed + number)
        if progress:
            progress("tune", number + 1, len(parts) + 1)
        return made

    unseen = np.full(len(useful), np.nan)
    for number, part in enumerate(parts):
        where = np.array([at[q] for q in part.test])
        unseen[where] = bench.values(found(part.train, number), where)
    configuration = found(split.train, len(parts)).model_copy(update={"tuned_on": split.train})
    tuned_on, held = (np.array([at[q] for q in qs]) for qs in (split.train, split.test))
    validated = _gain(before[tuned_on], unseen[tuned_on])
    checked = _gain(before[held], bench.values(configuration, held))
    better = checked.mean > 0 and validated.mean > 0
    result = Tuning(
        system="hybrid" if bench.dense else "bm25",
        measure=bench.measure.name,
        trials=trials,
        configuration=configuration,
        cross_validated=validated,
        held_out=checked,
        tuned=float(bench.values(configuration, tuned_on).mean() - before[tuned_on].mean()),
        better=better,
        generation=None,
        simulated=shop.settings.simulated,
        seconds=time.perf_counter() - started,
    )
    if not better or dry:
        return result
    with shop.layout.writing():
        evidence = {
            "trained_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "judgments": judgments.name,
            "parent": shop.layout.configurations.live(),
            "index_generation": view.generation,
            "seed": seed,
            "code_version": code_version(),
            **{k: v for k, v in result.to_json().items() if k != "generation"},
        }
        generation = publish_configuration(shop.layout, configuration, evidence)
        made(shop.layout, "configurations", generation, live=live)
    shop.refresh()
    return replace(result, generation=generation)


class _Bench:
    """Every judged query with its candidates and evidence, so that a trial costs milliseconds.

    It weighs by the code that serves: `Evidence.weighted_bm25f` and `reciprocal_rank_fusion`.
    """

    def __init__(
        self,
        shop: Workspace,
        judgments: JudgmentList,
        queries: Sequence[str],
        measure: Measure,
        progress: Progress | None,
    ) -> None:
        self.measure = measure
        self.queries = tuple(queries)
        self.dense = shop.view.encoder is not None
        self._judgments = judgments
        self._snapshot: Snapshot = shop.view.snapshot
        self._words: list[tuple[Candidates, Evidence]] = []
        self._meaning: list[Candidates] = []
        for done, query in enumerate(self.queries, start=1):
            context = shop.context(query)
            words = Lexical(FIELD_WEIGHTS, k=RETRIEVED).run(context, None)
            self._words.append((words, context.evidence(words, meaning=False)))
            self._meaning.append(Dense(k=RETRIEVED).run(context, None))
            if progress:
                progress("candidates", done, len(self.queries))

    def values(
        self, configuration: SearchConfiguration, where: NDArray[np.int64] | None = None
    ) -> Values:
        """(queries,) the measure with these weights, of all queries or of some, by position."""
        chosen = range(len(self.queries)) if where is None else where.tolist()
        k = depth([self.measure])
        rankings = {}
        for i in chosen:
            words, evidence = self._words[i]
            if len(words):
                boosts = configuration.field_boosts or FIELD_WEIGHTS
                words = words.rescored(evidence.weighted_bm25f(boosts))
            found = (
                reciprocal_rank_fusion(
                    [words, self._meaning[i]],
                    configuration.rank_constant,
                    (configuration.words, configuration.meaning),
                )
                if self.dense
                else words
            )
            rankings[self.queries[i]] = self._snapshot.ids(found.head(k).numbers)
        judged = {q: self._judgments.by_query[q] for q in rankings}
        return score(rankings, judged, (self.measure,))[:, 0]


def _search(
    bench: _Bench,
    where: NDArray[np.int64],
    start: SearchConfiguration,
    trials: int,
    seed: int,
) -> SearchConfiguration:
    """The best of `trials` configurations on some queries, by tree-structured Parzen estimators
    (Bergstra, Bardenet, Bengio & Kégl, NeurIPS 2011) in Optuna; the first is what there is."""
    optuna = _optuna()
    names = [n for n in FIELD_WEIGHTS if n != "title"]  # only ratios of weights matter
    boosts = start.field_boosts or FIELD_WEIGHTS

    def configured(parameters: Mapping[str, Any]) -> SearchConfiguration:
        return SearchConfiguration(
            field_boosts={
                "title": FIELD_WEIGHTS["title"],
                **{n: round(FIELD_WEIGHTS[n] * parameters[n], 4) for n in names},
            },
            words=round(1 - parameters.get("meaning", 0.5), 4),
            meaning=round(parameters.get("meaning", 0.5), 4),
            rank_constant=parameters.get("rank_constant", start.rank_constant),
        )

    def objective(trial: Any) -> float:
        parameters = {n: trial.suggest_float(n, *_BOOSTS, log=True) for n in names}
        if bench.dense:
            parameters["meaning"] = trial.suggest_float("meaning", 0.0, 1.0)
            parameters["rank_constant"] = trial.suggest_int(
                "rank_constant", *_RANK_CONSTANTS, log=True
            )
        return float(bench.values(configured(parameters), where).mean())

    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed, multivariate=True)
    )
    scale = FIELD_WEIGHTS["title"] / max(boosts.get("title", 5.0), 1e-6)
    first: dict[str, Any] = {
        n: float(np.clip(scale * boosts.get(n, 0.0) / FIELD_WEIGHTS[n], *_BOOSTS)) for n in names
    }
    if bench.dense:
        total = start.words + start.meaning
        first["meaning"] = start.meaning / total if total else 0.5
        first["rank_constant"] = int(np.clip(start.rank_constant, *_RANK_CONSTANTS))
    study.enqueue_trial(first)
    study.optimize(objective, n_trials=trials)
    return configured(study.best_params)


def _gain(before: Values, after: Values) -> Gain:
    difference = after - before
    found = bootstrap_intervals(difference[:, None], (-1.0, 1.0))
    p = float(permutation_test(difference[:, None])[0]) if difference.any() else 1.0
    return Gain(
        float(before.mean()),
        float(after.mean()),
        float(difference.mean()),
        float(found.low[0]),
        float(found.high[0]),
        p,
        difference.size,
    )


def _gain_json(gain: Gain) -> dict[str, float | int]:
    return {name: getattr(gain, name) for name in Gain.__dataclass_fields__}


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise MissingExtra(
            "tuning needs Optuna", remedy="pip install 'tandem-commerce[tuning]'"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna
