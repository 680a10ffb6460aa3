"""Visitors who allow it are recognised: their consent, what they looked at, and its end.

Nothing is read or kept of a visitor whose newest word in the consent ledger is not a grant of
`personalisation`. Identifiers become pseudonyms here and go no further.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, get_args

from tandem.contracts.consent import Decision, Purpose
from tandem.contracts.errors import TandemError
from tandem.contracts.events import Pseudonym
from tandem.contracts.recommend import (
    MAX_RECENT,
    Known,
    RecommendRequest,
    Visit,
    Visited,
    Visitor,
)
from tandem.flows.consent import decide
from tandem.governance.consent import ConsentLedger
from tandem.governance.pseudonyms import Pseudonyms, open_ring
from tandem.governance.retention import periods
from tandem.storage.layout import Layout
from tandem.storage.visitor_state import Change, Seen, VisitorState, newest
from tandem.storage.visitors import open_visitors

log = logging.getLogger(__name__)

DOMAIN = "client"  # as in events, so that one request of a person reaches both
BELIEVED = 1.0  # seconds that a decision read from the ledger is taken for the newest
MOST_BELIEVED = 100_000
SOURCE = "shopper"
SESSION = 30 * 60  # seconds without a visit after which a new session begins
ACTIONS = frozenset(get_args(Visit.model_fields["action"].annotation))
LOOKED = ACTIONS - {"impression", "not_interested"}


class Visitors:
    """The visitors of one workspace. Safe for many threads."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._ledger = ConsentLedger(layout)
        self._days = periods(layout)["visitors"]
        self._store = open_visitors(layout, self._days)
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
        now = int(time.time())
        self._store.change(
            subjects,
            Change(
                seen=[Seen(v.product_id, v.action, now) for v in visits if v.action in LOOKED],
                hidden=[v.product_id for v in visits if v.action == "not_interested"],
                shown=[v.product_id for v in visits if v.action == "impression"],
            ),
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
        try:
            for client_id, visits in by_client.items():
                self.visit(client_id, visits)
        except TandemError as error:
            # The events are stored already; they must not be sent again for this.
            log.warning("visitors' state: %s", error)

    def known(self, client_id: str) -> Visitor:
        """Everything that is kept of a visitor."""
        subjects = self._allowed(client_id)
        state = self._store.get(subjects) if subjects else None
        days = self._days
        if state is None:
            return Visitor(consent=subjects is not None, kept_days=days)
        return Visitor(
            consent=True,
            recent=tuple(s.product for s in state.recent),
            hidden=state.hidden,
            visits=tuple(
                Visited(product_id=s.product, action=s.action, at=datetime.fromtimestamp(s.at, UTC))
                for s in state.recent
            ),
            shown=dict(state.shown),
            kept_days=days,
        )

    def forget(self, client_id: str) -> None:
        """Erase what is kept; the visitor's decision stays."""
        if self._has_ring():
            self._store.forget(self._subjects(client_id))

    def remove(self, client_id: str, products: Sequence[str]) -> None:
        """Take products out of all that is kept: visits, counts, and those not to be shown."""
        subjects = self._allowed(client_id)
        if subjects and self._store.get(subjects) is not None:
            self._store.change(subjects, Change(removed=products))

    def asking(self, client_id: str, recent: Sequence[str] = ()) -> Known | None:
        """What an answer may know of a visitor; None without consent. recent: what the request
        says of this session, oldest first; it is newer than what is kept."""
        subjects = self._allowed(client_id)
        if subjects is None:
            return None
        try:
            state = self._store.get(subjects)
        except TandemError as error:
            # A store that cannot be reached costs the personal part, not the answer.
            log.warning("visitors' state: %s", error)
            state = None
        if state is None:
            return Known(session=tuple(recent))
        session = _session(state)
        return Known(
            session=newest((*(s.product for s in session), *recent), MAX_RECENT),
            before=tuple(s.product for s in state.recent[: len(state.recent) - len(session)]),
            hidden=state.hidden,
            shown=dict(state.shown),
        )

    def into(self, request: RecommendRequest, client_id: str) -> RecommendRequest:
        """The request with what is known of the visitor; what the request says itself is newer."""
        known = self.asking(client_id, request.recent)
        if known is None:
            return request.model_copy(update={"recent": (), "hidden": (), "shown": {}})
        return request.model_copy(
            update={
                "recent": known.recent[-MAX_RECENT:],
                "hidden": (*known.hidden, *request.hidden),
                "shown": known.shown,
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


def _session(state: VisitorState) -> tuple[Seen, ...]:
    """What belongs to the visit that goes on: visits without a longer pause up to now."""
    later = time.time()
    for place in range(len(state.recent) - 1, -1, -1):
        if later - state.recent[place].at > SESSION:
            return state.recent[place + 1 :]
        later = state.recent[place].at
    return state.recent
