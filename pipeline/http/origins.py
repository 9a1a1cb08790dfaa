"""Other web sites whose pages may ask: an allow-list of origins, what browsers need to hear, who visits."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from starlette.responses import Response

from pipeline.auth import Person

GUEST = b"x-answerdeck-guest"
ASKABLE = ("/api/chat", "/api/feedback", "/v1/")  # the only addresses other sites may reach
_GUEST = re.compile(rb"[A-Za-z0-9_-]{22}")
_PREFLIGHT_SECONDS = 600


class Origins:
    """The web sites of `server.origins`, as browsers name them: scheme://host or scheme://host:port."""

    def __init__(self, allowed: Sequence[str]) -> None:
        self._allowed = frozenset(origin.lower() for origin in allowed)

    def admits(self, origin: bytes | None, path: str) -> bool:
        """Tell whether a page of this origin may call this address."""
        name = (origin or b"").decode("latin-1").lower()
        return name in self._allowed and path.startswith(ASKABLE)

    def preflight(self, origin: bytes) -> Response:
        """Return the answer to the question a browser asks before it sends a request across sites."""
        return Response(
            status_code=204,
            headers={
                **{name.decode(): value.decode("latin-1") for name, value in grants(origin)},
                "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
                "Access-Control-Allow-Headers": "Authorization, Content-Type, X-Answerdeck-Guest",
                "Access-Control-Max-Age": str(_PREFLIGHT_SECONDS),
            },
        )


def grants(origin: bytes) -> list[tuple[bytes, bytes]]:
    """Return the headers that let a page of this origin read a response; cookies are never shared."""
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-expose-headers", b"Retry-After, X-Request-Id"),
        (b"vary", b"Origin"),
    ]


def visitor(person: Person | None, guest: bytes | None) -> Person | None:
    """Return who visits from another site: never more than a user, apart from its other visitors.

    `guest` is an id the visitor's browser made up; it keeps conversations apart and gives no rights.
    """
    if person is None:
        return None
    if guest is None or not _GUEST.fullmatch(guest):
        return Person(person.name, "user", person.workspace)
    return Person(f"{person.name}.guest-{hashlib.sha256(guest).hexdigest()[:12]}", "user", person.workspace)
