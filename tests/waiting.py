"""Waits for what must come to pass, however slow the machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pipeline.rehearsal.server import FaultServer

SECONDS = 60.0


async def until(happens: Callable[[], bool]) -> None:
    """Wait until something holds; fail when it never does."""
    async with asyncio.timeout(SECONDS):
        while not happens():  # noqa: ASYNC110  # it may depend on another thread
            await asyncio.sleep(0.01)


async def hung_up(server: FaultServer) -> None:
    """Wait until the client of the first request has left."""
    await until(lambda: server.requests[0].disconnected is not None)
