"""Roll back any kind of artefact that has generations to an older one."""

from __future__ import annotations

import shutil
from typing import Literal

from tandem.contracts.errors import NotFound
from tandem.contracts.registry import Decision
from tandem.governance.audit import os_actor
from tandem.registry.decisions import Decisions
from tandem.storage.layout import Generations, Layout

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


def roll_back(layout: Layout, kind: Kind, to: str | None = None) -> tuple[str | None, str]:
    """Switch `kind` to generation `to`; returns (was, now). By default to the newest older one that
    was live once: a candidate that was refused is no way back."""
    generations: Generations = getattr(layout, kind.replace("-", "_"))
    with layout.writing():
        was = generations.live()
        never = Decisions(layout.decisions).never_live(kind)
        target = to or generations.previous(never)
        if target is None:
            raise NotFound(
                f"no older generation of {kind} to roll back to",
                remedy=f"there is: {', '.join(generations.names()) or 'none'}",
            )
        generations.switch(target)
    return was, target


def made(
    layout: Layout, kind: Kind, name: str, *, live: bool = True, who: str | None = None
) -> Decision:
    """A generation was made: on record, and live at once or waiting as a candidate. To be called
    under `Layout.writing`."""
    generations: Generations = getattr(layout, kind.replace("-", "_"))
    decision = Decisions(layout.decisions).record(
        name,
        "live" if live else "candidate",
        who=who or os_actor(),
        why="made, and live at once" if live else "made",
        instead_of=generations.live(),
        kind=kind,
    )
    if live:
        generations.switch(name)
    return decision


def retire_generation(generations: Generations, name: str) -> None:
    """Remove a generation for good; if it is live, the newest other one goes live first, or none
    is. To be called under `Layout.writing`."""
    if generations.live() == name:
        others = [n for n in generations.names() if n != name]
        if others:
            generations.switch(others[-1])
        else:
            generations.pointer.unlink()
    shutil.rmtree(generations.path(name))
