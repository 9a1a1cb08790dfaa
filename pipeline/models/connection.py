"""Opens connections to providers, with their time limits, and names the ways they break."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from pipeline.errors import ErrorClass, ModelError

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")

DRAIN_SECONDS = 0.1  # how long an answered stream may take to end, so that its connection is kept
LONGEST_STREAM = 32_000_000  # bytes


@dataclass(frozen=True, slots=True)
class Limits:
    """How long one call may take, in seconds."""

    connect_seconds: float = 3.0
    first_token_seconds: float = 10.0
    gap_seconds: float = 15.0


class Watch:
    """The time limits of one call: until the first token, between tokens, and in all."""

    def __init__(self, name: str, limits: Limits, seconds: float) -> None:
        self.name = name
        self.started = False
        self.answered = False
        self._limits = limits
        self._now = asyncio.get_running_loop().time
        self._deadline = self._now() + seconds
        self._due = self._now() + limits.first_token_seconds

    def ended(self) -> None:
        """The answer is complete: only the end of the stream is waited for, and not for long."""
        if not self.answered:
            self.answered = True
            self._due = self._now() + DRAIN_SECONDS

    def progress(self) -> None:
        """The model said something: the next limit is the longest gap."""
        self.started = True
        self._due = self._now() + self._limits.gap_seconds

    def limit(self) -> asyncio.Timeout:
        """Return the timeout for the next wait."""
        return asyncio.timeout_at(min(self._due, self._deadline))

    def late(self) -> ModelError:
        """Return the error for a wait that took too long."""
        if self._deadline < self._due:
            return ModelError("deadline", f"{self.name}: the turn's time was over")
        if self.started:
            return ModelError("timeout_gap", f"{self.name}: silent for {self._limits.gap_seconds:g} s")
        return ModelError(
            "timeout_first_token", f"{self.name}: no first token in {self._limits.first_token_seconds:g} s"
        )


async def read(chunks: AsyncGenerator[bytes], watch: Watch) -> AsyncGenerator[bytes]:
    """Yield what arrives, each wait within the watch's limit; raise ModelError when it is late or endless."""
    total = 0
    async with aclosing(chunks):
        while True:
            try:
                async with watch.limit():
                    received = await anext(chunks)
            except StopAsyncIteration:
                return
            except TimeoutError:
                if watch.answered:
                    return
                raise watch.late() from None
            total += len(received)
            if total > LONGEST_STREAM:
                raise ModelError("protocol", f"{watch.name}: more than {LONGEST_STREAM} bytes in one answer")
            yield received


class PerLoop(Generic[T]):
    """A client built on first use, in a thread (importing an SDK takes seconds), one per event loop."""

    def __init__(self, build: Callable[[], T]) -> None:
        self._build = build
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client: T | None = None

    async def get(self) -> T:
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            built = await asyncio.to_thread(self._build)
            if self._client is None or self._loop is not loop:  # another call may have been faster
                self._client, self._loop = built, loop
        return self._client

    def take(self) -> T | None:
        """Give the client up, so that it can be closed; None when there is none for this loop."""
        mine = self._client if self._loop is asyncio.get_running_loop() else None
        self._client = self._loop = None
        return mine


def network_errors() -> tuple[type[Exception], ...]:
    """Return what a connection may raise past an SDK, mid-stream above all."""
    import httpx2

    return (httpx2.HTTPError, httpx2.StreamError, httpx2.InvalidURL, OSError)


def pool(limits: Limits) -> httpx2.AsyncClient:
    """Return a new connection pool. Redirects are not followed: they would carry the key away."""
    import httpx2

    return httpx2.AsyncClient(
        timeout=httpx2.Timeout(
            limits.gap_seconds,
            connect=limits.connect_seconds,
            read=max(limits.first_token_seconds, limits.gap_seconds) + 1.0,  # the Watch is stricter
        ),
        limits=httpx2.Limits(max_connections=500, max_keepalive_connections=100, keepalive_expiry=30.0),
        follow_redirects=False,
    )


def broken(name: str, error: BaseException, watch: Watch) -> ModelError:
    """Return the ModelError for a failed connection, from the network's or an SDK's exception."""
    import httpx2

    chain = _chain(error)
    if any(isinstance(cause, httpx2.ConnectTimeout | httpx2.PoolTimeout) for cause in chain):
        return ModelError("timeout_connect", f"{name}: no connection in time")
    if any(isinstance(cause, httpx2.TimeoutException) for cause in chain):
        return watch.late()
    error_class = _unconnected(chain)
    if error_class is not None:
        return ModelError(error_class, f"{name}: {error_class}, {type(chain[-1]).__name__}")
    if any(isinstance(cause, httpx2.NetworkError | httpx2.RemoteProtocolError) for cause in chain):
        return ModelError("cut", f"{name}: the connection broke, {type(chain[-1]).__name__}")
    return ModelError("protocol", f"{name}: cannot be read, {type(chain[-1]).__name__}")


def _unconnected(chain: list[BaseException]) -> ErrorClass | None:
    import httpx2

    if any(isinstance(cause, socket.gaierror) for cause in chain):
        return "dns"
    if any(isinstance(cause, ssl.SSLError) for cause in chain):
        return "tls"
    if any(isinstance(cause, httpx2.ConnectError | ConnectionRefusedError) for cause in chain):
        return "connect"
    return None


def _chain(error: BaseException) -> list[BaseException]:
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and cause not in chain:
        chain.append(cause)
    return chain
