"""The audit log: who did what to people's data, in a chain that cannot be changed unseen.

One JSON object a line in `audit/log.jsonl`. Each entry carries the SHA-256 of the one before
(Schneier and Kelsey, "Secure audit logs to support computer forensics", 1999), so an edit, a
deletion or another order breaks the chain at that line. A chain alone does not show that its end
was cut off: `audit/HEAD` says how long it was, and a witness outside the workspace, beside the
pseudonym keys, says it again, so that somebody who may write in the workspace alone can rewrite
neither the log nor its end unseen.

What it cannot show: entries that were never asked for, and a rewrite by somebody who may write
both places. `tandem audit verify --expect HASH` holds the log against a hash noted elsewhere.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal

from tandem.contracts.errors import InvalidInput, TandemError
from tandem.governance.pseudonyms import key_folder
from tandem.storage.atomic import fsync_directory, write_atomic
from tandem.storage.layout import Layout

log = logging.getLogger("tandem.governance")

GENESIS = "0" * 64
LARGEST = 65_536  # bytes of one entry; what is longer belongs elsewhere, with its hash here

Kind = Literal["edited", "missing", "out_of_order", "truncated", "replaced", "head", "unknown_hash"]
Details = Mapping[str, str | int | float | bool | None]


@dataclass(frozen=True, slots=True)
class Entry:
    """One line. `sequence` counts from 1; `at` is ISO 8601 in UTC; `previous` and `hash` are hex.

    actor: who, as `os:NAME` for the command line, `key:ID` for an API key. action: `noun.verb`.
    details: flat; pseudonyms in place of people, never a secret.
    """

    sequence: int
    at: str
    actor: str
    action: str
    details: Details
    previous: str
    hash: str

    @classmethod
    def chained(
        cls, sequence: int, previous: str, actor: str, action: str, details: Details
    ) -> Entry:
        at = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        body = {
            "sequence": sequence,
            "at": at,
            "actor": actor,
            "action": action,
            "details": dict(details),
            "previous": previous,
        }
        return cls(**body, hash=_hash(body))  # type: ignore[arg-type]

    @classmethod
    def parse(cls, line: bytes) -> Entry:
        """Raises ValueError for a line that is not an entry to the byte, hash included."""
        value = json.loads(line)
        if not isinstance(value, dict) or set(value) != set(cls.__dataclass_fields__):
            raise ValueError("fields")
        entry = cls(**value)
        if entry.line() != line + b"\n" or type(entry.sequence) is not int:
            raise ValueError("form")
        if entry.hash != _hash({k: v for k, v in value.items() if k != "hash"}):
            raise ValueError("hash")
        return entry

    def line(self) -> bytes:
        return _canonical(asdict(self)) + b"\n"


def _canonical(value: Any) -> bytes:
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    ).encode()


def _hash(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(_canonical(body)).hexdigest()


@dataclass(frozen=True, slots=True)
class Head:
    """How long a log is: its random id, entries, the hash of the last, the file's bytes."""

    log_id: str
    entries: int = 0
    hash: str = GENESIS
    bytes: int = 0

    @classmethod
    def read(cls, path: Path) -> Head | None:
        """The head in `path`; None if there is no such file, or what is there is no head."""
        try:
            value = json.loads(path.read_bytes())
            head = cls(value["log_id"], value["entries"], value["hash"], value["bytes"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        whole = isinstance(head.log_id, str) and isinstance(head.hash, str)
        numbers = type(head.entries) is int and type(head.bytes) is int
        return head if whole and numbers else None


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that an append-only log cannot look like. `line` counts from 1."""

    file: str
    line: int | None
    kind: Kind
    message: str


@dataclass(frozen=True)
class Verification:
    """What a walk over the whole log found.

    entries: sound lines. head: hash of the last one; note it elsewhere. witness: whether the
    record outside the workspace was there to compare with. torn: a last line that a killed writer
    left, which was never acknowledged, and is no problem. unsealed: entries after the head record,
    of a writer killed before it moved it; 0 in a quiet log.
    """

    file: str
    entries: int
    head: str
    witness: Literal["agrees", "disagrees", "none"]
    torn: bool = False
    unsealed: int = 0
    problems: tuple[Problem, ...] = field(default=())

    @property
    def ok(self) -> bool:
        return not self.problems


class AuditLog:
    """The audit log of one workspace. Safe for many threads and processes."""

    def __init__(self, layout: Layout, environment: Mapping[str, str] = os.environ) -> None:
        self._layout = layout
        self.path = layout.audit / "log.jsonl"
        self._head = layout.audit / "HEAD"
        place = hashlib.sha256(str(layout.root).encode()).hexdigest()[:16]
        self._witness = key_folder(environment).resolve() / f"audit-{place}.json"

    def begin(self, actor: str) -> Entry:
        """Start the log of a new workspace; a witness left by an earlier one at this place goes."""
        self._witness.unlink(missing_ok=True)
        return self.append(actor, "workspace.create")

    def append(self, actor: str, action: str, **details: str | int | float | bool | None) -> Entry:
        """Add an entry; when this returns it survives power loss.

        Call it before the act that it is about: what cannot be recorded is then not done. Raises
        InvalidInput for an entry over 64 KiB, OSError for a disk that takes nothing more.
        """
        with self._locked() as handle:
            head, lost = self._position(handle)
            if lost:
                head = self._write(handle, head, "audit", "audit.head_lost", {})[0]
            return self._write(handle, head, actor, action, details)[1]

    @contextlib.contextmanager
    def act(
        self, actor: str, action: str, **details: str | int | float | bool | None
    ) -> Iterator[Entry]:
        """`append`, then the act in the block; one that fails gets an `act.failed` that names the
        entry's number."""
        entry = self.append(actor, action, **details)
        try:
            yield entry
        except BaseException:
            self.append(actor, "act.failed", entry=entry.sequence)
            raise

    def entries(self) -> Iterator[Entry]:
        """All entries, oldest first. Raises InvalidInput with file and line for a broken one."""
        for line, entry in self._lines():
            if isinstance(entry, Entry):
                yield entry
            elif line is not None:
                raise InvalidInput(
                    "not an entry as it was written",
                    file=str(self.path),
                    line=line,
                    remedy="see: tandem audit verify",
                )

    def verify(self, expect: str | None = None) -> Verification:
        """Walk the whole log. expect: a hash noted earlier that has to be in the chain."""
        if not self.path.exists() and not self._head.exists():
            witness = Head.read(self._witness)
            gone = [
                Problem(str(self.path), None, "truncated", "the log is gone: its witness outside "
                        f"the workspace has seen {witness.entries} entries")
            ] if witness else []  # fmt: skip
            if expect is not None:
                gone.append(self._unknown(expect))
            return Verification(
                str(self.path), 0, GENESIS, "disagrees" if witness else "none", problems=tuple(gone)
            )
        with self._locked() as handle:
            head, witness = Head.read(self._head), Head.read(self._witness)
            handle.seek(0)
            return self._verified(handle.read(), head, witness, expect)

    def _verified(
        self, data: bytes, head: Head | None, witness: Head | None, expect: str | None
    ) -> Verification:
        file = str(self.path)
        problems: list[Problem] = []
        lines = data.split(b"\n")
        torn = bool(lines.pop()) and head is not None and len(data) > head.bytes
        if data and not data.endswith(b"\n") and not torn:
            problems.append(Problem(file, len(lines) + 1, "truncated", "the line is cut off"))
        parsed = [_parsed(line) for line in lines]
        everywhere = {entry.sequence for entry in parsed if entry is not None}
        hashes = {0: GENESIS}
        expected, previous = 1, GENESIS
        last: Entry | None = None
        for number, entry in enumerate(parsed, start=1):
            if entry is None:
                problems.append(
                    Problem(file, number, "edited", "the entry is not what was written")
                )
                # What follows is held against what this line should have been, as far as it is
                # known: an edit is told once.
                expected, previous = expected + 1, ""
                continue
            if entry.sequence in hashes:
                problems.append(
                    Problem(file, number, "out_of_order", f"entry {entry.sequence} stands twice")
                )
                continue
            if entry.sequence == expected:
                if previous and entry.previous != previous:
                    problems.append(
                        Problem(file, max(number - 1, 1), "replaced",
                                "not the entry that the next one was chained to")
                    )  # fmt: skip
                previous = entry.hash
            else:
                problem = _gap(file, number, entry.sequence, expected, everywhere)
                problems.append(problem)
                if problem.kind == "missing":
                    expected, previous = entry.sequence, entry.hash
                else:  # places go on as they were, so that an exchange of two is told twice
                    previous = ""
            hashes[entry.sequence] = entry.hash
            expected += 1
            last = entry
        if head is None:
            problems.append(
                Problem(str(self._head), None, "head", "the head record is gone or unreadable")
            )
        for name, record in (("head record", head), ("witness outside the workspace", witness)):
            if record is None:
                continue
            if head is not None and record.log_id != head.log_id:
                problems.append(
                    Problem(file, None, "replaced", f"not the log that the {name} has seen")
                )
            elif record.entries not in hashes:
                if not any(entry is None for entry in parsed) or record.entries >= expected:
                    problems.append(
                        Problem(file, len(lines) + 1, "truncated",
                                f"entry {record.entries} is gone, which the {name} has seen")
                    )  # fmt: skip
            elif hashes[record.entries] != record.hash:
                problems.append(
                    Problem(file, record.entries or None, "replaced",
                            f"entry {record.entries} is not the one that the {name} has seen")
                )  # fmt: skip
        if expect is not None and expect.lower() not in hashes.values():
            problems.append(self._unknown(expect))
        agrees = witness is not None and hashes.get(witness.entries) == witness.hash
        return Verification(
            file,
            sum(entry is not None for entry in parsed),
            last.hash if last else GENESIS,
            "none" if witness is None else "agrees" if agrees else "disagrees",
            torn,
            0 if head is None else max(0, len(hashes) - 1 - head.entries),
            tuple(dict.fromkeys(problems)),
        )

    def _unknown(self, expect: str) -> Problem:
        return Problem(
            str(self.path), None, "unknown_hash", f"no entry has the expected hash {expect}"
        )

    def _lines(self) -> Iterator[tuple[int | None, Entry | None]]:
        if not self.path.exists():
            return
        with self.path.open("rb") as handle:
            for number, line in enumerate(handle, start=1):
                if line.endswith(b"\n"):  # else another process's write under way
                    yield number, _parsed(line[:-1])

    def _position(self, handle: BinaryIO) -> tuple[Head, bool]:
        """Where the next entry goes, and whether the head record had been lost.

        Takes in entries that a killed writer had written without getting to the head, and cuts
        off a torn line of its. What was tampered with stays as it is, for `verify` to tell.
        """
        head, witness = Head.read(self._head), Head.read(self._witness)
        size = handle.seek(0, os.SEEK_END)
        lost = head is None and size > 0
        if head is None:
            # Entries begin at the far end of what is known, so that numbers tell what is gone.
            known = [e for _, e in self._lines() if e is not None]
            last = known[-1] if known else None
            head = Head(secrets.token_hex(8), last.sequence, last.hash, size) if last else None
            if witness is not None and (head is None or witness.entries > head.entries):
                head, lost = witness, True
            head = head or Head(secrets.token_hex(8))
            self._save(head, witness_too=False)
        if size > head.bytes:
            handle.seek(head.bytes)
            rest = handle.read()
            for line in rest.splitlines(keepends=True):
                entry = _parsed(line[:-1]) if line.endswith(b"\n") else None
                if entry is None or entry.previous != head.hash:
                    break
                head = Head(head.log_id, entry.sequence, entry.hash, head.bytes + len(line))
            if not rest.endswith(b"\n"):
                handle.truncate(size - len(rest.rsplit(b"\n", 1)[-1]))
        return head, lost

    def _write(
        self, handle: BinaryIO, head: Head, actor: str, action: str, details: Details
    ) -> tuple[Head, Entry]:
        entry = Entry.chained(head.entries + 1, head.hash, actor, action, details)
        data = entry.line()
        if len(data) > LARGEST:
            raise InvalidInput(
                f"an entry of {len(data):,} bytes is too large for the audit log",
                remedy="keep the details in a file and record its hash",
            )
        size = handle.seek(0, os.SEEK_END)
        if size:
            handle.seek(size - 1)
            if handle.read(1) != b"\n":  # cut off by somebody: the next line stays whole
                data = b"\n" + data
        try:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        except OSError:
            handle.truncate(size)
            raise
        head = Head(head.log_id, entry.sequence, entry.hash, size + len(data))
        self._save(head, witness_too=True)
        return head, entry

    def _save(self, head: Head, *, witness_too: bool) -> None:
        write_atomic(self._head, _canonical(asdict(head)) + b"\n")
        if not witness_too:
            return
        witness = Head.read(self._witness)
        if witness is not None and witness.log_id != head.log_id:
            return  # of a log that lay here before: `verify` tells
        try:
            self._witness.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            about = {"about": f"Length of the audit log of {self._layout.root}"}
            write_atomic(self._witness, _canonical({**about, **asdict(head)}) + b"\n")
        except OSError as error:
            log.warning("no witness of the audit log outside the workspace: %s", error)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[BinaryIO]:
        folder = self._layout.audit
        if not folder.is_dir():
            folder.mkdir(mode=0o700, exist_ok=True)
            fsync_directory(folder.parent)
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not self.path.exists():
                self.path.touch(mode=0o600)
                fsync_directory(folder)
            try:
                handle = self.path.open("r+b")
            except PermissionError:
                raise TandemError(
                    f"{self.path} may not be written",
                    remedy="run this as the owner of the workspace",
                ) from None
            with handle:
                yield handle


def _parsed(line: bytes) -> Entry | None:
    try:
        return Entry.parse(line)
    except (ValueError, TypeError, RecursionError):
        return None


def _gap(file: str, number: int, sequence: int, expected: int, everywhere: set[int]) -> Problem:
    missing = [s for s in range(expected, min(sequence, expected + 1_000)) if s not in everywhere]
    if sequence < expected or not missing:
        return Problem(
            file, number, "out_of_order", f"entry {sequence} stands where {expected} belongs"
        )
    last = sequence - 1
    which = f"entry {expected} is" if last == expected else f"entries {expected} to {last} are"
    return Problem(file, number, "missing", f"{which} missing before this line")


def os_actor() -> str:
    """`os:NAME` of whoever runs this process."""
    import getpass

    try:
        return f"os:{getpass.getuser()}"
    except (KeyError, OSError):
        return f"os:{os.getuid()}"
