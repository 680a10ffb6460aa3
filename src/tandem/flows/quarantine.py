"""Rows that an import turned away, on their way to a quarantine file."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import IO

from tandem.contracts.errors import InvalidInput
from tandem.ingest.problem import Rejected
from tandem.storage.atomic import fsync_directory
from tandem.storage.layout import Generations


class Quarantine:
    """Rejected rows on their way to `<kind>/quarantine/<generation>.jsonl`.

    They are written into a scratch folder, which `Generations.sweep` removes after a kill, and
    published together with the generation.
    """

    def __init__(self, generations: Generations) -> None:
        self._root = generations.root
        self._scratch: Path | None = None
        self._handle: IO[bytes] | None = None
        self.file: Path | None = None

    def __enter__(self) -> Quarantine:
        return self

    def add(self, rejected: Rejected) -> None:
        if self._handle is None:
            self._root.mkdir(parents=True, exist_ok=True)
            self._scratch = Path(tempfile.mkdtemp(dir=self._root, prefix=".building-"))
            self._handle = (self._scratch / "quarantine.jsonl").open("wb")
        self._handle.write(rejected.to_json() + b"\n")

    def publish(self, generation: str) -> None:
        if self._handle is None or self._scratch is None:
            return
        self._handle.flush()
        os.fsync(self._handle.fileno())
        self._handle.close()
        folder = self._root / "quarantine"
        folder.mkdir(exist_ok=True)
        self.file = folder / f"{generation}.jsonl"
        (self._scratch / "quarantine.jsonl").rename(self.file)
        fsync_directory(folder)

    def __exit__(self, *_: object) -> None:
        if self._handle is not None:
            self._handle.close()
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
            with contextlib.suppress(OSError):
                self._root.rmdir()  # left empty by an import that failed


def as_error(rejected: Rejected) -> InvalidInput:
    """The error that a rejected row is where nothing may be turned away."""
    return InvalidInput(
        rejected.reason,
        file=rejected.file,
        line=rejected.line,
        field=rejected.field,
        remedy=rejected.remedy,
    )
