"""Rows of event files under a mapping: what they become, and what is said of those that do not."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.contracts.errors import InvalidInput
from tandem.contracts.events import EventRecord, QueryRecord
from tandem.contracts.product import Money
from tandem.ingest.event_mapping import (
    COMPLETE_JOURNEY,
    DIGINETICA,
    READY_EVENTS,
    RETAIL,
    UBI,
    EventMapping,
    EventRows,
    find_event_mapping,
    flattened,
)
from tandem.ingest.problem import Problem


def event(mapping: EventMapping, row: dict[str, Any]) -> EventRecord:
    record = EventRows(mapping, "EUR").record(row)
    assert isinstance(record, EventRecord), record
    return record


def problem(mapping: EventMapping, row: dict[str, Any]) -> Problem:
    found = EventRows(mapping, "EUR").record(row)
    assert isinstance(found, Problem), found
    return found


LINE = {
    "invoice": "489434",
    "stock_code": "85048",
    "description": "15CM CHRISTMAS GLASS BALL 20 LIGHTS",
    "quantity": 12,
    "invoice_date": datetime(2010, 7, 1, 7, 45),
    "unit_price": 6.95,
    "customer_id": 13085,
    "country": "United Kingdom",
}


def test_a_line_of_an_invoice_is_a_purchase() -> None:
    bought = event(RETAIL, LINE)
    assert (bought.action_name, bought.object_id, bought.quantity) == ("purchase", "85048", 12)
    assert bought.amount == Money(amount=Decimal("83.40"), currency="GBP")
    assert bought.client_id == bought.user_id == "13085"
    assert bought.order_id == bought.session_id == "489434"
    # London is an hour ahead of UTC in July.
    assert bought.timestamp.astimezone(UTC) == datetime(2010, 7, 1, 6, 45, tzinfo=UTC)


def test_a_cancellation_is_a_return() -> None:
    back = event(RETAIL, {**LINE, "invoice": "C489434", "quantity": -3})
    assert (back.action_name, back.quantity) == ("return", 3)
    assert back.amount is not None
    assert back.amount.amount == Decimal("20.85")


def test_a_guest_is_nobody_that_comes_back() -> None:
    rows = EventRows(RETAIL, "EUR")
    one = rows.record({**LINE, "customer_id": None})
    other = rows.record({**LINE, "customer_id": None, "stock_code": "2"})
    third = rows.record({**LINE, "customer_id": None, "invoice": "13085"})
    rows.record(LINE)
    assert isinstance(one, EventRecord)
    assert isinstance(other, EventRecord)
    assert isinstance(third, EventRecord)
    assert one.user_id is None
    assert one.client_id == other.client_id != third.client_id
    # An invoice with the number of a customer is not that customer.
    assert third.client_id != event(RETAIL, LINE).client_id
    assert rows.guests == 3


def test_equal_rows_are_one_event_and_others_are_not() -> None:
    assert event(RETAIL, LINE).event_id == event(RETAIL, dict(reversed(LINE.items()))).event_id
    assert event(RETAIL, LINE).event_id != event(RETAIL, {**LINE, "quantity": 13}).event_id


def test_numbers_that_a_parquet_file_made_of_ids_read_as_ids() -> None:
    row = {
        "household_id": 2261,
        "basket_id": 31625220889.0,
        "product_id": 940996,
        "quantity": 1.0,
        "sales_value": 3.86,
        "transaction_timestamp": "2017-01-28 19:06:53",
    }
    bought = event(COMPLETE_JOURNEY, row)
    assert (bought.order_id, bought.object_id, bought.quantity) == ("31625220889", "940996", 1)
    assert bought.amount == Money(amount=Decimal("3.86"), currency="USD")
    assert bought.timestamp == datetime(2017, 1, 28, 19, 6, 53, tzinfo=UTC)
    assert problem(COMPLETE_JOURNEY, {**row, "quantity": 0.0}).field == "quantity"
    assert problem(COMPLETE_JOURNEY, {**row, "quantity": 1.5}).field == "quantity"


def test_sessions_without_times_keep_their_order() -> None:
    clicks = [
        event(DIGINETICA, {"session_id": 7, "position": n, "item_id": 10 + n}) for n in range(3)
    ]
    times = [click.timestamp for click in clicks]
    assert times[1] - times[0] == times[2] - times[1] == timedelta(seconds=1)
    assert {click.session_id for click in clicks} == {"7"}
    assert {click.position for click in clicks} == {None}  # a place in time, not in a list
    assert "no" not in clicks[0].client_id
    assert "only their order" in str(DIGINETICA.note)


UBI_EVENT = {
    "application": "shop",
    "action_name": "click",
    "client_id": "c-1",
    "session_id": "s-1",
    "query_id": "q-1",
    "timestamp": "2026-03-01T12:30:09.5+01:00",
    "message": "clicked",
    "event_attributes": {
        "object": {"object_id": "SP-1", "object_id_field": "product_id"},
        "position": {"ordinal": 3, "x": 10, "y": 4},
    },
}


def test_a_nested_ubi_event_and_query() -> None:
    click = event(UBI, UBI_EVENT)
    assert (click.object_id, click.position, click.query_id) == ("SP-1", 3, "q-1")
    assert click.timestamp == datetime(2026, 3, 1, 11, 30, 9, 500_000, tzinfo=UTC)
    query = EventRows(UBI, "EUR").record(
        {
            "client_id": "c-1",
            "query_id": "q-1",
            "user_query": " Speaker ",
            "timestamp": 1_772_364_609_000,
            "query_response_hit_ids": ["SP-1", "SP-2"],
            "query_attributes": {"page": 1},
        }
    )
    assert isinstance(query, QueryRecord)
    assert (query.user_query, query.object_ids) == (" Speaker ", ("SP-1", "SP-2"))
    assert query.timestamp == datetime(2026, 3, 1, 11, 30, 9, tzinfo=UTC)


def test_attributes_and_lists_as_text_in_a_table() -> None:
    text = json.dumps(UBI_EVENT["event_attributes"])
    assert event(UBI, {**UBI_EVENT, "event_attributes": text}) == event(UBI, UBI_EVENT)
    query = EventRows(UBI, "EUR").record(
        {
            "client_id": "c",
            "query_id": "q",
            "user_query": "{x",
            "timestamp": "2026-03-01T12:00:00Z",
            "object_ids": "SP-1, SP-2",
            "query_attributes": "{broken",
        }
    )
    assert isinstance(query, QueryRecord)
    assert (query.user_query, query.object_ids) == ("{x", ("SP-1", "SP-2"))


def test_a_watched_live_in_flat_columns() -> None:
    row = {
        "event_id": "e1",
        "action_name": "watch",
        "client_id": "c",
        "object_id": "live-1",
        "timestamp": "2026-03-01T12:00:00Z",
        "content": "live",
        "creator_id": "cr-1",
        "product_ids": '["SP-1", "SP-2"]',
        "seconds": "12.5",
        "internal": "true",
    }
    seen = event(UBI, row)
    assert seen.watch is not None
    assert (seen.watch.product_ids, seen.watch.seconds) == (("SP-1", "SP-2"), 12.5)
    assert (seen.event_id, seen.internal) == ("e1", True)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"timestamp": None}, "timestamp"),
        ({"timestamp": 1e300}, "timestamp"),
        ({"client_id": ""}, "client_id"),
        ({"action_name": "Add to cart!"}, "action_name"),
        ({"position": 0}, "position"),
        ({"amount": "much"}, "amount"),
        ({"amount": -1}, "amount.amount"),
        ({"language": "english"}, "language"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], field: str) -> None:
    found = problem(UBI, {**UBI_EVENT, **changes})
    assert found.field == field
    assert found.reason
    assert found.remedy


def test_a_mapping_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        """
        timezone = "America/New_York"
        positions_from = 0
        guest = "visit"

        [fields]
        timestamp = "at"
        client_id = "cookie"
        action_name = { from = "type", translate = { view = "impression", buy = "purchase" } }
        object_id = { from = ["sku", "asin"] }
        position = "rank"
        object_ids = { from = "shown", split = "|" }
        """
    )
    mapping = EventMapping.load(path)
    seen = event(
        mapping,
        {"at": "2026-01-01 07:00:00", "type": "view", "asin": "B1", "rank": "0", "visit": 9},
    )
    assert (seen.action_name, seen.object_id, seen.position) == ("impression", "B1", 1)
    assert seen.timestamp.astimezone(UTC) == datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert seen.client_id == "guest:9"
    assert find_event_mapping(path, (), path) == mapping


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[fields]\nclient_id = 'c'", "timestamp"),
        ("[fields]\ntimestamp = 't'", "guest"),
        ("[fields]\ntimestamp = 't'\nclient_id = 'c'\nsku = 's'", "'sku' is no field"),
        ("timezone = 'Mars'\n[fields]\ntimestamp = 't'\nclient_id = 'c'", "no time zone 'Mars'"),
        ("currency = 'pounds'\n[fields]\ntimestamp = 't'\nclient_id = 'c'", "currency"),
        ("no toml", "not a readable TOML"),
    ],
)
def test_a_mapping_that_cannot_be_used_says_why(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(InvalidInput, match=said):
        EventMapping.load(path)


def test_ready_mappings_are_found_by_columns() -> None:
    here = Path("x")
    assert find_event_mapping(None, LINE, here) is RETAIL
    assert find_event_mapping(None, {"session_id", "position", "item_id"}, here) is DIGINETICA
    assert find_event_mapping(None, UBI_EVENT, here) is UBI
    assert set(READY_EVENTS) == {"ubi", "retail", "complete_journey", "diginetica"}
    with pytest.raises(InvalidInput, match="no ready mapping"):
        find_event_mapping(None, {"a", "b"}, here)
    with pytest.raises(InvalidInput, match="no mapping 'nope'"):
        find_event_mapping("nope", (), here)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(
    row=st.dictionaries(
        st.sampled_from([*UBI_EVENT, "amount", "quantity", "position", "object_ids", "watch"]),
        values,
    ),
    name=st.sampled_from(sorted(READY_EVENTS)),
)
def test_no_row_breaks_a_mapping(row: dict[str, Any], name: str) -> None:
    found = EventRows(READY_EVENTS[name], "EUR").record(row)
    assert isinstance(found, Problem | EventRecord | QueryRecord)


def test_nesting_has_an_end() -> None:
    deep: dict[str, Any] = {"x": 1}
    for _ in range(30):
        deep = {"a": deep}
    (name,) = flattened(deep)
    assert name == "a.a.a.a.a.a"
