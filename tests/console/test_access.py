"""Every route of the server, asked as everybody: who gets in is what the table says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2 as httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import Mount

from console.chat import widget
from pipeline.auth import ROLES, Role, digest
from pipeline.http.api import create_app
from pipeline.models.scripted import Scripted
from pipeline.settings import load_settings
from tests.pipeline.own import own
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
    ("GET", "/api/knowledge"): "user",
    ("GET", "/api/documents"): "user",
    ("POST", "/api/documents"): "user",
    ("DELETE", "/api/documents/{document_id}"): "user",
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
    people = [f"{role}:{role}:{digest(key(role))}" for role in ROLES]
    people += [f"other-{role}:{role}:{digest(key(f'other-{role}'))}:other" for role in ROLES]
    monkeypatch.setenv("ANSWERDECK_AUTH__KEYS", ",".join(people))


@asynccontextmanager
async def door() -> AsyncIterator[tuple[httpx.AsyncClient, FastAPI]]:
    app = create_app(await make_pipeline(Scripted("It is so [1]."), parts=own()), load_settings())
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


# What has no owner: the same for everybody who may ask.
UNOWNED = {("GET", "/v1/models/{name}")}
WHOLE = {("GET", "/metrics"), ("GET", "/api/breakers"), ("POST", "/v1/traces")}  # of the installation


@pytest.mark.usefixtures("keys")
async def test_for_another_workspace_nothing_of_this_one_exists() -> None:
    async with door() as (http, app):
        mine = {"authorization": f"Bearer {key('user')}"}
        ask = {"question": "I use Fedora on my laptop. How do I turn on bounce keys?"}
        done = (await http.post("/api/chat", json=ask, headers={**mine, "accept": "application/json"})).json()
        added = await http.post("/api/documents?name=a.md", content=b"# Tea\n\nTea is at four.", headers=mine)
        ids = {
            "{document_id}": added.json()["document_id"],
            "{conversation_id}": done["conversation_id"],
            "{turn_id}": done["turn_id"],
            "{fact_id}": (await http.get("/api/memory", headers=mine)).json()["facts"][0]["fact_id"],
            "{name:path}": "conversations",
        }
        owned = {route for route in routes(app) if "{" in route[1]} - UNOWNED
        for method, path in sorted(owned | WHOLE):
            place = path
            for name, value in ids.items():
                place = place.replace(name, value)
            assert "{" not in place, f"{path}: make one of this workspace, and ask for it here"
            for role in ROLES:
                body = {"isolate": True} if "breakers" in path else {}
                headers = {"authorization": f"Bearer {key(f'other-{role}')}"}
                sent = body if method in ("POST", "PATCH") else None
                got = await http.request(method, place, headers=headers, json=sent)
                least = ALLOWED[method, path] or "user"
                low = ROLES.index(role) < ROLES.index(least) and (method, path) not in WHOLE
                assert got.status_code in ((403, 404) if low else (404,)), (method, path, role, got.text)
        assert (await http.get(f"/api/conversations/{done['conversation_id']}", headers=mine)).is_success
        assert len((await http.get("/api/documents", headers=mine)).json()["documents"]) == 1
        for name in ("viewer", "other-user"):
            theirs = {"authorization": f"Bearer {key(name)}"}
            assert (await http.get("/api/documents", headers=theirs)).json()["documents"] == []


@pytest.mark.usefixtures("keys")
async def test_another_workspace_cannot_ask_continue_or_judge() -> None:
    async with door() as (http, _):
        mine, theirs = (
            {"authorization": f"Bearer {key(k)}", "accept": "application/json"}
            for k in ("user", "other-admin")
        )
        done = (await http.post("/api/chat", json={"question": "What does the lid do?"}, headers=mine)).json()
        for wish, says in (
            ({"question": "What?", "kb": "default"}, "There is no knowledge base 'default'."),
            ({"question": "What?", "kb": "nowhere"}, "There is no knowledge base 'nowhere'."),
            ({"question": "And?", "conversation_id": done["conversation_id"]}, "no such conversation"),
        ):
            got = await http.post("/api/chat", json=wish, headers=theirs)
            assert (got.status_code, says in got.text) == (404, True), got.text
        thumb = {"turn_id": done["turn_id"], "value": 1}
        assert (await http.post("/api/feedback", json=thumb, headers=theirs)).status_code == 404
        assert (await http.get("/api/knowledge", headers=theirs)).json() == {"knowledge": []}
        assert (await http.get("/api/knowledge", headers=mine)).json() == {
            "knowledge": [{"kb": "default", "main": True}]
        }
        fresh = (
            await http.post("/api/chat", json={"question": "What does the lid do?"}, headers=theirs)
        ).json()
        assert (fresh["passages"], fresh["outcome"]) == ([], "degraded")


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
        create_app(await make_pipeline(Scripted("It is so [1].")), load_settings()),
        await make_pipeline(),
        load_settings(),
    )
    mounted = [route.app for route in app.routes if isinstance(route, Mount)]
    parts = {(method, path) for inner in mounted for method, path in routes(inner)}  # type: ignore[arg-type]
    assert len(parts) > 20
    async with served(app) as address, httpx.AsyncClient(base_url=address, timeout=60) as http:
        for method, path in sorted(parts - set(ALLOWED)):
            due = 404 if "/upload" in path else 401  # files cannot be sent to this page by anybody
            assert await status(http, method, path, None) == due, path
