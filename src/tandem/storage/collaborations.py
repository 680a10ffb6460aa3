"""Collaborations and their ledger in one SQLite file: what was acknowledged is on disk.

Write-ahead log, `synchronous=FULL`, and one writer at a time (`BEGIN IMMEDIATE`), so that whoever
decides on what it read decides on the newest state. Postings, settlements, audit entries and used
keys can be added and never changed: triggers refuse it. Amounts are whole ten-thousandths, so
that sums in SQL are exact.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from tandem.contracts.collaboration import (
    Account,
    Attribution,
    AuditEntry,
    Collaboration,
    Posting,
    Refund,
    Settlement,
)
from tandem.contracts.errors import Conflict, InvalidInput, NotFound
from tandem.storage.wal import use_wal

WAIT_SECONDS = 30.0
VERSION = 2
_SCALE = Decimal(10_000)
# SQLite's integers have 64 bits, which few very large amounts fill: halves are added up apart.
_SUM = "sum(p.amount >> 32), sum(p.amount & 4294967295)"
_RESOLVED = """instr(entry, '"resolve_dispute"') > 0"""
_APPEND_ONLY = ("audit", "postings", "settlements", "used_keys", "refunds")
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS collaborations (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, merchant TEXT NOT NULL, creator TEXT NOT NULL,
    status TEXT NOT NULL, created INTEGER NOT NULL, updated INTEGER NOT NULL,
    deadline INTEGER, state TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS by_merchant ON collaborations (merchant, created);
CREATE INDEX IF NOT EXISTS by_creator ON collaborations (creator, created);
CREATE INDEX IF NOT EXISTS by_deadline ON collaborations (deadline) WHERE deadline IS NOT NULL;

CREATE TABLE IF NOT EXISTS attributions (
    order_line TEXT NOT NULL, collaboration TEXT NOT NULL REFERENCES collaborations (id),
    merchant TEXT NOT NULL, creator TEXT NOT NULL, currency TEXT NOT NULL,
    matures INTEGER NOT NULL, open INTEGER NOT NULL, state TEXT NOT NULL,
    PRIMARY KEY (order_line, collaboration)
) STRICT;
CREATE INDEX IF NOT EXISTS by_collaboration ON attributions (collaboration);
CREATE INDEX IF NOT EXISTS to_settle ON attributions (merchant, creator, currency, matures)
    WHERE open = 1;

CREATE TABLE IF NOT EXISTS refunds (
    refund_id TEXT PRIMARY KEY, order_line TEXT NOT NULL, sequence INTEGER NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS postings (
    sequence INTEGER NOT NULL, account TEXT NOT NULL, collaboration TEXT NOT NULL,
    order_line TEXT NOT NULL, currency TEXT NOT NULL, amount INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS postings_of_collaboration ON postings (collaboration, account);

CREATE TABLE IF NOT EXISTS settlements (
    id TEXT PRIMARY KEY, sequence INTEGER NOT NULL, merchant TEXT NOT NULL, creator TEXT NOT NULL,
    settled INTEGER NOT NULL, state TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS settlements_of_merchant ON settlements (merchant, settled);
CREATE INDEX IF NOT EXISTS settlements_of_creator ON settlements (creator, settled);

CREATE TABLE IF NOT EXISTS audit (
    sequence INTEGER PRIMARY KEY, collaboration TEXT, entry TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS audit_of_collaboration ON audit (collaboration, sequence);
CREATE INDEX IF NOT EXISTS resolved_disputes ON audit (collaboration) WHERE {_RESOLVED};

CREATE TABLE IF NOT EXISTS used_keys (
    party TEXT NOT NULL, key TEXT NOT NULL, request TEXT NOT NULL, answer TEXT NOT NULL,
    PRIMARY KEY (party, key)
) STRICT;
""" + "".join(
    f"CREATE TRIGGER IF NOT EXISTS {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
    f"BEGIN SELECT RAISE(ABORT, '{table} can only be added to'); END;\n"
    for table in _APPEND_ONLY
    for verb in ("UPDATE", "DELETE")
)
_PENDING = ("INVITED", "APPLIED")


@dataclass(frozen=True, slots=True)
class Balance:
    """Sum of the postings of one account and one currency."""

    account: Account
    amount: Decimal
    currency: str

    @property
    def stands(self) -> Decimal:
        """What stands on it: what merchants owe, or what creators have coming; below zero where
        more was taken back than is left, as by a refund of what is settled."""
        return self.amount if self.account == "expense" else 0 - self.amount


class CollaborationStore:
    """The file at `path`, made on first use. Safe for many threads and processes."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._lock = threading.Lock()
        # Transactions are begun by hand: the module's own would begin too late for a decision.
        self._connection = sqlite3.connect(
            path, timeout=WAIT_SECONDS, isolation_level=None, check_same_thread=False
        )
        with self._foreseen():
            use_wal(self._connection, WAIT_SECONDS)
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.execute("PRAGMA foreign_keys=ON")
            self._prepare()

    def _prepare(self) -> None:
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise InvalidInput(
                f"written by a newer version of Tandem (schema {version})",
                file=str(self.path),
                remedy="update Tandem",
            )
        if version < VERSION:
            with self.writing():
                for statement in _statements(_SCHEMA):
                    self._connection.execute(statement)
                self._connection.execute(f"PRAGMA user_version={VERSION}")

    @contextlib.contextmanager
    def writing(self) -> Iterator[Books]:
        """All of what the block writes, or nothing; durable when the block ends.

        Raises Conflict when another writer holds the file for longer than WAIT_SECONDS.
        """
        with self._transaction("BEGIN IMMEDIATE") as books:
            yield books

    @contextlib.contextmanager
    def reading(self) -> Iterator[Books]:
        """One consistent state, whatever others write meanwhile."""
        with self._transaction("BEGIN") as books:
            yield books

    @contextlib.contextmanager
    def _transaction(self, begin: str) -> Iterator[Books]:
        with self._lock:
            with self._foreseen():
                self._connection.execute(begin)
            try:
                yield Books(self._connection)
                with self._foreseen():
                    self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _foreseen(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) and "busy" not in str(error):
                raise
            raise Conflict(
                f"another process has been writing to {self.path} for too long",
                remedy="try again",
            ) from None

    def close(self) -> None:
        self._connection.close()


class Books:
    """The tables within one transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._sql = connection.execute
        self._many = connection.executemany
        # Whoever writes is alone: the last entry stays the last but for one's own.
        self._last: AuditEntry | None = None

    # --- Keys that make a repeated request harmless -------------------------------------------

    def answered(self, party: str, key: str) -> tuple[str, str] | None:
        """(request, answer) that a party's key was used for, or None."""
        row: tuple[str, str] | None = self._sql(
            "SELECT request, answer FROM used_keys WHERE party = ? AND key = ?", (party, key)
        ).fetchone()
        return row

    def answer(self, party: str, key: str, request: str, answer: str) -> None:
        self._sql("INSERT INTO used_keys VALUES (?, ?, ?, ?)", (party, key, request, answer))

    # --- Collaborations -----------------------------------------------------------------------

    def collaboration(self, id_: str) -> Collaboration:
        row = self._sql("SELECT state FROM collaborations WHERE id = ?", (id_,)).fetchone()
        if row is None:
            raise NotFound(
                f"no collaboration '{id_}'", remedy="list them with: tandem collaborations list"
            )
        return Collaboration.model_validate_json(row[0])

    def put(self, c: Collaboration) -> None:
        self._sql(
            "INSERT INTO collaborations VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (id) DO UPDATE SET status = excluded.status, "
            "updated = excluded.updated, deadline = excluded.deadline, state = excluded.state",
            (
                c.id,
                c.kind,
                c.merchant_id,
                c.creator_id,
                c.status,
                _micros(c.created),
                _micros(c.updated),
                _micros(due) if (due := deadline(c)) else None,
                c.model_dump_json(),
            ),
        )

    def collaborations(
        self,
        *,
        merchant: str | None = None,
        creator: str | None = None,
        status: str | None = None,
        limit: int | None = None,
    ) -> list[Collaboration]:
        """Newest first."""
        where, values = _where(merchant=merchant, creator=creator, status=status)
        rows = self._sql(
            f"SELECT state FROM collaborations{where} ORDER BY created DESC, id LIMIT ?",
            (*values, -1 if limit is None else limit),
        )
        return [Collaboration.model_validate_json(state) for (state,) in rows]

    def overdue(self, now: datetime, limit: int) -> list[str]:
        """Ids of collaborations whose deadline has passed, the oldest deadline first."""
        rows = self._sql(
            "SELECT id FROM collaborations WHERE deadline <= ? ORDER BY deadline, id LIMIT ?",
            (_micros(now), limit),
        )
        return [id_ for (id_,) in rows]

    def begun(self, kind: str, party: str, since: datetime) -> int:
        """Invitations of a merchant (`target`) or applications of a creator (`open`)."""
        column = "merchant" if kind == "target" else "creator"
        (count,) = self._sql(
            f"SELECT count(*) FROM collaborations WHERE {column} = ? AND kind = ? AND created > ?",
            (party, kind, _micros(since)),
        ).fetchone()
        return int(count)

    def approaches(
        self, kind: str, merchant: str, creator: str, since: datetime
    ) -> list[Collaboration]:
        """A pair's collaborations of this kind that began after `since`, or may still wait for an
        answer, or were declined after it; newest first."""
        rows = self._sql(
            "SELECT state FROM collaborations WHERE merchant = ? AND creator = ? AND kind = ? "
            f"AND (created > ? OR status IN {_PENDING} OR (status = 'DECLINED' AND updated > ?)) "
            "ORDER BY created DESC, id",
            (merchant, creator, kind, _micros(since), _micros(since)),
        )
        return [Collaboration.model_validate_json(state) for (state,) in rows]

    def lost_dispute(self, collaboration: str) -> bool:
        """Whether a dispute about it ended in a refund. Asked at every late order: only what was
        resolved is read, not all orders before."""
        rows = self._sql(
            f"SELECT entry FROM audit WHERE collaboration = ? AND {_RESOLVED}", (collaboration,)
        )
        actions = [AuditEntry.model_validate_json(entry).action for (entry,) in rows]
        return any(
            (a.get("action"), a.get("outcome")) == ("resolve_dispute", "refund") for a in actions
        )

    def samples_sent(self, merchant: str) -> list[tuple[str, datetime]]:
        """(collaboration, when) of the samples that a merchant sent, also where it came to nothing
        afterwards."""
        rows = self._sql(
            "SELECT entry FROM audit JOIN collaborations c ON c.id = audit.collaboration "
            "WHERE c.merchant = ? AND instr(entry, '\"ship_sample\"') > 0 ORDER BY sequence",
            (merchant,),
        )
        entries = [AuditEntry.model_validate_json(entry) for (entry,) in rows]
        return [
            (str(e.collaboration_id), e.at)
            for e in entries
            if e.action.get("action") == "ship_sample"
        ]

    # --- Attributions -------------------------------------------------------------------------

    def put_attribution(self, a: Attribution) -> None:
        self._sql(
            "INSERT INTO attributions VALUES (?, ?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (order_line, collaboration) DO UPDATE SET open = excluded.open, "
            "state = excluded.state",
            (
                a.order_line,
                a.collaboration_id,
                a.merchant_id,
                a.creator_id,
                a.amount.currency,
                _micros(a.matures),
                int(not a.frozen and a.commission.amount != a.settled.amount),
                a.model_dump_json(),
            ),
        )

    def attributions(
        self,
        *,
        order_line: str | None = None,
        collaboration: str | None = None,
        merchant: str | None = None,
        creator: str | None = None,
        limit: int | None = None,
    ) -> list[Attribution]:
        where, values = _where(
            order_line=order_line, collaboration=collaboration, merchant=merchant, creator=creator
        )
        rows = self._sql(
            f"SELECT state FROM attributions{where} ORDER BY matures, order_line, collaboration "
            "LIMIT ?",
            (*values, -1 if limit is None else limit),
        )
        return [Attribution.model_validate_json(state) for (state,) in rows]

    def due(self, merchant: str, creator: str, currency: str, now: datetime) -> list[Attribution]:
        """Attributions that may be settled: not frozen, mature, and not settled as they stand."""
        rows = self._sql(
            "SELECT state FROM attributions WHERE open = 1 AND merchant = ? AND creator = ? "
            "AND currency = ? AND matures <= ? ORDER BY matures, order_line, collaboration",
            (merchant, creator, currency, _micros(now)),
        )
        return [Attribution.model_validate_json(state) for (state,) in rows]

    def due_pairs(self, now: datetime, merchant: str | None = None) -> list[tuple[str, str, str]]:
        """(merchant, creator, currency) with something to settle."""
        where = "AND merchant = ?" if merchant is not None else ""
        values = (_micros(now), merchant) if merchant is not None else (_micros(now),)
        rows = self._sql(
            "SELECT DISTINCT merchant, creator, currency FROM attributions "
            f"WHERE open = 1 AND matures <= ? {where} ORDER BY 1, 2, 3",
            values,
        )
        return [(m, c, currency) for m, c, currency in rows]

    def refunded(self, refund_id: str) -> Refund | None:
        """What was counted under a refund's id."""
        row = self._sql(
            "SELECT entry FROM refunds JOIN audit USING (sequence) WHERE refund_id = ?",
            (refund_id,),
        ).fetchone()
        if row is None:
            return None
        return Refund.model_validate(AuditEntry.model_validate_json(row[0]).action)

    def put_refund(self, refund_id: str, order_line: str, sequence: int) -> None:
        self._sql("INSERT INTO refunds VALUES (?, ?, ?)", (refund_id, order_line, sequence))

    # --- Ledger -------------------------------------------------------------------------------

    def post(self, sequence: int, postings: Sequence[Posting]) -> None:
        """Enter the legs of one double entry under its audit entry."""
        if sum(p.amount for p in postings) or len({p.currency for p in postings}) > 1:
            raise ValueError("an entry whose legs do not sum to zero in one currency")
        self._many(
            "INSERT INTO postings VALUES (?, ?, ?, ?, ?, ?)",
            [
                (
                    sequence,
                    p.account,
                    p.collaboration_id,
                    p.order_line,
                    p.currency,
                    int(p.amount * _SCALE),
                )
                for p in postings
            ],
        )

    def balances(
        self,
        *,
        merchant: str | None = None,
        creator: str | None = None,
        collaboration: str | None = None,
    ) -> list[Balance]:
        where, values = _where(merchant=merchant, creator=creator)
        if collaboration is not None:
            where += (" AND " if where else " WHERE ") + "p.collaboration = ?"
            values = (*values, collaboration)
        rows = self._sql(
            f"SELECT p.account, p.currency, {_SUM} FROM postings p "
            f"JOIN collaborations c ON c.id = p.collaboration{where} GROUP BY 1, 2 ORDER BY 2, 1",
            values,
        )
        return [
            Balance(account, ((high << 32) + low) / _SCALE, currency)
            for account, currency, high, low in rows
        ]

    def line_balances(self) -> Iterator[tuple[str, str, str, Decimal]]:
        """(collaboration, order line, account, balance) of every line that was ever posted."""
        for collaboration, line, account, high, low in self._sql(
            f"SELECT collaboration, order_line, account, {_SUM} FROM postings p GROUP BY 1, 2, 3"
        ):
            yield collaboration, line, account, ((high << 32) + low) / _SCALE

    def unbalanced(self) -> list[int]:
        """Sequences of entries whose legs do not sum to zero: always empty, unless tampered."""
        rows = self._sql(
            f"SELECT sequence, {_SUM} FROM postings p GROUP BY sequence, currency ORDER BY sequence"
        )
        return [sequence for sequence, high, low in rows if (high << 32) + low]

    def put_settlement(self, s: Settlement, sequence: int) -> None:
        self._sql(
            "INSERT INTO settlements VALUES (?, ?, ?, ?, ?, ?)",
            (
                s.id,
                sequence,
                s.merchant_id,
                s.creator_id,
                _micros(s.settled),
                s.model_dump_json(),
            ),
        )

    def settlements(
        self,
        *,
        merchant: str | None = None,
        creator: str | None = None,
        limit: int | None = None,
    ) -> list[Settlement]:
        """Newest first."""
        where, values = _where(merchant=merchant, creator=creator)
        rows = self._sql(
            f"SELECT state FROM settlements{where} ORDER BY sequence DESC LIMIT ?",
            (*values, -1 if limit is None else limit),
        )
        return [Settlement.model_validate_json(state) for (state,) in rows]

    # --- Audit --------------------------------------------------------------------------------

    def last_audit(self) -> AuditEntry | None:
        if self._last is None:
            row = self._sql("SELECT entry FROM audit ORDER BY sequence DESC LIMIT 1").fetchone()
            self._last = None if row is None else AuditEntry.model_validate_json(row[0])
        return self._last

    def put_audit(self, entry: AuditEntry) -> None:
        self._sql(
            "INSERT INTO audit VALUES (?, ?, ?)",
            (entry.sequence, entry.collaboration_id, entry.model_dump_json()),
        )
        self._last = entry

    def audit(self, collaboration: str | None = None) -> Iterator[AuditEntry]:
        """Oldest first."""
        where, values = _where(collaboration=collaboration)
        for (entry,) in self._sql(f"SELECT entry FROM audit{where} ORDER BY sequence", values):
            yield AuditEntry.model_validate_json(entry)


def deadline(c: Collaboration) -> datetime | None:
    """When a collaboration expires if nothing happens; None where nothing is awaited.

    A dispute stops the clock: the platform decides first.
    """
    if c.dispute is not None:
        return None
    if c.status in _PENDING:
        return c.respond_by
    return c.content_due if c.status == "CONTENT_DUE" else None


def _micros(moment: datetime) -> int:
    """Microseconds since 1970, exact: `timestamp()` is a float and would round."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _where(**columns: str | None) -> tuple[str, tuple[str, ...]]:
    asked = {name: value for name, value in columns.items() if value is not None}
    clause = " AND ".join(f"{name} = ?" for name in asked)
    return (f" WHERE {clause}" if clause else ""), tuple(asked.values())


def _statements(script: str) -> Iterator[str]:
    """Single statements: `executescript` would commit the transaction that it runs in."""
    pending = ""
    for line in script.splitlines():
        pending += line + "\n"
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
