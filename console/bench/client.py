"""A thin client of POST /api/chat: it must cost less than what it measures."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

from console.bench.processes import BenchError


@dataclass(frozen=True, slots=True)
class Batch:
    """How long some turns took, in seconds."""

    firsts: list[float]
    lasts: list[float]
    cpu: float  # of the process that made the turns
    wall: float

    @property
    def turns(self) -> int:
        return len(self.firsts)


class LoadClient:
    """One user with one connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def turn(self, question: str) -> tuple[float, float]:
        """Ask one question; return the seconds to the first and to the last token."""
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._reader, self._writer
        assert reader is not None and writer is not None
        body = json.dumps({"question": question}).encode()
        began = time.perf_counter()
        writer.write(
            b"POST /api/chat HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        received, first = b"", 0.0
        while not received.endswith(b"0\r\n\r\n"):
            part = await reader.read(65536)
            if not part:
                raise BenchError(f"the connection ended early: {received[-300:]!r}")
            received += part
            if not first and b"event: delta" in received:
                first = time.perf_counter() - began
        last = time.perf_counter() - began
        if b'"outcome":"answered"' not in received:
            raise BenchError(f"{question!r} was not answered: {received[-300:]!r}")
        return first, last

    async def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            await self._writer.wait_closed()


async def ask(port: int, questions: Sequence[str], users: int) -> tuple[list[float], list[float], float]:
    """Ask all questions, `users` at a time; return first tokens, last tokens and the time of all."""
    waiting, times = list(reversed(questions)), []

    async def user() -> None:
        client = LoadClient(port)
        try:
            while waiting:
                times.append(await client.turn(waiting.pop()))
        finally:
            await client.close()

    began = time.perf_counter()
    await asyncio.gather(*(user() for _ in range(users)))
    return [first for first, _ in times], [last for _, last in times], time.perf_counter() - began
