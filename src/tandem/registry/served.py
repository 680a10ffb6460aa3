"""The served log: what each search was answered with, so that any result can be traced back.

One JSON line a search in one file a day. It holds no words and nobody's identifier. Lines are
written by one thread in the background: a search never waits for the disk, and what was served in
the last second before a crash may be missing, which is counted as nothing else is promised here.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import orjson
from pydantic import ValidationError

from tandem.contracts.registry import Served

log = logging.getLogger(__name__)

WAITING = 10_000  # lines kept for the writer before further ones are dropped
KEPT_DAYS = 30
PAUSE = 0.25  # seconds between writes


class ServedLog:
    """Appends to and reads the served log in `folder`. Safe for many threads and processes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._waiting: queue.Queue[Served] = queue.Queue(WAITING)
        self._writer: threading.Thread | None = None
        self._starting = threading.Lock()
        self._stop = threading.Event()
        self.dropped = 0

    def put(self, served: Served) -> None:
        """Hand a line to the writer; it is dropped and counted when the writer is far behind."""
        with self._starting:
            if self._writer is None:
                self._writer = threading.Thread(target=self._write, name="served", daemon=True)
                self._writer.start()
        try:
            self._waiting.put_nowait(served)
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """Write what waits and stop."""
        self._stop.set()
        if self._writer is not None:
            self._writer.join()

    def find(self, query_id: str) -> Served | None:
        """The newest line of a query id, or None. Reads the days newest first."""
        wanted = query_id.encode()
        for file in sorted(self._folder.glob("*.jsonl"), reverse=True):
            for line in file.read_bytes().splitlines():
                if wanted in line and (served := _parsed(line)) and served.query_id == query_id:
                    return served
        return None

    def entries(self) -> Iterator[Served]:
        """All lines, day by day, oldest day first."""
        for file in sorted(self._folder.glob("*.jsonl")):
            with file.open("rb") as lines:
                for line in lines:
                    if (served := _parsed(line)) is not None:
                        yield served

    def sweep(self, today: date) -> list[str]:
        """Delete days older than `KEPT_DAYS`; their names."""
        oldest = (today - timedelta(days=KEPT_DAYS)).isoformat()
        old = [f for f in self._folder.glob("*.jsonl") if f.stem < oldest]
        for file in old:
            file.unlink()
        return [f.stem for f in old]

    def _write(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self.sweep(datetime.now(UTC).date())
        while not (self._stop.wait(PAUSE) and self._waiting.empty()):
            lines: dict[str, list[bytes]] = {}
            for served in self._taken():
                line = orjson.dumps(served.model_dump(mode="json")) + b"\n"
                lines.setdefault(served.at.date().isoformat(), []).append(line)
            for day, batch in lines.items():
                try:
                    # One write of whole lines in append mode: processes do not cut into each other.
                    with (self._folder / f"{day}.jsonl").open("ab", buffering=0) as handle:
                        handle.write(b"".join(batch))
                except OSError as error:
                    self.dropped += len(batch)
                    log.warning("the served log cannot be written: %s", error)

    def _taken(self) -> Iterator[Served]:
        while True:
            try:
                yield self._waiting.get_nowait()
            except queue.Empty:
                return


def _parsed(line: bytes) -> Served | None:
    try:
        return Served.model_validate_json(line)
    except ValidationError:
        return None  # the last line before a crash, cut off
