"""The door for events: identifiers become pseudonyms, personal data is masked, clocks are judged.

What comes out is an `AdmittedEvent`, the only thing that storage takes. Nothing is dropped
silently: a record is admitted, or refused with a reason; everything that a rule did to it is in
its row and in the counts.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from tandem.contracts.events import (
    QUERY_ACTION,
    AdmittedEvent,
    EventRecord,
    Pseudonym,
    QueryRecord,
    Traffic,
)
from tandem.governance.consent import ConsentLedger
from tandem.governance.personal import mask
from tandem.governance.pseudonyms import Pseudonyms

SECOND = 1_000_000  # of microseconds
# A sender's clock that differs from ours by more is corrected by the difference.
SKEW = 60 * SECOND
# What happens later than this after it was received did not happen.
FUTURE = 5 * 60 * SECOND
LATE = 24 * 3600 * SECOND
# Actions that a person does one at a time; more of them in one minute is no person's doing.
ONE_AT_A_TIME = frozenset({QUERY_ACTION, "click", "add_to_cart", "remove_from_cart"})
MOST_A_MINUTE = 120
MOST_CLIENTS = 50_000

_NONE: tuple[str, ...] = ()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# The earliest time that a shop's log can hold; what lies before is a broken clock or a 0.
EARLIEST = 315_532_800 * SECOND  # 1980-01-01


@dataclass(frozen=True, slots=True)
class Refusal:
    """A record that is not admitted. `index` is its place in what was sent."""

    index: int
    code: str
    field: str | None
    reason: str
    remedy: str


@dataclass
class Admitted:
    """What became of some records: rows to store, refusals, and how many each rule touched.

    counts: `shifted` (clock corrected), `late` (over a day before it was received),
        `out_of_order` (before an earlier record of the same client), `masked`, `bot_agent`,
        `bot_rate`, `internal`.
    """

    rows: list[AdmittedEvent] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


class Admission:
    """Admits records under one ring of keys. One instance is used by one thread at a time.

    oldest: how long ago a record may have happened; None for files, which hold history.
    ledger: where decisions are carried to a person's new pseudonym after keys were rotated.
    """

    def __init__(
        self,
        pseudonyms: Pseudonyms,
        *,
        oldest: timedelta | None = None,
        ledger: ConsentLedger | None = None,
    ) -> None:
        self._pseudonyms = pseudonyms
        self._ledger = ledger if pseudonyms.rotated else None
        # Who was not known under an earlier key has nothing to be carried.
        self._person = pseudonyms.of if self._ledger is None else self._carry
        self._carried: OrderedDict[str, None] = OrderedDict()
        self._oldest = None if oldest is None else oldest // _MICROSECOND
        self._rates = _Rates()

    def admit(
        self,
        records: Iterable[tuple[int, QueryRecord | EventRecord]],
        *,
        received: datetime,
        sent: datetime | None = None,
    ) -> Admitted:
        """Admit (index, record) pairs that came together.

        received: when they came, by our clock. sent: when they left, by the sender's; it tells
        how far that clock is off.
        """
        now = microseconds(received)
        offset = 0 if sent is None else now - microseconds(sent)
        shift = offset if abs(offset) > SKEW else 0
        earliest = EARLIEST if self._oldest is None else max(EARLIEST, now - self._oldest)
        newest = now + FUTURE
        done = Admitted()
        for index, record in records:
            happened = (record.timestamp - _EPOCH) // _MICROSECOND + shift
            if earliest <= happened <= newest:
                done.rows.append(self._row(record, happened, now, shift))
                continue
            refusal = self._refusal(index, happened, now)
            done.refusals.append(refusal)
            done.counts[refusal.code] += 1
        _count(done)
        return done

    def _refusal(self, index: int, happened: int, now: int) -> Refusal:
        """Why a time that is out of bounds is."""
        if happened > now + FUTURE:
            return Refusal(
                index,
                "in_future",
                "timestamp",
                "lies in the future",
                "set the sender's clock, or send sent_at with the batch so that it is corrected",
            )
        if self._oldest is not None and happened < now - self._oldest:
            days = self._oldest // (24 * 3600 * SECOND)
            return Refusal(
                index,
                "too_old",
                "timestamp",
                f"lies more than {days} days back",
                "import history from a file: tandem import events",
            )
        return Refusal(
            index, "too_old", "timestamp", "lies before 1980", "check the unit of the time"
        )

    def _row(
        self, record: QueryRecord | EventRecord, happened: int, now: int, shift: int
    ) -> AdmittedEvent:
        of = self._person
        client = of("client", record.client_id)
        session, user, order = record.session_id, record.user_id, None
        text, masked = (None, _NONE) if record.user_query is None else mask(record.user_query)
        object_id = position = quantity = amount = currency = total = latency_ms = None
        content = creator_id = seconds = duration = None
        shown = filters = _NONE
        if isinstance(record, QueryRecord):
            action = QUERY_ACTION
            shown, filters = record.object_ids, record.filters
            total, latency_ms = record.total, record.latency_ms
        else:
            action, object_id = record.action_name, record.object_id
            position, quantity = record.position, record.quantity
            order = record.order_id
            if (money := record.amount) is not None:
                amount, currency = format(money.amount, "f"), money.currency
            if (watch := record.watch) is not None:
                content, creator_id = watch.content, watch.creator_id
                seconds, duration = watch.seconds, watch.duration
                shown = watch.product_ids
        return {
            "event_key": self._pseudonyms.event_key(record.event_id),
            "action_name": action,
            "timestamp": happened,
            "received": now,
            "client": client,
            "session": None if session is None else of("session", session),
            "user": None if user is None else of("user", user),
            "query_id": record.query_id,
            "user_query": text,
            "masked": masked,
            "language": record.language,
            "object_id": object_id,
            "position": position,
            "quantity": quantity,
            "amount": amount,
            "currency": currency,
            "order": None if order is None else of("order", order),
            "total": total,
            "object_ids": shown,
            "content": content,
            "creator_id": creator_id,
            "seconds": seconds,
            "duration": duration,
            "device": record.device,
            "region": record.region,
            "filters": filters,
            "latency_ms": latency_ms,
            "traffic": self._traffic(record, action, client, happened),
            "clock": "shifted" if shift else "kept",
        }

    def _carry(self, domain: str, identifier: str) -> Pseudonym:
        """A pseudonym; what its person decided under an earlier key goes on for it."""
        new = self._pseudonyms.of(domain, identifier)
        if self._ledger is not None and domain in ("client", "user") and new not in self._carried:
            old = [p for p in self._pseudonyms.every(domain, identifier) if p != new]
            self._ledger.carry(old, new)
            self._carried[new] = None
            if len(self._carried) > MOST_CLIENTS:
                self._carried.popitem(last=False)
        return new

    def _traffic(
        self, record: QueryRecord | EventRecord, action: str, client: str, happened: int
    ) -> Traffic:
        """The first rule that fits: declared internal, an agent known as a bot, too many actions
        in one minute. Marked, not dropped: readers choose."""
        too_fast = action in ONE_AT_A_TIME and self._rates.exceeded(client, happened)
        if record.internal:
            return "internal"
        if record.user_agent is not None and is_bot(record.user_agent):
            return "bot_agent"
        return "bot_rate" if too_fast else "shopper"


def _count(done: Admitted) -> None:
    """What the rules did to the rows that were admitted together."""
    counts, latest = done.counts, dict[str, int]()
    for row in done.rows:
        happened, client = row["timestamp"], row["client"]
        if row["clock"] == "shifted":
            counts["shifted"] += 1
        if happened < row["received"] - LATE:
            counts["late"] += 1
        if happened < latest.get(client, happened):
            counts["out_of_order"] += 1
        else:
            latest[client] = happened
        if row["masked"]:
            counts["masked"] += 1
        if row["traffic"] != "shopper":
            counts[row["traffic"]] += 1


class _Rates:
    """Actions by client and minute, for the clients seen last."""

    def __init__(self) -> None:
        self._counts: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def exceeded(self, client: str, happened: int) -> bool:
        minute = happened // (60 * SECOND)
        known, count = self._counts.get(client, (minute, 0))
        count = count + 1 if known == minute else 1
        self._counts[client] = (minute, count)
        self._counts.move_to_end(client)
        if len(self._counts) > MOST_CLIENTS:
            self._counts.popitem(last=False)
        return count > MOST_A_MINUTE


@lru_cache(maxsize=4_096)
def is_bot(user_agent: str) -> bool:
    """Whether an agent is none, or one of those that `crawler-user-agents` lists."""
    from crawleruseragents import is_crawler

    return not user_agent.strip() or bool(is_crawler(user_agent))


def microseconds(moment: datetime) -> int:
    """Microseconds from 1970 in UTC to an aware moment, exact."""
    return (moment - _EPOCH) // _MICROSECOND
