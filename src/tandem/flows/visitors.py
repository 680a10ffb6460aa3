"""Visitors who allow it are recognised: their consent, what they looked at, and its end.

Nothing is read or kept of a visitor whose newest word in the consent ledger is not a grant of
`personalisation`. Identifiers become pseudonyms here and go no further.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from tandem.contracts.consent import Decision, Purpose
from tandem.contracts.events import Pseudonym
from tandem.contracts.recommend import MAX_RECENT, RecommendRequest, Visit, Visitor
from tandem.flows.consent import decide
from tandem.governance.consent import ConsentLedger
from tandem.governance.pseudonyms import Pseudonyms, open_ring
from tandem.governance.retention import periods
from tandem.storage.layout import Layout
from tandem.storage.visitors import VisitorStore

DOMAIN = "client"  # as in events, so that one request of a person reaches both
BELIEVED = 1.0  # seconds that a decision read from the ledger is taken for the newest
MOST_BELIEVED = 100_000
SOURCE = "shopper"
ACTIONS = frozenset(get_args(Visit.model_fields["action"].annotation))


class Visitors:
    """The visitors of one workspace. Safe for many threads."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._ledger = ConsentLedger(layout)
        self._days = periods(layout)["visitors"]
        self._store = VisitorStore(layout, self._days)
        self._decided: dict[str, tuple[float, bool]] = {}
        self._pseudonyms: tuple[float, Pseudonyms] | None = None

    def decide(self, client_id: str, granted: bool) -> None:
        """Record what a visitor allows. Withdrawing erases what was kept."""
        if not granted and not self._has_ring():
            return
        subjects = self._subjects(client_id)
        word: Decision = "granted" if granted else "withdrawn"
        if granted != self._granted(subjects):
            decide(self._layout, subjects, [Purpose.PERSONALISATION], word, actor=SOURCE)
        self._decided.pop(subjects[0], None)
        if not granted:
            self._store.forget(subjects)

    def visit(self, client_id: str, visits: Sequence[Visit]) -> int:
        """Take note of what a visitor did; returns of how much: of nothing without consent."""
        subjects = self._allowed(client_id)
        if subjects is None or not visits:
            return 0
        self._store.add(
            subjects,
            [v.product_id for v in visits if v.action != "not_interested"],
            [v.product_id for v in visits if v.action == "not_interested"],
        )
        return len(visits)

    def follow(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Take note of accepted events, JSON objects, of visitors who allow it."""
        if not self._has_ring():
            return
        by_client: dict[str, list[Visit]] = {}
        for record in records:
            if record.get("action_name") in ACTIONS:
                visit = Visit(product_id=record["object_id"], action=record["action_name"])
                by_client.setdefault(record["client_id"], []).append(visit)
        for client_id, visits in by_client.items():
            self.visit(client_id, visits)

    def known(self, client_id: str) -> Visitor:
        """Everything that is kept of a visitor."""
        subjects = self._allowed(client_id)
        state = self._store.get(subjects) if subjects else None
        days = self._days
        if state is None:
            return Visitor(consent=subjects is not None, kept_days=days)
        return Visitor(consent=True, recent=state.recent, hidden=state.hidden, kept_days=days)

    def forget(self, client_id: str) -> None:
        """Erase what is kept; the visitor's decision stays."""
        if self._has_ring():
            self._store.forget(self._subjects(client_id))

    def into(self, request: RecommendRequest, client_id: str) -> RecommendRequest:
        """The request with what is known of the visitor; what the request says itself is newer."""
        known = self.known(client_id)
        if not known.consent:
            return request.model_copy(update={"recent": (), "hidden": ()})
        recent = tuple(dict.fromkeys(reversed((*known.recent, *request.recent))))
        return request.model_copy(
            update={
                "recent": tuple(reversed(recent[:MAX_RECENT])),
                "hidden": (*known.hidden, *request.hidden),
            }
        )

    def close(self) -> None:
        self._store.close()

    def _allowed(self, client_id: str) -> tuple[Pseudonym, ...] | None:
        if not self._has_ring():
            return None
        subjects = self._subjects(client_id)
        read, granted = self._decided.get(subjects[0], (0.0, False))
        if time.monotonic() - read > BELIEVED or not read:
            granted = self._granted(subjects)
            if len(self._decided) >= MOST_BELIEVED:
                self._decided.clear()
            self._decided[subjects[0]] = (time.monotonic(), granted)
        return subjects if granted else None

    def _granted(self, subjects: Sequence[Pseudonym]) -> bool:
        """Whether the newest decision is a grant, and the visitor not known to be a minor."""
        words = [r for r in self._ledger.history(subjects) if r.purpose is Purpose.PERSONALISATION]
        newest = max(words, key=lambda r: r.number, default=None)
        granted = newest is not None and newest.decision == "granted"
        return granted and not self._ledger.minor(subjects)

    def _has_ring(self) -> bool:
        """Without a ring nobody has ever been asked."""
        return (self._layout.events / "ring").exists()

    def _subjects(self, client_id: str) -> tuple[Pseudonym, ...]:
        """The pseudonyms of a client, the current one first."""
        held = self._pseudonyms
        if held is None or time.monotonic() - held[0] > BELIEVED:
            held = self._pseudonyms = (time.monotonic(), Pseudonyms(open_ring(self._layout)))
        pseudonyms = held[1]
        current = pseudonyms.of(DOMAIN, client_id)
        return current, *(p for p in pseudonyms.every(DOMAIN, client_id) if p != current)
