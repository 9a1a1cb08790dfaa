"""SIGTERM and Ctrl-C: no new turns, those under way end or are cut, and only then the server stops."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.turn import Pipeline

log = logging.getLogger(__name__)
SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def gently(pipeline: Pipeline, seconds: float) -> Iterator[None]:
    """Drain the pipeline on the first signal, then hand it to the server's own handler; a second one at once.

    To be entered on the event loop of the main thread, after the server has set its handlers. While
    turns drain the server still answers: new questions get 503 with Retry-After.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    servers = {number: signal.getsignal(number) for number in SIGNALS}
    tasks: list[asyncio.Task[None]] = []

    async def drain(number: int, frame: FrameType | None) -> None:
        cut = await pipeline.drain(seconds)
        if cut:
            log.warning("%d turns were cut short by the stop", cut)
        await asyncio.sleep(0.2)  # their last events leave before the connections do
        hand_on(number, frame)

    def hand_on(number: int, frame: FrameType | None) -> None:
        handler = servers[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)

    def on_signal(number: int, frame: FrameType | None) -> None:
        if pipeline.stopping:
            hand_on(number, frame)
            return
        loop.call_soon_threadsafe(lambda: tasks.append(asyncio.ensure_future(drain(number, frame))))

    for number in SIGNALS:
        signal.signal(number, on_signal)
    try:
        yield
    finally:
        for number, handler in servers.items():
            signal.signal(number, handler)
