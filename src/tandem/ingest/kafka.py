"""Messages of a Kafka topic, one event each, for shops that have a log of events already.

Positions are committed after the events are durable, so a message is never lost; one that comes
again after a crash is known by its id. The client is `confluent-kafka` (librdkafka), extra `kafka`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import orjson

from tandem.contracts.errors import InvalidInput, MissingExtra, NotFound, TandemError
from tandem.ingest.problem import Problem
from tandem.ingest.readers import BadRow, Row

log = logging.getLogger(__name__)

CONNECT_SECONDS = 10.0
REPEAT_SECONDS = 60.0
_NO_JSON = Problem(
    "json", None, "not a JSON object", "send each event as one message, a JSON object"
)
# Ours to set: committing by itself would lose events that were fetched and not yet stored.
_RESERVED = ("bootstrap.servers", "group.id", "enable.auto.commit", "enable.auto.offset.store")


class Messages(NamedTuple):
    """Messages of one partition in order; a row's `line` is its offset."""

    partition: int
    rows: list[Row | BadRow]


class KafkaTopic:
    """One member of the consumer group `group` on `topic`; use it with `with`.

    brokers: `host:port`, separated by commas. config: further settings of librdkafka, such as
        `security.protocol`; a new group starts at the oldest message unless they say otherwise.

    Raises MissingExtra without the client library, InvalidInput when no broker answers or a
    setting is wrong, NotFound when there is no such topic.
    """

    def __init__(
        self, brokers: str, topic: str, group: str, config: Mapping[str, str] | None = None
    ) -> None:
        try:
            import confluent_kafka
        except ImportError:
            raise MissingExtra(
                "reading from Kafka needs the client library confluent-kafka",
                remedy="pip install 'tandem-commerce[kafka]'",
            ) from None
        for name in _RESERVED:
            if name in (config or {}):
                raise InvalidInput(
                    "this setting is Tandem's", field=name, remedy="take it out of the settings"
                )
        settings: dict[str, Any] = {
            "auto.offset.reset": "earliest",
            # It says each failed attempt to connect, ten a second: `_failed` says it once a minute.
            "log_level": "2",
            **(config or {}),
            "bootstrap.servers": brokers,
            "group.id": group,
            "enable.auto.commit": False,
            "error_cb": self._failed,
        }
        self._told: dict[int, float] = {}
        self.topic = topic
        self._failure = confluent_kafka.KafkaException
        try:
            self._consumer = confluent_kafka.Consumer(settings, logger=log)
        except self._failure as error:
            raise InvalidInput(
                f"Kafka's client does not take its settings: {_said(error)}",
                remedy="see librdkafka's CONFIGURATION.md for their names",
            ) from None
        try:
            known = self._consumer.list_topics(topic, timeout=CONNECT_SECONDS).topics[topic]
        except self._failure as error:
            self._consumer.close()
            raise InvalidInput(
                f"no broker answers at {brokers}: {_said(error)}",
                field="brokers",
                remedy="check address, network and security settings",
            ) from None
        if known.error is not None:
            self._consumer.close()
            raise NotFound(
                f"no topic '{topic}' at {brokers}: {known.error.str()}",
                remedy="check the name, and that this client may read it",
            )
        self._consumer.subscribe([topic])

    def _failed(self, error: Any) -> None:
        now = time.monotonic()
        if now - self._told.get(error.code(), -REPEAT_SECONDS) >= REPEAT_SECONDS:
            self._told[error.code()] = now
            log.warning("kafka: %s", error.str())

    def fetch(self, most: int, seconds: float) -> Iterator[Messages]:
        """At most `most` messages, waiting for them up to `seconds`; nothing when none came."""
        import confluent_kafka

        found: dict[int, list[Row | BadRow]] = {}
        for message in self._consumer.consume(most, seconds):
            error = message.error()
            if error is not None:
                if error.code() == confluent_kafka.KafkaError._PARTITION_EOF:
                    continue
                if error.retriable() or not error.fatal():
                    log.warning("kafka: %s", error.str())
                    continue
                raise TandemError(f"Kafka's client gave up: {error.str()}", remedy="start it again")
            partition, offset = message.partition() or 0, message.offset() or 0
            found.setdefault(partition, []).append(_row(offset, message.value()))
        for partition, rows in sorted(found.items()):
            yield Messages(partition, rows)

    def commit(self) -> None:
        """Say that everything fetched so far is durable. When that fails, as in the middle of a
        rebalance, messages come again and are recognised."""
        try:
            self._consumer.commit(asynchronous=False)
        except self._failure as error:
            log.warning("kafka: the position was not committed: %s", _said(error))

    def __enter__(self) -> KafkaTopic:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._consumer.close()


def read_properties(path: Path) -> dict[str, str]:
    """Settings of the client out of a file of `name=value` lines; `#` starts a comment line.
    Raises InvalidInput naming the line."""
    found = {}
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(
            f"cannot be read: {error}", file=str(path), remedy="check the file"
        ) from None
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or not name.strip():
            # The line stays unsaid: it may be half of a password.
            raise InvalidInput("no setting", file=str(path), line=number, remedy="write name=value")
        found[name.strip()] = value.strip()
    return found


def _row(offset: int, value: bytes | None) -> Row | BadRow:
    try:
        values = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return BadRow(offset, _NO_JSON, "")
    return Row(offset, values) if isinstance(values, dict) else BadRow(offset, _NO_JSON, "")


def _said(error: Any) -> str:
    return str(error.args[0].str() if error.args else error)
