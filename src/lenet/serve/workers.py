"""Threads that decode pictures and ask engines, so that the event loop does not wait for them."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar, final

from lenet.serve.answers import busy
from lenet.serve.limits import Limits

T = TypeVar("T")

Work = Callable[[], Any]
Job = tuple[Work, "asyncio.Future[Any]"]


@final
class Workers:
    """A few threads and a bounded queue.

    The standard library's executors have no bound, and hand a piece of work over and back in twice
    the time.
    """

    def __init__(self, threads: int, limits: Limits) -> None:
        self._limits = limits
        self._most = threads + limits.queue
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._begun: list[float | None] = [None] * threads
        self.pending = 0
        """Pieces of work that wait or are under way; one that nobody waits for any more counts
        until its thread is free."""
        self._threads = [
            threading.Thread(target=self._work, args=(number,), daemon=True)
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    async def run(self, work: Callable[[], T]) -> T:
        """What `work` returns, or raises.

        Raises:
            Refusal: 429 if the queue is full, 503 if it took too long.
        """
        if self.pending >= self._most:
            raise busy(f"{self._limits.queue} requests are waiting already; come again later")
        future = self._loop.create_future()
        self.pending += 1
        self._jobs.put((work, future))
        timer = self._loop.call_later(self._limits.seconds, _give_up, future, self._limits.seconds)
        try:
            result: T = await future
            return result
        finally:
            timer.cancel()

    def is_stuck(self) -> bool:
        """Whether a piece of work goes on far too long: a decoder may never come back."""
        now, most = time.monotonic(), self._limits.stuck_seconds
        return any(begun is not None and now - begun > most for begun in self._begun)

    def close(self) -> None:
        """Let the threads end after what is queued."""
        for _ in self._threads:
            self._jobs.put(None)

    def _work(self, number: int) -> None:
        while (job := self._jobs.get()) is not None:
            work, future = job
            self._begun[number] = time.monotonic()
            result: Any = None
            error: BaseException | None = None
            if not future.done():  # nobody waits any more
                try:
                    result = work()
                except BaseException as raised:  # it belongs to whoever asked
                    error = raised
            self._begun[number] = None
            try:
                self._loop.call_soon_threadsafe(self._done, future, result, error)
            except RuntimeError:  # the loop has ended
                return
            del job, work, future, result, error

    def _done(self, future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
        self.pending -= 1
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)


def _give_up(future: asyncio.Future[Any], seconds: float) -> None:
    if not future.done():
        future.set_exception(busy(f"no answer within {seconds:g} seconds; come again later", 503))
