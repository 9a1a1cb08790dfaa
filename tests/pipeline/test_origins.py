"""Other web sites: who may call, what a browser is told, and whose visitors are whose."""

from __future__ import annotations

import hashlib

import httpx2 as httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pipeline.access.people import People
from pipeline.auth import Keys
from pipeline.errors import ConfigurationError
from pipeline.http.middleware import PERSON, Border
from pipeline.http.origins import Origins
from pipeline.settings import load_settings

SHOP = "https://shop.example.com"
KEY = "widget-key"
GUEST = "A" * 22


async def who(request: Request) -> Response:
    person = request.scope[PERSON]
    return JSONResponse({"name": person.name, "role": person.role})


def client(keys: str = "") -> httpx.AsyncClient:
    routes = [
        Route(path, who, methods=["GET", "POST"]) for path in ("/api/chat", "/api/breakers", "/v1/models")
    ]
    app = Starlette(routes=routes)
    app.add_middleware(Border, body_bytes=1000, people=People(None, Keys(keys)), origins=Origins([SHOP]))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://127.0.0.1")


async def test_a_named_site_may_ask_and_read_the_answer() -> None:
    async with client() as web:
        asked = {"Origin": SHOP, "Access-Control-Request-Method": "POST"}
        before = await web.options("/api/chat", headers=asked)
        answer = await web.post("/api/chat", headers={"Origin": SHOP}, json={})
    assert before.status_code == 204
    assert before.headers["access-control-allow-origin"] == SHOP
    assert "X-Answerdeck-Guest" in before.headers["access-control-allow-headers"]
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == SHOP
    assert answer.headers["vary"] == "Origin"
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize(
    ("origin", "path"),
    [
        ("https://evil.example.com", "/api/chat"),
        ("http://shop.example.com", "/api/chat"),
        (f"{SHOP}.evil.example", "/api/chat"),
        ("null", "/api/chat"),
        (SHOP, "/api/breakers"),
    ],
)
async def test_other_sites_and_other_addresses_stay_closed(origin: str, path: str) -> None:
    async with client() as web:
        before = await web.options(path, headers={"Origin": origin, "Access-Control-Request-Method": "POST"})
        answer = await web.post(path, headers={"Origin": origin}, json={})
    assert "access-control-allow-origin" not in before.headers
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "foreign_origin"


async def test_visitors_are_users_apart_from_each_other() -> None:
    async with client() as web:
        names = []
        for guest in (GUEST, "B" * 22, GUEST, "too short"):
            headers = {"Origin": SHOP, "X-Answerdeck-Guest": guest}
            person = (await web.post("/api/chat", headers=headers, json={})).json()
            assert person["role"] == "user"
            names.append(person["name"])
        own = (await web.post("/api/chat", json={})).json()
    assert names[0] == names[2] != names[1]
    assert GUEST not in names[0]
    assert names[3] == "local"
    assert own["role"] == "admin"


async def test_where_keys_are_configured_the_page_needs_one_and_a_cookie_is_none() -> None:
    keys = f"widget:editor:{hashlib.sha256(KEY.encode()).hexdigest()}"
    async with client(keys) as web:
        without = await web.post(
            "/api/chat", headers={"Origin": SHOP, "Cookie": "answerdeck_session=x"}, json={}
        )
        headers = {"Origin": SHOP, "Authorization": f"Bearer {KEY}", "X-Answerdeck-Guest": GUEST}
        person = (await web.post("/api/chat", headers=headers, json={})).json()
    assert without.status_code == 401
    assert without.headers["access-control-allow-origin"] == SHOP  # so that the page can read why
    assert person["role"] == "user"
    assert person["name"].startswith("widget.guest-")


@pytest.mark.parametrize("origin", ["shop.example.com", "https://shop.example.com/", "*", "https://"])
def test_what_is_no_origin_stops_the_start(origin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSWERDECK_SERVER__ORIGINS", f'["{origin}"]')
    with pytest.raises(ConfigurationError, match="is no origin"):
        load_settings()
