"""The border: what never reaches a route, and what every answer carries."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator

import httpx2 as httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from pipeline.access.people import People
from pipeline.auth import Keys
from pipeline.http.middleware import PERSON, Border, fault
from pipeline.http.origins import Origins
from tests.pipeline.served import served


async def echo(request: Request) -> Response:
    return JSONResponse({"bytes": len(await request.body()), "name": request.scope[PERSON].name})


async def broken(request: Request) -> Response:
    raise RuntimeError("a secret detail")


async def hello(request: Request) -> Response:
    return PlainTextResponse("hello")


def make_app(keys: str = "", body_bytes: int = 10_000) -> Starlette:
    routes = [
        Route("/api/echo", echo, methods=["POST", "GET"]),
        Route("/broken", broken),
        Route("/healthz", hello),
        Route("/gradio_api/upload", hello, methods=["POST"]),
    ]
    app = Starlette(routes=routes)
    app.add_middleware(Border, body_bytes=body_bytes, people=People(None, Keys(keys)), origins=Origins([]))
    return app


def client(app: Starlette, **options: object) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost", **options)  # type: ignore[arg-type]


JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"a":', "not valid JSON"),
        (b"x", "not valid JSON"),
        (b'{"a":NaN}', "not valid JSON"),
        (b'{"a":Infinity}', "not valid JSON"),
        (b'{"a":1e999}', "not valid JSON"),
        (b'{"a":"\\ud800"}', "not valid JSON"),
        (b'{"a":"\xff\xfe"}', "not valid JSON"),
        (b"\xef\xbb\xbf{}", "not valid JSON"),
        (b'{"a":"b\\u0000c"}', "NUL"),
        (b'{"a":"b\x00c"}', "not valid JSON"),
        (b"[" * 5000 + b"]" * 5000, "nested"),
        (b'{"a":' * 100 + b"1" + b"}" * 100, "nested"),
    ],
)
async def test_bad_json_is_400_with_one_sentence(body: bytes, says: str) -> None:
    async with client(make_app(body_bytes=100_000)) as http:
        for headers in (JSON, {"content-type": "application/vnd.x+json; charset=utf-8"}):
            answer = await http.post("/api/echo", content=body, headers=headers)
            assert answer.status_code == 400
            assert says in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":"\\\\u0000"}',
        b'{"a":"[[[[[[' + b"[" * 200 + b'"}',
        b'[{"a":"\\ud83d\\ude00"}]',
        b"",
        b"[1.5e10]",
    ],
)
async def test_good_json_passes_unchanged(body: bytes) -> None:
    assert fault(body) is None or body == b""
    async with client(make_app()) as http:
        answer = await http.post("/api/echo", content=body, headers=JSON)
        assert answer.json() == {"bytes": len(body), "name": "local"}


async def test_too_large_is_413_however_it_comes() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 1000

    async with client(make_app()) as http:
        for kind in ("application/json", "text/plain"):
            for content in (b"x" * 20_000, pieces()):
                answer = await http.post("/api/echo", content=content, headers={"content-type": kind})
                assert answer.status_code == 413, kind
                assert "10000 bytes" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://localhost"}, 200),
        ({"origin": "http://127.0.0.1:8501"}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://localhost.evil.example"}, 403),
        ({"host": "evil.example"}, 403),
        ({"host": "127.0.0.1.evil.example:7860"}, 403),
        ({"host": "[::1]:7860"}, 200),
    ],
)
async def test_foreign_origins_and_hosts_are_refused(headers: dict[str, str], status: int) -> None:
    async with client(make_app()) as http:
        answer = await http.post("/api/echo", content=b"{}", headers=JSON | headers)
        assert answer.status_code == status


async def test_reading_from_elsewhere_is_the_browsers_to_refuse() -> None:
    async with client(make_app()) as http:
        answer = await http.get("/api/echo", headers={"origin": "http://evil.example"})
        assert answer.status_code == 200
        assert "access-control-allow-origin" not in answer.headers


async def test_headers_and_request_id_on_every_answer() -> None:
    async with client(make_app()) as http:
        fine, refused = await http.get("/api/echo"), await http.post("/api/echo", content=b"x", headers=JSON)
    for answer in (fine, refused):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'self'" in answer.headers["content-security-policy"]
        assert "connect-src 'self'" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"
        assert len(answer.headers["x-request-id"]) == 32
    assert fine.headers["x-request-id"] != refused.headers["x-request-id"]


async def test_an_error_is_one_sentence_and_an_id_never_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    async with client(make_app()) as http:
        answer = await http.get("/broken")
    assert answer.status_code == 500
    error = answer.json()["error"]
    assert error["request_id"] == answer.headers["x-request-id"]
    assert "secret detail" not in answer.text
    assert error["request_id"] in caplog.text


async def test_uploads_are_closed() -> None:
    async with client(make_app()) as http:
        assert (await http.post("/gradio_api/upload", content=b"x")).status_code == 404


async def test_streams_are_not_held_back() -> None:
    read = asyncio.Event()

    async def lines() -> AsyncIterator[str]:
        yield "first\n"
        await read.wait()  # for ever, if it were held back until the end
        yield "second\n"

    async def two(_: Request) -> Response:
        return StreamingResponse(lines())

    app = make_app()
    app.add_route("/two", two)
    heard: list[str] = []
    async with (
        served(app) as address,
        httpx.AsyncClient(timeout=60) as http,
        http.stream("GET", f"{address}/two") as answer,
    ):
        async for line in answer.aiter_lines():
            heard.append(line)
            read.set()
    assert heard == ["first", "second"]


KEY = "correct horse battery"
ENTRY = f"ada:viewer:{hashlib.sha256(KEY.encode()).hexdigest()}"


async def test_with_keys_everything_but_health_needs_one() -> None:
    async with client(make_app(ENTRY)) as http:
        assert (await http.get("/healthz")).status_code == 200
        nobody = await http.get("/api/echo")
        wrong = await http.get("/api/echo", headers={"authorization": "Bearer nonsense"})
        page = await http.get("/broken", headers={"accept": "text/html"})
        ada = await http.get("/api/echo", headers={"authorization": f"Bearer {KEY}"})
        elsewhere = await http.get(
            "/api/echo", headers={"authorization": f"Bearer {KEY}", "host": "chat.example.com"}
        )
    assert (nobody.status_code, wrong.status_code) == (401, 401)
    assert nobody.headers["www-authenticate"] == "Bearer"
    assert (page.status_code, page.headers["location"]) == (303, "/login")
    assert ada.json()["name"] == "ada"
    assert elsewhere.status_code == 200


async def test_a_socket_from_elsewhere_is_closed() -> None:
    sent: list[dict[str, object]] = []

    async def receive() -> dict[str, object]:
        return {"type": "websocket.connect"}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    scope = {
        "type": "websocket",
        "path": "/x",
        "headers": [(b"host", b"localhost"), (b"origin", b"http://evil.example")],
    }
    await make_app()(scope, receive, send)  # type: ignore[arg-type]  # looser dicts than Starlette's
    assert sent == [{"type": "websocket.close", "code": 1008}]


async def test_a_client_that_sends_too_much_still_hears_why() -> None:
    """The refused body is read away: closing at once would reset the connection under the response."""
    body = b'"' + b"x" * 10_000_000 + b'"'
    head = b"POST /api/echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    parts = [body[at : at + 65536] for at in range(0, len(body), 65536)]
    chunked = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    async with served(make_app()) as address:
        for request in (
            head + b"Content-Length: %d\r\n\r\n" % len(body) + body,
            head + b"Transfer-Encoding: chunked\r\n\r\n" + chunked,
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", int(address.rpartition(":")[2]))
            writer.write(request)
            await writer.drain()
            status = await asyncio.wait_for(reader.readline(), 20)
            assert b"413" in status
            writer.close()
