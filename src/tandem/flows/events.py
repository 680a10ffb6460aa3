"""Events into the workspace: checked, admitted by governance, stored durably."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from tandem.contracts.errors import Behind, TandemError
from tandem.contracts.events import EventOutcome, EventRecord, QueryRecord
from tandem.governance.admission import Admission, Refusal
from tandem.governance.pseudonyms import Pseudonyms, open_ring
from tandem.ingest.events import parse_record
from tandem.ingest.problem import Problem
from tandem.storage.events import EventStore
from tandem.storage.layout import Layout

log = logging.getLogger(__name__)

OLDEST = timedelta(days=30)
# After a compaction that failed, on a full disk say, the next try waits for so long.
PATIENCE = 30.0


class EventIntake:
    """Takes events as they happen. Safe for many threads; compacts beside them when it is time."""

    def __init__(self, layout: Layout) -> None:
        self.store = EventStore(layout)
        self._admission = Admission(Pseudonyms(open_ring(layout)), oldest=OLDEST)
        self._admitting = threading.Lock()
        self._compacting: threading.Thread | None = None
        self._next_try = 0.0

    def take(self, records: Sequence[Any], sent: datetime | None = None) -> list[EventOutcome]:
        """Store records, JSON objects unchecked so far; durable on return, one outcome for each.

        sent: when they left, by the sender's clock.
        Raises Behind when so much is not compacted yet that senders have to wait, StorageFull when
        the disk takes no more; then nothing of it is stored.
        """
        if self.store.behind:
            self._compact_beside()
            raise Behind("the journal of events is behind", retry_after=5)
        received = datetime.now(UTC)
        outcomes: list[EventOutcome | None] = [None] * len(records)
        parsed: list[tuple[int, QueryRecord | EventRecord]] = []
        for index, values in enumerate(records):
            record = parse_record(values)
            if isinstance(record, Problem):
                outcomes[index] = _refused(record)
            else:
                parsed.append((index, record))
        with self._admitting:
            admitted = self._admission.admit(parsed, received=received, sent=sent)
        for refusal in admitted.refusals:
            outcomes[refusal.index] = _refused(refusal)
        tally = {"out_of_order": admitted.counts["out_of_order"]}
        for outcome in outcomes:
            if outcome is not None:
                name = f"refused_{outcome.code}"
                tally[name] = tally.get(name, 0) + 1
        places = [place for place, outcome in enumerate(outcomes) if outcome is None]
        new = self.store.append(admitted.rows, tally)
        if self.store.worth_compacting:
            self._compact_beside()
        for place, is_new in zip(places, new, strict=True):
            outcomes[place] = _ACCEPTED if is_new else _DUPLICATE
        return [outcome for outcome in outcomes if outcome is not None]

    def _compact_beside(self) -> None:
        with self._admitting:
            busy = self._compacting is not None and self._compacting.is_alive()
            if busy or time.monotonic() < self._next_try:
                return
            self._compacting = threading.Thread(target=self._compact, name="compact-events")
            self._compacting.start()

    def _compact(self) -> None:
        try:
            done = self.store.compact()
        except TandemError as error:
            self._next_try = time.monotonic() + PATIENCE
            log.error("events could not be compacted: %s", error.message)
        else:
            if done is not None:
                log.info("%d events compacted into %d files", done.events, done.files)

    def close(self) -> None:
        """Wait for a compaction under way."""
        if self._compacting is not None:
            self._compacting.join()
        self.store.close()


_ACCEPTED = EventOutcome(status="accepted")
_DUPLICATE = EventOutcome(status="duplicate")


def _refused(why: Problem | Refusal) -> EventOutcome:
    return EventOutcome(
        status="refused", code=why.code, field=why.field, reason=why.reason, remedy=why.remedy
    )
