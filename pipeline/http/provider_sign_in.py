"""/login/provider and /login/callback: the way to a provider and back, for chat and console alike."""

from __future__ import annotations

import asyncio
import hmac
import logging

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from pipeline.access.people import AccessError, People
from pipeline.auth import Person
from pipeline.http.middleware import COOKIE
from pipeline.http.oidc import ENDED, NOWHERE, ODD, OidcError, Provider
from pipeline.http.proxied import PREFIX
from pipeline.http.sign_in_page import SignInPage
from traces.errors import Unknown

log = logging.getLogger(__name__)
STATE = "answerdeck_sign_in"  # ties the way back to the browser that went
PENDING_SECONDS = 600
WAY, BACK = "/login/provider", "/login/callback"


class ProviderSignIn:
    """Signs people in by a provider; what goes wrong is one calm sentence and a line of the audit log."""

    def __init__(self, provider: Provider, people: People, name: str = "Answerdeck") -> None:
        self._provider = provider
        self._look = SignInPage(name)
        self._people = people

    async def leave(self, request: Request) -> Response:
        """Send the browser to the provider."""
        try:
            address, pending = await self._provider.begin(_back(request))
        except OidcError as error:
            return await self._refused(request, error)
        await asyncio.to_thread(self._people.expect, pending, PENDING_SECONDS)
        response = RedirectResponse(address, 303)
        secure = request.url.scheme == "https"
        response.set_cookie(
            STATE, pending.state, PENDING_SECONDS, httponly=True, samesite="lax", secure=secure
        )
        return response

    async def arrive(self, request: Request) -> Response:
        """Begin a session for whom the provider sends back."""
        try:
            person = await self._person(request)
            where = request.client.host if request.client else ""
            token = await asyncio.to_thread(self._people.welcome, person, where)
        except OidcError as error:
            return await self._refused(request, error)
        except AccessError as error:
            return await self._refused(request, OidcError(str(error), str(error)))
        except Unknown as error:
            return await self._refused(request, OidcError(NOWHERE, str(error)))
        response = RedirectResponse("/", 303)
        secure = request.url.scheme == "https"
        response.set_cookie(COOKIE, token, httponly=True, samesite="lax", secure=secure)
        response.delete_cookie(STATE)
        return response

    async def _person(self, request: Request) -> Person:
        state, sent = request.query_params.get("state", ""), request.cookies.get(STATE, "")
        if not state or not hmac.compare_digest(state.encode(), sent.encode()):
            raise OidcError(ENDED, "the state is not the one this browser was sent with")
        pending = await asyncio.to_thread(self._people.expected, state)
        if pending is None:
            raise OidcError(ENDED, "the sign-in was begun too long ago, or used before")
        if (code := request.query_params.get("code")) is None:
            reason = request.query_params.get("error", "no code")[:60]
            raise OidcError(ODD, f"the provider refused: {reason}")
        return await self._provider.finish(code, pending, _back(request))

    async def _refused(self, request: Request, error: OidcError) -> Response:
        log.warning("a provider's sign-in failed: %s", error.reason)
        where = f" from {request.client.host}" if request.client else ""
        line = f"{error.reason}{where}"
        await asyncio.to_thread(self._people.note, "provider sign-in refused", None, None, line)
        response = HTMLResponse(self._look.of(request, button(request)).drawn(str(error)), 401)
        response.delete_cookie(STATE)
        return response


def button(request: Request) -> str:
    """Return the address that leads to the provider."""
    return _near(WAY[1:], request)


def _near(address: str, request: Request) -> str:
    """Return an address of ours as it is seen from outside."""
    return f"{request.scope.get(PREFIX, '')}/{address}"


def _back(request: Request) -> str:
    return f"{request.url.scheme}://{request.headers.get('host', '')}{_near(BACK[1:], request)}"
