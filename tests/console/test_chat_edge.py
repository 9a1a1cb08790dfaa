"""Who looks at the page, and what the page does not open."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse
from starlette.testclient import TestClient

from console.chat import early, edge
from pipeline.auth import LOCAL, Person
from pipeline.http.middleware import PERSON


def client() -> TestClient:
    app = FastAPI(middleware=[Middleware(edge.Edge)])

    @app.get("/{path:path}")
    def page(path: str) -> str:
        return path

    return TestClient(app)


def request(cookies: dict[str, str] | None = None, scope: dict[str, Any] | None = None) -> Any:
    return SimpleNamespace(
        cookies=cookies or {}, session_hash="s1", request=SimpleNamespace(scope=scope or {})
    )


def test_a_browser_gets_an_id_once_and_only_with_the_page() -> None:
    browser = client()
    given = browser.get("/").headers["set-cookie"]
    assert "HttpOnly" in given
    assert "SameSite=Lax" in given
    assert "Secure" not in given
    assert "set-cookie" not in browser.get("/").headers
    assert "set-cookie" not in client().get("/readyz").headers


def test_a_forged_id_is_replaced() -> None:
    browser = client()
    browser.cookies.set(edge.COOKIE, "short")
    assert edge.COOKIE in browser.get("/").headers["set-cookie"]


def test_the_name_of_a_guest_does_not_give_the_id_away() -> None:
    value = "a" * 22
    name = edge.guest(request({edge.COOKIE: value}))
    assert name == edge.guest(request({edge.COOKIE: value}))
    assert name != edge.guest(request({edge.COOKIE: "b" * 22}))
    assert value not in name


def test_without_an_id_a_guest_is_the_tab() -> None:
    assert edge.guest(request()) == edge.guest(request({edge.COOKIE: "../../x"}))


def test_who_signed_in_is_known_by_name() -> None:
    ada = Person("ada", "user")
    assert edge.person(request(scope={PERSON: ada})) == ada
    assert edge.person(request(scope={PERSON: LOCAL})) is None
    assert edge.person(request()) is None


def test_file_doors_are_closed() -> None:
    for path in (
        "/gradio_api/upload",
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/proxy=http://x",
        "/gradio_api/runs",
    ):
        assert client().get(path).status_code == 404
    assert client().get("/gradio_api/startup-events").status_code == 200


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("/chat/completions", "/v1/chat/completions"),
        ("//v1/chat/completions", "/v1/chat/completions"),
        ("/v1/v1/chat/completions", "/v1/chat/completions"),
        ("/openai/v1/models", "/v1/models"),
        ("/api/chat/completions", "/v1/chat/completions"),
        ("/v1/embeddings", "/v1/chat/completions and /v1/models are served"),
        ("/v1/responses", "/v1/chat/completions and /v1/models are served"),
    ],
)
def test_an_address_of_the_openai_protocol_that_is_not_ours_is_told_the_right_one(
    path: str, hint: str
) -> None:
    answer = client().get(f"http://testserver{path}")
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (404, "not_found")
    assert hint in error["message"]


@pytest.mark.parametrize(
    "path", ["/v1/models", "/v1/models/answerdeck", "/v1/chat/completions", "/", "/theme.css"]
)
def test_the_right_addresses_are_let_through(path: str) -> None:
    assert client().get(path).status_code == 200


def test_the_page_begins_with_our_script_and_is_compressed() -> None:
    app = FastAPI(middleware=[Middleware(early.Early, "<script>ours()</script>")])
    page = "<html><head><script>theirs()</script></head>" + "long " * 200

    @app.get("/{path:path}")
    def show(path: str) -> HTMLResponse:
        return HTMLResponse(page)

    first, other = TestClient(app).get("/"), TestClient(app).get("/file")
    assert first.text == page.replace("<head>", "<head><script>ours()</script>")
    assert first.headers["content-encoding"] == "gzip"
    assert other.text == page
    assert "content-encoding" not in other.headers


async def test_an_idle_page_looks_for_questions_a_hundred_times_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import gradio as gr

    from console.chat import page

    demo, waits = gr.Blocks(), list[float]()
    page.wait_calmly(demo)

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        demo._queue.stopped = True

    with monkeypatch.context() as patch:
        patch.setattr("gradio.queueing.asyncio.sleep", sleep)
        await demo._queue.start_processing()
        demo._queue.stopped = False
        await demo._queue.start_progress_updates()
    assert waits == [0.01, 1.0]


def test_gradio_is_loaded_without_a_server_of_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    from console.chat import controls

    monkeypatch.setitem(sys.modules, "mcp", None)
    monkeypatch.delitem(sys.modules, "mcp")
    with controls._without_tools(), pytest.raises(ImportError):
        importlib.import_module("mcp")
    assert "mcp" not in sys.modules
    loaded = ModuleType("mcp")
    monkeypatch.setitem(sys.modules, "mcp", loaded)
    with controls._without_tools():
        assert sys.modules["mcp"] is loaded
