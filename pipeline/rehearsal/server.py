"""A loopback model server that speaks both protocols and breaks in every way we know.

In a test: `with FaultServer() as server: server.script("overloaded", "ok")`; each request takes the
next fault of the script, then "ok" for ever. By hand, or as a stub for benchmarks:
`python -m pipeline.rehearsal.server --script "status?code=503,ok"` and `--stub --rate 20`; both
print the address.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import threading
import time
from urllib.parse import parse_qsl

from pipeline.rehearsal.call import Call, Request
from pipeline.rehearsal.dialects import Anthropic, Dialect, Embeddings, OpenAI
from pipeline.rehearsal.faults import FAULTS

STUB_TOKENS = 154  # the reply length of the peers in the performance facts


class FaultServer:
    """The server, in a thread with its own event loop, on a free port of loopback."""

    def __init__(self, default: str = "ok", port: int = 0) -> None:
        self.default = default
        self.requests: list[Request] = []
        self.port = port
        self._script: list[str] = []
        self._open: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True, name="rehearsal")
        self._thread.start()
        self._ready.wait(5)

    @property
    def openai_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def anthropic_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def script(self, *faults: str) -> None:
        """Set what the next requests meet: a name of FAULTS, with options as "status?code=503"."""
        unknown = [name for name in faults if name.partition("?")[0] not in FAULTS]
        if unknown:
            raise ValueError(f"unknown faults {unknown!r}; there are {', '.join(FAULTS)}")
        self._script = list(faults)

    def reset(self, default: str = "ok") -> None:
        self._script, self.requests, self.default = [], [], default

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def __enter__(self) -> FaultServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._connected, "127.0.0.1", self.port))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        self._loop.run_until_complete(self._hang_up())
        self._loop.close()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._accept(reader, writer))
        self._open[writer] = task
        task.add_done_callback(lambda _: self._open.pop(writer, None))

    async def _hang_up(self) -> None:
        """Close every connection, those too whose first request nobody has begun to read."""
        writers = list(self._open)
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0)  # the transports close in the loop's next round

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            early: bytes | None = b""
            while early is not None:
                early = await self._answer(early, reader, writer)
        writer.transport.abort() if writer.is_closing() else writer.close()

    async def _answer(
        self, early: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bytes | None:
        """Answer one request; return what of the next one was read, or None when there is none."""
        head = (early + await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)
        }
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        request = Request(head[0].split()[1], headers, json.loads(body or b"{}"))
        request.fault, _, options = (self._script.pop(0) if self._script else self.default).partition("?")
        request.peer = writer.get_extra_info("peername")[1]
        self.requests.append(request)
        dialect = _dialect(request)
        call = Call(request, dialect, reader, writer, dict(parse_qsl(options, keep_blank_values=True)))
        work = asyncio.ensure_future(FAULTS[request.fault](call))
        more = asyncio.ensure_future(reader.read(1))  # a waiting client is silent: its hang-up, or the next
        try:
            await asyncio.wait({work, more}, return_when=asyncio.FIRST_COMPLETED)
            if work.done() and not work.exception() and not writer.is_closing():
                return (await asyncio.wait_for(more, 60)) or None
            request.disconnected = time.monotonic() - call.began
            writer.transport.abort()
            return None
        finally:
            for task in (work, more):
                task.cancel()
            await asyncio.gather(work, more, return_exceptions=True)


def _dialect(request: Request) -> Dialect:
    if request.path.endswith("/messages"):
        return Anthropic(request.body)
    return Embeddings(request.body) if request.path.endswith("/embeddings") else OpenAI(request.body)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--script", default="", help="faults for the first requests, comma-separated")
    parser.add_argument("--default", default="ok", help="what every later request meets")
    parser.add_argument("--stub", action="store_true", help=f"answer {STUB_TOKENS} tokens, for benchmarks")
    parser.add_argument("--rate", type=float, default=0, help="tokens per second of the stub; 0 = at once")
    parser.add_argument("--batch", type=int, default=1, help="tokens per packet of the stub")
    parser.add_argument("--seconds", type=float, default=3600, help="stop by itself after this time")
    options = parser.parse_args()
    default = options.default
    if options.stub:
        default = f"ok?words={STUB_TOKENS}&rate={options.rate}&batch={options.batch}"
    with FaultServer(default, options.port) as server:
        server.script(*filter(None, options.script.split(",")))
        print(json.dumps({"openai": server.openai_url, "anthropic": server.anthropic_url}), flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            time.sleep(options.seconds)


if __name__ == "__main__":
    main()
