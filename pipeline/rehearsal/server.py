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
import time
from urllib.parse import parse_qsl

from pipeline.rehearsal.call import Call, Request
from pipeline.rehearsal.dialects import Anthropic, Dialect, EmbeddingsDialect, OpenAI
from pipeline.rehearsal.faults import FAULTS
from pipeline.rehearsal.loopback import Loopback

STUB_TOKENS = 154  # the reply length of the peers in the performance facts


class FaultServer(Loopback):
    """The server: what it does is said by `default`, or by a script for the next requests."""

    def __init__(self, default: str = "ok", port: int = 0) -> None:
        self.default = default
        self.requests: list[Request] = []
        self._script: list[str] = []
        super().__init__(port)

    def script(self, *faults: str) -> None:
        """Set what the next requests meet: a name of FAULTS, with options as "status?code=503"."""
        unknown = [name for name in faults if name.partition("?")[0] not in FAULTS]
        if unknown:
            raise ValueError(f"unknown faults {unknown!r}; there are {', '.join(FAULTS)}")
        self._script = list(faults)

    def reset(self, default: str = "ok") -> None:
        self._script, self.requests, self.default = [], [], default

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
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
    return EmbeddingsDialect(request.body) if request.path.endswith("/embeddings") else OpenAI(request.body)


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
