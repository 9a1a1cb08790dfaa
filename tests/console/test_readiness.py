import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from console.dashboard.readiness import notes

DAMAGED = {
    "name": "knowledge",
    "state": "down",
    "detail": "its files are damaged",
}
WELL = {"name": "prompts", "state": "ok", "detail": None}
LEDGER = {"name": "traces", "state": "degraded", "detail": "the console says this itself"}


@contextmanager
def chat(status: int, body: Any) -> Iterator[int]:
    class Ready(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/readyz" else 404)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, format: str, *args: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Ready)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def test_what_the_chat_cannot_use_is_said_whether_it_is_ready_or_not() -> None:
    for status in (200, 503):
        with chat(status, {"dependencies": [DAMAGED, WELL, LEDGER]}) as port:
            assert notes(port) == [f"The chat cannot use its knowledge: {DAMAGED['detail']}"]


def test_no_chat_or_a_stranger_says_nothing() -> None:
    with chat(401, ["sign in"]) as port:
        assert notes(port) == []
    assert notes(port) == []
