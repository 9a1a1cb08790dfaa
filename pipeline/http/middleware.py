"""The border in front of every page and route: sizes, JSON, origins, hosts, headers, last words."""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from collections.abc import Iterable
from contextlib import suppress
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

import orjson
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.access.people import People, Unreachable
from pipeline.auth import LOCAL, Person
from pipeline.http.origins import GUEST, Origins, grants, visitor
from pipeline.http.problem import problem

log = logging.getLogger(__name__)

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
PERSON = "answerdeck.person"  # where the scope says who asks
COOKIE = "answerdeck_session"
_SIGNING_IN = {"/login", "/login/provider", "/login/callback"}
_OPEN = frozenset({"/healthz", "/readyz", "/widget.js", *_SIGNING_IN})  # answered without a key
_UNKNOWN = "Who you are cannot be looked up right now. Please try again in a moment."
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_DEEPEST = 64
_DISCARDED_BYTES = 64_000_000
_BODY_SECONDS = 30.0
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_BRACKETS = re.compile(rb'[\[{]|[\]}]|"(?:[^"\\]|\\.)*+"', re.DOTALL)
_HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"SAMEORIGIN",
    b"referrer-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
    b"content-security-policy": (
        b"default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval';"
        b" style-src 'self' 'unsafe-inline';"
        b" img-src 'self' data: blob:; font-src 'self' data:; media-src 'self' data: blob:;"
        b" connect-src 'self'; worker-src 'self' blob:; object-src 'none'; base-uri 'self';"
        b" form-action 'self'; frame-ancestors 'self'"
    ),
}
_PACKED = "/v1/traces"  # where bodies may be compressed
_FILES = ("/api/documents", "/documents")  # where a body is a file, whatever its type says
_PRIVATE = ("/api/", "/v1/", "/metrics", "/documents")


class TooLarge(Exception):
    """A body went over the cap while it was read; `more` of it is to come."""

    def __init__(self, *, more: bool) -> None:
        super().__init__()
        self.more = more


class Border:
    """ASGI middleware. Streams pass through; only JSON bodies are read whole, up to the cap."""

    def __init__(
        self, app: ASGIApp, *, body_bytes: int, people: People, origins: Origins, file_bytes: int = 0
    ) -> None:
        self._app = app
        self._cap = body_bytes
        self._file_cap = max(file_bytes, body_bytes)
        self._people = people
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        origin = headers.get(b"origin")
        across = scope["type"] == "http" and self._origins.admits(origin, scope["path"])
        if across and scope["method"] == "OPTIONS":
            await self._origins.preflight(origin or b"")(scope, receive, send)
            return
        if across:  # a cookie of ours that came along is not the page's to use
            headers.pop(b"cookie", None)
        try:
            person, unknown = await self._who(headers), None
        except Unreachable as error:
            log.error("%s", error)
            person, unknown = None, problem(503, "sign_in_unavailable", _UNKNOWN, retry_after=5.0)
        scope[PERSON] = visitor(person, headers.get(GUEST)) if across else person
        refusal = self._refuse(scope, headers, across=across, closed=person is not LOCAL)
        if refusal is not None and unknown is not None:
            refusal = unknown
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send, refusal)
            return
        answer = _Answer(scope, send, grants(origin or b"") if across else ())
        await self._respond(scope, headers, receive, answer, refusal)

    async def _respond(
        self,
        scope: Scope,
        headers: dict[bytes, bytes],
        receive: Receive,
        answer: _Answer,
        refusal: Response | None,
    ) -> None:
        """Answer a request, by the application or with what stands in its way."""
        body = receive
        try:
            if refusal is None:
                refusal, body = await self._read(scope, headers, receive)
            elif scope["method"] not in _SAFE:
                await _discard(receive)
            await (refusal or self._app)(scope, body, answer)
        except TooLarge as too_large:
            if too_large.more:
                await _discard(receive)
            await answer.instead(_too_large(self._most(scope)), scope, body)
        except Exception:  # the boundary of a request: one calm sentence, and the log
            log.exception("request %s to %s failed", answer.request_id, scope["path"])
            if answer.begun:
                raise  # the server cuts the connection, so that nobody takes a part for the whole
            await answer.instead(_sorry(answer.request_id), scope, receive)

    async def _socket(self, scope: Scope, receive: Receive, send: Send, refusal: Response | None) -> None:
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1008})

    async def _who(self, headers: dict[bytes, bytes]) -> Person | None:
        """Return who asks; a database is waited for only where it alone can say."""
        key, token = _bearer(headers), cookie(headers.get(b"cookie", b"").decode("latin-1"))
        if key is not None and (person := self._people.configured(key)) is not None:
            return person
        if key is None and not token and self._people.surely_closed:
            return None
        return await self._people.ask(self._person, key, token)

    def _person(self, key: str | None, token: str | None) -> Person | None:
        if not self._people.closed:
            return LOCAL
        if key is not None:
            return self._people.person(key)
        return self._people.session(token) if token else None

    def _refuse(
        self, scope: Scope, headers: dict[bytes, bytes], *, across: bool, closed: bool
    ) -> Response | None:
        host = headers.get(b"host", b"").decode("latin-1")
        if not closed and _name(host) not in LOOPBACK:
            return problem(403, "foreign_host", f"This server does not answer for the host {host[:100]!r}.")
        method = scope.get("method", "GET")
        origin = headers.get(b"origin")
        if origin is not None and not across and (method not in _SAFE or scope["type"] == "websocket"):
            source = urlsplit(origin.decode("latin-1")).netloc
            if not source or (source.lower() != host.lower() and _name(source) not in LOOPBACK):
                return problem(403, "foreign_origin", "Requests from other web sites are not accepted.")
        path = scope["path"]
        if "/gradio_api/upload" in path:
            return problem(404, "not_found", "There is nothing here.")
        if scope[PERSON] is None and path not in _OPEN:
            return _who_are_you(method, headers)
        length = headers.get(b"content-length", b"0")
        if not length.isdigit():
            return problem(400, "bad_length", "The Content-Length header is not a number.")
        most = self._most(scope)
        return _too_large(most) if int(length[:20]) > most else None

    def _most(self, scope: Scope) -> int:
        """Return how many bytes the body may have."""
        return self._file_cap if scope["path"] in _FILES else self._cap

    async def _read(
        self, scope: Scope, headers: dict[bytes, bytes], receive: Receive
    ) -> tuple[Response | None, Receive]:
        """Check a JSON body and hand it on; other bodies are only counted."""
        if scope["method"] in _SAFE:
            return None, receive
        kind = headers.get(b"content-type", b"").split(b";")[0].strip().lower()
        if scope["path"] in _FILES:
            return None, self._counted(receive, self._file_cap)
        packed = headers.get(b"content-encoding", b"identity") != b"identity"
        if packed and scope["path"] == _PACKED:  # its own reader unpacks it, and names what is wrong
            return None, self._counted(receive, self._cap)
        if kind not in (b"", b"application/json", b"text/json") and not kind.endswith(b"+json"):
            return None, self._counted(receive, self._cap)
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                data = await self._whole(receive)
        except TimeoutError:
            return problem(408, "slow_body", "The request took too long to arrive."), receive
        if data is None:
            return Response(status_code=400), receive
        sentence = fault(data) if data and (kind or data.lstrip()[:1] in (b"{", b"[")) else None
        if sentence is not None:
            return problem(400, "bad_json", sentence), receive
        return None, _replay(data, receive)

    async def _whole(self, receive: Receive) -> bytes | None:
        """Return the body, or None when the client left."""
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return None
            size += len(message.get("body", b""))
            if size > self._cap:
                raise TooLarge(more=message.get("more_body", False))
            parts.append(message.get("body", b""))
            if not message.get("more_body"):
                return b"".join(parts)

    def _counted(self, receive: Receive, most: int) -> Receive:
        size = 0

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > most:
                raise TooLarge(more=message.get("more_body", False))
            return message

        return counted


def _too_large(most: int) -> Response:
    return problem(413, "too_large", f"The request is larger than the {most} bytes allowed.")


async def _discard(receive: Receive) -> None:
    """Read the rest of a refused body away, within bounds; who still sends would miss the response."""
    taken, more = 0, True
    with suppress(TimeoutError):
        async with asyncio.timeout(_BODY_SECONDS):
            while more and taken < _DISCARDED_BYTES:
                message = await receive()
                taken += len(message.get("body", b""))
                more = message["type"] == "http.request" and message.get("more_body", False)


class _Answer:
    """Sends a response on, with our headers, and knows whether it has begun."""

    def __init__(self, scope: Scope, send: Send, more: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self._more = list(more)
        self.request_id = uuid.uuid4().hex
        self.begun = False
        self._send = send
        self._private = scope["path"].startswith(_PRIVATE)

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            sent = list(message.get("headers", ()))
            present = {name.lower() for name, _ in sent}
            added = [(name, value) for name, value in _HEADERS.items() if name not in present]
            added += [(b"x-request-id", self.request_id.encode()), *self._more]
            if self._private and b"cache-control" not in present:
                added.append((b"cache-control", b"no-store"))
            message = {**message, "headers": [*sent, *added]}
        await self._send(message)

    async def instead(self, response: Response, scope: Scope, receive: Receive) -> None:
        """Send another response, when none has begun."""
        if not self.begun:
            await response(scope, receive, self)


def fault(data: bytes) -> str | None:
    """Return what is wrong with a JSON body, as one sentence; None when nothing is."""
    if _NUL.search(data):
        return "The JSON contains a NUL character."
    if data.count(b"[") + data.count(b"{") > _DEEPEST and _depth(data) > _DEEPEST:
        return f"The JSON is nested more than {_DEEPEST} levels deep."
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError as error:
        return f"The body is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}."
    return None


def cookie(header: str) -> str | None:
    """Return the session token of a Cookie header."""
    try:
        morsel = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return None
    return morsel.value if morsel else None


def _depth(data: bytes) -> int:
    depth = deepest = 0
    for token in _BRACKETS.finditer(data):
        mark = token[0][:1]
        if mark in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif mark in b"]}":
            depth -= 1
    return deepest


def _replay(data: bytes, receive: Receive) -> Receive:
    """Return a receive that gives the body once, then whatever the client does next."""
    pending = True

    async def replay() -> Message:
        nonlocal pending
        if pending:
            pending = False
            return {"type": "http.request", "body": data, "more_body": False}
        return await receive()

    return replay


def _name(netloc: str) -> str:
    """Return the host name without its port."""
    try:
        return (urlsplit(f"//{netloc}").hostname or "").lower()
    except ValueError:
        return ""


def _bearer(headers: dict[bytes, bytes]) -> str | None:
    """Return the key that a request names."""
    scheme, _, key = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else None


def _who_are_you(method: str, headers: dict[bytes, bytes]) -> Response:
    if method == "GET" and b"text/html" in headers.get(b"accept", b""):
        return RedirectResponse("/login", 303)
    response = problem(401, "unauthorized", "Please send your key as `Authorization: Bearer <key>`.")
    response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _sorry(request_id: str) -> Response:
    message = "Something went wrong on our side. Please try again; if it stays, name the request_id."
    return problem(500, "internal", message, request_id=request_id)
