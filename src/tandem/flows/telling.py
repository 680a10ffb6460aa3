"""What trainings and imports tell others: OpenLineage what was read and made, MLflow the rest.

Decorators, so that a training does not speak of trackers. The first argument of what they decorate
is the layout, or a workspace; the result names the `generation` that was made, or None.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, Literal, ParamSpec, Protocol, TypeVar

from tandem.contracts.artefact import ArtefactKind
from tandem.registry import tracking
from tandem.registry.decisions import Decisions
from tandem.registry.lineage import DataSet, job
from tandem.storage.layout import Layout


class Made(Protocol):
    """The report of a training. generation: None where nothing was made."""

    @property
    def generation(self) -> str | None: ...


Read = ArtefactKind | Literal["events"]

P = ParamSpec("P")
S = TypeVar("S")
R = TypeVar("R", bound=Made)


def traced(
    name: str, kind: ArtefactKind, *read: Read
) -> Callable[[Callable[Concatenate[S, P], R]], Callable[Concatenate[S, P], R]]:
    """As a job of OpenLineage. read: kinds whose live generations it reads, or `events`, beside the
    judgments that its manifest names."""

    def decorate(train: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
        @wraps(train)
        def told(first: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
            layout = _layout(first)
            with job(layout, name, *_read(layout, read)) as running:
                made = train(first, *args, **kwargs)
                manifest = _manifest(layout, kind, made.generation)
                if judged := manifest.get("judgments"):
                    fingerprint = manifest.get("data_fingerprint")
                    running.inputs.append(DataSet(f"judgments/{judged}", fingerprint))
                if made.generation is not None:
                    running.outputs.append(DataSet(kind, made.generation))
            return made

        return told

    return decorate


def tracked(
    kind: ArtefactKind,
) -> Callable[[Callable[Concatenate[S, P], R]], Callable[Concatenate[S, P], R]]:
    """A training, and what was decided about what it made, for an MLflow server."""

    def decorate(train: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
        @wraps(train)
        def told(first: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
            made, layout = train(first, *args, **kwargs), _layout(first)
            if made.generation is not None:
                manifest = _manifest(layout, kind, made.generation)
                tracking.trained(layout, kind, made.generation, manifest)
                for decision in Decisions(layout.decisions).of(made.generation, kind):
                    tracking.decided(layout, kind, decision)
            return made

        return told

    return decorate


def _layout(first: object) -> Layout:
    found: Any = first
    layout: Layout = found if isinstance(found, Layout) else found.layout
    return layout


def _read(layout: Layout, kinds: tuple[Read, ...]) -> list[DataSet]:
    found = []
    for kind in kinds:
        if kind == "events":
            found.append(DataSet("events"))
            continue
        if (live := layout.generations(kind).live()) is not None:
            found.append(DataSet(kind, live))
    return found


def _manifest(layout: Layout, kind: ArtefactKind, generation: str | None) -> dict[str, Any]:
    if generation is None:
        return {}
    folder = layout.generations(kind).path(generation)
    for file in ("manifest.json", "tuning.json"):
        path = folder / file
        if path.is_file():
            found: dict[str, Any] = json.loads(path.read_bytes())
            return found
    return {}
