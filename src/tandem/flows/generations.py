"""Generations come, go live, and go: on record, with the trials that this ends."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from tandem.contracts.artefact import ArtefactKind
from tandem.contracts.errors import NotFound
from tandem.contracts.registry import Decision, Gate
from tandem.flows.trials import end_trials
from tandem.governance.audit import os_actor
from tandem.registry.decisions import Decisions
from tandem.storage.layout import Layout
from tandem.storage.seal import check_seal, sealed_directory

Kind = Literal[
    "index",
    "models",
    "recommenders",
    "personal",
    "feeds",
    "catalog",
    "cross-encoders",
    "matchers",
    "configurations",
    "merchants",
    "creators",
    "content",
    "rules",
]


def go_live(
    layout: Layout,
    kind: ArtefactKind,
    generation: str,
    *,
    who: str,
    why: str,
    gates: tuple[Gate, ...] = (),
) -> Decision:
    """Record that a generation goes live, with the gates that were asked, and switch to it. To be
    called under `Layout.writing`. InvalidInput for one whose files are not those that were
    written."""
    generations = layout.generations(kind)
    check_seal(generations.path(generation), "or name another generation")
    decision = Decisions(layout.decisions).record(
        generation,
        "live",
        who=who,
        why=why,
        instead_of=generations.live(),
        gates=gates,
        overridden=tuple(g.name for g in gates if g.passed is not True),
        kind=kind,
    )
    generations.switch(generation)
    end_trials(layout, kind, generation, who=who, why=f"{generation} went live")
    return decision


def made(
    layout: Layout,
    kind: Kind,
    name: str,
    *,
    live: bool = True,
    who: str | None = None,
    what: str = "made",
) -> Decision:
    """A generation was made: on record, and live at once or waiting as a candidate. To be called
    under `Layout.writing`."""
    who = who or os_actor()
    if live:
        return go_live(layout, kind, name, who=who, why=f"{what}, and live at once")
    beside = layout.generations(kind).live()
    return Decisions(layout.decisions).record(
        name, "candidate", who=who, why=what, instead_of=beside, kind=kind
    )


@contextmanager
def publishing(
    layout: Layout,
    kind: Kind,
    *,
    live: bool,
    who: str | None = None,
    what: str = "made",
    keep: int | None = None,
) -> Iterator[tuple[str, Path]]:
    """Name and scratch folder of a new generation, which is sealed, on record, and live or a
    candidate when the block succeeds, and nowhere when it does not. keep: so many generations and
    the live one stay."""
    generations = layout.generations(kind)
    with layout.writing():
        generations.sweep()
        name = generations.next_name()
        with sealed_directory(generations.root / name) as scratch:
            yield name, scratch
        made(layout, kind, name, live=live, who=who, what=what)
        if keep is not None:
            generations.prune(keep)


def roll_back(
    layout: Layout,
    kind: Kind,
    to: str | None = None,
    *,
    who: str | None = None,
    why: str = "rolled back",
    switched: Callable[[str], None] | None = None,
) -> Decision:
    """Make generation `to` live again, on record. By default the newest older one that was live
    once: a candidate that was refused is no way back. switched: what belongs to going live, still
    in the lock."""
    generations = layout.generations(kind)
    with layout.writing():
        target = to or generations.previous(Decisions(layout.decisions).never_live(kind))
        if target is None:
            raise NotFound(
                f"no older generation of {kind} to roll back to",
                remedy=f"there is: {', '.join(generations.names()) or 'none'}",
            )
        decision = go_live(layout, kind, target, who=who or os_actor(), why=why)
        if switched is not None:
            switched(target)
    return decision


def retire_generation(layout: Layout, kind: ArtefactKind, name: str) -> None:
    """Remove a generation for good, with its trials; if it is live, the newest other one that was
    live once goes live first, on record, or none is: a candidate has yet to be asked by its gates.
    To be called under `Layout.writing`."""
    generations = layout.generations(kind)
    live = generations.live() == name
    who, why = os_actor(), f"{name} was retired"
    end_trials(layout, kind, name, who=who, why=why, every=live)
    if live:
        decisions = Decisions(layout.decisions)
        never = decisions.never_live(kind)
        others = [n for n in generations.names() if n != name and n not in never]
        if others:
            # Not by `go_live`: a file that is torn must not keep from erasing.
            decisions.record(others[-1], "live", who=who, why=why, instead_of=name, kind=kind)
            generations.switch(others[-1])
        else:
            generations.pointer.unlink()
    shutil.rmtree(generations.path(name))
