"""One answer under way: it goes on by itself, tabs follow it, and it waits a while for one that was lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace

from markupsafe import Markup

from console.chat.exchange import Exchange, lost, stopped
from pipeline import notices
from pipeline.events import Event, Failed, Question

log = logging.getLogger(__name__)
PAUSE = 0.16  # seconds between two updates of a streaming answer; each costs 3 to 4 ms of CPU
PATIENCE = 20.0  # seconds an answer goes on that nobody follows: a connection may come back


class RunningAnswer:
    """The answer to one question. `settle` is called once it is over, before its followers see that."""

    def __init__(
        self, question: Question, events: AsyncGenerator[Event], settle: Callable[[RunningAnswer], None]
    ) -> None:
        self.question = question
        self.exchange = Exchange(question.text)
        self._settle = settle
        self._end = lost
        self._news = asyncio.Event()
        self._followers = 0
        self._patience: asyncio.TimerHandle | None = None
        self._task = asyncio.create_task(self._pump(events))
        self._task.add_done_callback(self._over)

    def stop(self) -> None:
        """Stop the answer, as its reader wants; what came so far stays."""
        self._end = stopped
        self._task.cancel()

    async def close(self) -> None:
        """Stop the answer and wait until the turn is closed."""
        self.stop()
        await asyncio.wait([self._task])

    async def follow(self) -> AsyncGenerator[Exchange]:
        """Yield the exchange whenever there is something new to see of it, a few times a second."""
        self._followers += 1
        if self._patience is not None:
            self._patience.cancel()
        try:
            seen = shown = self.exchange
            yield shown
            while shown.under_way:
                while self.exchange is seen:
                    await self._news.wait()
                seen = self.exchange
                if seen.under_way and replace(shown, turn_id=seen.turn_id) == seen:
                    continue
                shown = seen
                yield shown
                if shown.under_way and shown.answer:
                    await asyncio.sleep(PAUSE)
        finally:
            self._followers -= 1
            if not self._followers and not self._task.done():
                self._patience = asyncio.get_running_loop().call_later(PATIENCE, self._task.cancel)

    async def _pump(self, events: AsyncGenerator[Event]) -> None:
        """Follow the pipeline's events; cancelling this closes the turn."""
        try:
            async with aclosing(events):
                async for event in events:
                    if self.exchange.under_way:
                        self._tell(self.exchange.follow(event))
        except Exception:  # the boundary of a page: the reader gets one calm sentence, the log the rest
            log.exception("the chat could not answer")
            sorry = notices.spoken(notices.SORRY_SOON, self.question.tongue)
            self._tell(self.exchange.follow(Failed("internal", sorry, None)))

    def _over(self, _: asyncio.Task[None]) -> None:
        if self._patience is not None:
            self._patience.cancel()
        if self.exchange.under_way:
            self._tell(self._end(self.exchange))

    def _tell(self, exchange: Exchange) -> None:
        self.exchange = exchange
        if not exchange.under_way:
            self._settle(self)
        self._news.set()
        self._news = asyncio.Event()


@dataclass(slots=True)
class FollowedRun:
    """A run that one tab follows, and the turns above it as they were drawn last."""

    run: RunningAnswer
    past: Markup
