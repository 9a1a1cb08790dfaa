"""Behind a reverse proxy: paths, redirects and cookies lie under its prefix; strangers name no address."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2 as httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pipeline.errors import ConfigurationError
from pipeline.http.api import create_app
from pipeline.http.proxied import Proxied, Under
from pipeline.models.scripted import Scripted
from pipeline.settings import load_settings
from tests.pipeline.served import served
from tests.pipeline.turns import make_pipeline

KEY = "the-key-of-ada"


async def echo(request: Request) -> Response:
    seen = {"path": request.url.path, "client": request.client and request.client.host}
    return JSONResponse({**seen, "scheme": request.url.scheme, "host": request.headers["host"]})


async def ask(client: str, headers: dict[str, str], trusted: tuple[str, ...], path: str = "/x") -> Any:
    app = Proxied(Starlette(routes=[Route("/{path:path}", echo)]), prefix="/help", trusted=trusted)
    transport = httpx.ASGITransport(app=app, client=(client, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://docs.test") as http:
        return (await http.get(path, headers=headers)).json()


@pytest.mark.parametrize(
    ("client", "forwarded", "expected"),
    [
        ("10.0.0.7", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.7", "1.2.3.4, 203.0.113.9", "203.0.113.9"),  # what the client wrote itself does not count
        ("10.0.0.7", "203.0.113.9, 10.0.0.8", "203.0.113.9"),
        ("10.0.0.7", "2001:db8::1", "2001:db8::1"),
        ("10.0.0.7", "nonsense", "10.0.0.7"),
        ("10.0.0.7", "", "10.0.0.7"),
        ("198.51.100.1", "203.0.113.9", "198.51.100.1"),
    ],
)
async def test_the_address_is_the_last_one_that_is_no_proxy(
    client: str, forwarded: str, expected: str
) -> None:
    headers = {"x-forwarded-for": forwarded, "x-forwarded-proto": "https"}
    seen = await ask(client, headers, ("10.0.0.0/8",))
    assert seen["client"] == expected
    assert seen["scheme"] == ("http" if client == expected == "198.51.100.1" else "https")


async def test_nobody_names_another_host() -> None:
    seen = await ask("10.0.0.7", {"x-forwarded-host": "localhost"}, ("10.0.0.0/8",))
    assert seen["host"] == "docs.test"


@pytest.mark.parametrize(
    ("path", "inside"), [("/help/a", "/a"), ("/help", "/"), ("/a", "/a"), ("/helpful", "/helpful")]
)
async def test_the_prefix_may_be_there_or_taken_off(path: str, inside: str) -> None:
    assert (await ask("1.1.1.1", {}, (), path))["path"] == inside


async def test_an_application_that_wants_its_prefix_gets_it() -> None:
    app = Proxied(Under(Starlette(routes=[Route("/{path:path}", echo)]), prefix="/con"), prefix="/con")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://x") as http:
        assert (await http.get("/con/a")).json()["path"] == "/con/a"
        assert (await http.get("/a")).json()["path"] == "/con/a"


@asynccontextmanager
async def door(prefix: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    entry = f"ada:user:{hashlib.sha256(KEY.encode()).hexdigest()}"
    monkeypatch.setenv("ANSWERDECK_AUTH__KEYS", entry)
    settings = load_settings(server={"prefix": prefix})
    app = create_app(await make_pipeline(Scripted("It is so [1].")), settings)
    async with served(app) as address, httpx.AsyncClient(base_url=address, timeout=20) as client:
        yield client


async def test_sign_in_sign_out_and_api_lie_under_the_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    page = {"accept": "text/html", "x-forwarded-prefix": "/help"}
    async with door("/help", monkeypatch) as http:
        sent = await http.get("/help/", headers=page)
        inside = await http.post("/help/login", data={"key": KEY})
        cookie = inside.headers["set-cookie"]
        out = await http.post("/help/logout", headers={"cookie": cookie.partition(";")[0]})
        answer = await http.post(
            "/help/api/chat",
            json={"question": "How do I turn on bounce keys?"},
            headers={"accept": "application/json", "authorization": f"Bearer {KEY}"},
        )
    assert (sent.status_code, sent.headers["location"]) == (303, "/help/login")
    assert (inside.status_code, inside.headers["location"]) == (303, "/help/")
    assert "Path=/help/" in cookie
    assert (out.status_code, out.headers["location"]) == (303, "/help/login")
    assert "Path=/help/" in out.headers["set-cookie"]
    assert answer.json()["outcome"] == "answered"


async def test_a_prefix_nobody_set_is_named_with_its_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    async with door("", monkeypatch) as http:
        lost = await http.get("/login", headers={"x-forwarded-prefix": "/help/"})
        odd = await http.get("/login", headers={"x-forwarded-prefix": "<script>"})
        api = await http.get("/healthz", headers={"x-forwarded-prefix": "/help"})
    assert lost.status_code == 404
    assert "ANSWERDECK_SERVER__PREFIX=/help<" in lost.text
    assert (odd.status_code, api.status_code) == (200, 200)


@pytest.mark.parametrize(
    "server",
    [{"prefix": "help"}, {"prefix": "/help/"}, {"console_prefix": "/a b"}, {"trusted_proxies": ["x"]}],
)
def test_wrong_settings_are_named(server: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        load_settings(server=server)
    assert f"server.{next(iter(server))}" in str(wrong.value)
