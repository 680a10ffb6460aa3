"""How long events are kept, by category, and the job that ends it, with proof.

Searches tell most about a person and go first with everything done in passing; purchases stay as
long as returns and claims need them, without the query that led to them.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tandem.contracts.errors import InvalidInput
from tandem.contracts.events import QUERY_ACTION
from tandem.governance.audit import AuditLog
from tandem.storage.atomic import write_json_atomic
from tandem.storage.events import EventStore
from tandem.storage.layout import SETTINGS, Layout
from tandem.storage.parties import expire_content, expire_creators
from tandem.storage.visitors import open_visitors

if TYPE_CHECKING:
    import pyarrow as pa

DAY = 86_400_000_000  # microseconds

DEFAULT_DAYS: Mapping[str, int] = {
    # A year and a month: this season can be compared with the last.
    "searches": 395,
    "behaviour": 395,
    # The general limitation of claims: three years from the end of the year (BGB §§ 195, 199).
    "purchases": 1_461,
    # A month after the last visit: what somebody looked for then says little about now.
    "visitors": 30,
    # Statistics of creators cover a month: a profile that was not declared again for a year is of
    # somebody who has left.
    "creators": 365,
    # Two years: last season and the one before can be compared.
    "content": 730,
}
_OF_ACTION = {QUERY_ACTION: "searches", "purchase": "purchases", "return": "purchases"}
"""Category of an action; every other one is `behaviour`."""
_OF_EVENTS = ("searches", "behaviour", "purchases")


@dataclass(frozen=True)
class Proof:
    """What one run did, and what the store looks like after it. Times are ISO 8601 in UTC.

    removed, oldest: by category; oldest is None where no event is left, and for visitors and
    creators (whose generations go as a whole).
    cleared: purchases whose query text went.
    """

    at: str
    days: Mapping[str, int]
    before: Mapping[str, str]
    removed: Mapping[str, int]
    cleared: int
    oldest: Mapping[str, str | None]
    file: str

    @property
    def kept_its_word(self) -> bool:
        """Whether nothing older than its period is left."""
        return all(
            oldest is None or oldest >= self.before[category]
            for category, oldest in self.oldest.items()
        )


def periods(layout: Layout) -> dict[str, int]:
    """Days by category: those of `[retention]` in tandem.toml, else the defaults."""
    said = layout.settings().retention
    for category, days in said.items():
        if category not in DEFAULT_DAYS or days < 1:
            raise InvalidInput(
                "not a category of retention, or less than a day",
                file=str(layout.root / SETTINGS),
                field=f"retention.{category}",
                remedy=f"give whole days for: {', '.join(DEFAULT_DAYS)}",
            )
    return {**DEFAULT_DAYS, **said}


def retain(layout: Layout, *, actor: str, now: int | None = None) -> Proof:
    """Remove what is older than its period; interrupted, run it again.

    now: microseconds since 1970 in UTC, for tests. Raises Conflict when readers hold the files.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    now = time.time_ns() // 1000 if now is None else now
    days = periods(layout)
    before = {category: now - count * DAY for category, count in days.items()}
    removed = dict.fromkeys(days, 0)
    cleared = 0

    def change(events: pa.Table) -> pa.Table:
        nonlocal cleared
        gone = None
        for category in _OF_EVENTS:
            old = pc.and_(_is(events, category), pc.less(events["timestamp"], before[category]))
            removed[category] += int(pc.sum(old).as_py() or 0)
            gone = old if gone is None else pc.or_(gone, old)
        kept = events.filter(pc.invert(gone))
        stale = pc.and_(
            pc.less(kept["timestamp"], before["searches"]), pc.is_valid(kept["user_query"])
        )
        texts = int(pc.sum(stale).as_py() or 0)
        if texts:
            cleared += texts
            empty = pa.scalar(None, pa.string())
            column = pc.if_else(stale, empty, kept["user_query"])
            place = kept.schema.get_field_index("user_query")
            kept = kept.set_column(place, kept.schema.field(place), column)
        return kept

    with AuditLog(layout).act(actor, "retention.run", **days):
        oldest: dict[str, str | None] = dict.fromkeys(days, None)
        if layout.events.is_dir():
            store = EventStore(layout)
            try:
                store.rewrite(change)
                with store.reading() as snapshot:
                    left = snapshot.table(["action_name", "timestamp"])
            finally:
                store.close()
            for category in _OF_EVENTS:
                first = pc.min(left.filter(_is(left, category))["timestamp"]).as_py()
                oldest[category] = None if first is None else _iso(first)
        visitors = open_visitors(layout, days["visitors"])
        removed["visitors"] = visitors.expire()
        visitors.close()
        with layout.writing():
            removed["creators"] = expire_creators(layout, before["creators"])
            removed["content"], first = expire_content(layout, before["content"])
        oldest["content"] = None if first is None else _iso(first)
        stamp = datetime.fromtimestamp(now / 1e6, UTC).strftime("%Y%m%dT%H%M%S")
        path = layout.retention / f"{stamp}.json"
        cutoffs = {category: _iso(moment) for category, moment in before.items()}
        proof = Proof(_iso(now), days, cutoffs, removed, cleared, oldest, str(path))
        write_json_atomic(path, {**asdict(proof), "kept_its_word": proof.kept_its_word})
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    AuditLog(layout).append(actor, "retention.proof", file=path.name, sha256=digest)
    return proof


def _is(events: pa.Table, category: str) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    if category == "behaviour":
        known = pa.array(list(_OF_ACTION), pa.string())
        return pc.invert(pc.is_in(events["action_name"], value_set=known))
    names = pa.array([a for a, c in _OF_ACTION.items() if c == category], pa.string())
    return pc.is_in(events["action_name"], value_set=names)


def _iso(moment: int) -> str:
    return datetime.fromtimestamp(moment / 1e6, UTC).isoformat(timespec="microseconds")
