"""Opens connections to providers and names the ways they break."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar
from urllib.request import getproxies

from pipeline.errors import ErrorClass, ModelError
from pipeline.models.watch import CallLimits

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SdkWire(Generic[T]):
    """An SDK's client with the connections below it and the headers it sends."""

    sdk: T
    http: httpx2.AsyncClient
    headers: dict[str, str]


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


def pool(limits: CallLimits, idle: int = 100) -> httpx2.AsyncClient:
    """Return a new pool that keeps `kept` idle connections open.

    Redirects are not followed: they would carry the key away.
    """
    import httpx2

    from pipeline.models.wire import Wire

    proxied = bool(getproxies().keys() & {"http", "https", "all"})  # httpx2 knows how to use them
    return httpx2.AsyncClient(
        transport=None if proxied else Wire(limits.connect_seconds, idle),
        timeout=httpx2.Timeout(
            limits.gap_seconds,
            connect=limits.connect_seconds,
            read=max(limits.first_token_seconds, limits.gap_seconds) + 1.0,  # CallWatch is stricter
        ),
        limits=httpx2.Limits(max_connections=500, max_keepalive_connections=idle, keepalive_expiry=30.0),
        follow_redirects=False,
    )


def broken(name: str, error: BaseException) -> ModelError:
    """Return the ModelError for a failed connection, from the network's or an SDK's exception."""
    import httpx2

    chain = _chain(error)
    if any(isinstance(cause, httpx2.ConnectTimeout | httpx2.PoolTimeout) for cause in chain):
        return ModelError("timeout_connect", f"{name}: no connection in time")
    if any(isinstance(cause, httpx2.TimeoutException) for cause in chain):
        return ModelError("timeout_gap", f"{name}: silent for too long")
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
