"""The book of experiments: one file, replaced as a whole, that every server of a shop reads."""

from __future__ import annotations

import fcntl
import secrets
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from tandem.contracts.errors import InvalidInput
from tandem.contracts.experiment import ExperimentBook
from tandem.storage.atomic import write_atomic


class Experiments:
    """The book in `file`. Safe for many processes; changing it waits for nobody who imports,
    indexes or trains, so that a kill switch works at any time."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._read: tuple[tuple[int, int], ExperimentBook] | None = None

    def book(self) -> ExperimentBook | None:
        """As it is now; None before the first experiment. InvalidInput for a broken file."""
        try:
            found = self._file.stat()
        except FileNotFoundError:
            return None
        stamp = (found.st_mtime_ns, found.st_ino)
        held = self._read
        if held is not None and held[0] == stamp:
            return held[1]
        try:
            book = ExperimentBook.model_validate_json(self._file.read_bytes())
        except ValidationError as error:
            raise InvalidInput(
                f"not a book of experiments: {error}",
                file=str(self._file),
                remedy="restore it from a backup",
            ) from None
        self._read = (stamp, book)
        return book

    def change(self, edit: Callable[[ExperimentBook], ExperimentBook]) -> ExperimentBook:
        """Replace the book by `edit` of it, one process at a time; durable on return."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with (self._file.parent / ".experiments.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            before = self.book() or ExperimentBook(salt=secrets.token_hex(16))
            after = edit(before)
            if after != before or not self._file.exists():
                write_atomic(self._file, after.model_dump_json(indent=2).encode() + b"\n")
        return after
