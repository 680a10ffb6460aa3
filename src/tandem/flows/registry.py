"""The model registry: what there is, and what may go live."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

from tandem.contracts.errors import Conflict, InvalidInput, NotFound
from tandem.contracts.experiment import (
    CANARY_LAYER,
    ExperimentBook,
    OnlineExperiment,
    SearchConfiguration,
    ShadowRequest,
    ShadowRun,
    ShadowStanding,
    Tried,
    Variant,
)
from tandem.contracts.registry import (
    Decision,
    Gate,
    GateName,
    RegisteredModel,
    Stage,
)
from tandem.contracts.running import Change
from tandem.contracts.search import MAX_QUERY, SearchRequest
from tandem.experiments import gates
from tandem.flows.experimenting import add, book_of, stop
from tandem.flows.generations import roll_back
from tandem.flows.view import View, candidates
from tandem.flows.workspace import Workspace
from tandem.ranking.learned import LearnedRanker, load_manifest, load_ranker
from tandem.registry import tracking
from tandem.registry.day_log import DayLog
from tandem.registry.decisions import Decisions
from tandem.registry.experiments import Experiments
from tandem.registry.lineage import DataSet, job
from tandem.reports.model import card
from tandem.reports.page import Page
from tandem.storage.layout import Layout

QUERIES = 200  # judged queries at most that a candidate and the live model are run on
EVALUATION = "evaluation.json"
SHADOWED_DAYS = 90


def registered_models(layout: Layout) -> tuple[RegisteredModel, ...]:
    """Every ranker there is, newest first."""
    decided = [d for d in Decisions(layout.decisions).all() if d.kind == "models"]
    book = book_of(layout)
    return tuple(
        _registered(layout, name, tuple(d for d in decided if d.generation == name), book)
        for name in reversed(layout.models.names())
    )


def registered_model(layout: Layout, generation: str) -> RegisteredModel:
    """NotFound when there is none of this name."""
    layout.models.path(generation)
    decided = Decisions(layout.decisions).of(generation)
    return _registered(layout, generation, decided, book_of(layout))


def _registered(
    layout: Layout, generation: str, decisions: tuple[Decision, ...], book: ExperimentBook
) -> RegisteredModel:
    path = layout.models.path(generation)
    lineage: dict[str, Any] = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
    was_live = any(d.stage == "live" for d in decisions)
    stage: Stage = "candidate" if decisions and not was_live else "retired"
    share = None
    canary_ = _canary_of(book, generation)
    if generation == layout.models.live():
        stage = "live"
    elif canary_ is not None:
        stage, share = "canary", canary_.variants[1].weight
    elif book.shadow is not None and book.shadow.generation == generation:
        stage, share = "shadow", book.shadow.share
    return RegisteredModel(
        generation=generation,
        stage=stage,
        model=lineage["model"],
        trained_at=lineage["trained_at"],
        metrics=lineage["metrics"],
        # Anybody may read it: not the words of the queries that it learned from.
        lineage={k: v for k, v in lineage.items() if k not in ("metrics", "trained_on")},
        decisions=decisions,
        share=share,
        shadowed=shadow_standing(layout, generation)
        if any(d.stage == "shadow" for d in decisions)
        else None,
    )


def _canary_of(book: ExperimentBook, generation: str | None = None) -> OnlineExperiment | None:
    """The running canary, of `generation` or of any."""
    for e in book.running():
        tried = e.variants[1].configuration.model
        if (e.kind, e.of) == ("canary", "models") and generation in (None, tried):
            return e
    return None


def promote(
    layout: Layout,
    generation: str,
    *,
    who: str,
    why: str,
    override: Sequence[str] = (),
    approved_by: str | None = None,
) -> Decision:
    """Ask the gates, and make a model live when all of them pass or are overruled by name.

    The decision is recorded either way; its stage says which it was. Conflict when the model is
    live already.
    """
    _waiting(layout, generation)
    with job(layout, "promote", DataSet("models", generation)) as running:
        decision = _promoted(layout, generation, who, why, override, approved_by)
        if decision.stage == "live":
            running.outputs.append(DataSet("models/live", generation))
    return decision


def _promoted(
    layout: Layout,
    generation: str,
    who: str,
    why: str,
    override: Sequence[str],
    approved_by: str | None,
) -> Decision:
    asked, blocked = _asked(layout, generation, override, approved_by)
    live = layout.models.live()
    if blocked:
        return _refused(layout, generation, blocked, asked, who=who, why=why)
    with layout.writing():
        decision = Decisions(layout.decisions).record(
            generation,
            "live",
            who=who,
            why=why,
            instead_of=live,
            gates=asked,
            overridden=tuple(g.name for g in asked if g.passed is not True),
        )
        layout.models.switch(generation)
    _end_trials(layout, generation, who=who)
    tracking.decided(layout, "models", decision)
    return decision


def shadow(layout: Layout, generation: str, *, share: float, who: str, why: str) -> Decision:
    """Let a model answer a share of the real requests unseen, from the next second on. No gate is
    asked, since nobody sees it. Conflict while another one does."""
    _waiting(layout, generation)
    run = ShadowRun(generation=generation, share=_share(share), started=datetime.now(UTC))

    def edit(book: ExperimentBook) -> ExperimentBook:
        if book.shadow is not None and book.shadow.generation != generation:
            raise Conflict(
                f"{book.shadow.generation} is a shadow already",
                remedy=f"end it: tandem models withdraw {book.shadow.generation}",
            )
        return book.model_copy(update={"shadow": run})

    Experiments(layout.experiments_file).change(edit)
    return _decided(
        layout,
        generation,
        "shadow",
        who=who,
        why=why,
        instead_of=layout.models.live(),
        share=share,
    )


def canary(
    layout: Layout,
    generation: str,
    *,
    share: float,
    who: str,
    why: str,
    override: Sequence[str] = (),
    approved_by: str | None = None,
    planned: int = 2_000,
) -> Decision:
    """Ask the gates, and serve a model to a small share of the people if they pass.

    It goes back by itself when it is slow, fails, or makes people click or buy less; see
    `tandem.flows.online`. Conflict while another canary runs, or when the share is over a half.
    """
    _waiting(layout, generation)
    if not 0 < share <= 0.5:
        raise InvalidInput(
            f"{share}", field="share", remedy="a canary gets a share above 0, of at most a half"
        )
    if layout.models.live() is None:
        raise Conflict("no model is live to go back to", remedy="promote one first")
    if (running := _canary_of(book_of(layout))) is not None:
        model = running.variants[1].configuration.model
        raise Conflict(
            f"{model} is a canary already", remedy=f"end it: tandem models withdraw {model}"
        )
    asked, blocked = _asked(layout, generation, override, approved_by)
    if blocked:
        return _refused(layout, generation, blocked, asked, who=who, why=why)
    now = datetime.now(UTC)
    decision = _decided(
        layout,
        generation,
        "canary",
        who=who,
        why=why,
        instead_of=layout.models.live(),
        gates=asked,
        overridden=tuple(g.name for g in asked if g.passed is not True),
        share=share,
    )
    add(
        layout,
        OnlineExperiment(
            name=f"canary-{decision.number}",
            kind="canary",
            layer=CANARY_LAYER,
            variants=(
                Variant(name="control", weight=1 - share),
                Variant(
                    name="canary",
                    weight=share,
                    configuration=SearchConfiguration(ranker="ltr", model=generation),
                ),
            ),
            planned=planned,
            started=now,
            changes=(Change(at=now, who=who, what="started", why=why),),
        ),
    )
    _end_shadow(layout, generation)
    return decision


def withdraw(layout: Layout, name: str, *, who: str, why: str) -> Decision:
    """End a canary or a shadow, named by its model or its experiment: from the next second on the
    live model answers everybody. NotFound without one."""
    book = book_of(layout)
    running = _canary_of(book)
    if running is not None:
        generation = str(running.variants[1].configuration.model)
        if name in (generation, running.name):
            stop(layout, running.name, who=who, why=why)
            return _decided(layout, generation, "candidate", who=who, why=why)
    if book.shadow is not None and book.shadow.generation == name:
        _end_shadow(layout, name)
        return _decided(layout, name, "candidate", who=who, why=why)
    raise NotFound(f"'{name}' is neither canary nor shadow", remedy="see: tandem models list")


def _decided(layout: Layout, generation: str, stage: Stage, **values: Any) -> Decision:
    """Record a decision, and tell a tracker that is configured."""
    decision = Decisions(layout.decisions).record(generation, stage, **values)
    tracking.decided(layout, "models", decision)
    return decision


def _end_shadow(layout: Layout, generation: str) -> None:
    def edit(book: ExperimentBook) -> ExperimentBook:
        mine = book.shadow is not None and book.shadow.generation == generation
        return book.model_copy(update={"shadow": None}) if mine else book

    if layout.experiments_file.exists():
        Experiments(layout.experiments_file).change(edit)


def _end_trials(layout: Layout, generation: str, *, who: str) -> None:
    """A new live model: it is no shadow any more, and a canary was held against another one."""
    _end_shadow(layout, generation)
    if (running := _canary_of(book_of(layout))) is not None:
        stop(layout, running.name, who=who, why=f"{generation} went live")


def shadow_standing(layout: Layout, generation: str, kind: Tried = "models") -> ShadowStanding:
    """What running as a shadow has shown so far."""
    log: DayLog[ShadowRequest] = DayLog(layout.shadowed, ShadowRequest, SHADOWED_DAYS)
    rows = [r for r in log.records() if (r.kind, r.generation) == (kind, generation)]
    done = [r for r in rows if r.shadow_ms is not None]

    def over(values: Sequence[float | bool | None]) -> list[float]:
        return [float(v) for v in values if v is not None]

    def mean(values: Sequence[float | bool | None]) -> float | None:
        return statistics.fmean(over(values)) if over(values) else None

    def middle(values: Sequence[float | None]) -> float | None:
        return statistics.median(over(values)) if over(values) else None

    return ShadowStanding(
        generation=generation,
        requests=len(rows),
        failed=len(rows) - len(done),
        overlap=mean([r.overlap for r in done]),
        identical=mean([r.overlap == 1 for r in done if r.overlap is not None]),
        same_first=mean([r.same_first for r in done]),
        live_ms=middle([r.live_ms for r in done]),
        shadow_ms=middle([r.shadow_ms for r in done]),
    )


def _share(share: float) -> float:
    if not 0 < share <= 1:
        raise InvalidInput(f"{share}", field="share", remedy="give a share above 0, up to 1")
    return share


def _waiting(layout: Layout, generation: str) -> None:
    """NotFound for no model, Conflict for the live one."""
    layout.models.path(generation)
    if layout.models.live() == generation:
        raise Conflict(f"{generation} is live already", remedy="choose another generation")


def _asked(
    layout: Layout, generation: str, override: Sequence[str], approved_by: str | None
) -> tuple[tuple[Gate, ...], list[str]]:
    """The gates' answers, and the names of those that stand in the way."""
    for name in override:
        if name not in get_args(GateName):
            raise InvalidInput(
                f"no gate '{name}'",
                field="override",
                remedy=f"overrule one of: {', '.join(get_args(GateName))}",
            )
    with Workspace(layout) as shop:
        path = layout.models.path(generation)
        asked = (*_beside_live(shop, path), _privacy(path, approved_by))
    return asked, [g.name for g in asked if g.passed is not True and g.name not in override]


def _refused(
    layout: Layout,
    generation: str,
    blocked: Sequence[str],
    asked: tuple[Gate, ...],
    *,
    who: str,
    why: str,
) -> Decision:
    return _decided(
        layout,
        generation,
        "candidate",
        who=who,
        why=f"refused by {', '.join(blocked)}; asked for because: {why}",
        instead_of=layout.models.live(),
        gates=asked,
    )


def _beside_live(shop: Workspace, path: Path) -> tuple[Gate, ...]:
    """The candidate in `path` held against the live ranker, or against what works without one."""
    view = shop.view
    candidate, manifest = load_ranker(path)
    record = evaluation(path)
    mine = by_query(record, "ltr")
    if view.ranker is None or view.manifest is None or view.model_generation is None:
        rivals = [s for s in record["systems"] if s != "ltr"]
        best = max(rivals, key=lambda s: record["systems"][s][gates.MEASURE]["mean"])
        return (gates.quality(mine, by_query(record, best), same_judgments=True),)
    live = evaluation(shop.layout.models.path(view.model_generation))
    ours, theirs = _Watched(view, candidate), _Watched(view, view.ranker)
    for at, query in enumerate(shop.judgment_list(manifest.judgments).queries[:QUERIES]):
        # Turn by turn, and each first as often as the other: caches favour neither.
        for ranker in (ours, theirs) if at % 2 else (theirs, ours):
            ranker.answer(query)
    same = manifest.data_fingerprint == view.manifest.data_fingerprint
    return (
        gates.quality(mine, by_query(live, "ltr"), same_judgments=same),
        gates.latency(ours.milliseconds, theirs.milliseconds),
        gates.exposure(ours.merchants, theirs.merchants),
    )


def _privacy(path: Path, approved_by: str | None) -> Gate:
    """Judgments are nobody's behaviour; clicks are, also when only their sums were learned from."""
    learned = load_manifest(path).clicks
    source = f"the sums of {learned['searches']:,} searches" if learned else "judgments"
    return gates.privacy(source, personal=bool(learned), approved_by=approved_by)


def evaluation(path: Path) -> dict[str, Any]:
    """The cross-validated record of a generation, as its training wrote it."""
    record: dict[str, Any] = json.loads((path / EVALUATION).read_text(encoding="utf-8"))
    return record


def by_query(record: Mapping[str, Any], system: str) -> dict[str, float]:
    """Out-of-fold values by query."""
    return {
        query: values[system]
        for query, values in record["per_query"][gates.MEASURE].items()
        if values.get(system) is not None
    }


class _Watched:
    """A ranker at work, with how long it took and whose products it showed."""

    def __init__(self, view: View, ranker: LearnedRanker) -> None:
        self._view = view.with_ranker(ranker, None, None)
        self._stage = candidates(view.encoder is not None) >> ranker
        self.milliseconds: list[float] = []
        self.merchants: list[list[str | None]] = []

    def answer(self, query: str) -> None:
        started = time.perf_counter()
        understanding = self._view.understand(SearchRequest(q=query[:MAX_QUERY]))
        context = self._view.context(understanding, understanding.filters)
        found = self._stage.run(context, None).head(gates.DEPTH)
        self.milliseconds.append((time.perf_counter() - started) * 1000)
        names = self._view.store.names.merchant
        codes = self._view.store.columns(found.numbers).merchant.tolist()
        self.merchants.append([names[c] if c >= 0 else None for c in codes])


def roll_back_model(layout: Layout, to: str | None, *, who: str, why: str) -> Decision:
    """Make an older model live again at once; no gate is asked. NotFound without an older one."""
    was, now = roll_back(layout, "models", to)
    decision = _decided(layout, now, "live", who=who, why=why, instead_of=was)
    _end_trials(layout, now, who=who)
    return decision


def model_card(layout: Layout, generation: str) -> Page:
    """The model card of a ranker, as of now."""
    model = registered_model(layout, generation)
    record = evaluation(layout.models.path(generation))
    return card(model, record, simulated=layout.settings().simulated)
