"""Carries requests to model servers over HTTP/1.1: what httpx2 does, at a fifth of its cost a token.

httpcore2 hands on every chunk of a stream by itself, through h11 and ten layers (45 µs each, 7 ms of
CPU an answer). Here httptools parses, and a read returns all that has arrived.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from typing import cast

import httptools
import httpx2

LONGEST_HEAD = 64_000  # bytes of a response's head
IDLE_SECONDS = 30.0


class WireConnection(asyncio.Protocol):
    """One connection to a server, one exchange at a time."""

    def __init__(self) -> None:
        self.closed = False
        self.free_since = 0.0
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._paused = False
        self._begin()

    @property
    def ready(self) -> bool:
        """Whether the last exchange ended well and another may follow."""
        return self._done and self._kept and not self.closed

    async def send(self, data: bytes) -> None:
        """Write a request and wait for the head of its response."""
        self._begin()
        assert self._transport is not None
        self._transport.write(data)
        while not self._head:
            await self._more()

    def rest(self) -> None:
        """Wait for the next exchange, and notice when the server hangs up meanwhile."""
        self.free_since = time.monotonic()
        self._resume()

    async def read(self) -> bytes:
        """Return what has arrived of the body; b"" at its end."""
        while not self._parts and not self._done:
            await self._more()
        received, self._parts = b"".join(self._parts), []
        return received

    @property
    def response(self) -> tuple[int, list[tuple[bytes, bytes]]]:
        return self._status, self._headers

    def close(self) -> None:
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class

    def data_received(self, data: bytes) -> None:
        self._size += len(data)
        if self._done:
            self.close()  # nobody asked for more
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(httpx2.DecodingError(f"not HTTP: {error}"))
        if not self._head and self._size > LONGEST_HEAD:
            self._fail(httpx2.RemoteProtocolError("the head of the response does not end"))
        if self._waiter is None and self._transport is not None:
            self._transport.pause_reading()  # the kernel collects until somebody wants more
            self._paused = True
        self._wake()

    def eof_received(self) -> bool:
        self._lost(None)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost(exc)

    def on_message_begin(self) -> None:
        self._headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))
        if name.lower() in (b"content-length", b"transfer-encoding"):
            self._framed = True

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()
        self._head = self._status >= 200  # what comes before is only informational

    def on_body(self, body: bytes) -> None:
        self._parts.append(body)

    def on_message_complete(self) -> None:
        if self._head:
            self._done, self._kept = True, self._parser.should_keep_alive()

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._headers: list[tuple[bytes, bytes]] = []
        self._parts: list[bytes] = []
        self._status = self._size = 0
        self._head = self._done = self._kept = self._framed = False
        self._error: Exception | None = None

    async def _more(self) -> None:
        """Wait for the next data; raise what broke the exchange."""
        if self._error is not None:
            raise self._error
        if self.closed:
            raise httpx2.RemoteProtocolError("the connection is closed")
        self._resume()
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _resume(self) -> None:
        if self._paused and self._transport is not None:
            self._transport.resume_reading()
            self._paused = False

    def _lost(self, error: Exception | None) -> None:
        self.closed = True
        if not self._done and self._error is None:
            if error is not None:
                self._fail(httpx2.ReadError(str(error)))
            elif self._head and not self._framed:
                self._done = True  # the end of the connection is the end of such a body
            else:
                self._fail(httpx2.RemoteProtocolError("the server closed before its response was whole"))
        self._wake()

    def _fail(self, error: Exception) -> None:
        if self._error is None:
            self._error = error
        self.closed = True

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Wire(httpx2.AsyncBaseTransport):
    """A transport for httpx2 that keeps up to `kept` idle connections per server.

    It does not time out while reading: every caller watches its own waits (`models.watch`).
    """

    def __init__(self, connect_seconds: float, idle: int) -> None:
        self._connect_seconds = connect_seconds
        self._kept = idle
        self._tls: ssl.SSLContext | None = None
        self._idle: dict[tuple[str, str, int], list[WireConnection]] = {}
        self._all: set[WireConnection] = set()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request; the response's stream gives the connection back when it is closed."""
        data = _encoded(request, await request.aread())
        url = request.url
        server = (url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80))
        connection = self._take(server) or await self._connect(server)
        try:
            await connection.send(data)
        except BaseException:  # the connection is dropped, the error passed on
            self._drop(connection)
            raise
        status, headers = connection.response
        return httpx2.Response(status, headers=headers, stream=_Body(self, server, connection))

    async def aclose(self) -> None:
        """Close all connections, those in use too."""
        for connection in tuple(self._all):
            self._drop(connection)
        self._idle.clear()

    def give(self, server: tuple[str, str, int], connection: WireConnection) -> None:
        """Take a connection back after an exchange."""
        idle = self._idle.setdefault(server, [])
        if connection.ready and len(idle) < self._kept and connection in self._all:
            connection.rest()
            idle.append(connection)
        else:
            self._drop(connection)

    def _take(self, server: tuple[str, str, int]) -> WireConnection | None:
        idle = self._idle.get(server, [])
        while idle:
            connection = idle.pop()
            if connection.ready and time.monotonic() - connection.free_since < IDLE_SECONDS:
                return connection
            self._drop(connection)
        return None

    async def _connect(self, server: tuple[str, str, int]) -> WireConnection:
        scheme, host, port = server
        if scheme == "https" and self._tls is None:
            self._tls = await asyncio.to_thread(httpx2.create_ssl_context)
        tls = self._tls if scheme == "https" else None
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_seconds):
                _, connection = await loop.create_connection(WireConnection, host, port, ssl=tls)
        except TimeoutError as error:
            raise httpx2.ConnectTimeout(f"no connection to {host}:{port} in time") from error
        except (OSError, ssl.SSLError) as error:
            raise httpx2.ConnectError(str(error)) from error
        self._all.add(connection)
        return connection

    def _drop(self, connection: WireConnection) -> None:
        self._all.discard(connection)
        connection.close()


class _Body(httpx2.AsyncByteStream):
    def __init__(self, wire: Wire, server: tuple[str, str, int], connection: WireConnection) -> None:
        self._wire = wire
        self._server = server
        self._connection: WireConnection | None = connection

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self._connection is not None and (received := await self._connection.read()):
            yield received

    async def aclose(self) -> None:
        if self._connection is not None:
            self._wire.give(self._server, self._connection)
            self._connection = None


def _encoded(request: httpx2.Request, body: bytes) -> bytes:
    lines = [b"%s %s HTTP/1.1" % (request.method.encode(), request.url.raw_path)]
    lines += [b"%s: %s" % (name, value) for name, value in request.headers.raw]
    if any(b"\n" in line or b"\r" in line for line in lines):
        raise httpx2.LocalProtocolError("a header holds a line break; is there one in the API key?")
    return b"\r\n".join([*lines, b"", body])
