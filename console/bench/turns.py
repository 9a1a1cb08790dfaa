"""Our whole turn through the HTTP door beside the bare SDK's, round by round on the same questions."""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from console.bench.client import Batch, ask
from console.bench.corpus import KB, corpus, questions, save
from console.bench.figures import Figure, Goal, quantile
from console.bench.processes import BenchError, cpu_seconds, free_port, running, wait_for
from pipeline.knowledge.embedding import MiniLM
from traces.store import Store

WARM_TURNS = 20
ROUNDS, TURNS = 8, {1: 10, 16: 64}
QUICK_ROUNDS, QUICK_TURNS = 3, {1: 10, 16: 32}
STAGES = (
    "inbound guard",
    "embed query",
    "vector search",
    "full-text search",
    "fuse",
    "rerank",
    "widen",
    "assemble",
    "outbound guard",
)


class Sides:
    """Both processes under comparison, each answering batches of questions."""

    def __init__(self, peer: subprocess.Popen[str], server: subprocess.Popen[str], port: int) -> None:
        self._peer = peer
        self._server = server
        self._port = port

    def bare(self, texts: Sequence[str], users: int) -> Batch:
        assert self._peer.stdin is not None and self._peer.stdout is not None
        self._peer.stdin.write(json.dumps({"questions": texts, "users": users}) + "\n")
        self._peer.stdin.flush()
        line = self._peer.stdout.readline()
        if not line:
            raise BenchError("the bare SDK's process ended")
        return Batch(**json.loads(line))

    def ours(self, texts: Sequence[str], users: int) -> Batch:
        before = cpu_seconds(self._server.pid)
        firsts, lasts, wall = asyncio.run(ask(self._port, texts, users))
        return Batch(firsts, lasts, cpu_seconds(self._server.pid) - before, wall)


@contextmanager
def stub(folder: Path) -> Iterator[str]:
    """Run the model server that answers at once, in packets of one token; yield its address."""
    with running(["-m", "pipeline.rehearsal.server", "--stub"], folder / "stub.log", pipes=True) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["openai"]


@contextmanager
def sides(folder: Path) -> Iterator[Sides]:
    """Prepare the corpus and start stub, peer and server."""
    embedder, port, peer_corpus = MiniLM(), free_port(), folder / "corpus.npz"
    asyncio.run(save(corpus(embedder), folder / "data", peer_corpus, embedder))
    with stub(folder) as url:
        env = {
            "ANSWERDECK_DATA_DIR": str(folder / "data"),
            "ANSWERDECK_KB": KB,
            "ANSWERDECK_MODELS__PRIMARY": "openai:stub",
            "ANSWERDECK_MODELS__OPENAI__BASE_URL": url,
            "ANSWERDECK_LIMITS__REQUESTS_PER_MINUTE": "1000000",
            "OPENAI_API_KEY": "bench",
        }
        log = folder / "serve.log"
        serve = ["-m", "console.cli", "serve", "--no-chat", "--port", str(port)]
        bare = ["-m", "console.bench.peer", str(peer_corpus), url]
        with (
            running(bare, folder / "peer.log", pipes=True) as peer,
            running(serve, log, env) as server,
        ):
            wait_for(f"http://127.0.0.1:{port}/readyz", server, log)
            yield Sides(peer, server, port)


def measure(folder: Path, *, quick: bool, progress: Callable[[str], None]) -> list[Figure]:
    """Compare turns with 1 and 16 users, then read what each stage took from the traces."""
    texts, figures = questions(), []
    rounds, turns = (QUICK_ROUNDS, QUICK_TURNS) if quick else (ROUNDS, TURNS)
    with sides(folder) as both:
        for side in (both.bare, both.ours):
            side(list(islice(texts, WARM_TURNS)), 4)
        for users, size in turns.items():
            ours: list[Batch] = []
            bare: list[Batch] = []
            for number in range(rounds):
                progress(f"turns, {users} users: round {number + 1} of {rounds}")
                batch = list(islice(texts, size))
                order = [(both.bare, bare), (both.ours, ours)]
                for side, batches in order if number % 2 else reversed(order):
                    batches.append(side(batch, users))
            figures += compare(users, ours, bare)
    return [*figures, *_stages(folder / "data")]


def compare(users: int, ours: Sequence[Batch], bare: Sequence[Batch]) -> list[Figure]:
    """Return the figures of paired rounds; times in ms."""
    crowd = "1 user" if users == 1 else f"{users} users"
    n = sum(batch.turns for batch in ours)

    def figure(what: str, unit: str, of: Callable[[Batch], float], goal: Goal | None = None) -> Figure:
        return Figure("turn", f"{what}, {crowd}", unit, tuple(map(of, ours)), tuple(map(of, bare)), goal, n)

    first = Goal(1.5, "ratio") if users == 1 else None
    rate = Goal(30, "value", "least") if users > 1 else None
    return [
        figure("first token p50", "ms", lambda batch: statistics.median(batch.firsts) * 1e3, first),
        figure("first token p95", "ms", lambda batch: quantile(batch.firsts, 0.95) * 1e3),
        figure("last token p50", "ms", lambda batch: statistics.median(batch.lasts) * 1e3),
        figure("CPU per turn", "ms", lambda batch: batch.cpu / batch.turns * 1e3, Goal(0.6, "ratio")),
        figure("turns per second", "", lambda batch: batch.turns / batch.wall, rate),
    ]


def _stages(data_dir: Path) -> list[Figure]:
    """Return the time of each stage, from the traces the turns left."""
    store = Store(data_dir)
    store.drain()
    with store.read() as ledger:
        rows = ledger.rows(
            "select name, seconds from spans where turn_id in"
            " (select turn_id from turns order by started_at offset 20 limit 80)"
        )
    by_name = {stage: [row["seconds"] * 1e3 for row in rows if row["name"] == stage] for stage in STAGES}
    return [Figure("stages", stage, "ms", tuple(times)) for stage, times in by_name.items() if times]
