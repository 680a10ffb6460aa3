"""What the next answer needs to know of a visitor: a few products, under a pseudonym.

Bounded, gone after the retention, removed at once on request. Every store (`VisitorStore`) keeps
what `changed` makes of it, so that all behave alike. Who allowed it is not asked here: see
`tandem.flows.visitors`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from tandem.contracts.events import Pseudonym

MOST_RECENT = 50
MOST_HIDDEN = 200
MOST_SHOWN = 300
DAY = 86_400


@dataclass(frozen=True)
class Seen:
    """A product that a visitor did something with last; at: seconds since 1970."""

    product: str
    action: str
    at: int


@dataclass(frozen=True)
class VisitorState:
    """recent: products looked at, oldest first, at most 50, each once. hidden: those that the
    visitor does not want to see, at most 200. shown: how often a list showed a product that was
    not opened, of the last 300. updated: seconds since 1970."""

    subject: Pseudonym
    updated: float
    recent: tuple[Seen, ...] = ()
    hidden: tuple[str, ...] = ()
    shown: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> str:
        """Everything but subject and `updated`."""
        recent = [(s.product, s.action, s.at) for s in self.recent]
        return json.dumps({"recent": recent, "hidden": self.hidden, "shown": dict(self.shown)})

    @classmethod
    def of_json(cls, subject: str, updated: float, text: str | bytes) -> VisitorState:
        kept: dict[str, Any] = json.loads(text)
        recent = tuple(Seen(*entry) for entry in kept["recent"])
        return cls(Pseudonym(subject), updated, recent, tuple(kept["hidden"]), kept["shown"])


@dataclass(frozen=True)
class Change:
    """What is added to a visitor's state, and which products are taken out of all of it."""

    seen: Sequence[Seen] = ()
    hidden: Sequence[str] = ()
    shown: Sequence[str] = ()
    removed: Sequence[str] = ()


def changed(before: VisitorState | None, subject: Pseudonym, change: Change) -> VisitorState:
    """The state after a change, within its bounds. What is opened counts as never shown."""
    before = before or VisitorState(subject, 0.0)
    gone = set(change.removed)
    latest: dict[str, Seen] = {}
    for seen in (*before.recent, *change.seen):
        latest.pop(seen.product, None)
        latest[seen.product] = seen
    shown = dict(before.shown)
    for product in change.shown:
        shown[product] = shown.pop(product, 0) + 1
    for seen in change.seen:
        shown.pop(seen.product, None)
    kept_shown = [(p, n) for p, n in shown.items() if p not in gone]
    return VisitorState(
        subject,
        time.time(),
        tuple(s for s in latest.values() if s.product not in gone)[-MOST_RECENT:],
        newest([h for h in (*before.hidden, *change.hidden) if h not in gone], MOST_HIDDEN),
        dict(kept_shown[-MOST_SHOWN:]),
    )


def newest(items: Sequence[str], most: int) -> tuple[str, ...]:
    """The last `most` distinct ones, each where it came last."""
    return tuple(reversed(list(dict.fromkeys(reversed(items)))[:most]))


class VisitorStore(Protocol):
    """The visitors of one workspace. Safe for many threads and processes.

    subjects: a person's pseudonyms, the current one first; the state is kept under that one.
    """

    def get(self, subjects: Sequence[Pseudonym]) -> VisitorState | None:
        """The newest state under any of them; None for somebody unknown."""
        ...

    def change(self, subjects: Sequence[Pseudonym], change: Change) -> VisitorState: ...

    def forget(self, subjects: Sequence[Pseudonym]) -> int:
        """Erase a person; returns how many states there were."""
        ...

    def expire(self) -> int:
        """Erase everybody whose retention is over."""
        ...

    def close(self) -> None: ...
