"""CPU-bound work beside the event loop: few threads, a bounded queue, a time limit."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from tandem.contracts.errors import TandemError

T = TypeVar("T")


class Overloaded(TandemError):  # noqa: N818 - reads as a statement at the raise site
    """The server has more to do than it can finish in time; asking again later helps."""

    def __init__(self, message: str, reason: str, retry_after: int) -> None:
        super().__init__(message, remedy=f"try again in {retry_after} s")
        self.reason = reason
        self.retry_after = retry_after


class Workers:
    """`threads` threads and at most `queue` waiting calls, each answered within `seconds`.

    More threads than cores only add switching, and an unbounded queue turns overload into
    timeouts for everybody: so work that cannot start soon is refused at once.
    """

    def __init__(self, name: str, threads: int, queue: int, seconds: float) -> None:
        self.threads = threads
        self.capacity = threads + queue
        self.seconds = seconds
        self.busy = 0
        self._name = name
        # Made by the first call and after close() again: an application may be started twice.
        self._pool: ThreadPoolExecutor | None = None

    async def run(self, work: Callable[[], T]) -> tuple[T, float]:
        """The result of `work()` and the milliseconds it waited for a thread.

        Raises Overloaded when the queue is full or the time is up. Work that outlives its time
        keeps its place until it ends, since a thread cannot be stopped.
        """
        if self.busy >= self.capacity:
            raise Overloaded("the server is busy", "queue", 1)
        asked = time.perf_counter()
        waited = 0.0

        def timed() -> T:
            nonlocal waited
            waited = (time.perf_counter() - asked) * 1000
            return work()

        loop = asyncio.get_running_loop()
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.threads, thread_name_prefix=self._name)
        future: Future[T] = self._pool.submit(timed)
        self.busy += 1
        future.add_done_callback(lambda _: _back_on(loop, self._done))
        try:
            async with asyncio.timeout(self.seconds):
                result = await asyncio.wrap_future(future)
        except TimeoutError:
            raise Overloaded(
                f"no answer within {self.seconds:g} s", "timeout", max(1, round(self.seconds))
            ) from None
        return result, waited

    def _done(self) -> None:
        self.busy -= 1

    def close(self) -> None:
        """Drop what has not started, wait for what has."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None
            self.busy = 0


def _back_on(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop ended before the work did
        loop.call_soon_threadsafe(call)
