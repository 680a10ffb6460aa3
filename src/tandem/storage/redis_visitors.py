"""Visitors' state in Redis: one key for each visitor, with an expiry of its own.

For shops that run on several machines. Redis ends a key's time itself, so that retention holds
without a job. What Redis writes to its disk (AOF, RDB) is rewritten by Redis, at the operator's
settings: see docs/recommend.md.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

from tandem.contracts.errors import InvalidInput, MissingExtra, TandemError
from tandem.contracts.events import Pseudonym
from tandem.storage.visitor_state import DAY, Change, VisitorState, changed

PASSWORD = "TANDEM_REDIS_PASSWORD"
PATIENCE = 0.5  # seconds for an answer: a list without a visitor is better than none


class RedisVisitors:
    """`VisitorStore` in the Redis at `url`, under keys that begin with the workspace's name.

    The password comes from the environment (TANDEM_REDIS_PASSWORD), never from the settings.
    """

    def __init__(self, url: str, workspace: str, days: float) -> None:
        try:
            import redis
        except ImportError:
            raise MissingExtra(
                "visitors are to be kept in Redis, whose client is not installed",
                remedy="pip install 'tandem-commerce[redis]'",
            ) from None
        try:
            self._client: Any = redis.Redis.from_url(
                url,
                password=os.environ.get(PASSWORD) or None,
                socket_timeout=PATIENCE,
                socket_connect_timeout=PATIENCE,
            )
        except ValueError as error:
            raise InvalidInput(
                str(error), field="visitors", remedy="write redis://HOST:PORT/DATABASE"
            ) from None
        self._errors = redis.RedisError
        self._prefix = f"tandem:{workspace}:visitor:"
        self._days = days

    def get(self, subjects: Sequence[Pseudonym]) -> VisitorState | None:
        with _Reached(self._errors):
            return self._newest(self._client.mget(self._keys(subjects)), subjects)

    def change(self, subjects: Sequence[Pseudonym], change: Change) -> VisitorState:
        keys = self._keys(subjects)

        def work(pipe: Any) -> VisitorState:
            before = self._newest(pipe.mget(keys), subjects)
            state = changed(before, subjects[0], change)
            pipe.multi()
            if len(keys) > 1:
                pipe.delete(*keys[1:])
            text = f"{state.updated!r} {state.to_json()}"
            pipe.set(keys[0], text, px=max(1, int(self._days * DAY * 1000)))
            return state

        with _Reached(self._errors):
            # Tried again when another process changed the visitor in between (WATCH).
            found: VisitorState = self._client.transaction(work, *keys, value_from_callable=True)
        return found

    def forget(self, subjects: Sequence[Pseudonym]) -> int:
        with _Reached(self._errors):
            return int(self._client.delete(*self._keys(subjects)))

    def expire(self) -> int:
        """Nothing is left to do: Redis has ended what was over. A shorter retention than the one a
        key was written under is put on it here; returns how many ended by that."""
        limit, gone = int(self._days * DAY * 1000), 0
        with _Reached(self._errors):
            for key in self._client.scan_iter(match=f"{_plain(self._prefix)}*", count=1000):
                value = self._client.get(key)
                if value is None:
                    continue
                updated = float(value.split(b" ", 1)[0])
                gone += bool(self._client.pexpireat(key, int(updated * 1000) + limit)) and not (
                    self._client.exists(key)
                )
        return gone

    def close(self) -> None:
        self._client.close()

    def _keys(self, subjects: Sequence[Pseudonym]) -> list[str]:
        return [self._prefix + subject for subject in subjects]

    def _newest(
        self, values: Sequence[bytes | None], subjects: Sequence[Pseudonym]
    ) -> VisitorState | None:
        states = []
        for subject, value in zip(subjects, values, strict=True):
            if value is not None:
                updated, text = value.split(b" ", 1)
                states.append(VisitorState.of_json(subject, float(updated), text))
        oldest = time.time() - self._days * DAY
        kept = [s for s in states if s.updated >= oldest]
        return max(kept, key=lambda s: s.updated, default=None)


class _Reached:
    """Turns the client's errors into one that says what to do."""

    def __init__(self, errors: type[Exception]) -> None:
        self._errors = errors

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: Any, trace: Any) -> None:
        if kind is not None and issubclass(kind, self._errors):
            raise TandemError(
                f"the visitors' Redis cannot be used: {error}",
                remedy="check that it runs and `visitors` in tandem.toml",
            ) from error


def _plain(text: str) -> str:
    """Text as a pattern that matches only itself."""
    return "".join(f"\\{c}" if c in "*?[]\\^" else c for c in text)
