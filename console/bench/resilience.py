"""What failing providers cost the user: probes, recovery, degraded answers, brown-outs, many streams."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from console.bench.client import LoadClient
from console.bench.corpus import KB, corpus, questions, save
from console.bench.figures import Figure, Goal, quantile
from console.bench.processes import BenchError, free_port, running, wait_for
from pipeline.breaker import Policy
from pipeline.events import Answer, Question, last_event
from pipeline.knowledge.embedding import MiniLM
from pipeline.rehearsal.points import Points
from pipeline.rehearsal.server import STUB_TOKENS, FaultServer
from pipeline.rehearsal.shadow import Servers, shadow
from pipeline.rehearsal.sweep import rehearsed
from pipeline.turn import Pipeline
from traces.ids import uuid7

OPEN_SECONDS = 2.0
POLICY = Policy(open_seconds=OPEN_SECONDS, longest_open_seconds=OPEN_SECONDS, jitter=0.0, slow_seconds=0.2)
WAITING, USERS, RATE = 100, 100, 20
ASKED = "How do I set a fallback model?"


class ShadowStage:
    """A shadow pipeline with two providers on loopback."""

    def __init__(self, pipeline: Pipeline, servers: Servers) -> None:
        self.pipeline = pipeline
        self.servers = servers

    async def turn(self) -> tuple[Answer | None, float]:
        """Hold one turn; None when it ended without an answer."""
        began = time.perf_counter()
        last = await last_event(self.pipeline.answer(Question(ASKED, "bench", "api", uuid7())))
        return (last if isinstance(last, Answer) else None), time.perf_counter() - began

    def fail(self, openai: str = "ok", anthropic: str = "ok") -> None:
        self.servers.openai.default, self.servers.anthropic.default = openai, anthropic

    @property
    def calls(self) -> int:
        return len(self.servers.openai.requests) + len(self.servers.anthropic.requests)

    def fresh(self) -> None:
        self.fail()
        for breaker in self.pipeline.breakers().values():
            breaker.release()

    async def open_all(self) -> None:
        """Let both providers fail until both breakers are open."""
        self.fail("status?code=503", "status?code=503")
        for _ in range(12):
            await self.turn()


@asynccontextmanager
async def stage(folder: Path) -> AsyncIterator[ShadowStage]:
    servers = Servers()
    pipeline = await shadow(rehearsed(folder), servers, Points(), seconds=10.0, remote=False, policy=POLICY)
    scene = ShadowStage(pipeline, servers)
    try:
        for fault in ("ok", "reset"):
            scene.fail(fault)
            await scene.turn()
        scene.fresh()
        yield scene
    finally:
        await pipeline.close()
        servers.close()


def measure(folder: Path, *, quick: bool, progress: Callable[[str], None]) -> list[Figure]:
    """Return the figures of the rehearsals in this process, then of a crowd at a real server."""
    progress("resilience: breakers, outage, brown-outs")
    figures = asyncio.run(_breakers(folder / "shadow", 100 if quick else 300))
    progress(f"resilience: {USERS} users stream at {RATE} tokens/s")
    return [*figures, *_crowd(folder)]


async def _breakers(folder: Path, turns: int) -> list[Figure]:
    async with stage(folder) as scene:
        return [
            *await _outage(scene, turns),
            await _recovery(scene),
            await _probes(scene),
            *await _brown_out(scene, turns),
        ]


async def _outage(scene: ShadowStage, turns: int) -> list[Figure]:
    """Both providers down: what a turn costs and takes once the breakers are open."""
    scene.fresh()
    await scene.open_all()
    before, seconds, degraded = scene.calls, [], 0
    for _ in range(turns):
        answer, took = await scene.turn()
        seconds.append(took * 1e3)
        degraded += answer is not None and answer.outcome == "degraded"
    calls = (scene.calls - before) / turns
    return [
        _figure("calls per turn in an outage", "", calls, Goal(1.1, "value"), turns),
        _figure("degraded answer p99", "ms", quantile(seconds, 0.99), Goal(500, "value"), turns),
        _figure("degraded answers", "", degraded / turns, Goal(1.0, "value", "least"), turns),
    ]


async def _recovery(scene: ShadowStage) -> Figure:
    """From the moment the providers are well to the first answer of one, and to closed breakers."""
    values: list[float] = []
    for _ in range(3):
        scene.fresh()
        await scene.open_all()
        scene.fail()
        healed = time.monotonic()
        while scene.pipeline.breakers()["openai:stub"].state != "closed":
            await scene.turn()
            await asyncio.sleep(0.02)
        values.append(time.monotonic() - healed)
    goal = Goal(OPEN_SECONDS + 2, "value")
    return Figure("resilience", f"recovery, open time {OPEN_SECONDS:g} s", "s", tuple(values), goal=goal)


async def _probes(scene: ShadowStage) -> Figure:
    """Many callers wait for a breaker to half open; its probes hang, so that all callers meet them."""
    scene.fresh()
    await scene.open_all()
    scene.fail("hang")
    await asyncio.sleep(OPEN_SECONDS + 0.1)
    before = len(scene.servers.openai.requests)
    await asyncio.gather(*(scene.turn() for _ in range(WAITING)))
    most = len(scene.servers.openai.requests) - before
    return _figure(f"probes of {WAITING} waiting callers", "", most, Goal(3, "value"), WAITING)


async def _brown_out(scene: ShadowStage, turns: int) -> list[Figure]:
    """The first provider fails in 3 of 10 calls, or is ten times as slow; the second is well."""
    figures: list[Figure] = []
    for what, fault, share in (("30 % errors", "status?code=500", 3), ("10 × slow", "ok?first=0.3", 10)):
        scene.fresh()
        before, fine = scene.calls, 0
        for number in range(turns):
            scene.fail(fault if number % 10 < share else "ok")
            answer, _ = await scene.turn()
            fine += answer is not None and answer.outcome == "answered"
        calls = (scene.calls - before) / turns
        figures.append(_figure(f"answered, {what}", "", fine / turns, Goal(0.995, "value", "least"), turns))
        figures.append(_figure(f"calls per turn, {what}", "", calls, None, turns))
    return figures


def _crowd(folder: Path) -> list[Figure]:
    """Users who all stream at once from a real server: errors, and what we add to the first token."""
    embedder, port, log = MiniLM(), free_port(), folder / "serve.log"
    asyncio.run(save(corpus(embedder), folder / "data", folder / "corpus.npz", embedder))
    with FaultServer(f"ok?words={STUB_TOKENS}&rate={RATE}") as models:
        env = {
            "ANSWERDECK_DATA_DIR": str(folder / "data"),
            "ANSWERDECK_KB": KB,
            "ANSWERDECK_MODELS__PRIMARY": "openai:stub",
            "ANSWERDECK_MODELS__OPENAI__BASE_URL": models.openai_url,
            "ANSWERDECK_LIMITS__REQUESTS_PER_MINUTE": "1000000",
            "ANSWERDECK_LIMITS__TOKENS_PER_MINUTE": "1000000000",
            "OPENAI_API_KEY": "bench",
        }
        with running(["-m", "console.cli", "serve", "--no-chat", "--port", str(port)], log, env) as server:
            wait_for(f"http://127.0.0.1:{port}/readyz", server, log)
            asyncio.run(_users(port, 4))
            firsts, errors = asyncio.run(_users(port, USERS))
    added = [first * 1e3 for first in firsts]
    return [
        _figure(f"errors of {USERS} streams", "", errors, Goal(0, "value"), USERS),
        _figure("added first token p50", "ms", quantile(added, 0.5), None, USERS),
        _figure("added first token p99", "ms", quantile(added, 0.99), Goal(250, "value"), USERS),
    ]


async def _users(port: int, count: int) -> tuple[list[float], int]:
    """Let users come within five seconds, each asking once; return first tokens and errors."""
    firsts: list[float] = []
    texts = questions()

    async def user(number: int) -> None:
        await asyncio.sleep(5.0 * number / count)
        client = LoadClient(port)
        with suppress(BenchError, OSError):
            first, _ = await client.turn(next(texts))
            firsts.append(first)
        await client.close()

    await asyncio.gather(*(user(number) for number in range(count)))
    return firsts, count - len(firsts)


def _figure(what: str, unit: str, value: float, goal: Goal | None, n: int) -> Figure:
    return Figure("resilience", what, unit, (value,), goal=goal, n=n)
