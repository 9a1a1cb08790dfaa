"""Every route of the server, asked as everybody: who gets in is what the table says."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2 as httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import Mount

from console.chat import widget
from pipeline.auth import ROLES, Role
from pipeline.http.api import create_app
from pipeline.models.scripted import Scripted
from pipeline.settings import load
from tests.pipeline.served import served
from tests.pipeline.turns import make_pipeline

# The least role that gets in; None: everybody, without a key too. A new route needs its line.
ALLOWED: dict[tuple[str, str], Role | None] = {
    ("GET", "/healthz"): None,
    ("GET", "/readyz"): None,
    ("GET", "/login"): None,
    ("POST", "/login"): None,
    ("POST", "/logout"): "user",
    ("GET", "/widget.js"): None,
    ("GET", "/widget"): "user",
    ("POST", "/api/chat"): "user",
    ("POST", "/api/feedback"): "user",
    ("GET", "/api/conversations"): "user",
    ("GET", "/api/conversations/{conversation_id}"): "user",
    ("DELETE", "/api/conversations/{conversation_id}"): "user",
    ("PATCH", "/api/conversations/{conversation_id}"): "user",
    ("GET", "/api/conversations/{conversation_id}/export"): "user",
    ("POST", "/api/conversations/{conversation_id}/share"): "user",
    ("DELETE", "/api/conversations/{conversation_id}/share"): "user",
    ("GET", "/api/memory"): "user",
    ("DELETE", "/api/memory"): "user",
    ("DELETE", "/api/memory/{fact_id}"): "user",
    ("POST", "/v1/chat/completions"): "user",
    ("POST", "/v1/traces"): "editor",
    ("GET", "/v1/models"): "user",
    ("GET", "/v1/models/{name}"): "user",
    ("GET", "/api/turns/{turn_id}"): "editor",
    ("GET", "/metrics"): "viewer",
    ("GET", "/api/breakers"): "viewer",
    ("POST", "/api/breakers/{name:path}"): "approver",
}
WRONG_KEY = "not-a-key"


def key(role: str) -> str:
    return f"the-key-of-{role}"


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Configure one person for each role."""
    people = (f"{role}:{role}:{hashlib.sha256(key(role).encode()).hexdigest()}" for role in ROLES)
    monkeypatch.setenv("ANSWERDECK_AUTH__KEYS", ",".join(people))


@asynccontextmanager
async def door() -> AsyncIterator[tuple[httpx.AsyncClient, FastAPI]]:
    app = create_app(await make_pipeline(Scripted("It is so [1].")), load())
    widget.serve(app)
    async with served(app) as address, httpx.AsyncClient(base_url=address, timeout=60) as client:
        yield client, app


def routes(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Yield the method and the path of every route."""
    for route in iter_route_contexts(app.routes):
        for method in sorted(route.methods or ()):
            yield method, str(route.path)


async def status(http: httpx.AsyncClient, method: str, path: str, bearer: str | None) -> int:
    headers = {"authorization": f"Bearer {bearer}"} if bearer else {}
    place = path.replace("{name:path}", "x").replace("{", "").replace("}", "")
    if method == "POST":
        return (await http.post(place, json={}, headers=headers)).status_code
    return (await http.request(method, place, headers=headers)).status_code


def expected(least: Role | None, role: str | None) -> int | None:
    """Return the refusal that is due, or None when the route must let in."""
    if least is None:
        return None
    if role is None:
        return 401
    return None if ROLES.index(role) >= ROLES.index(least) else 403  # type: ignore[arg-type]  # a role


@pytest.mark.usefixtures("keys")
async def test_every_route_lets_in_whom_the_table_names() -> None:
    async with door() as (http, app):
        listed = set(routes(app))
        assert listed == set(ALLOWED), "a route came or went: tell here who may use it"
        for (method, path), least in ALLOWED.items():
            for role in (None, *ROLES):
                if (method, path) == ("POST", "/login"):
                    continue  # a wrong key is refused by the page itself, see test_auth
                bearer = key(role) if role else None
                got = await status(http, method, path, bearer)
                due = expected(least, role)
                assert (got in (401, 403)) == (due is not None), (method, path, role, got)
                assert due in (None, got), (method, path, role, got)


@pytest.mark.usefixtures("keys")
async def test_a_wrong_key_is_nobody() -> None:
    async with door() as (http, _):
        for (method, path), least in ALLOWED.items():
            if least is not None:
                assert await status(http, method, path, WRONG_KEY) == 401, path


async def test_an_address_that_is_no_route_is_refused_before_it_is_looked_for(keys: None) -> None:
    async with door() as (http, _):
        for path in ("/", "/config", "/gradio_api/info", "/login/", "/healthz/x", "/admin", "//healthz"):
            assert await status(http, "GET", path, None) == 401, path


@pytest.mark.slow
async def test_nobody_gets_any_part_of_the_chat_page(keys: None, tmp_path: Path) -> None:
    from console.chat.page import mount

    app = mount(
        create_app(await make_pipeline(Scripted("It is so [1].")), load()), await make_pipeline(), load()
    )
    mounted = [route.app for route in app.routes if isinstance(route, Mount)]
    parts = {(method, path) for inner in mounted for method, path in routes(inner)}  # type: ignore[arg-type]
    assert len(parts) > 20
    async with served(app) as address, httpx.AsyncClient(base_url=address, timeout=60) as http:
        for method, path in sorted(parts - set(ALLOWED)):
            due = 404 if "/upload" in path else 401  # files cannot be sent to this page by anybody
            assert await status(http, method, path, None) == due, path
