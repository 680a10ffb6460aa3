"""The update journal: products upserted or deleted while a shop serves.

Append-only lines, each with a checksum and a sequence number, flushed to disk before the append
returns: what was acknowledged survives `kill -9`. Several processes may append and read.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import orjson
from pydantic import ValidationError

from tandem.contracts.errors import InvalidInput
from tandem.contracts.product import Product
from tandem.storage.atomic import fsync_directory, write_atomic

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Update:
    """One change: `product` is the new state, None for a delete. Sequences start at 1."""

    sequence: int
    product_id: str
    product: Product | None


def _line(update: Update) -> bytes:
    product = update.product.model_dump(mode="json") if update.product is not None else None
    body = orjson.dumps([update.sequence, update.product_id, product])
    return b"%08x %s\n" % (zlib.crc32(body), body)


def _parse(line: bytes) -> Update | None:
    """The update in a line without its end, or None when the line is damaged."""
    checksum, _, body = line.partition(b" ")
    if len(checksum) != 8:
        return None
    try:
        if int(checksum, 16) != zlib.crc32(body):
            return None
        sequence, product_id, product = orjson.loads(body)
    except ValueError:
        return None
    return Update(
        sequence, product_id, None if product is None else Product.model_validate(product)
    )


class UpdateJournal:
    """The journal file at `path`. One instance is used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries: list[Update] = []
        self._offset = 0
        self._file_id: tuple[int, int] | None = None

    def append(self, operations: Sequence[tuple[str, Product | None]]) -> int:
        """Add (product id, new state or None) in order; durable on return. The last sequence."""
        with self._locked() as handle:
            self._read(handle, repair=True)
            last = self._last()
            updates = [
                Update(last + i, product_id, product)
                for i, (product_id, product) in enumerate(operations, start=1)
            ]
            data = b"".join(_line(u) for u in updates)
            handle.seek(self._offset)
            try:
                handle.write(data)
                handle.flush()
                os.fsync(handle.fileno())
            except OSError:
                # A full disk: take back what was half written, nothing was acknowledged.
                handle.truncate(self._offset)
                raise
            self._offset += len(data)
            self._entries += updates
            return self._last()

    def since(self, sequence: int) -> list[Update]:
        """Updates after `sequence`, oldest first, those of other processes included."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as handle:
            self._read(handle, repair=False)
        return self._entries[bisect_right(self._entries, sequence, key=lambda u: u.sequence) :]

    def last_sequence(self) -> int:
        self.since(0)
        return self._last()

    def drop_through(self, sequence: int) -> None:
        """Forget updates up to `sequence`, which every kept generation holds. The last entry
        stays, so that sequences go on from it."""
        with self._locked() as handle:
            self._read(handle, repair=True)
            kept = [u for u in self._entries if u.sequence > sequence] or self._entries[-1:]
            if len(kept) < len(self._entries):
                write_atomic(self._path, b"".join(_line(u) for u in kept))
                self._file_id = None

    def close(self) -> None:
        self._entries = []
        self._offset = 0
        self._file_id = None

    def _last(self) -> int:
        return self._entries[-1].sequence if self._entries else 0

    @contextlib.contextmanager
    def _locked(self) -> Iterator[BinaryIO]:
        """The journal file, open for reading and writing, held by this process alone."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lock_path = self._path.with_suffix(".lock")
        with lock_path.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not self._path.exists():
                self._path.touch()
                fsync_directory(self._path.parent)
            with self._path.open("r+b") as handle:
                yield handle

    def _read(self, handle: BinaryIO, *, repair: bool) -> None:
        """Take in what was appended since the last read.

        A damaged last line is what a killed writer left behind: it was never acknowledged. With
        `repair` (under the lock) it is cut off; without, it may be another process's write under
        way and is left alone. Damage further up is an error: acknowledged data would be lost.
        """
        stat = os.fstat(handle.fileno())
        if self._file_id != (stat.st_dev, stat.st_ino) or stat.st_size < self._offset:
            self._entries, self._offset = [], 0
            self._file_id = (stat.st_dev, stat.st_ino)
        handle.seek(self._offset)
        data = handle.read()
        start = 0
        while start < len(data):
            end = data.find(b"\n", start)
            update = self._parsed(data[start:end]) if end >= 0 else None
            if update is None:
                self._damaged(handle, data, start, end, repair)
                break
            self._entries.append(update)
            start = end + 1
        self._offset += start

    def _parsed(self, line: bytes) -> Update | None:
        try:
            return _parse(line)
        except ValidationError as error:
            first = error.errors()[0]
            raise InvalidInput(
                f"a product that this version does not accept: {first['msg']}",
                file=str(self._path),
                line=len(self._entries) + 1,
                field=".".join(map(str, first["loc"])),
                remedy="take the line out, then send the corrected product again",
            ) from None

    def _damaged(self, handle: BinaryIO, data: bytes, start: int, end: int, repair: bool) -> None:
        if end >= 0 and end + 1 < len(data):
            raise InvalidInput(
                "a line does not match its checksum, and more lines follow",
                file=str(self._path),
                line=len(self._entries) + 1,
                remedy="restore the file from a backup, or rebuild: import the catalogue again",
            )
        if repair:
            log.warning("%s: removed a torn last line of a killed writer", self._path)
            handle.truncate(self._offset + start)
            handle.flush()
            os.fsync(handle.fileno())
