"""What the door does to records: nothing of a person gets past it, nothing is dropped silently."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from tandem.contracts.events import AdmittedEvent, EventRecord, QueryRecord, Record
from tandem.governance.admission import MOST_A_MINUTE, Admission, Admitted, is_bot, microseconds
from tandem.governance.pseudonyms import KeyRing, Pseudonyms

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
RING = KeyRing.generate("0" * 16)
RECORDS = TypeAdapter(list[Record])
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126 Safari"


def click(**changes: Any) -> EventRecord:
    values: dict[str, Any] = {
        "event_id": "e1",
        "timestamp": NOW,
        "client_id": "anna@example.com",
        "action_name": "click",
        "object_id": "SP-1",
        "position": 3,
    }
    return EventRecord(**{**values, **changes})


def admit(*records: QueryRecord | EventRecord, **options: Any) -> Admitted:
    oldest = options.pop("oldest", timedelta(days=30))
    admission = Admission(Pseudonyms(RING), oldest=oldest)
    return admission.admit(enumerate(records), **{"received": NOW, **options})


def row(record: QueryRecord | EventRecord, **options: Any) -> AdmittedEvent:
    (found,) = admit(record, **options).rows
    return found


def test_no_identifier_of_a_person_is_in_what_is_stored():
    secrets = {
        "event_id": "event-of-anna",
        "client_id": "client-of-anna",
        "session_id": "session-of-anna",
        "user_id": "user-of-anna",
        "order_id": "order-of-anna",
        "user_agent": CHROME,
    }
    stored = orjson.dumps(row(click(**secrets, user_query="shoes for anna@example.com")))
    for secret in (*secrets.values(), "anna"):
        assert secret.encode() not in stored
    assert b"shoes for <email>" in stored


def test_one_person_stays_one_person():
    one, two = admit(click(), click(event_id="e2")).rows
    assert one["client"] == two["client"]
    assert one["event_key"] != two["event_key"]


def test_a_query_record_becomes_a_search_with_what_was_shown():
    record = QueryRecord(
        event_id="q",
        timestamp=NOW,
        client_id="c",
        query_id="q-1",
        user_query="lamp",
        object_ids=("a", "b"),
        total=2,
    )
    stored = row(record)
    assert stored["action_name"] == "search"
    assert (stored["object_ids"], stored["total"], stored["object_id"]) == (("a", "b"), 2, None)


def test_device_filters_and_latency_are_kept_and_missing_stays_missing():
    at = {"timestamp": NOW, "client_id": "c", "query_id": "q-1", "user_query": "lamp"}
    stored = row(QueryRecord(event_id="q", **at, device="app", filters=("brand",), latency_ms=8.5))
    assert (stored["device"], stored["filters"], stored["latency_ms"]) == ("app", ("brand",), 8.5)
    stored = row(QueryRecord(event_id="q", **at))
    assert (stored["device"], stored["filters"], stored["latency_ms"]) == (None, (), None)
    with pytest.raises(ValueError, match="filters"):
        QueryRecord(event_id="q", **at, filters=("anna@example.com",))


@pytest.mark.parametrize(
    ("region", "fine"), [("DE-BY", True), ("DE", True), ("DE-BY-80331", False)]
)
def test_a_region_is_coarse_or_refused(region, fine):
    if fine:
        assert row(click(region=region))["region"] == region
    else:
        with pytest.raises(ValidationError, match="region"):
            click(region=region)


def test_amounts_are_exact_and_watching_keeps_creator_and_products():
    stored = row(
        click(action_name="purchase", quantity=3, amount={"amount": "0.30", "currency": "EUR"})
    )
    assert (stored["amount"], stored["currency"], stored["quantity"]) == ("0.30", "EUR", 3)
    watch = {"content": "live", "creator_id": "cr-1", "product_ids": ["p"], "seconds": 12.5}
    stored = row(click(action_name="watch", object_id="live-1", watch=watch))
    assert (stored["content"], stored["creator_id"]) == ("live", "cr-1")
    assert (stored["seconds"], stored["duration"]) == (12.5, None)
    assert stored["object_ids"] == ("p",)


@pytest.mark.parametrize(
    ("off", "clock", "moved"),
    [
        (timedelta(seconds=59), "kept", timedelta(0)),
        (timedelta(minutes=90), "shifted", timedelta(minutes=90)),
        (timedelta(days=-400), "shifted", timedelta(days=-400)),
    ],
)
def test_a_wrong_clock_is_corrected_by_when_the_batch_was_sent(off, clock, moved):
    stored = row(click(timestamp=NOW - off), sent=NOW - off)
    assert stored["clock"] == clock
    assert stored["timestamp"] == microseconds(NOW - off + moved)


@pytest.mark.parametrize(
    ("timestamp", "code"),
    [
        (NOW + timedelta(minutes=6), "in_future"),
        (NOW - timedelta(days=31), "too_old"),
        (datetime(1970, 1, 1, tzinfo=UTC), "too_old"),
    ],
)
def test_impossible_times_are_refused_with_a_reason(timestamp, code):
    done = admit(click(), click(timestamp=timestamp))
    assert len(done.rows) == 1
    (refusal,) = done.refusals
    assert (refusal.index, refusal.code, refusal.field) == (1, code, "timestamp")
    assert refusal.reason
    assert refusal.remedy
    assert done.counts[code] == 1


def test_history_from_files_may_be_old_but_not_from_before_1980():
    old = datetime(2009, 12, 1, tzinfo=UTC)
    assert row(click(timestamp=old), oldest=None)["timestamp"] == microseconds(old)
    done = admit(click(timestamp=datetime(1970, 1, 1, tzinfo=UTC)), oldest=None)
    assert done.refusals[0].code == "too_old"


def test_late_and_out_of_order_records_are_kept_and_counted():
    done = admit(
        click(event_id="1", timestamp=NOW - timedelta(hours=1)),
        click(event_id="2", timestamp=NOW - timedelta(days=3)),
        click(event_id="3", timestamp=NOW - timedelta(hours=2), client_id="someone else"),
    )
    assert len(done.rows) == 3
    assert (done.counts["late"], done.counts["out_of_order"]) == (1, 1)


def test_bots_and_staff_are_marked_and_counted_not_dropped():
    bot = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
    done = admit(
        click(user_agent=CHROME), click(user_agent=bot), click(user_agent=""), click(internal=True)
    )
    assert [r["traffic"] for r in done.rows] == ["shopper", "bot_agent", "bot_agent", "internal"]
    assert (done.counts["bot_agent"], done.counts["internal"]) == (2, 1)


def test_more_clicks_a_minute_than_a_person_makes_are_marked():
    many = [click(event_id=str(i)) for i in range(MOST_A_MINUTE + 5)]
    done = admit(*many, click(event_id="later", timestamp=NOW + timedelta(minutes=1)))
    assert [r["traffic"] for r in done.rows].count("bot_rate") == 5
    assert done.rows[-1]["traffic"] == "shopper"
    lines = [click(event_id=str(i), action_name="purchase") for i in range(MOST_A_MINUTE + 5)]
    assert {r["traffic"] for r in admit(*lines).rows} == {"shopper"}


def test_agents_of_browsers_are_no_bots():
    assert not is_bot(CHROME)
    assert is_bot("python-requests/2.32")


@pytest.mark.parametrize(
    "change",
    [
        {"timestamp": "2026-03-01T12:00:00"},
        {"timestamp": "yesterday"},
        {"client_id": ""},
        {"position": 0},
        {"action_name": "Click Me"},
        {"object_id": None},
        {"action_name": "watch"},
        {"watch": {"content": "live", "creator_id": "c", "seconds": 1}},
        {"amount": {"amount": "NaN", "currency": "EUR"}},
        {"amount": {"amount": "-1", "currency": "EUR"}},
        {"query_id": "anna@example.com"},
        {"surprise": 1},
        {"kind": "other"},
    ],
)
def test_records_that_break_the_contract_are_refused(change):
    good = orjson.loads(click().model_dump_json())
    RECORDS.validate_python([good])
    with pytest.raises(ValidationError):
        RECORDS.validate_python([{**good, **change}])


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.timedeltas(min_value=timedelta(days=-60), max_value=timedelta(days=2)),
            st.booleans(),
            st.text(min_size=1, max_size=5).filter(lambda t: t.strip()),
        ),
        max_size=20,
    )
)
def test_every_record_is_either_admitted_or_refused(sent):
    records = [
        click(event_id=str(i), timestamp=NOW + when, internal=internal, client_id=client)
        for i, (when, internal, client) in enumerate(sent)
    ]
    done = admit(*records)
    assert len(done.rows) + len(done.refusals) == len(records)
    assert sum(done.counts[c] for c in ("in_future", "too_old")) == len(done.refusals)
    refused = {r.index for r in done.refusals}
    names = Pseudonyms(RING)
    kept = [names.event_key(str(i)) for i in range(len(records)) if i not in refused]
    assert [r["event_key"] for r in done.rows] == kept
