"""A turn as an HTTP response: an event stream with heartbeats, or one JSON object."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from typing import Any, TypeVar

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from pipeline.events import Event, Failed, last_event
from pipeline.http.problem import body, headers, status_of

log = logging.getLogger(__name__)
T = TypeVar("T")

HEARTBEAT_SECONDS = 10.0
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store, no-transform"),
    (b"x-accel-buffering", b"no"),
]
INTERNAL = Failed("internal", "Something went wrong on our side. Please try again.", None)


class EventStream(Response):
    """Streams the events of a turn; when the client leaves, the turn is closed at once.

    `encode` turns an event into a frame (b"" sends nothing). The status is 200, unless the very
    first event says that the turn was not accepted: then the response is that error, and no stream.
    """

    def __init__(
        self, events: AsyncGenerator[Event], encode: Callable[[Event], bytes], last: bytes = b""
    ) -> None:
        self.background = None
        self._events = events
        self._encode = encode
        self._last = last
        self._begun = False
        self._quiet = True  # nothing was sent since the last heartbeat

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        writer = asyncio.create_task(self._write(send))
        others = [asyncio.create_task(_left(receive)), asyncio.create_task(self._beat(send))]
        try:
            await asyncio.wait([writer, others[0]], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (writer, *others):
                task.cancel()
            await asyncio.gather(writer, *others, return_exceptions=True)
        if writer.done() and not writer.cancelled() and (error := writer.exception()) is not None:
            raise error

    async def _write(self, send: Send) -> None:
        try:
            async with aclosing(self._events) as events:
                async for event in events:
                    if isinstance(event, Failed) and not self._begun:
                        await _refuse(event, send)
                        return
                    await self._event(event, send)
        except Exception:  # the boundary of a stream that has begun: it ends with an event
            log.exception("the stream of a turn broke")
            await self._event(INTERNAL, send)
        await send({"type": "http.response.body", "body": self._last, "more_body": False})

    async def _event(self, event: Event, send: Send) -> None:
        if not self._begun:
            status = status_of(event.code) if isinstance(event, Failed) else 200
            await send({"type": "http.response.start", "status": status, "headers": _HEADERS})
            self._begun = True
        if frame := self._encode(event):
            self._quiet = False
            await send({"type": "http.response.body", "body": frame, "more_body": True})

    async def _beat(self, send: Send) -> None:
        while True:
            self._quiet = True
            await asyncio.sleep(HEARTBEAT_SECONDS)
            if self._quiet and self._begun:
                await send({"type": "http.response.body", "body": b": waiting\n\n", "more_body": True})


async def _refuse(event: Failed, send: Send) -> None:
    """Send the error of a turn that was not accepted."""
    status = status_of(event.code)
    more: dict[str, Any] = {} if event.retry_after is None else {"retry_after": event.retry_after}
    content = orjson.dumps(body(event.code, event.message, status, turn_id=event.turn_id, **more))
    extra = {"content-type": "application/json", **headers(event.retry_after)}
    named = [(name.lower().encode(), value.encode()) for name, value in extra.items()]
    await send({"type": "http.response.start", "status": status, "headers": named})
    await send({"type": "http.response.body", "body": content, "more_body": False})


async def attended(work: Coroutine[Any, Any, T], receive: Receive) -> T | None:
    """Return what the work returns; None when the client leaves first, and the work is cancelled."""
    worker, watcher = asyncio.create_task(work), asyncio.create_task(_left(receive))
    try:
        await asyncio.wait([worker, watcher], return_when=asyncio.FIRST_COMPLETED)
        return worker.result() if worker.done() else None
    finally:
        for task in (worker, watcher):
            task.cancel()
        await asyncio.gather(worker, watcher, return_exceptions=True)


async def last(events: AsyncGenerator[Event]) -> Event:
    """Run a turn to its end and return its last event."""
    return await last_event(events) or INTERNAL


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
