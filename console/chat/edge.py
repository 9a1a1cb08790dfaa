"""Who looks at the page: who signed in, or a random id the browser keeps; and doors Gradio leaves open."""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.auth import DEFAULT, LOCAL, Person
from pipeline.http.middleware import PERSON
from pipeline.http.problem import problem
from pipeline.http.wrong_path import astray, sentence

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
        if astray(scope["path"]):
            await problem(404, "not_found", sentence(scope["path"]))(scope, receive, send)
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


def person(request: Any) -> Person | None:
    """Return who signed in, or None when nobody has to."""
    name: Person | None = request.request.scope.get(PERSON)
    return None if name is None or name is LOCAL else name


def name(request: Request) -> str:
    """Return the name under which a browser's conversations are kept, for addresses beside the page."""
    who: Person | None = request.scope.get(PERSON)
    if who is not None and who is not LOCAL:
        return who.name
    return _guest(request.cookies.get(COOKIE, ""), "nobody")


def workspace(request: Request) -> str:
    """Return whose workspace the page is looked at from, for addresses beside the page."""
    who: Person | None = request.scope.get(PERSON)
    return DEFAULT if who is None else who.workspace


def guest(request: Any) -> str:
    """Return a name made from the browser's id, which does not give the id away."""
    return _guest(request.cookies.get(COOKIE, ""), f"tab {tab(request)}")


def tab(request: Any) -> str:
    """Return the id of a browser's tab; what stands after a hyphen counts the connections it lost."""
    return (request.session_hash or "").partition("-")[0]


def _guest(value: str, otherwise: str) -> str:
    secret = value if _VALUE.match(value) else otherwise
    return "guest-" + hashlib.sha256(secret.encode()).hexdigest()[:12]
