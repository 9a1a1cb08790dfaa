"""One call at the fault server: what came in, and what the faults can do to its answer."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from pipeline.rehearsal.dialects import Dialect

WORDS = ["Set ", "the ", "fallback ", "model ", "in ", "the ", "environment ", "[1]."]


@dataclass
class Request:
    """What arrived, and whether the client was still there at the end."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    fault: str = "ok"
    peer: int = 0  # the client's port
    disconnected: float | None = None  # seconds after its arrival that the client hung up
    sent: int = 0  # bytes of the reply


@dataclass
class Call:
    """One request being answered."""

    request: Request
    dialect: Dialect
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    options: dict[str, str]
    chunked: bool = False
    began: float = field(default_factory=time.monotonic)

    async def write(self, data: bytes) -> None:
        if self.chunked and data:
            data = b"%x\r\n%s\r\n" % (len(data), data)
        self.writer.write(data)
        self.request.sent += len(data)
        await self.writer.drain()

    async def head(self, status: int = 200, kind: str = "text/event-stream", **headers: str) -> None:
        lines = [f"HTTP/1.1 {status} X", f"content-type: {kind}", "transfer-encoding: chunked"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        lines.append(f"{self.dialect.request_id_header}: req_loopback_1")
        await self.write("\r\n".join([*lines, "", ""]).encode())
        self.chunked = True

    async def end(self) -> None:
        self.writer.write(b"0\r\n\r\n")
        self.chunked = False
        await self.writer.drain()

    async def whole(self, status: int, body: bytes, kind: str = "application/json", **headers: str) -> None:
        await self.head(status, kind, **headers)
        await self.write(body)
        await self.end()

    async def error(
        self, status: int, kind: str, message: str, code: str | None = None, **headers: str
    ) -> None:
        await self.whole(status, self.dialect.error_body(kind, message, code), **headers)

    async def begin(self, words: list[str] | None = None) -> None:
        """Send the head, the protocol's opening and some words."""
        await self.head()
        await self.write(self.dialect.opening())
        for word in words or []:
            await self.write(self.dialect.text(word))

    async def finish(self, reason: str = "stop", **usage: Any) -> None:
        await self.write(self.dialect.closing(reason, **usage))
        await self.end()

    def number(self, name: str, default: float) -> float:
        return float(self.options.get(name, default))

    def abort(self) -> None:
        self.writer.transport.abort()
