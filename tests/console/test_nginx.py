"""nginx with the configuration we ship, before servers that answer, stream, or are gone."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from console.bench.front import proxied
from console.bench.processes import BenchError, free_port
from console.deploy.proxy import configuration

needed = pytest.mark.skipif(
    shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin") is None,
    reason="nginx is not installed here",
)
REST = threading.Event()  # lets a streamed answer end


class Server(BaseHTTPRequestHandler):
    """Says who asked what; streams at /v1/stream until it is told to end."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.endswith("/dies"):
            self.close_connection = True  # without a word
            return
        seen = {"path": self.path, **{name.lower(): value for name, value in self.headers.items()}}
        self._send(json.dumps(seen).encode())

    def do_GET(self) -> None:
        if not self.path.endswith("/v1/stream"):
            self._send(str(self.connection.getsockname()[1]).encode())
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"5\r\nfirst\r\n")
        self.wfile.flush()
        REST.wait(20)
        self.wfile.write(b"4\r\nlast\r\n0\r\n\r\n")

    def _send(self, data: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """nginx before two servers and one that is gone."""
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), Server) for _ in range(2)]
    threads = [threading.Thread(target=server.serve_forever, args=(0.05,)) for server in servers]
    for thread in threads:
        thread.start()
    names = [f"127.0.0.1:{port}" for port in (*(server.server_address[1] for server in servers), free_port())]
    try:
        with proxied(names, tmp_path_factory.mktemp("front") / "nginx") as address:
            yield address
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()


@pytest.fixture
def client(nginx: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=nginx, timeout=20) as client:
        yield client


def test_every_server_stands_in_both_lists() -> None:
    text = configuration(["a:1", "b:2"])
    assert [text.count(f"    server {name} ") for name in ("a:1", "b:2")] == [2, 2]
    assert "@" not in text.replace("@gone", "").replace("@large", "")


def test_without_nginx_the_bench_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(BenchError, match="nginx is not installed"), proxied(["a:1"], tmp_path / "nginx"):
        pass


@needed
def test_deltas_pass_at_once(client: httpx.Client) -> None:
    REST.clear()
    with client.stream("GET", "/v1/stream") as reply:
        parts = reply.iter_bytes()
        assert next(parts) == b"first"  # while the server still holds the rest back
        REST.set()
        assert b"".join(parts) == b"last"


@needed
def test_the_servers_see_the_real_client_and_the_path_under_a_prefix(client: httpx.Client) -> None:
    forged = {"X-Forwarded-For": "9.9.9.9", "X-Forwarded-Proto": "https", "Host": "chat.example.org:8080"}
    seen = client.post("/help/api/chat", json={}, headers=forged).json()
    assert seen["path"] == "/help/api/chat"
    assert (seen["x-forwarded-for"], seen["x-forwarded-proto"]) == ("127.0.0.1", "http")
    assert seen["host"] == "chat.example.org:8080"  # with its port: pages compare it with their own


@needed
def test_a_server_that_is_gone_is_passed_over_and_a_page_stays_with_one(client: httpx.Client) -> None:
    assert all(client.post("/api/chat", json={}).status_code == 200 for _ in range(9))
    for name in ("ada", "bob", "eve"):
        cookies = {"Cookie": f"answerdeck_browser={name}"}
        assert len({client.get("/", headers=cookies).text for _ in range(6)}) == 1
    assert len({client.get("/v1/models").text for _ in range(12)}) == 2


@needed
def test_a_death_is_a_503_that_says_when_to_come_back(client: httpx.Client) -> None:
    for path in ("/api/dies", "/dies"):
        reply = client.post(path, json={})
        assert reply.status_code == 503 and reply.headers["retry-after"] == "2"
        assert reply.json()["error"]["code"] == "unavailable"
        assert reply.json()["error"].keys() == {"code", "message", "type", "param", "retry_after"}


@needed
def test_what_is_too_large_is_told_in_the_shape_of_the_api(client: httpx.Client) -> None:
    with closing(HTTPConnection(client.base_url.host, client.base_url.port, timeout=20)) as connection:
        connection.putrequest("POST", "/api/chat")
        connection.putheader("Content-Length", str(21 * 2**20 + 1))
        connection.endheaders()
        reply = connection.getresponse()
        assert reply.status == 413 and json.load(reply)["error"]["code"] == "too_large"
    assert client.get("/help/metrics").status_code == 403
