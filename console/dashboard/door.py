"""The door of the console: people sign in here with the names, passwords and keys of the chat."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from console.launch import HEALTH
from pipeline.access.people import People
from pipeline.auth import LOCAL, Person
from pipeline.http.middleware import cookie
from pipeline.http.provider_sign_in import BACK, WAY, ProviderSignIn
from pipeline.http.routes.sign_in import sign_in, sign_out, way
from pipeline.http.sign_in_page import SignInPage

_OWN = ("/login", "/logout", WAY, BACK)
LEAST = "viewer"  # who may look at the console at all
FOREIGN = "Only viewers, editors, approvers and admins may open the console; ask an admin for the role."


class Door:
    """ASGI middleware before every page, file and socket of the console."""

    def __init__(self, app: ASGIApp, *, people: People, elsewhere: ProviderSignIn | None = None) -> None:
        self._app = app
        self._people = people
        self._elsewhere = elsewhere  # signs in by a provider

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        person = visitor(self._people, _header(scope, b"cookie"))
        if scope["type"] == "http" and scope["path"] in _OWN:
            response = await self._own(Request(scope, receive), person)
            await response(scope, receive, send)
        elif scope["path"] == HEALTH or (person is not None and person.may(LEAST)):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            await _refusal(scope, person)(scope, receive, send)

    async def _own(self, request: Request, person: Person | None) -> Response:
        """Answer the addresses that sign in and out."""
        if not self._people.closed:
            return RedirectResponse("/", 303)
        if request.method == "POST" and not _ours(request):
            return PlainTextResponse("Requests from other web sites are not accepted.", 403)
        if request.url.path == "/logout":
            return sign_out(request, self._people)
        if self._elsewhere is not None and request.url.path == WAY:
            return await self._elsewhere.leave(request)
        if self._elsewhere is not None and request.url.path == BACK:
            return await self._elsewhere.arrive(request)
        if request.method == "POST":
            return await sign_in(request, self._people, self._elsewhere)
        wrong = FOREIGN if person is not None and not person.may(LEAST) else ""
        return HTMLResponse(SignInPage().of(request, way(request, self._elsewhere)).drawn(wrong))


def visitor(people: People, cookies: str) -> Person | None:
    """Return who looks at the console; everybody is the local admin while nobody has to sign in."""
    if not people.closed:
        return LOCAL
    token = cookie(cookies)
    return people.session(token) if token else None


def _refusal(scope: Scope, person: Person | None) -> Response:
    if person is not None:
        return HTMLResponse(SignInPage().drawn(FOREIGN), 403)
    if scope["method"] == "GET" and "text/html" in _header(scope, b"accept"):
        return RedirectResponse("/login", 303)
    return PlainTextResponse("Please sign in at /login.", 401)


def _ours(request: Request) -> bool:
    """Tell whether a form was sent by a page of this server, as browsers say."""
    origin = request.headers.get("origin")
    return origin is None or origin.partition("://")[2] == request.headers.get("host", "")


def _header(scope: Scope, name: bytes) -> str:
    return next((value for key, value in scope["headers"] if key == name), b"").decode("latin-1")
