"""Events out of Kafka, against the broker that librdkafka simulates: the real protocol over TCP.

It is no real Kafka: it keeps messages in memory, and knows no security. There is no broker here to
test with.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tandem.contracts.errors import InvalidInput, MissingExtra, NotFound, StorageFull
from tandem.flows import events as flow
from tandem.flows.events import EventImport, consume_events
from tandem.flows.import_ import create_workspace
from tandem.ingest import kafka
from tandem.ingest.kafka import KafkaTopic, read_properties
from tandem.storage.events import EventStore
from tandem.storage.layout import Layout

confluent_kafka = pytest.importorskip("confluent_kafka", reason="needs the extra kafka")


def event(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "event_id": f"e{number}",
        "timestamp": "2026-03-01T12:30:09Z",
        "client_id": f"c{number % 3}",
        "action_name": "click",
        "object_id": "SP-1",
        **changes,
    }


class Cluster:
    """A simulated broker, and a producer to it."""

    def __init__(self) -> None:
        settings = {"test.mock.num.brokers": 1, "log_level": 0, "linger.ms": 0}
        self.producer = confluent_kafka.Producer(settings)
        known = self.producer.list_topics(timeout=10).brokers.values()
        self.address = ",".join(f"{broker.host}:{broker.port}" for broker in known)
        self.producer.list_topics("events", timeout=10)  # made by being asked for

    def send(self, values: list[Any]) -> None:
        for n, value in enumerate(values):
            text = value if isinstance(value, bytes) else json.dumps(value).encode()
            self.producer.produce("events", text, partition=n % 2)
        assert self.producer.flush(10) == 0

    def topic(self, group: str = "tandem") -> KafkaTopic:
        # The simulated broker lets a group go on only when members that left have timed out.
        quick = {"session.timeout.ms": "6000", "heartbeat.interval.ms": "500"}
        return KafkaTopic(self.address, "events", group, {"log_level": "0", **quick})


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return create_workspace(tmp_path / "shop", encoder=None)


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "FETCH_SECONDS", 0.3)


def consumed(layout: Layout, cluster: Cluster, rows: int, group: str = "tandem") -> EventImport:
    """Until so many rows were taken; then interrupted, as by Ctrl+C."""

    def enough(done: int, total: int | None) -> None:
        if done >= rows:
            raise KeyboardInterrupt

    with cluster.topic(group) as topic:
        return consume_events(layout, topic, idle=30.0, progress=enough)


def stored(layout: Layout) -> int:
    with EventStore(layout).reading() as snapshot:
        return snapshot.rows


def test_messages_are_stored_once_whatever_comes_again(
    layout: Layout, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = [event(n) for n in range(60)]
    cluster.send([*good, event(7), b"{no json", b"[1]", event(61, position=0)])

    # The disk is full when the first part comes: nothing is committed, nothing is lost.
    def full(*_: object) -> None:
        raise StorageFull("no room", remedy="make room")

    with monkeypatch.context() as patch:
        patch.setattr(EventStore, "append", full)
        with pytest.raises(StorageFull):
            consumed(layout, cluster, 64)
    assert stored(layout) == 0
    report = consumed(layout, cluster, 64)
    assert (report.rows, report.accepted, report.duplicates, report.refused) == (64, 60, 1, 3)
    assert report.by_reason == {"json": 2, "contract": 1}
    assert report.quarantine_file is not None
    refused = [json.loads(line) for line in report.quarantine_file.read_text().splitlines()]
    assert {(row["file"], row["line"]) for row in refused} == {
        ("events[1]", 30),
        ("events[0]", 31),
        ("events[1]", 31),
    }
    assert stored(layout) == 60
    # The position is kept: only what came since is read; another group reads all of it again.
    cluster.send([event(100)])
    since = consumed(layout, cluster, 1)
    assert (since.rows, since.accepted) == (1, 1)
    again = consumed(layout, cluster, 65, group="another")
    assert (again.accepted, again.duplicates, again.refused) == (0, 62, 3)
    assert stored(layout) == 61


def test_no_broker_no_topic_and_wrong_settings_are_said(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka, "CONNECT_SECONDS", 0.5)
    with pytest.raises(InvalidInput, match="no broker answers at"):
        KafkaTopic("127.0.0.1:9", "events", "g", {"log_level": "0"})
    with pytest.raises(InvalidInput, match="settings"):
        KafkaTopic(cluster.address, "events", "g", {"no.such.setting": "1"})
    with pytest.raises(InvalidInput, match="Tandem's"):
        KafkaTopic(cluster.address, "events", "g", {"enable.auto.commit": "true"})
    with pytest.raises((InvalidInput, NotFound)):
        KafkaTopic(cluster.address, "bad topic name!", "g", {"log_level": "0"})


def test_without_the_library_the_remedy_is_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "confluent_kafka", None)
    with pytest.raises(MissingExtra, match=r"tandem-commerce\[kafka\]"):
        KafkaTopic("x:1", "events", "g")


def test_settings_of_the_client_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "kafka.properties"
    path.write_text("# ours\nsecurity.protocol = SASL_SSL\n\nsasl.password=a=b#c\n")
    assert read_properties(path) == {"security.protocol": "SASL_SSL", "sasl.password": "a=b#c"}
    path.write_text("a=b\nhunter2\n")
    with pytest.raises(InvalidInput) as caught:
        read_properties(path)
    assert caught.value.line == 2
    assert "hunter2" not in str(caught.value)
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_properties(tmp_path / "none")


def test_it_stops_when_nothing_comes(layout: Layout, cluster: Cluster) -> None:
    with cluster.topic("idle") as topic:
        report = consume_events(layout, topic, idle=0.5)
    assert report.rows == 0  # joining the group takes longer than that
