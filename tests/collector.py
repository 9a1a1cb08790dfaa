"""An OpenTelemetry collector on loopback that keeps what it is sent."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@contextmanager
def collector(*statuses: int, body: bytes = b"") -> Iterator[tuple[str, list[bytes], threading.Event]]:
    """An address that answers by one status after the other; the last one again, and says so."""
    bodies: list[bytes] = []
    arrived = threading.Event()
    left = list(statuses or (200,))

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["content-length"])))
            last = len(left) == 1
            status = left[0] if last else left.pop(0)
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            if last:
                arrived.set()

        def log_message(self, format: str, *args: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Taking) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1/traces", bodies, arrived
        server.shutdown()
        thread.join()
