"""The consent ledger: what each data subject allowed for which purpose. Append-only, durable.

`consent/ledger.db` is SQLite (WAL, synchronous=FULL); triggers refuse any change or removal of a
record. Subjects are pseudonyms. The newest record of a subject and purpose counts; the former
ones stay as proof (GDPR Art. 7(1)).
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tandem.contracts.consent import (
    ALLOWED_BASES,
    DEFAULT_BASES,
    MINORS_MAY,
    Basis,
    ConsentRecord,
    Decision,
    Purpose,
)
from tandem.contracts.errors import Conflict, InvalidInput
from tandem.contracts.events import Pseudonym
from tandem.storage.layout import Layout
from tandem.storage.wal import use_wal

LONGEST_EVIDENCE = 200
BUSY_SECONDS = 30.0
_PSEUDONYM = re.compile(r"^k[1-9]\d{0,5}\.[\w-]{22}$", re.ASCII)

_TABLES = """
CREATE TABLE IF NOT EXISTS records (
    number INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, subject TEXT NOT NULL,
    purpose TEXT NOT NULL, decision TEXT NOT NULL, basis TEXT NOT NULL, special INTEGER NOT NULL,
    evidence TEXT, source TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS by_subject ON records (subject, purpose, number);
CREATE TABLE IF NOT EXISTS ages (
    number INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, subject TEXT NOT NULL,
    minor INTEGER NOT NULL, source TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS ages_by_subject ON ages (subject, number);
CREATE TABLE IF NOT EXISTS bases (
    number INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, purpose TEXT NOT NULL,
    basis TEXT NOT NULL, reason TEXT NOT NULL, source TEXT NOT NULL);
""" + "".join(
    f"CREATE TRIGGER IF NOT EXISTS {table}_{verb} BEFORE {verb} ON {table} BEGIN"
    f" SELECT RAISE(ABORT, 'the consent ledger is append-only'); END;\n"
    for table in ("records", "ages", "bases")
    for verb in ("UPDATE", "DELETE")
)


@dataclass(frozen=True)
class Permissions:
    """Who may be read for one purpose, at one moment.

    granted, withdrawn, minors: pseudonyms of clients and users. special: of those who allowed
    special categories too. A person is left out when any identifier says no; where the basis is
    consent, some identifier has to say yes.
    """

    purpose: Purpose
    basis: Basis
    granted: frozenset[str]
    withdrawn: frozenset[str]
    minors: frozenset[str]
    special: frozenset[str]

    def refused(self, identifiers: Iterable[str | None]) -> str | None:
        """Why a person of these pseudonyms is left out: `withdrawn`, `minor`, `no_consent`; None
        for one who is not."""
        known = {i for i in identifiers if i is not None}
        if known & self.withdrawn:
            return "withdrawn"
        if self.purpose not in MINORS_MAY and known & self.minors:
            return "minor"
        if self.basis is Basis.CONSENT and not known & self.granted:
            return "no_consent"
        return None


class ConsentLedger:
    """The ledger of one workspace. Safe for many threads and processes."""

    def __init__(self, layout: Layout) -> None:
        self.file = layout.consent / "ledger.db"

    def record(
        self,
        subjects: Sequence[Pseudonym],
        purposes: Sequence[Purpose],
        decision: Decision,
        *,
        source: str,
        special: bool = False,
        evidence: str | None = None,
    ) -> list[ConsentRecord]:
        """Write one decision of one person for each purpose; durable on return.

        subjects: all pseudonyms of the person, one for each key. special: the grant is explicit
        and covers special categories. Raises InvalidInput for what is no pseudonym, a grant of a
        minor for what profiles, and a text of evidence that is too long; Conflict when another
        process holds the ledger too long.
        """
        if not subjects or not purposes:
            raise InvalidInput("a decision needs a person and a purpose", remedy="name both")
        for subject in subjects:
            _checked(subject)
        if evidence is not None and len(evidence) > LONGEST_EVIDENCE:
            raise InvalidInput(
                f"longer than {LONGEST_EVIDENCE} characters",
                field="evidence",
                remedy="name the document or the version of the banner only",
            )
        if special and decision != "granted":
            raise InvalidInput(
                "a withdrawal covers special categories anyway",
                field="special",
                remedy="leave it out",
            )
        with self._transaction() as connection:
            if decision == "granted" and self._minor(connection, subjects):
                barred = sorted(p for p in purposes if p not in MINORS_MAY)
                if barred or special:
                    raise InvalidInput(
                        "the data of a minor is not used for "
                        + (", ".join(barred) or "special categories"),
                        field="purpose",
                        remedy="leave it; if the person is of age: tandem consent age --adult",
                    )
            now = time.time_ns() // 1000
            written = []
            for subject in subjects:
                for purpose in purposes:
                    basis = self._basis(connection, purpose)
                    if decision == "granted":
                        basis = Basis.EXPLICIT_CONSENT if special else Basis.CONSENT
                    row = (now, subject, purpose, decision, basis, special, evidence, source)
                    number = connection.execute(
                        "INSERT INTO records (at, subject, purpose, decision, basis, special,"
                        " evidence, source) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                        row,
                    ).lastrowid
                    written.append(ConsentRecord(number or 0, *row))
        return written

    def set_age(self, subjects: Sequence[Pseudonym], *, minor: bool, source: str) -> None:
        """Say that a person is a minor, or is of age."""
        now = time.time_ns() // 1000
        with self._transaction() as connection:
            connection.executemany(
                "INSERT INTO ages (at, subject, minor, source) VALUES (?, ?, ?, ?)",
                [(now, _checked(subject), minor, source) for subject in subjects],
            )

    def set_basis(self, purpose: Purpose, basis: Basis, *, reason: str, source: str) -> None:
        """Put a purpose on another legal basis. Raises InvalidInput for one that the law does not
        know for it, and for a missing reason."""
        if basis not in ALLOWED_BASES[purpose]:
            allowed = ", ".join(sorted(ALLOWED_BASES[purpose]))
            raise InvalidInput(
                f"{purpose} cannot rest on {basis}", field="basis", remedy=f"use {allowed}"
            )
        if not reason.strip():
            raise InvalidInput(
                "another basis needs a reason", field="reason", remedy="say where it was weighed"
            )
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO bases (at, purpose, basis, reason, source) VALUES (?, ?, ?, ?, ?)",
                (time.time_ns() // 1000, purpose, basis, reason, source),
            )

    def bases(self) -> dict[Purpose, Basis]:
        """The legal basis of every purpose, as of now."""
        with self._reading() as connection:
            return {purpose: self._basis(connection, purpose) for purpose in Purpose}

    def history(self, subjects: Sequence[Pseudonym]) -> list[ConsentRecord]:
        """All records of a person, oldest first."""
        with self._reading() as connection:
            marks = ",".join("?" * len(subjects))
            rows = connection.execute(
                "SELECT number, at, subject, purpose, decision, basis, special, evidence, source"
                f" FROM records WHERE subject IN ({marks}) ORDER BY number",
                list(subjects),
            ).fetchall()
        return [_record(row) for row in rows]

    def minor(self, subjects: Sequence[Pseudonym]) -> bool:
        """Whether any of a person's pseudonyms was said to be a minor's."""
        with self._reading() as connection:
            return self._minor(connection, subjects)

    def refusal(self, purpose: Purpose, subjects: Sequence[Pseudonym]) -> str | None:
        """Why one person may not be read for `purpose` now (see `Permissions.refused`), or None:
        as `permissions` tells it, without reading all others."""
        marks = ",".join("?" * len(subjects))
        with self._reading() as connection:
            latest = connection.execute(
                "SELECT subject, decision FROM records WHERE number IN"
                f" (SELECT max(number) FROM records WHERE purpose = ? AND subject IN ({marks})"
                " GROUP BY subject)",
                (purpose, *subjects),
            ).fetchall()
            minor = self._minor(connection, subjects)
            basis = self._basis(connection, purpose)
        said = {
            decision: frozenset({s for s, d in latest if d == decision}) for _, decision in latest
        }
        granted, withdrawn = (said.get(d, frozenset()) for d in ("granted", "withdrawn"))
        minors = frozenset(subjects) if minor else frozenset()
        return Permissions(purpose, basis, granted, withdrawn, minors, frozenset()).refused(
            subjects
        )

    def permissions(self, purpose: Purpose) -> Permissions:
        """Who may be read for `purpose` now."""
        with self._reading() as connection:
            latest = connection.execute(
                "SELECT subject, decision, special FROM records WHERE number IN"
                " (SELECT max(number) FROM records WHERE purpose = ? GROUP BY subject)",
                (purpose,),
            ).fetchall()
            minors = connection.execute(
                "SELECT subject FROM ages WHERE minor AND number IN"
                " (SELECT max(number) FROM ages GROUP BY subject)"
            ).fetchall()
            basis = self._basis(connection, purpose)
        granted = {subject for subject, decision, _ in latest if decision == "granted"}
        return Permissions(
            purpose,
            basis,
            frozenset(granted),
            frozenset(subject for subject, decision, _ in latest if decision == "withdrawn"),
            frozenset(subject for (subject,) in minors),
            frozenset(subject for subject, _, special in latest if special and subject in granted),
        )

    def carry(self, old: Sequence[Pseudonym], new: Pseudonym) -> bool:
        """Give a person's new pseudonym, after keys were rotated, what the old ones decided;
        whether there was anything to give."""
        marks = ",".join("?" * len(old))
        with self._reading() as connection:  # most people decided nothing: no write for them
            if not connection.execute(
                f"SELECT 1 FROM records WHERE subject IN ({marks}) UNION"
                f" SELECT 1 FROM ages WHERE subject IN ({marks}) LIMIT 1",
                (*old, *old),
            ).fetchone():
                return False
        with self._transaction() as connection:
            if connection.execute(
                "SELECT 1 FROM records WHERE subject = ?1 UNION SELECT 1 FROM ages"
                " WHERE subject = ?1 LIMIT 1",
                (new,),
            ).fetchone():
                return False
            copied = connection.execute(
                "INSERT INTO records (at, subject, purpose, decision, basis, special, evidence,"
                " source) SELECT at, ?, purpose, decision, basis, special, evidence, 'rotation'"
                f" FROM records WHERE number IN (SELECT max(number) FROM records WHERE subject IN"
                f" ({marks}) GROUP BY purpose) ORDER BY number",
                (new, *old),
            ).rowcount
            copied += connection.execute(
                "INSERT INTO ages (at, subject, minor, source) SELECT at, ?, minor, 'rotation'"
                f" FROM ages WHERE number IN (SELECT max(number) FROM ages WHERE subject IN"
                f" ({marks}))",
                (new, *old),
            ).rowcount
        return copied > 0

    def _minor(self, connection: sqlite3.Connection, subjects: Sequence[str]) -> bool:
        marks = ",".join("?" * len(subjects))
        found = connection.execute(
            "SELECT 1 FROM ages WHERE minor AND number IN"
            f" (SELECT max(number) FROM ages WHERE subject IN ({marks}) GROUP BY subject)",
            list(subjects),
        )
        return found.fetchone() is not None

    @staticmethod
    def _basis(connection: sqlite3.Connection, purpose: Purpose) -> Basis:
        found = connection.execute(
            "SELECT basis FROM bases WHERE purpose = ? ORDER BY number DESC LIMIT 1", (purpose,)
        ).fetchone()
        return Basis(found[0]) if found else DEFAULT_BASES[purpose]

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._connected() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """One moment of the ledger."""
        with self._connected() as connection:
            connection.execute("BEGIN")
            yield connection
            connection.execute("COMMIT")

    @contextlib.contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        self.file.parent.mkdir(mode=0o700, exist_ok=True)
        connection = sqlite3.connect(self.file, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            use_wal(connection, BUSY_SECONDS)
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript(_TABLES)
            yield connection
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
                raise Conflict(
                    f"another process holds {self.file}", remedy="try again in a moment"
                ) from error
            raise
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.IntegrityError):
                raise
            raise InvalidInput(
                f"the consent ledger is damaged ({error})",
                file=str(self.file),
                remedy="restore it from a backup; without it nobody's data may be read",
            ) from error
        finally:
            connection.close()


def is_pseudonym(text: str) -> bool:
    return _PSEUDONYM.match(text) is not None


def current_state(
    records: Iterable[ConsentRecord],
) -> Mapping[Purpose, ConsentRecord]:
    """The record of each purpose that counts, out of one person's history, oldest first."""
    state: dict[Purpose, ConsentRecord] = {}
    for record in records:
        state[record.purpose] = record
    return state


def _checked(subject: str) -> str:
    if not is_pseudonym(subject):
        raise InvalidInput(
            "a data subject is named by a pseudonym here",
            field="subject",
            remedy="make one from the identifier: tandem consent does, with --as user or client",
        )
    return subject


def _record(row: tuple[Any, ...]) -> ConsentRecord:
    number, at, subject, purpose, decision, basis, special, evidence, source = row
    return ConsentRecord(
        number, at, subject, Purpose(purpose), decision, Basis(basis), bool(special), evidence,
        source,
    )  # fmt: skip
