"""What the processes of a service have counted together, for whichever is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import final

from lenet.serve import messages, totals
from lenet.serve.process import Process

COUNT_SECONDS = 1.0
"""In which a process says what it has counted; after that its last word is taken."""


@final
class Gathering:
    """Asks all processes whenever one is asked; one look serves all that asked before it began."""

    def __init__(self, alive: Callable[[], Iterable[Process]]) -> None:
        self._alive = alive
        self._askers: list[Process] = []
        self._task: asyncio.Task[None] | None = None
        self._turn, self._complete = 0, asyncio.Event()
        self._gone = ""
        """What those have counted that are not there any more, as far as is known."""

    def ask(self, asker: Process) -> None:
        """Answer to `asker`, soon."""
        self._askers.append(asker)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._answer_all())

    def hear(self, process: Process, message: messages.Message) -> None:
        """What `process` has counted."""
        process.text, process.turn = message["text"], message["count"]
        self._look()

    def forget(self, process: Process) -> None:
        """It has ended; what it counted stays, since a counter that sinks looks like a new one."""
        if process.text:
            self._gone = totals.write(totals.together([], [self._gone, process.text]))
        self._look()

    async def _answer_all(self) -> None:
        while self._askers:
            askers, self._askers = self._askers, []
            text = await self._gather()
            for each in askers:
                each.send({"gathered": text})

    async def _gather(self) -> str:
        self._turn += 1
        self._complete.clear()
        for each in self._alive():
            if each.is_ready:
                each.send({"count": self._turn})
        with suppress(TimeoutError):
            async with asyncio.timeout(COUNT_SECONDS):
                await self._complete.wait()
        alive = list(self._alive())
        now = [each.text for each in alive if each.turn == self._turn]
        before = [each.text for each in alive if each.turn != self._turn]
        found = totals.together([*now, totals.of_this_process()], [*before, self._gone])
        return totals.write([totals.number_of(len(now)), *found])

    def _look(self) -> None:
        """Whether all that can answer have done so."""
        if all(each.turn == self._turn for each in self._alive() if each.is_ready):
            self._complete.set()
