"""The served log: what each search was answered with, so that any result can be traced back.

It holds no words and nobody's identifier.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tandem.contracts.registry import Served
from tandem.registry.day_log import DayLog

KEPT_DAYS = 30


class ServedLog(DayLog[Served]):
    """Appends to and reads the served log in `folder`. Safe for many threads and processes."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, Served, KEPT_DAYS)

    def find(self, query_id: str) -> Served | None:
        """The newest line of a query id, or None. Reads the days newest first."""
        wanted = query_id.encode()
        for line in self.lines():
            if wanted in line and (served := self.parsed(line)) and served.query_id == query_id:
                return served
        return None

    def entries(self) -> Iterator[Served]:
        """All lines, day by day, oldest day first."""
        for file in sorted(self._folder.glob("*.jsonl")):
            with file.open("rb") as lines:
                for line in lines:
                    if (served := self.parsed(line)) is not None:
                        yield served
