"""Who asks: the login name, or a random id this browser keeps; and the doors Gradio leaves open."""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "answerdeck_browser"
YEAR = 365 * 24 * 3600
_VALUE = re.compile(r"^[A-Za-z0-9_-]{22}$")
_CLOSED = (
    "/gradio_api/upload",
    "/gradio_api/file",
    "/gradio_api/proxy",
    "/gradio_api/stream/",
    "/gradio_api/runs",
)


class Edge:
    """ASGI middleware: gives a browser its id, and closes the file doors this page does not use."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["path"].startswith(_CLOSED):
            await PlainTextResponse("Not found", status_code=404)(scope, receive, send)
            return
        request = Request(scope)
        if scope["path"] != "/" or _VALUE.match(request.cookies.get(COOKIE, "")):
            await self._app(scope, receive, send)
            return

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                cookie = (
                    f"{COOKIE}={secrets.token_urlsafe(16)}; Path=/; Max-Age={YEAR}; HttpOnly; SameSite=Lax"
                )
                secure = "; Secure" if request.url.scheme == "https" else ""
                MutableHeaders(scope=message).append("set-cookie", cookie + secure)
            await send(message)

        await self._app(scope, receive, named)


def user_id(request: Any) -> str:
    """Return the login name, or a name made from the browser's id that does not give the id away."""
    if request.username:
        return request.username
    value = request.cookies.get(COOKIE, "")
    secret = value if _VALUE.match(value) else f"tab {request.session_hash}"
    return "guest-" + hashlib.sha256(secret.encode()).hexdigest()[:12]
