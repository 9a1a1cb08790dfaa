"""Behind a reverse proxy: the path everything lies under, and the real address of who asks."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PREFIX = "answerdeck.prefix"  # where the scope says under which path the world sees us
_FORWARDED = re.compile(rb"x-forwarded-.*|forwarded|x-real-ip")
_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
_COOKIE_PATH = re.compile(rb"(;\s*path=)/(?=;|\s*$)", re.IGNORECASE)
_PAGES = ("", "/", "/login")
Address = IPv4Address | IPv6Address


class Proxied:
    """ASGI middleware around everything: what is inside sees no prefix, and no header of a stranger.

    A path may arrive with the prefix or without (both kinds of proxies exist). Redirects and cookies
    that go out lie under it. The client's address and scheme are taken from forwarding headers of
    trusted proxies alone; from others these headers are taken away. The host is what `Host` says: a
    page of another site that leads here by its name can write any other header.
    """

    def __init__(self, app: ASGIApp, *, prefix: str = "", trusted: Sequence[str] = ()) -> None:
        self._app = app
        self._prefix = prefix
        self._trusted = [ip_network(name, strict=False) for name in trusted]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        missing = self._missing(scope)
        if missing is not None:
            await HTMLResponse(missing, 404)(scope, receive, send)
            return
        scope = self._inside(self._named(scope))

        async def outside(message: Message) -> None:
            if self._prefix and message["type"] == "http.response.start":
                headers = [self._outward(name, value) for name, value in message.get("headers", ())]
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, outside)

    def _missing(self, scope: Scope) -> str | None:
        """Say which setting is missing when a proxy puts us under a path we were not told of."""
        place = _header(scope, b"x-forwarded-prefix").rstrip("/")
        page = scope["type"] == "http" and scope["path"] in _PAGES and scope["method"] == "GET"
        if not page or place == self._prefix or not _PATH.fullmatch(place):
            return None
        setting = f"ANSWERDECK_SERVER__PREFIX={html.escape(place)}"
        return (
            "<!doctype html><meta charset=utf-8><title>One setting is missing</title>"
            f"<p>A proxy serves this chat under <code>{html.escape(place)}</code>, and it was not told so."
            f" Set <code>{setting}</code> and start it again.</p>"
        )

    def _named(self, scope: Scope) -> Scope:
        """Return the scope with the address and scheme of the client, as far as they are known."""
        client = scope.get("client")
        if client is None or not self._trusts(client[0]):
            own = [(name, value) for name, value in scope["headers"] if not _FORWARDED.fullmatch(name)]
            return {**scope, "headers": own}
        changed = dict(scope)
        if (address := self._address(scope)) is not None:
            changed["client"] = (address, 0)
        scheme = _header(scope, b"x-forwarded-proto").partition(",")[0].strip().lower()
        if scheme in ("http", "https"):
            web = {"http": "ws", "https": "wss"}
            changed["scheme"] = web[scheme] if scope["type"] == "websocket" else scheme
        return changed

    def _address(self, scope: Scope) -> str | None:
        """Return the last address on the way that is no proxy of ours; a client can write the others."""
        values = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        names = [name.strip() for value in values for name in value.decode("latin-1").split(",")]
        for name in reversed(names):
            if _read(name) is None:
                return None
            if not self._trusts(name):
                return name
        return names[0] if names else None

    def _trusts(self, name: str) -> bool:
        address = _read(name)
        return address is not None and any(_within(address, network) for network in self._trusted)

    def _inside(self, scope: Scope) -> Scope:
        path: str = scope["path"]
        if self._prefix and (path == self._prefix or path.startswith(f"{self._prefix}/")):
            path = path[len(self._prefix) :] or "/"
            raw = path.encode() if "raw_path" not in scope else scope["raw_path"][len(self._prefix) :] or b"/"
            scope = {**scope, "path": path, "raw_path": raw}
        return {**scope, PREFIX: self._prefix}

    def _outward(self, name: bytes, value: bytes) -> tuple[bytes, bytes]:
        prefix = self._prefix.encode()
        if name.lower() == b"location" and value.startswith(b"/") and not value.startswith(b"//"):
            return name, prefix + value
        if name.lower() == b"set-cookie":
            return name, _COOKIE_PATH.sub(rb"\1" + prefix + b"/", value)
        return name, value


def _within(address: Address, network: IPv4Network | IPv6Network) -> bool:
    return address.version == network.version and address in network


def _read(name: str) -> Address | None:
    try:
        address = ip_address(name.strip("[]"))
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _header(scope: Scope, name: bytes) -> str:
    return next((value for key, value in scope["headers"] if key == name), b"").decode("latin-1")


class Under:
    """ASGI middleware for an application that wants the prefix in its paths, as the proxy had it."""

    def __init__(self, app: ASGIApp, *, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._prefix and scope["type"] in ("http", "websocket"):
            path = self._prefix + scope["path"]
            raw = self._prefix.encode() + scope.get("raw_path", scope["path"].encode())
            scope = {**scope, "path": path, "raw_path": raw}
        await self._app(scope, receive, send)
