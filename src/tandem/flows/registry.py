"""The model registry: what there is, what may go live, and what a served result came from."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from tandem.contracts.errors import Conflict, InvalidInput, NotFound
from tandem.contracts.registry import (
    Decision,
    Gate,
    GateName,
    RegisteredModel,
    Stage,
    Trace,
)
from tandem.contracts.search import MAX_QUERY, SearchRequest
from tandem.experiments import gates
from tandem.flows.generations import roll_back
from tandem.flows.index import index_manifest
from tandem.flows.view import View, candidates
from tandem.flows.workspace import Workspace, rules_digest
from tandem.ranking.learned import LearnedRanker, load_ranker
from tandem.registry.decisions import Decisions
from tandem.registry.served import KEPT_DAYS, ServedLog
from tandem.reports.model import card
from tandem.reports.page import Page
from tandem.storage.layout import Layout

QUERIES = 200  # judged queries at most that a candidate and the live model are run on
EVALUATION = "evaluation.json"


def registered_models(layout: Layout) -> tuple[RegisteredModel, ...]:
    """Every ranker there is, newest first."""
    decided = Decisions(layout.decisions).all()
    return tuple(
        _registered(layout, name, tuple(d for d in decided if d.generation == name))
        for name in reversed(layout.models.names())
    )


def registered_model(layout: Layout, generation: str) -> RegisteredModel:
    """NotFound when there is none of this name."""
    layout.models.path(generation)
    return _registered(layout, generation, Decisions(layout.decisions).of(generation))


def _registered(
    layout: Layout, generation: str, decisions: tuple[Decision, ...]
) -> RegisteredModel:
    path = layout.models.path(generation)
    lineage: dict[str, Any] = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
    waiting = bool(decisions) and all(d.stage == "candidate" for d in decisions)
    stage: Stage = (
        "live" if generation == layout.models.live() else "candidate" if waiting else "retired"
    )
    return RegisteredModel(
        generation=generation,
        stage=stage,
        model=lineage["model"],
        trained_at=lineage["trained_at"],
        metrics=lineage["metrics"],
        lineage={k: v for k, v in lineage.items() if k != "metrics"},
        decisions=decisions,
    )


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
    path = layout.models.path(generation)
    for name in override:
        if name not in get_args(GateName):
            raise InvalidInput(
                f"no gate '{name}'",
                field="override",
                remedy=f"overrule one of: {', '.join(get_args(GateName))}",
            )
    live = layout.models.live()
    if live == generation:
        raise Conflict(f"{generation} is live already", remedy="choose another generation")
    with Workspace(layout) as shop:
        # Rankers learn from judgments so far, which are nobody's behaviour.
        private = gates.privacy("judgments", personal=False, approved_by=approved_by)
        asked = (*_beside_live(shop, path), private)
    decisions = Decisions(layout.decisions)
    blocked = [g.name for g in asked if g.passed is not True and g.name not in override]
    if blocked:
        return decisions.record(
            generation,
            "candidate",
            who=who,
            why=f"refused by {', '.join(blocked)}; asked for because: {why}",
            instead_of=live,
            gates=asked,
        )
    with layout.writing():
        decision = decisions.record(
            generation,
            "live",
            who=who,
            why=why,
            instead_of=live,
            gates=asked,
            overridden=tuple(g.name for g in asked if g.passed is not True),
        )
        layout.models.switch(generation)
    return decision


def _beside_live(shop: Workspace, path: Path) -> tuple[Gate, ...]:
    """The candidate in `path` held against the live ranker, or against what works without one."""
    view = shop.view
    candidate, manifest = load_ranker(path)
    record = _evaluation(path)
    mine = _by_query(record, "ltr")
    if view.ranker is None or view.manifest is None or view.model_generation is None:
        rivals = [s for s in record["systems"] if s != "ltr"]
        best = max(rivals, key=lambda s: record["systems"][s][gates.MEASURE]["mean"])
        return (gates.quality(mine, _by_query(record, best), same_judgments=True),)
    live = _evaluation(shop.layout.models.path(view.model_generation))
    ours, theirs = _Watched(view, candidate), _Watched(view, view.ranker)
    for at, query in enumerate(shop.judgment_list(manifest.judgments).queries[:QUERIES]):
        # Turn by turn, and each first as often as the other: caches favour neither.
        for ranker in (ours, theirs) if at % 2 else (theirs, ours):
            ranker.answer(query)
    same = manifest.data_fingerprint == view.manifest.data_fingerprint
    return (
        gates.quality(mine, _by_query(live, "ltr"), same_judgments=same),
        gates.latency(ours.milliseconds, theirs.milliseconds),
        gates.exposure(ours.merchants, theirs.merchants),
    )


def _evaluation(path: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((path / EVALUATION).read_text(encoding="utf-8"))
    return record


def _by_query(record: Mapping[str, Any], system: str) -> dict[str, float]:
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
    return Decisions(layout.decisions).record(now, "live", who=who, why=why, instead_of=was)


def model_card(layout: Layout, generation: str) -> Page:
    """The model card of a ranker, as of now."""
    model = registered_model(layout, generation)
    record = _evaluation(layout.models.path(generation))
    return card(model, record, simulated=layout.settings().simulated)


# --- What was served --------------------------------------------------------------------------


def trace(layout: Layout, query_id: str) -> Trace:
    """What a served result came from. NotFound when the served log does not hold it."""
    found = ServedLog(layout.served).find(query_id)
    if found is None:
        raise NotFound(
            f"no served result '{query_id}'",
            remedy=f"results are kept for {KEPT_DAYS} days by a server that runs with log_served",
        )
    model = found.model_generation
    return Trace(
        served=found,
        index=index_manifest(layout.index.path(found.index_generation))
        if found.index_generation in layout.index.names()
        else None,
        model=registered_model(layout, model) if model in layout.models.names() else None,
        rules_unchanged=found.policy == rules_digest(layout),
    )


class ModelRegistry:
    """The registry of one workspace, as the server asks for it."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def models(self) -> tuple[RegisteredModel, ...]:
        """Newest first."""
        return registered_models(self._layout)

    def model(self, generation: str) -> RegisteredModel:
        return registered_model(self._layout, generation)

    def promote(self, generation: str, who: str, why: str, override: Sequence[str]) -> Decision:
        return promote(self._layout, generation, who=who, why=why, override=override)

    def roll_back(self, to: str | None, who: str, why: str) -> Decision:
        return roll_back_model(self._layout, to, who=who, why=why)

    def card(self, generation: str) -> str:
        """HTML."""
        return model_card(self._layout, generation).html()

    def trace(self, query_id: str) -> Trace:
        return trace(self._layout, query_id)
