"""A lab in memory: one experiment, one report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tandem.contracts.errors import NotFound


class SmallLab:
    def tell_load(self, server: str, load: Mapping[str, Any] | None) -> None:
        return None

    def loads(self, but: str) -> Sequence[Mapping[str, Any]]:
        return []

    def board(self) -> Mapping[str, Any]:
        return {"source": None, "entries": []}

    def query_sets(self) -> Sequence[Mapping[str, Any]]:
        return [{"name": "test", "queries": 2, "pairs": 6}]

    def experiments(self) -> Sequence[Mapping[str, Any]]:
        return [{"name": "New ranking", "simulated": True}]

    def reports(self) -> Sequence[Mapping[str, Any]]:
        return [{"name": "weekly-2026-03-22", "endings": [".html"]}]

    def report(self, name: str, ending: str) -> bytes:
        if (name, ending) != ("weekly-2026-03-22", ".html"):
            raise NotFound(f"no report '{name}{ending}'", remedy="choose another")
        return b"<!doctype html><title>The week</title>"
