"""Small made-up tables of stored events."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from tandem.contracts.events import Pseudonym


def pseudonym(name: str) -> Pseudonym:
    """A pseudonym as a key ring would make it, the same for the same name."""
    digest = hashlib.sha256(name.encode()).digest()[:16]
    return Pseudonym(f"k1.{base64.urlsafe_b64encode(digest)[:22].decode()}")


COLUMNS = {
    "event_key": pa.string(),
    "action_name": pa.string(),
    "timestamp": pa.int64(),
    "received": pa.int64(),
    "client": pa.string(),
    "session": pa.string(),
    "user": pa.string(),
    "query_id": pa.string(),
    "user_query": pa.string(),
    "object_id": pa.string(),
    "amount": pa.string(),
    "currency": pa.string(),
    "traffic": pa.string(),
}


def event_table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Rows with defaults filled in; None where nothing is said."""
    filled = [
        {
            "event_key": f"{n:032x}",
            "action_name": "search",
            "timestamp": n,
            "received": n,
            "traffic": "shopper",
            **row,
        }
        for n, row in enumerate(rows)
    ]
    return pa.table({c: pa.array([r.get(c) for r in filled], t) for c, t in COLUMNS.items()})


def stored_rows(rows: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Rows of `AdmittedEvent` with defaults filled in, ready for `EventStore.append`."""
    from tandem.storage.events import schema

    lists = dict.fromkeys(("masked", "object_ids", "filters"), ())
    empty = {**dict.fromkeys(schema().names), **lists}
    return [{**empty, **row, "clock": "kept"} for row in event_table(rows).to_pylist()]
