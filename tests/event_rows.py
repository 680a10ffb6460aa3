"""Rows for tests of the event store: made up, with keys that are readable in a failure."""

from __future__ import annotations

from typing import Any

from tandem.contracts.events import AdmittedEvent

NOON = 1_772_366_400_000_000  # 2026-03-01 12:00 UTC
HOUR = 3_600_000_000


def key(number: int) -> str:
    return f"{number:032x}"


def event(number: int, timestamp: int = NOON, **changes: Any) -> AdmittedEvent:
    row: Any = {
        "event_key": key(number),
        "action_name": "click",
        "timestamp": timestamp,
        "received": timestamp + 1_000_000,
        "client": f"k1.{number % 7:022d}",
        "session": None,
        "user": None,
        "query_id": f"q{number}",
        "user_query": None,
        "masked": (),
        "language": None,
        "object_id": f"SP-{number}",
        "position": 1 + number % 20,
        "quantity": None,
        "amount": None,
        "currency": None,
        "order": None,
        "total": None,
        "object_ids": (),
        "content": None,
        "creator_id": None,
        "seconds": None,
        "duration": None,
        "device": None,
        "region": None,
        "filters": (),
        "latency_ms": None,
        "traffic": "shopper",
        "clock": "kept",
    }
    return {**row, **changes}
