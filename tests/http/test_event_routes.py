"""`POST /v1/events`: durable when answered, one outcome a record, back-pressure that says when."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from small_shop import SmallShop
from starlette.testclient import TestClient

from tandem.contracts.errors import StorageFull, TandemError
from tandem.flows.events import EventIntake
from tandem.governance import admission
from tandem.http.app import create_app
from tandem.http.settings import ServerSettings
from tandem.storage import events as storage
from tandem.storage.events import EventStore


def event(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "kind": "event",
        "event_id": f"e{number}",
        "timestamp": (datetime.now(UTC) - timedelta(seconds=60)).isoformat(),
        "client_id": "c-1",
        "action_name": "click",
        "object_id": "P001",
        **changes,
    }


def query(number: int, **changes: Any) -> dict[str, Any]:
    values = {**event(number), "kind": "query", "query_id": f"q{number}", "user_query": "speaker"}
    return {k: v for k, v in values.items() if k not in ("action_name", "object_id")} | changes


def stored(shop: SmallShop) -> list[dict[str, Any]]:
    with EventStore(shop.layout).reading() as snapshot:
        return snapshot.table().sort_by("query_id").to_pylist()


def test_each_record_has_its_outcome(client: TestClient, shop: SmallShop) -> None:
    first = client.post("/v1/events", json={"records": [query(1), event(2)]})
    assert first.status_code == 200, first.text
    answer = first.json()
    assert (answer["accepted"], answer["duplicates"], answer["refused"]) == (2, 0, 0)
    batch = [
        event(2),
        event(3, position=0),
        event(4, timestamp="2020-01-01T00:00:00Z"),
        event(5, timestamp="2099-01-01T00:00:00Z"),
        "no object",
        event(6),
        event(6),
        {"action_name": "click"},
        query(7, user_query="mail jane@example.com"),
        event(8, surprise=1),
    ]
    answer = client.post("/v1/events", json={"records": batch}).json()
    results = answer["results"]
    assert [r["status"] for r in results] == [
        *("duplicate", "refused", "refused", "refused", "refused"),
        *("accepted", "duplicate", "refused", "accepted", "refused"),
    ]
    assert [r["code"] for r in results] == [
        *(None, "contract", "too_old", "in_future", "contract"),
        *(None, None, "contract", None, "contract"),
    ]
    assert results[1]["field"] == "position"
    assert all(r["reason"] and r["remedy"] for r in results if r["status"] == "refused")
    rows = stored(shop)
    assert len(rows) == 4
    assert "mail <email>" in {row["user_query"] for row in rows}
    # Identifiers of people are nowhere in what is stored.
    assert "c-1" not in json.dumps(rows)
    assert shop.intake.store.status().tally == {
        "accepted": 4,
        "duplicate": 2,
        "refused_contract": 4,
        "refused_in_future": 1,
        "refused_too_old": 1,
    }
    metrics = client.get("/metrics").text
    assert 'tandem_events_total{status="duplicate"} 2.0' in metrics


def test_a_batch_sent_again_changes_nothing(client: TestClient, shop: SmallShop) -> None:
    batch = {"records": [event(n) for n in range(20)]}
    client.post("/v1/events", json=batch)
    before = stored(shop)
    again = client.post("/v1/events", json=batch).json()
    assert (again["accepted"], again["duplicates"]) == (0, 20)
    assert stored(shop) == before


def test_two_servers_take_events_into_one_journal(shop: SmallShop) -> None:
    """As two processes do: each has its own memory of what it has seen."""
    other = SmallShop()
    with TestClient(create_app(shop)) as one, TestClient(create_app(other)) as two:
        one.post("/v1/events", json={"records": [event(1), event(2)]})
        other.intake, other.layout = EventIntake(shop.layout), shop.layout
        batch = {"records": [event(2), event(3)]}
        first, again = (client.post("/v1/events", json=batch).json() for client in (two, one))
    assert [r["status"] for r in first["results"]] == ["duplicate", "accepted"]
    assert [r["status"] for r in again["results"]] == ["duplicate", "duplicate"]
    assert len(stored(shop)) == 3


def test_a_clock_that_is_off_is_corrected_by_sent_at(client: TestClient, shop: SmallShop) -> None:
    ahead = datetime.now(UTC) + timedelta(hours=3)
    body = {"sent_at": ahead.isoformat(), "records": [event(1, timestamp=ahead.isoformat())]}
    assert client.post("/v1/events", json=body).json()["accepted"] == 1
    (row,) = stored(shop)
    assert row["clock"] == "shifted"
    now = admission.microseconds(datetime.now(UTC))
    assert abs(row["timestamp"] - now) < 60_000_000


def test_a_journal_that_is_behind_asks_to_wait(
    client: TestClient, shop: SmallShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "MOST_IN_JOURNAL", 3)
    # Compaction does not keep up: it does not happen at all.
    monkeypatch.setattr(EventIntake, "_compact_beside", lambda self: None)
    client.post("/v1/events", json={"records": [event(n) for n in range(5)]})
    refused = client.post("/v1/events", json={"records": [event(9)]})
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) >= 1
    assert "behind" in refused.json()["detail"]
    shop.intake.store.compact()
    shop.intake.store.append([])
    assert client.post("/v1/events", json={"records": [event(9)]}).json()["accepted"] == 1


def test_the_journal_is_compacted_beside(
    client: TestClient, shop: SmallShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "COMPACT_AT", 3)
    client.post("/v1/events", json={"records": [event(n) for n in range(5)]})
    shop.intake.close()
    assert shop.intake.store.status().in_journal == 0
    assert len(stored(shop)) == 5


def test_more_senders_than_the_lane_holds_are_asked_to_wait(shop: SmallShop) -> None:
    held = threading.Event()

    def slow(records: Any, sent: Any) -> list[Any]:
        held.wait(10)
        return []

    shop.take_events = slow  # type: ignore[method-assign]
    app = create_app(shop, ServerSettings(refresh_seconds=0, rate_per_second=0))
    app.state.serving.events.capacity = 2
    statuses: list[tuple[int, str | None]] = []

    def send() -> None:
        answer = client.post("/v1/events", json={"records": [event(1)]})
        statuses.append((answer.status_code, answer.headers.get("Retry-After")))

    with TestClient(app) as client:
        threads = [threading.Thread(target=send) for _ in range(5)]
        for thread in threads:
            thread.start()
        while len(statuses) < 3:
            held.wait(0.01)
        held.set()
        for thread in threads:
            thread.join()
    assert sorted(statuses, key=str) == [(200, None)] * 2 + [(429, "1")] * 3


def test_a_full_disk_is_507(
    client: TestClient, shop: SmallShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.post("/v1/events", json={"records": [event(1)]})

    def full(*_: object) -> None:
        raise StorageFull("no room", remedy="make room")

    with monkeypatch.context() as patch:
        patch.setattr(EventStore, "_insert", full)
        answer = client.post("/v1/events", json={"records": [event(2)]})
    assert answer.status_code == 507
    assert client.post("/v1/events", json={"records": [event(2)]}).json()["accepted"] == 1


def test_limits_are_those_of_the_other_routes(shop: SmallShop) -> None:
    settings = ServerSettings(refresh_seconds=0, max_events=2, max_body_bytes=2048)
    with TestClient(create_app(shop, settings)) as client:
        many = client.post("/v1/events", json={"records": [event(n) for n in range(3)]})
        assert many.status_code == 422
        assert "at most 2" in many.json()["remedy"]
        large = client.post("/v1/events", json={"records": [event(1, object_id="x" * 3000)]})
        assert large.status_code == 413
        assert client.post("/v1/events", json={"records": []}).status_code == 422
        assert client.post("/v1/events", json={"records": [event(1)], "x": 1}).status_code == 422
        # An id that no page, log or index could hold is one record's fault.
        odd = client.post("/v1/events", json={"records": [event(1, client_id="")]}).json()
        assert odd["refused"] == 1


def test_a_shop_may_take_none(shop: SmallShop) -> None:
    settings = ServerSettings(refresh_seconds=0, collect_events=False)
    with TestClient(create_app(shop, settings)) as client:
        assert client.post("/v1/events", json={"records": [event(1)]}).status_code == 404
        assert '"events":false' in client.get("/").text


def test_keys_that_are_gone_are_not_the_publics_business(
    client: TestClient, shop: SmallShop, monkeypatch: pytest.MonkeyPatch, shop_copy: Any
) -> None:
    from tandem.flows.workspace import open_workspace

    with open_workspace(shop_copy) as workspace:
        (workspace.layout.events).mkdir()
        (workspace.layout.events / "ring").write_text("0123456789abcdef\n")
        with pytest.raises(TandemError) as caught:
            workspace.take_events([event(1)], None)
        assert "keys" not in str(caught.value)
        (workspace.layout.events / "ring").unlink()
        assert workspace.take_events([event(1)], None)[0].status == "accepted"
