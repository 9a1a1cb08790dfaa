"""Measures how often two equal variants come out as different in time, and a slower one as slower.

By hand: `python -m tests.evalsets.fair_times --pairs 200 --busy 4 --seconds 240`. A provider in a process
of its own answers after known times that scatter as a real one's; `--slower 1.2` makes the second variant
truly slower; `--busy` keeps so many more processes at work. It stops by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

from evalsets.cases.evalset import Evalset, fingerprint
from evalsets.reports.compare import compare_runs
from evalsets.runs import runner
from evalsets.runs.runner import Plan, Variant, VariantSide
from evalsets.runs.warm import warm
from tests.pipeline.turns import make_pipeline
from traces.records import Case

REST = 0.8  # of the time to the first token; all are medians
SCATTER = 0.2  # of the logarithm
TEXT = "Turn on bounce keys to skip a key that is pressed again too soon. [1]"
NAMES = ("first", "second")
QUESTIONS = (
    "How do I turn on bounce keys?",
    "What happens when I close the lid?",
    "How do I join a hidden network?",
)


def provide(slower: float, first: float, port: Connection) -> None:
    """Serve chat completions; the model "second" takes `slower` times as long."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        chance = random.Random()
        while not reader.at_eof():
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                break
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            model = json.loads(await reader.readexactly(length))["model"]
            factor = (slower if model == "second" else 1.0) * chance.lognormvariate(0.0, SCATTER)
            writer.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
            )
            await asyncio.sleep(first * factor)
            _say(writer, {"choices": [{"index": 0, "delta": {"content": TEXT[:20]}}]})
            await asyncio.sleep(first * REST * factor)
            _say(
                writer, {"choices": [{"index": 0, "delta": {"content": TEXT[20:]}, "finish_reason": "stop"}]}
            )
            _say(writer, {"choices": [], "usage": {"prompt_tokens": 300, "completion_tokens": 20}})
            writer.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
            await writer.drain()

    async def serve() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port.send(server.sockets[0].getsockname()[1])
        async with server:
            await server.serve_forever()

    asyncio.run(serve())


def _say(writer: asyncio.StreamWriter, event: object) -> None:
    line = b"data: " + json.dumps(event).encode() + b"\n\n"
    writer.write(b"%x\r\n%b\r\n" % (len(line), line))


def work(seconds: float) -> None:
    """Keep a core busy for so long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        sum(range(20_000))


@contextmanager
def provider(slower: float, first: float) -> Iterator[str]:
    """Give the address of a provider in a process of its own."""
    mine, its = multiprocessing.Pipe()
    process = multiprocessing.Process(target=provide, args=(slower, first, its), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{mine.recv()}/v1"
    finally:
        process.terminate()
        process.join()


async def measure(address: str, pairs: int, cases: int, seconds: float) -> None:
    """Run the pairs, and print how often each metric got a verdict."""
    columns = [Case("", f"c{i}", QUESTIONS[i % len(QUESTIONS)]) for i in range(cases)]
    evalset = Evalset("fair", fingerprint(columns), tuple(columns))
    prices = {f"openai:{name}": {"input_per_million": 1, "output_per_million": 4} for name in NAMES}
    wanted = {"primary": "openai:first", "openai": {"base_url": address}, "prices": prices}
    pipeline = await make_pipeline(models=wanted)
    sides = [VariantSide(Variant(model=f"openai:{name}")) for name in NAMES]
    await warm(pipeline, None, QUESTIONS[0], [side.variant.model or "" for side in sides])
    until = time.monotonic() + seconds
    verdicts: dict[str, Counter[str]] = {}
    loads: list[float] = []
    done = failed = 0
    while done < pairs and time.monotonic() < until:
        a, b = await runner.run_together(evalset, sides, pipeline, Plan(seed=done, retries=1))
        loads.append(a.load.most if a.load else 0.0)
        failed += (a.failed or 0) + (b.failed or 0)
        pipeline.store.drain()
        with pipeline.store.read() as ledger:
            for row in compare_runs(ledger, a.run_id, b.run_id).differences:
                verdicts.setdefault(row.metric, Counter())[row.verdict] += 1
        done += 1
    await pipeline.close()
    print(f"{done} pairs of {cases} cases, load {min(loads):.1f} to {max(loads):.1f}, {failed} cases failed")
    for metric, found in verdicts.items():
        print(f"  {metric}: {dict(found)}")


def main() -> None:
    """Read what is wanted and measure it."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--pairs", type=int, default=200)
    options.add_argument("--cases", type=int, default=20)
    options.add_argument("--slower", type=float, default=1.0)
    options.add_argument("--first", type=float, default=0.06, help="Seconds to the first token.")
    options.add_argument("--busy", type=int, default=0)
    options.add_argument("--seconds", type=float, default=300.0)
    wanted = options.parse_args()
    with tempfile.TemporaryDirectory() as folder, provider(wanted.slower, wanted.first) as address:
        os.environ |= {"ANSWERDECK_DATA_DIR": str(Path(folder)), "OPENAI_API_KEY": "none"}
        hands = [
            multiprocessing.Process(target=work, args=(wanted.seconds + 30,), daemon=True)
            for _ in range(wanted.busy)
        ]
        for hand in hands:
            hand.start()
        try:
            asyncio.run(measure(address, wanted.pairs, wanted.cases, wanted.seconds))
        finally:
            for hand in hands:
                hand.terminate()


if __name__ == "__main__":
    main()
