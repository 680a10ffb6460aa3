"""Rectification (GDPR Art. 16): a stored event with some of its fields put right.

When something happened, to whom it belongs, and how it came in are not corrected: an event that
never happened is erased.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError

from tandem.contracts.errors import InvalidInput
from tandem.contracts.events import QUERY_ACTION, EventRecord, Record
from tandem.governance.personal import mask

CORRECTABLE = (
    *("user_query", "language", "device", "region", "object_id", "position", "quantity"),
    *("amount", "currency"),
)
OF_SEARCHES = ("user_query", "language", "device", "region")
_RECORD: TypeAdapter[Any] = TypeAdapter(Record)


def corrected(row: Mapping[str, Any], changes: Mapping[str, str | None]) -> dict[str, Any]:
    """`row` (of `AdmittedEvent`) with `changes` to CORRECTABLE fields, checked by the contract.

    Raises InvalidInput for a value that the contract refuses, or a field that this kind of record
    does not have.
    """
    new = {**row, **changes}
    query = row["action_name"] == QUERY_ACTION and row["object_id"] is None
    stated: dict[str, Any] = {
        "kind": "query" if query else "event",
        "event_id": row["event_key"],
        "client_id": "-",
        "timestamp": datetime.fromtimestamp(row["timestamp"] / 1e6, UTC),
        "user_query": new["user_query"],
        "query_id": row["query_id"] or ("-" if query else None),  # not what is corrected
        "language": new["language"],
        "device": new["device"],
        "region": new["region"],
    }
    if query:
        none_of_these = [f for f in changes if f not in OF_SEARCHES]
        if none_of_these:
            raise InvalidInput(
                f"a search has no {none_of_these[0]}",
                field=none_of_these[0],
                remedy=f"correct {', '.join(OF_SEARCHES)}",
            )
    else:
        stated |= {f: new[f] for f in ("action_name", "object_id", "position", "quantity")}
        if new["amount"] is not None or new["currency"] is not None:
            stated["amount"] = {"amount": new["amount"], "currency": new["currency"]}
        if row["content"] is not None:
            stated["watch"] = {f: row[f] for f in ("content", "creator_id", "seconds", "duration")}
    try:
        record = _RECORD.validate_python(stated)
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][-1]) if first["loc"] else "set"
        raise InvalidInput(
            f"{field}: {first['msg']}", field=field, remedy="see the fields in docs/events.md"
        ) from error
    text, masked = (None, ()) if record.user_query is None else mask(record.user_query)
    done = {
        **row,
        "user_query": text,
        "masked": list(masked),
        "language": record.language,
        "device": record.device,
        "region": record.region,
    }
    if isinstance(record, EventRecord):
        amount = record.amount
        done |= {
            "object_id": record.object_id,
            "position": record.position,
            "quantity": record.quantity,
            "amount": None if amount is None else format(amount.amount, "f"),
            "currency": None if amount is None else amount.currency,
        }
    return done
