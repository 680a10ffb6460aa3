"""Records of what shoppers did, out of values as they came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from tandem.contracts.events import EventRecord, QueryRecord, Record
from tandem.ingest.problem import Problem

_RECORD: TypeAdapter[QueryRecord | EventRecord] = TypeAdapter(Record)
_RECORDS: TypeAdapter[list[QueryRecord | EventRecord]] = TypeAdapter(list[Record])
_SHAPE = Problem(
    "contract", None, "not a JSON object", "send each record as an object; see docs/events.md"
)


def parse_records(batch: Sequence[Any]) -> list[QueryRecord | EventRecord | Problem]:
    """`parse_record` of each: all of them at once, one by one only where something is wrong."""
    if all(type(values) is dict and "kind" in values for values in batch):
        try:
            return list(_RECORDS.validate_python(batch))
        except ValidationError:
            pass
    return [parse_record(values) for values in batch]


def parse_record(values: Any) -> QueryRecord | EventRecord | Problem:
    """The record that `values` are, or what is wrong with them.

    Without `kind`, what names an action is an event, as in UBI, and anything else a query.
    """
    if not isinstance(values, Mapping):
        return _SHAPE
    if "kind" not in values:
        values = {**values, "kind": "event" if "action_name" in values else "query"}
    try:
        return _RECORD.validate_python(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        # The first part of the place is the kind of record, which the sender knows.
        field = ".".join(str(part) for part in first["loc"][1:]) or None
        return Problem("contract", field, first["msg"], "correct the value; see docs/events.md")
