"""/login and /logout: a browser session, begun with a key."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from pipeline.auth import Keys
from pipeline.http.middleware import COOKIE, cookie

WRONG_SECONDS = 0.5  # a wrong key waits this long for its answer
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Answerdeck</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body{{font:16px system-ui;max-width:22rem;margin:18vh auto;padding:0 1rem;color-scheme:light dark}}
input,button{{font:inherit;width:100%;box-sizing:border-box;padding:.6rem;margin:.4rem 0}}</style>
<h1>Answerdeck</h1><form method="post"><label>Your key
<input name="key" type="password" autocomplete="current-password" autofocus required></label>
<button>Sign in</button></form><p role="alert">{message}</p></html>"""


def routes(keys: Keys) -> APIRouter:
    """Return the routes of this resource."""
    router = APIRouter()

    @router.get("/login")
    async def page() -> Response:
        return HTMLResponse(_PAGE.format(message=""))

    @router.post("/login")
    async def login(request: Request) -> Response:
        form = await request.form()
        person = keys.person(str(form.get("key", "")).strip())
        if person is None:
            await asyncio.sleep(WRONG_SECONDS)
            return HTMLResponse(_PAGE.format(message="This key is not known."), 401)
        response = RedirectResponse("/", 303)
        secure = request.url.scheme == "https"
        response.set_cookie(COOKIE, keys.begin(person), httponly=True, samesite="lax", secure=secure)
        return response

    @router.post("/logout")
    async def logout(request: Request) -> Response:
        keys.end(cookie(request.headers.get("cookie", "")) or "")
        response = RedirectResponse("/login", 303)
        response.delete_cookie(COOKIE)
        return response

    return router
