"""/login and /logout: a browser session, begun with a name and password or with a key."""

from __future__ import annotations

import asyncio
import math

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from pipeline.access.people import AccessError, People, Throttled
from pipeline.http.middleware import COOKIE, cookie
from pipeline.http.provider_sign_in import BACK, WAY, ProviderSignIn, button
from pipeline.http.sign_in_page import SignInPage

PLAIN = SignInPage()
WRONG_SECONDS = 0.5  # a wrong try waits this long for its answer


def routes(people: People, elsewhere: ProviderSignIn | None = None, look: SignInPage = PLAIN) -> APIRouter:
    """Return the routes of this resource; `elsewhere` signs in by a provider."""
    router = APIRouter()

    @router.get("/login")
    async def show(request: Request) -> Response:
        closed = await people.ask(lambda: people.closed)
        return (
            HTMLResponse(look.of(request, way(request, elsewhere)).drawn())
            if closed
            else RedirectResponse("/", 303)
        )

    @router.post("/login")
    async def login(request: Request) -> Response:
        return await sign_in(request, people, elsewhere, look)

    if elsewhere is not None:
        router.add_api_route(WAY, elsewhere.leave, methods=["GET"])
        router.add_api_route(BACK, elsewhere.arrive, methods=["GET"])

    @router.post("/logout")
    async def logout(request: Request) -> Response:
        return await people.ask(sign_out, request, people)

    return router


def way(request: Request, elsewhere: ProviderSignIn | None) -> str:
    """Return the address that leads to the provider; empty without one."""
    return "" if elsewhere is None else button(request)


async def sign_in(
    request: Request, people: People, elsewhere: ProviderSignIn | None = None, look: SignInPage = PLAIN
) -> Response:
    """Begin a session and go to the page, or say in the form what is wrong."""
    shown = look.of(request, way(request, elsewhere))
    form = await request.form(max_files=0, max_fields=10)
    name, secret = str(form.get("name", "")), str(form.get("secret") or form.get("key", ""))
    address = request.client.host if request.client else ""
    try:
        token = await asyncio.to_thread(people.sign_in, name, secret.strip() if not name else secret, address)
    except Throttled as held:
        wait = {"Retry-After": str(math.ceil(held.seconds))}
        return HTMLResponse(shown.drawn(str(held)), 429, wait)
    except AccessError as wrong:
        await asyncio.sleep(WRONG_SECONDS)
        return HTMLResponse(shown.drawn(str(wrong)), 401)
    response = RedirectResponse("/", 303)
    secure = request.url.scheme == "https"
    response.set_cookie(COOKIE, token, httponly=True, samesite="lax", secure=secure)
    return response


def sign_out(request: Request, people: People) -> Response:
    """End the session of this browser."""
    people.end(cookie(request.headers.get("cookie", "")) or "")
    response = RedirectResponse("/login", 303)
    response.delete_cookie(COOKIE)
    return response
