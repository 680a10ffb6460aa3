"""An id names one product. The first row with an id is kept, later ones are turned away."""

from __future__ import annotations

from pathlib import Path

from tandem.ingest.mapping import Draft
from tandem.ingest.problem import Problem


class NoDuplicates:
    """Remembers every accepted id with its place: about 150 bytes a product.

    One instance serves all files of one import; `files` (the last one is being read) and `line`
    say where the import is.
    """

    def __init__(self) -> None:
        self.files: list[Path] = []
        self.line = 0
        self._seen: dict[str, int] = {}

    def __call__(self, draft: Draft) -> Problem | None:
        # One integer holds file and line: a tuple would double the memory.
        here = (len(self.files) - 1) << 40 | self.line
        first = self._seen.setdefault(draft["id"], here)
        if first == here:
            return None
        file, line = self.files[first >> 40], first & ((1 << 40) - 1)
        where = f"line {line}" if file == self.files[-1] else f"{file}:{line}"
        return Problem(
            "duplicate-id",
            "id",
            f"the id '{draft['id']}' was used before, on {where}",
            "keep one row for each id",
        )
