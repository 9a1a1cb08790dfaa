"""The time limits of one call to a provider."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar

from pipeline.errors import ModelError
from pipeline.models.waiting import lateness

T = TypeVar("T")

DRAIN_SECONDS = 0.1  # how long an answered stream may take to end, so that its connection is kept
LONGEST_STREAM = 32_000_000  # bytes
PACE_SECONDS = 0.005  # what a fast server sends meanwhile arrives in one read, not token by token


@dataclass(frozen=True, slots=True)
class CallLimits:
    """How long one call may take, in seconds."""

    connect_seconds: float
    first_token_seconds: float
    gap_seconds: float


class CallWatch:
    """Limits the waits of one call: until the first token, between tokens, and in all.

    One timer serves all waits: `asyncio.timeout` around each read costs a third of a stream's time.
    The caller's own time between two waits does not count as the provider's silence, nor does time in
    which this process's loop stood still; only the turn's deadline does not wait.
    """

    def __init__(self, name: str, limits: CallLimits, seconds: float) -> None:
        self.name = name
        self.started = False
        self.answered = False
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        now = self._loop.time()
        self._deadline = now + seconds
        self._due = now + limits.first_token_seconds
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: asyncio.Task[object] | None = None
        self._rang = False
        self._lateness = lateness()
        self._late = 0.0  # how late the loop had been when the limit that holds now began
        self._watching = self._lateness.watched()

    def __enter__(self) -> CallWatch:
        self._watching.__enter__()
        self._late = self._lateness.seconds
        return self

    def __exit__(self, *_: object) -> None:
        self._watching.__exit__(None, None, None)
        if self._timer is not None:
            self._timer.cancel()

    async def wait(self, awaited: Awaitable[T]) -> T:
        """Await something within the limits; raise ModelError when it is late."""
        task = asyncio.current_task()
        assert task is not None
        cancelling = task.cancelling()
        self._waiting = task
        if self._timer is None:
            self._arm()
        try:
            return await awaited
        except asyncio.CancelledError:
            if self._rang and task.uncancel() <= cancelling:  # the alarm's doing, not our caller's
                raise self.late() from None
            raise
        finally:
            self._waiting = None

    def progress(self) -> None:
        """The model said something: the next limit is the longest gap."""
        self.started = True
        self._move(self._loop.time() + self._limits.gap_seconds)

    def ended(self) -> None:
        """The answer is complete: only the end of the stream is waited for, and not for long."""
        if not self.answered:
            self.answered = True
            self._move(self._loop.time() + DRAIN_SECONDS)

    def late(self) -> ModelError:
        """Return the error for a wait that took too long."""
        if self._deadline < self._due:
            return ModelError("deadline", f"{self.name}: the turn's time was over")
        if self.started:
            return ModelError("timeout_gap", f"{self.name}: silent for {self._limits.gap_seconds:g} s")
        return ModelError(
            "timeout_first_token", f"{self.name}: no first token in {self._limits.first_token_seconds:g} s"
        )

    async def read(self, chunks: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
        """Yield what arrives; raise ModelError when it is late or endless."""
        total, waits = 0, 0

        def waited() -> None:
            nonlocal waits
            waits += 1

        async with aclosing(chunks):
            while True:
                seen, mark = waits, self._loop.call_soon(waited)  # runs only when the read has to wait
                try:
                    received = await self.wait(anext(chunks))
                except StopAsyncIteration:
                    return
                except ModelError:
                    if self.answered:
                        return
                    raise
                finally:
                    mark.cancel()
                total += len(received)
                if total > LONGEST_STREAM:
                    raise ModelError(
                        "protocol", f"{self.name}: more than {LONGEST_STREAM} bytes in one answer"
                    )
                left = self._loop.time()
                yield received
                if waits > seen and self.started and not self.answered:
                    await asyncio.sleep(PACE_SECONDS)
                self._due += self._loop.time() - left

    def _move(self, due: float) -> None:
        self._due, self._late = due, self._lateness.seconds
        if self._timer is not None and due < self._timer.when():
            self._timer.cancel()
            self._arm()

    def _arm(self) -> None:
        self._timer = self._loop.call_at(min(self._due, self._deadline), self._ring)

    def _ring(self) -> None:
        self._timer = None  # the next wait arms it again
        if self._waiting is None:
            return
        late, self._late = self._lateness.seconds - self._late, self._lateness.seconds
        self._due += late
        if self._loop.time() < min(self._due, self._deadline):
            self._arm()
        else:
            self._rang = True
            self._waiting.cancel()
