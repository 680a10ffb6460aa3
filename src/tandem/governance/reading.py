"""The one way to read what people did: for a purpose, by somebody, and only whom it allows.

An `EventReader` cannot be made without a `Purpose`. It takes the ledger's word as of when it is
made, leaves out who did not consent, who withdrew and minors, and rows that tell of special
categories unless the person allowed these explicitly. What was withheld is counted, not hidden.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tandem.contracts.consent import MINORS_MAY, Basis, Purpose
from tandem.contracts.errors import InvalidInput
from tandem.governance.audit import AuditLog
from tandem.governance.consent import ConsentLedger
from tandem.governance.special import special_category
from tandem.storage.events import EventStore, Snapshot, schema
from tandem.storage.layout import Layout

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

NEEDED = ("client", "user", "query_id", "user_query")
"""Columns of `AdmittedEvent` that the decision rests on."""


@dataclass(frozen=True)
class Released:
    """Rows that may be read. `withheld`: rows left out, by reason: `withdrawn`, `minor`,
    `no_consent`, `special_category`."""

    purpose: Purpose
    table: pa.Table
    withheld: Mapping[str, int]


@dataclass(frozen=True)
class AllowedEvents:
    """The stored events that may be read, at one moment. Valid inside `EventReader.reading()`."""

    reader: EventReader
    _snapshot: Snapshot

    @property
    def stored(self) -> int:
        """How many events are stored, allowed or not."""
        return self._snapshot.rows

    def table(
        self,
        columns: Sequence[str] | None = None,
        *,
        since: int | None = None,
        until: int | None = None,
    ) -> Released:
        """Events as one Arrow table in memory, in no order, as `Snapshot.table` takes it."""
        wanted = list(columns) if columns is not None else schema().names
        needed = list(dict.fromkeys((*wanted, *NEEDED)))
        released = self.reader.release(self._snapshot.table(needed, since=since, until=until))
        return Released(released.purpose, released.table.select(wanted), released.withheld)

    def view(
        self, connection: duckdb.DuckDBPyConnection, name: str = "events"
    ) -> duckdb.DuckDBPyRelation:
        """Events as the temporary view `name` of a DuckDB connection, read as it is queried."""
        self._snapshot.view(connection, f"{name}_stored")
        return self.reader.view(connection, f"{name}_stored", name)


class EventReader:
    """Reads stored events for one purpose. Making one is recorded in the audit log.

    actor: who reads, as in the audit log. Raises InvalidInput for what is no `Purpose`.
    """

    def __init__(self, layout: Layout, purpose: Purpose, *, actor: str) -> None:
        if not isinstance(purpose, Purpose):
            raise InvalidInput(
                f"{purpose!r} is no purpose",
                field="purpose",
                remedy=f"name one of: {', '.join(Purpose)}",
            )
        self.purpose = purpose
        self._layout = layout
        self.permissions = ConsentLedger(layout).permissions(purpose)
        AuditLog(layout).append(actor, "events.read", purpose=purpose, basis=self.permissions.basis)

    @contextmanager
    def reading(self) -> Iterator[AllowedEvents]:
        """The stored events of the workspace as of now, as far as they are allowed."""
        store = EventStore(self._layout)
        try:
            with store.reading() as snapshot:
                yield AllowedEvents(self, snapshot)
        finally:
            store.close()

    def view(
        self, connection: duckdb.DuckDBPyConnection, source: str, name: str
    ) -> duckdb.DuckDBPyRelation:
        """The rows of the table or view `source` that may be read, as the temporary view `name`:
        the same as `release`, for what does not fit into memory."""
        import pyarrow as pa

        may = self.permissions
        made = 0

        def said(values: Iterable[str], *columns: str) -> str:
            """SQL for: one of these columns is among `values`."""
            nonlocal made
            made += 1
            among = f"{name}_known_{made}"
            # Copied into a table: a registered object is gone with this call.
            connection.register(
                "among_these", pa.table({"it": pa.array(sorted(values), pa.string())})
            )
            connection.execute(f'CREATE OR REPLACE TEMP TABLE "{among}" AS FROM among_these')
            connection.unregister("among_these")
            return " OR ".join(
                f'coalesce("{column}" IN (SELECT it FROM "{among}"), FALSE)' for column in columns
            )

        people = ("client", "user")
        allowed = []
        if may.withdrawn:
            allowed.append(f"NOT ({said(may.withdrawn, *people)})")
        if self.purpose not in MINORS_MAY and may.minors:
            allowed.append(f"NOT ({said(may.minors, *people)})")
        if may.basis is Basis.CONSENT:
            allowed.append(f"({said(may.granted, *people)})")
        texts = connection.execute(
            f'SELECT DISTINCT user_query FROM "{source}" WHERE user_query IS NOT NULL'
        ).fetchall()
        telling = [text for (text,) in texts if special_category(text)]
        if telling:
            by_text = said(telling, "user_query")
            queries = connection.execute(
                f'SELECT DISTINCT query_id FROM "{source}" WHERE ({by_text})'
                " AND query_id IS NOT NULL"
            ).fetchall()
            tells = f"{by_text} OR {said((q for (q,) in queries), 'query_id')}"
            explicit = said(may.special, *people) if may.special else "FALSE"
            allowed.append(f"(NOT ({tells}) OR ({explicit}))")
        where = " AND ".join(allowed) or "TRUE"
        connection.execute(
            f'CREATE OR REPLACE TEMP VIEW "{name}" AS SELECT * FROM "{source}" WHERE {where}'
        )
        return connection.table(name)

    def release(self, events: pa.Table) -> Released:
        """The rows of `events` (columns of `AdmittedEvent`, NEEDED among them) that may be read.

        `events` has to hold whole searches: what followed from a search is judged by its text.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        may = self.permissions
        total = events.num_rows

        def said(subjects: frozenset[str]) -> pa.ChunkedArray:
            """Whether client or user of each row is among `subjects`."""
            known = pa.array(sorted(subjects), pa.string())
            return pc.or_(
                pc.is_in(events["client"], value_set=known),
                pc.and_(pc.is_valid(events["user"]), pc.is_in(events["user"], value_set=known)),
            )

        none = pa.chunked_array([pa.repeat(pa.scalar(False), total)])
        masks = {"withdrawn": said(may.withdrawn) if may.withdrawn else none}
        if self.purpose not in MINORS_MAY and may.minors:
            masks["minor"] = said(may.minors)
        if may.basis is Basis.CONSENT:
            masks["no_consent"] = pc.invert(said(may.granted))
        special = _special(events)
        if special is not None:
            explicit = said(may.special) if may.special else none
            masks["special_category"] = pc.and_(special, pc.invert(explicit))
        withheld: Counter[str] = Counter()
        out = none
        for reason, mask in masks.items():
            new = pc.and_(mask, pc.invert(out))
            withheld[reason] = int(pc.sum(new).as_py() or 0)
            out = pc.or_(out, mask)
        return Released(
            self.purpose,
            events.filter(pc.invert(out)),
            {reason: count for reason, count in withheld.items() if count},
        )


def _special(events: pa.Table) -> pa.ChunkedArray | None:
    """Which rows tell of a special category, by their own text or by their search's."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = [t for t in pc.unique(events["user_query"]).to_pylist() if t and special_category(t)]
    if not texts:
        return None
    by_text = pc.is_in(events["user_query"], value_set=pa.array(texts, pa.string()))
    queries = pc.unique(events.filter(by_text)["query_id"]).drop_null()
    return pc.or_(by_text, pc.is_in(events["query_id"], value_set=queries))
