"""From a served result back to everything that it came from."""

from __future__ import annotations

import json

from tandem.contracts.artefact import ArtefactKind
from tandem.contracts.errors import NotFound
from tandem.contracts.registry import Artefact, RegisteredModel, Served, Trace, TracedPart
from tandem.flows.artefacts import artefact_of
from tandem.flows.experimenting import book_of
from tandem.flows.index import index_manifest
from tandem.flows.workspace import rules_digest
from tandem.registry.served import KEPT_DAYS, ServedLog
from tandem.storage.layout import Layout


def trace(layout: Layout, query_id: str) -> Trace:
    """What a served result came from. NotFound when the served log does not hold it."""
    found = ServedLog(layout.served).find(query_id)
    if found is None:
        raise NotFound(
            f"no served result '{query_id}'",
            remedy=f"results are kept for {KEPT_DAYS} days by a server that runs with log_served",
        )
    book = book_of(layout)
    model = found.model_generation if _is_ranked(found) else None
    return Trace(
        served=found,
        index=index_manifest(layout.index.path(found.index_generation))
        if found.index_generation in layout.index.names()
        else None,
        model=RegisteredModel.of(artefact_of(layout, "models", model))
        if model is not None and model in layout.models.names()
        else None,
        rules=_rules_of(layout, found.policy),
        rules_unchanged=found.policy == rules_digest(layout),
        experiments=tuple(e for e in book.experiments if e.name in found.experiments),
        parts=tuple(_part(layout, kind, name) for kind, name in _parts(found).items()),
        slots=tuple(s for s in book.slots if s.name in found.slots),
    )


def _is_ranked(served: Served) -> bool:
    """Whether its `model_generation` is of a ranker that learned: a cross-encoder has a kind of its
    own, and so has a recommender."""
    return served.kind == "search" and served.ranker != "cross"


def _parts(served: Served) -> dict[ArtefactKind, str]:
    parts = dict(served.parts)
    if served.ranker == "cross" and served.model_generation is not None:
        parts["cross-encoders"] = served.model_generation
    return parts


def _part(layout: Layout, kind: ArtefactKind, generation: str) -> TracedPart:
    there = generation in layout.generations(kind).names()
    artefact = artefact_of(layout, kind, generation) if there else None
    return TracedPart(kind=kind, generation=generation, artefact=artefact)


def _rules_of(layout: Layout, policy: str | None) -> Artefact | None:
    """The newest kept generation of the rules with this digest."""
    for name in reversed(layout.rules.names()) if policy else ():
        lineage = json.loads((layout.rules.path(name) / "manifest.json").read_bytes())
        if lineage.get("policy") == policy:
            return artefact_of(layout, "rules", name)
    return None
