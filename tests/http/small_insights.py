"""A report of one finding, whose fix may be tried."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tandem.contracts.errors import NotFound


class SmallInsights:
    def __init__(self) -> None:
        self.tried_by: str | None = None

    def report(self) -> Mapping[str, Any]:
        return {"simulated": True, "findings": [{"id": "slow-1"}]}

    def try_fix(self, finding_id: str, *, actor: str) -> Mapping[str, Any]:
        if finding_id != "slow-1":
            raise NotFound(f"no finding '{finding_id}'", remedy="choose another")
        self.tried_by = actor
        return {"id": finding_id, "verdict": "cannot be tried offline", "measures": []}
