"""Puts our style and first script into the page: Gradio's client adds those of `head=` after its box."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HEAD = b"<head>"


class Early:
    """ASGI middleware: the page begins with `head`, and is compressed, which Gradio does to files alone."""

    def __init__(self, app: ASGIApp, head: str) -> None:
        self._app = app
        self._page = GZipMiddleware(_Headed(app, head))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        page = scope["type"] == "http" and scope["path"] == "/"
        await (self._page if page else self._app)(scope, receive, send)


class _Headed:
    def __init__(self, app: ASGIApp, head: str) -> None:
        self._app = app
        self._head = _HEAD + head.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start: Message | None = None
        parts: list[bytes] = []

        async def headed(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            parts.append(message.get("body", b""))
            if start is None or message.get("more_body"):
                return
            body = b"".join(parts).replace(_HEAD, self._head, 1)
            MutableHeaders(scope=start)["content-length"] = str(len(body))
            await send(start)
            await send({"type": "http.response.body", "body": body})

        await self._app(scope, receive, headed)
