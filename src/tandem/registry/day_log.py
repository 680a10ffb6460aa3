"""A log of one kind of record: JSON lines, one file a day, written in the background.

Nobody waits for the disk: what was logged in the last moment before a crash may be missing, and
records are dropped and counted when the disk cannot follow.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Generic, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

log = logging.getLogger(__name__)

WAITING = 10_000  # lines kept for the writer before further ones are dropped
PAUSE = 0.25  # seconds between writes

R = TypeVar("R", bound=BaseModel)


class DayLog(Generic[R]):
    """Appends records of `kind`, which have a time `at`, to the files in `folder`, and reads them.
    Safe for many threads and processes."""

    def __init__(self, folder: Path, kind: type[R], kept_days: int) -> None:
        self._folder = folder
        self._kind = kind
        self._kept_days = kept_days
        self._waiting: queue.Queue[R] = queue.Queue(WAITING)
        self._writer: threading.Thread | None = None
        self._starting = threading.Lock()
        self._stop = threading.Event()
        self.dropped = 0

    def put(self, record: R) -> None:
        """Hand a record to the writer; it is dropped and counted when that is far behind."""
        with self._starting:
            if self._writer is None:
                self._writer = threading.Thread(target=self._write, name="day-log", daemon=True)
                self._writer.start()
        try:
            self._waiting.put_nowait(record)
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """Write what waits and stop."""
        self._stop.set()
        if self._writer is not None:
            self._writer.join()

    def lines(self, since: date | None = None) -> Iterator[bytes]:
        """Lines, those of the newest day first."""
        for file in sorted(self._folder.glob("*.jsonl"), reverse=True):
            if since is None or file.stem >= since.isoformat():
                yield from file.read_bytes().splitlines()

    def records(self, since: date | None = None) -> Iterator[R]:
        """Records, those of the newest day first; a line that a crash cut off is left out."""
        for line in self.lines(since):
            if (record := self.parsed(line)) is not None:
                yield record

    def parsed(self, line: bytes) -> R | None:
        try:
            return self._kind.model_validate_json(line)
        except ValidationError:
            return None

    def sweep(self, today: date) -> list[str]:
        """Delete days older than what is kept; their names."""
        oldest = (today - timedelta(days=self._kept_days)).isoformat()
        old = [f for f in self._folder.glob("*.jsonl") if f.stem < oldest]
        for file in old:
            file.unlink()
        return [f.stem for f in old]

    def _write(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self.sweep(datetime.now(UTC).date())
        while not (self._stop.wait(PAUSE) and self._waiting.empty()):
            lines: dict[str, list[bytes]] = {}
            for record in self._taken():
                value = record.model_dump(mode="json")
                lines.setdefault(value["at"][:10], []).append(orjson.dumps(value) + b"\n")
            for day, batch in lines.items():
                try:
                    # One write of whole lines in append mode: processes do not cut into each other.
                    with (self._folder / f"{day}.jsonl").open("ab", buffering=0) as handle:
                        handle.write(b"".join(batch))
                except OSError as error:
                    self.dropped += len(batch)
                    log.warning("%s cannot be written: %s", self._folder, error)

    def _taken(self) -> Iterator[R]:
        while True:
            try:
                yield self._waiting.get_nowait()
            except queue.Empty:
                return
