"""Which columns of a file become which fields of events: declared, not programmed.

The same form as for products (`tandem.ingest.mapping`), in TOML or taken from `READY_EVENTS`:

    guest = ["invoice"]
    currency = "GBP"
    timezone = "Europe/London"

    [fields]
    timestamp = "invoice_date"
    user_id = "customer_id"
    client_id = "customer_id"
    action_name = { from = "type", translate = { view = "impression" } }

Nested values have dotted names: `event_attributes.object.object_id`.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from tandem.contracts.errors import InvalidInput
from tandem.contracts.events import EventRecord, QueryRecord
from tandem.ingest.events import parse_record
from tandem.ingest.mapping import Take, load_declared
from tandem.ingest.missing import is_nan
from tandem.ingest.problem import Problem

LISTS = frozenset({"object_ids", "filters", "product_ids"})
WATCH = ("content", "creator_id", "product_ids", "seconds", "duration")
# `unit_price` and `currency` become `amount`; those of WATCH become `watch`.
FIELDS = tuple(
    dict.fromkeys(
        (
            *QueryRecord.model_fields,
            *(name for name in EventRecord.model_fields if name != "watch"),
            *("unit_price", "currency"),
            *WATCH,
        )
    )
)
# Numbers above are milliseconds or microseconds since 1970, not seconds: the year 5138 in seconds.
_MILLISECONDS, _MICROSECONDS = 10**11, 10**14


# Sets of columns that are remembered; a file of JSON may have a different one in each row.
MOST_COLUMNS = 1_000


class EventTake(Take):
    """Where the value of one field comes from. translate: other words for values, such as the
    names that a source has for actions."""

    translate: dict[str, str] = Field(default_factory=dict)


class EventMapping(BaseModel):
    """From the columns of a file to events.

    guest: columns that hold an unknown visitor together where `client_id` has no value, such as
        the number of an invoice. Such a visitor is nobody that comes back: no `user_id` is made up.
    timezone: of times without an offset. currency: of amounts that name none.
    positions_from: the first place in a list is 0 or 1.
    negative_is_return: a quantity below zero is the action `return` of so many.
    order: a column that counts up; its value is added to the time in seconds.
    note: what a reader of reports has to know about this source.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    name: str = "custom"
    fields: dict[str, EventTake]
    guest: tuple[str, ...] = ()
    timezone: str = "UTC"
    currency: str | None = Field(default=None, pattern=r"^[A-Z]{3}$")
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    positions_from: Literal[0, 1] = 1
    negative_is_return: bool = False
    order: str | None = None
    note: str | None = None

    @field_validator("guest", mode="before")
    @classmethod
    def _one_guest(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _knows_its_fields(self) -> EventMapping:
        for field in self.fields:
            if field not in FIELDS:
                raise ValueError(f"'{field}' is no field of events; use: {', '.join(FIELDS)}")
        if "timestamp" not in self.fields:
            raise ValueError("the field 'timestamp' must be mapped")
        if "client_id" not in self.fields and not self.guest:
            raise ValueError(
                "'client_id' must be mapped, or 'guest' say what holds a visit together"
            )
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(
                f"no time zone '{self.timezone}'; use one such as Europe/London"
            ) from None
        return self

    @classmethod
    def load(cls, path: Path) -> EventMapping:
        """Read a mapping from a TOML file. Raises InvalidInput naming the file and the key."""
        remedy = "see docs/events.md for what a mapping of events may say"
        return load_declared(cls, path, unreadable=remedy, unfit=remedy)


class EventRows:
    """Turns the rows of one file, in order, into records under one mapping.

    currency: of amounts where neither row nor mapping names one. guests: how many records so far
    are of a visitor without an identifier.
    """

    def __init__(self, mapping: EventMapping, currency: str) -> None:
        self.mapping = mapping
        self.guests = 0
        self._known_columns: dict[tuple[str, ...], list[tuple[str, EventTake]]] = {}
        self._currency = mapping.currency or currency
        self._zone = ZoneInfo(mapping.timezone)

    def record(self, values: Mapping[str, Any]) -> QueryRecord | EventRecord | Problem:
        """The record that a row is, or what is wrong with it."""
        row = flattened(values)
        try:
            draft = self._draft(row)
        except _Unusable as problem:
            return problem.problem
        guest = "client_id" not in draft
        if guest and self.mapping.guest:
            who = [str(row[c]) for c in self.mapping.guest if row.get(c) not in (None, "")]
            if who:
                draft["client_id"] = "guest:" + ":".join(who)
        if "event_id" not in draft:
            draft["event_id"] = self._id_of(row)
        record = parse_record(draft)
        if guest and not isinstance(record, Problem):
            self.guests += 1
        return record

    def _draft(self, row: Mapping[str, Any]) -> dict[str, Any]:
        mapping = self.mapping
        found: dict[str, Any] = {}
        for field, take in self._takes(row):
            if field in LISTS:
                value = take.values(row)
                value = [_text(part) for part in value] if isinstance(value, list) else value
                if value:
                    found[field] = value
                continue
            value = take.text_or_value(row)
            if field in _TEXTS:
                value = _text(value)
            if isinstance(value, str):
                value = value.strip() if field != "user_query" else value
                value = take.translate.get(value, value)
            if value is not None and value != "":
                found[field] = value
        found["timestamp"] = self._time(found.get("timestamp"), row)
        self._count(found)
        self._price(found)
        if mapping.positions_from == 0 and "position" in found:
            found["position"] = _number(found["position"], "position") + 1
        watch = {name: found.pop(name) for name in WATCH if name in found}
        if watch:
            found["watch"] = watch
        return found

    def _takes(self, row: Mapping[str, Any]) -> list[tuple[str, EventTake]]:
        """The fields that a row with these columns can have; files have few sets of columns."""
        columns = tuple(row)
        takes = self._known_columns.get(columns)
        if takes is None:
            takes = [
                (field, take)
                for field, take in self.mapping.fields.items()
                if not row.keys().isdisjoint(take.columns)
                or take.constant is not None
                or take.default is not None
            ]
            if len(self._known_columns) < MOST_COLUMNS:
                self._known_columns[columns] = takes
        return takes

    def _time(self, value: Any, row: Mapping[str, Any]) -> datetime:
        moment = _moment(value)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=self._zone)
        if self.mapping.order is not None:
            step = _number(row.get(self.mapping.order), self.mapping.order)
            if not 0 <= step < 10**9:
                raise _Unusable("number", self.mapping.order, "out of bounds", "count from 0")
            moment += timedelta(seconds=float(step))
        return moment

    def _count(self, found: dict[str, Any]) -> None:
        quantity = found.get("quantity")
        if quantity is None:
            return
        number = _number(quantity, "quantity")
        if number < 0 and self.mapping.negative_is_return:
            found["action_name"] = "return"
            number = -number
        # A fraction, 1.5 kg say, is no count: the contract turns it away.
        found["quantity"] = int(number) if number == int(number) else float(number)

    def _price(self, found: dict[str, Any]) -> None:
        """`amount` of all pieces together, as Money."""
        each, currency = found.pop("unit_price", None), found.pop("currency", self._currency)
        amount = found.get("amount")
        if isinstance(amount, Mapping):
            return
        if amount is None and each is not None:
            amount = _number(each, "unit_price") * _number(found.get("quantity", 1), "quantity")
        if amount is not None:
            exact = _number(amount, "amount")
            if int(exact.as_tuple().exponent) < -4:  # more digits than money has
                exact = round(exact, 4)
            found["amount"] = {"amount": exact, "currency": currency}

    def _id_of(self, row: Mapping[str, Any]) -> str:
        """An id for a row that has none: rows that are equal in every column are one event."""
        text = orjson.dumps(row, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS, default=str)
        return f"{self.mapping.name}:{hashlib.blake2b(text, digest_size=16).hexdigest()}"


def flattened(values: Mapping[str, Any], prefix: str = "", depth: int = 6) -> dict[str, Any]:
    """Nested objects as columns with dotted names, to six levels; UBI's attributes also where a
    table holds them as JSON text."""
    for name in _NESTED:
        text = values.get(name)
        if isinstance(text, str) and text.startswith("{"):
            with contextlib.suppress(orjson.JSONDecodeError):
                values = {**values, name: orjson.loads(text)}
    if not prefix and not any(isinstance(value, dict) for value in values.values()):
        return dict(values)
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict) and depth > 1:
            flat |= flattened(value, f"{prefix}{name}.", depth - 1)
        else:
            flat[prefix + name] = value
    return flat


_NESTED = ("event_attributes", "query_attributes")


class _Unusable(Exception):  # noqa: N818
    def __init__(self, code: str, field: str, reason: str, remedy: str) -> None:
        self.problem = Problem(code, field, reason, remedy)


def _moment(value: Any) -> datetime:
    """A time out of ISO 8601 text, a datetime, or seconds, ms or µs since 1970."""
    if isinstance(value, datetime):
        return value
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            try:
                value = float(value)
            except ValueError:
                raise _no_time() from None
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = value / (
            1e6 if abs(value) >= _MICROSECONDS else 1e3 if abs(value) >= _MILLISECONDS else 1
        )
        try:
            return datetime.fromtimestamp(seconds, UTC)
        except (ValueError, OverflowError, OSError):
            raise _no_time() from None
    raise _no_time()


def _no_time() -> _Unusable:
    return _Unusable(
        "time",
        "timestamp",
        "no time that can be read",
        "write it like 2026-03-01T12:30:05Z, or as seconds or milliseconds since 1970",
    )


def _number(value: Any, field: str) -> Decimal:
    try:
        number = Decimal(str(value).strip())
        if not number.is_finite() or abs(number) >= 10**15:
            raise InvalidOperation
    except InvalidOperation:
        raise _Unusable("number", field, "no number", "write a plain decimal number") from None
    return number


# Ids are text; a Parquet file may have them as numbers, which read 25671.0 where some are missing.
_TEXTS = frozenset(
    {
        *("event_id", "client_id", "session_id", "user_id", "query_id", "object_id", "order_id"),
        *("creator_id", "user_query"),
    }
)


def _text(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if is_nan(value):
        return None
    whole = math.isfinite(value) and value == int(value)
    return str(int(value)) if whole else str(value)


def _take(*columns: str, **options: Any) -> EventTake:
    return EventTake.model_validate({"from": columns, **options})


# The flat form of docs/events.md, and OpenSearch's User Behavior Insights with nested attributes.
UBI = EventMapping(
    name="ubi",
    fields={
        **{name: _take(name) for name in FIELDS},
        "timestamp": _take("timestamp", "@timestamp"),
        "client_id": _take("client_id", "clientId"),
        "language": _take("language", "query_attributes.language"),
        # Lists in a table are JSON text, or separated by commas.
        "object_ids": _take(
            "object_ids", "query_response_hit_ids", "query_response_object_ids", split=","
        ),
        "filters": _take("filters", split=","),
        "total": _take("total", "query_attributes.total"),
        "object_id": _take(
            "object_id",
            "event_attributes.object.object_id",
            "event_attributes.object.internal_id",
        ),
        "position": _take("position", "event_attributes.position.ordinal"),
        "quantity": _take("quantity", "event_attributes.object.quantity"),
        "amount": _take("amount", "amount.amount", "event_attributes.object.amount"),
        "currency": _take("currency", "amount.currency", "event_attributes.object.currency"),
        "order_id": _take("order_id", "event_attributes.object.transaction_id"),
        **{name: _take(name, f"watch.{name}") for name in WATCH},
        "product_ids": _take("product_ids", "watch.product_ids", split=","),
    },
)

RETAIL = EventMapping(
    name="retail",
    fields={
        "timestamp": _take("invoice_date"),
        "client_id": _take("customer_id"),
        "user_id": _take("customer_id"),
        "session_id": _take("invoice"),
        "order_id": _take("invoice"),
        "action_name": EventTake(constant="purchase"),
        "object_id": _take("stock_code"),
        "quantity": _take("quantity"),
        "unit_price": _take("unit_price"),
    },
    guest=("invoice",),
    timezone="Europe/London",
    currency="GBP",
    negative_is_return=True,
    note="guests have no customer id: each of their invoices counts as a visitor of its own; lines "
    "that are equal in every column (some weeks are in the source twice) count once",
)

COMPLETE_JOURNEY = EventMapping(
    name="complete_journey",
    fields={
        "timestamp": _take("transaction_timestamp"),
        "client_id": _take("household_id"),
        "user_id": _take("household_id"),
        "session_id": _take("basket_id"),
        "order_id": _take("basket_id"),
        "action_name": EventTake(constant="purchase"),
        "object_id": _take("product_id"),
        "quantity": _take("quantity"),
        "amount": _take("sales_value"),
    },
    currency="USD",
    note="a household counts as one person; times have no zone in the source and are read as UTC",
)

DIGINETICA = EventMapping(
    name="diginetica",
    fields={
        "timestamp": EventTake(constant="2016-01-01T00:00:00Z"),
        "session_id": _take("session_id"),
        "action_name": EventTake(constant="click"),
        "object_id": _take("item_id"),
    },
    guest=("session_id",),
    order="position",
    note="the source has neither times nor people: all sessions are set to start on 2016-01-01, "
    "clicks one second apart; only their order in a session is real, and each session counts as "
    "a visitor of its own",
)

READY_EVENTS: Mapping[str, EventMapping] = {
    mapping.name: mapping for mapping in (UBI, RETAIL, COMPLETE_JOURNEY, DIGINETICA)
}
_SIGNS = (
    (RETAIL, {"invoice", "stock_code", "invoice_date", "quantity"}),
    (COMPLETE_JOURNEY, {"household_id", "basket_id", "transaction_timestamp"}),
)


def find_event_mapping(
    wanted: EventMapping | str | Path | None, columns: Iterable[str], file: Path
) -> EventMapping:
    """A mapping by object, ready name or TOML file; None: what fits the columns of `file`."""
    if isinstance(wanted, EventMapping):
        return wanted
    if wanted is not None:
        if str(wanted) in READY_EVENTS:
            return READY_EVENTS[str(wanted)]
        if Path(wanted).is_file():
            return EventMapping.load(Path(wanted))
        raise InvalidInput(
            f"no mapping '{wanted}'",
            field="mapping",
            remedy=f"use one of {', '.join(READY_EVENTS)}, or the path of a TOML file",
        )
    present = set(columns)
    for mapping, signs in _SIGNS:
        if signs <= present:
            return mapping
    if present == {"session_id", "position", "item_id"}:
        return DIGINETICA
    if present & {"timestamp", "@timestamp"} and present & {"client_id", "clientId"}:
        return UBI
    raise InvalidInput(
        f"no ready mapping fits these columns: {', '.join(sorted(present)[:12])}",
        file=str(file),
        remedy="write a mapping of events, see docs/events.md, and pass it with --mapping",
    )
