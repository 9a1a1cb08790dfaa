"""Three servers behind nginx, on PostgreSQL and Redis, under 200 users, while each engine is killed."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx

from console.bench.corpus import questions
from console.bench.engines import Databases, Sessions, databases, objects, sessions
from console.bench.figures import Figure, Goal, quantile
from console.bench.front import proxied
from console.bench.processes import BenchError
from console.bench.replicas import KEY, WAIT_SECONDS, Crowd, Host, ingesting
from pipeline.auth import digest
from pipeline.build import knowledge
from pipeline.databases.redis_server import RedisServer
from pipeline.guardrails.counts import Counts, RequestLimits, SharedCounts
from pipeline.guardrails.redis_counts import RedisCounts
from pipeline.guardrails.shared_spending import SharedSpending
from pipeline.guardrails.spending import Spending, SpendingSums
from pipeline.rehearsal.server import FaultServer
from pipeline.settings import load_settings
from traces.store import Store

HOSTS, USERS = 3, 200
A_MINUTE = 60  # requests of one user
BUDGET_USD = 0.01  # of one user and day: some three dozen turns of the stub
RATE_USD = 5.0  # per million tokens that the stub writes; those it reads cost nothing, or what a turn holds
#   would be twenty times what it costs, since the stub says that it read twenty
PAGES = 30
ENDED = ("answered", "degraded", "no_context")
DOWN_SECONDS = 3.0  # how long an engine stays away
IDLE_SECONDS = 6.0
NONE = Goal(0, "value")


def measure(folder: Path, *, quick: bool, progress: Callable[[str], None]) -> list[Figure]:
    """Return what was lost, doubled or overspent, and what sharing costs."""
    with ExitStack() as stack:
        postgres, redis = stack.enter_context(databases()), stack.enter_context(sessions())
        models = stack.enter_context(FaultServer("ok?words=60&rate=60"))
        ledger = postgres.fresh()
        hosts = _hosts(folder, ledger, redis.address, models.openai_url, _bucket(stack, progress))
        progress(f"scale: {HOSTS} servers start")
        for host in hosts:
            host.start(stack)
            host.drain(stack, ledger)
        doors = _doors(stack, hosts, folder, progress)
        try:
            figures = asyncio.run(_scenes(stack, hosts, doors, (postgres, redis), quick, progress))
        except ExceptionGroup as errors:  # of the users and of who kills: the first says what went wrong
            raise errors.exceptions[0] from errors
        progress("scale: what the ledger holds")
        return [*figures, *sharing(folder, redis)]


def _bucket(stack: ExitStack, progress: Callable[[str], None]) -> dict[str, str]:
    """Return what names an object store for the documents; nothing where none can run."""
    try:
        return stack.enter_context(objects())
    except BenchError as error:
        progress(f"scale: documents stay on each server: {error}")
        return {}


def _doors(stack: ExitStack, hosts: list[Host], folder: Path, progress: Callable[[str], None]) -> list[str]:
    """Return where users ask: at nginx, or at each server where nginx is not installed."""
    addresses = [host.address for host in hosts]
    try:
        servers = [address.removeprefix("http://") for address in addresses]
        return [stack.enter_context(proxied(servers, folder / "nginx"))]
    except BenchError as error:
        progress(f"scale: users ask each server in turn: {error}")
        return addresses


def _hosts(folder: Path, ledger: str, redis: str, models: str, bucket: dict[str, str]) -> list[Host]:
    users = ["spender", "hasty", *(f"user{number}" for number in range(USERS))]
    settings = {
        "ANSWERDECK_LEDGER": ledger,
        "ANSWERDECK_SESSIONS": redis,
        "ANSWERDECK_AUTH__KEYS": ",".join(f"{name}:user:{digest(KEY + name)}" for name in users),
        "ANSWERDECK_MODELS__PRIMARY": "openai:stub",
        "ANSWERDECK_MODELS__OPENAI__BASE_URL": models,
        "ANSWERDECK_MODELS__PRICES": json.dumps(
            {"openai:stub": {"input_per_million": 0, "output_per_million": RATE_USD}}
        ),
        "ANSWERDECK_LIMITS__REQUESTS_PER_MINUTE": str(A_MINUTE),
        "ANSWERDECK_BUDGETS__USER_DAY_USD": str(BUDGET_USD),
        "ANSWERDECK_MODELS__MAX_OUTPUT_TOKENS": "100",  # what a turn holds is near what it costs
        "ANSWERDECK_RETRIEVAL__WHOLE_TOKENS": "0",
        "OPENAI_API_KEY": "bench",
        **bucket,
    }
    hosts = [Host(folder / f"host{number}", settings) for number in range(HOSTS)]
    for host in hosts:
        host.folder.mkdir()
    return hosts


async def _scenes(
    stack: ExitStack,
    hosts: list[Host],
    doors: list[str],
    engines: tuple[Databases, Sessions],
    quick: bool,
    progress: Callable[[str], None],
) -> list[Figure]:
    limits = httpx.Limits(max_connections=USERS + 50)
    async with httpx.AsyncClient(timeout=WAIT_SECONDS, limits=limits) as client:
        crowd = Crowd(doors, client)
        progress("scale: one hasty user, one who spends")
        hasty = await asyncio.gather(*(crowd.ask("hasty", "Hello!") for _ in range(A_MINUTE * 2)))
        texts = questions(5000)
        for _ in range(4):  # twelve at a time
            await asyncio.gather(*(crowd.ask("spender", next(texts)) for _ in range(12)))
        progress("scale: CPU of a turn on one server and on all")
        cpu = await _cpu(hosts, client, 40 if quick else 120)
        seconds = 30.0 if quick else 90.0
        progress(f"scale: {USERS} users for {seconds:g} s, while a server and each engine is killed")
        names, gap, over = [f"user{number}" for number in range(USERS)], USERS / 12, asyncio.Event()
        asyncio.get_running_loop().call_later(seconds, over.set)
        async with asyncio.TaskGroup() as group:
            group.create_task(crowd.live(names, questions(9000), over, gap))
            group.create_task(_faults(stack, hosts, engines, seconds))
        progress("scale: each server is restarted while users ask")
        rolled = await _rolling(stack, hosts, crowd, names, gap)
    figures = [
        _figure("requests let in above a user's limit", "", hasty.count("answered") - A_MINUTE, NONE),
        _figure("requests refused below it", "", A_MINUTE - hasty.count("answered"), NONE),
        *cpu,
        _figure("replies cut short by a rolling restart", "", rolled, NONE),
    ]
    return [*figures, *await asyncio.to_thread(_ledger, hosts, crowd)]


async def _faults(
    stack: ExitStack,
    hosts: list[Host],
    engines: tuple[Databases, Sessions],
    seconds: float,
) -> None:
    """Kill a server, Redis, PostgreSQL and an ingest in turn; each comes back."""
    postgres, redis = engines
    await asyncio.sleep(seconds * 0.15)
    await asyncio.to_thread(hosts[0].kill)
    await asyncio.to_thread(hosts[0].start, stack)
    for engine in (redis, postgres):
        await asyncio.sleep(seconds * 0.15)
        await asyncio.to_thread(engine.kill)
        await asyncio.sleep(DOWN_SECONDS)
        await asyncio.to_thread(engine.start)
    await asyncio.to_thread(_ingest_twice, hosts[1])


async def _rolling(stack: ExitStack, hosts: list[Host], crowd: Crowd, names: list[str], gap: float) -> int:
    """Restart one server after the other under its users; return how many replies that cut."""
    before, over = crowd.seen.replies["cut short"], asyncio.Event()

    async def restart() -> None:
        for host in hosts:
            await asyncio.to_thread(host.restart, stack)
        over.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(crowd.live(names, questions(60_000), over, gap))
        group.create_task(restart())
    return crowd.seen.replies["cut short"] - before


def _ingest_twice(host: Host) -> None:
    """Kill an ingest in its middle, then let it run to its end."""
    folder = host.folder / "documents"
    folder.mkdir()
    for number in range(PAGES):
        text = f"# Page {number}\n\nThe valve {number} opens at {number} bar.\n"
        (folder / f"page{number}.md").write_text(text)
    with ingesting(host, folder, "valves") as process:
        time.sleep(2.0)
        process.kill()
    with ingesting(host, folder, "valves") as process:
        if process.wait(WAIT_SECONDS) != 0:
            raise BenchError("an ingest that was killed could not be run again")


async def _cpu(hosts: list[Host], client: httpx.AsyncClient, turns: int) -> list[Figure]:
    """Return the CPU time of a turn when one server works, and when all do, each under the same load.

    What a server uses while nobody asks is measured before and taken off.
    """
    texts = questions(40_000)
    for host in hosts:  # the first turns of a server load what later ones have
        await asyncio.gather(*(Crowd([host.address], client).ask(f"user{n}", next(texts)) for n in range(8)))
    idle = await _idle(hosts)
    used: list[float] = []
    every: list[Crowd] = []
    for group in (hosts[:1], hosts):
        crowds = [Crowd([host.address], client) for host in group]
        every += crowds
        texts = questions(20_000 + 1000 * len(group))
        before, began = sum(host.cpu_seconds for host in group), time.monotonic()
        for at in range(0, turns, 8):
            await asyncio.gather(
                *(crowd.ask(f"user{at + n}", next(texts)) for n in range(8) for crowd in crowds)
            )
        rest = sum(idle[: len(group)]) * (time.monotonic() - began)
        seconds = sum(host.cpu_seconds for host in group) - before - rest
        used.append(seconds * 1e3 / (turns * len(group)))
    lacking = sum(crowd.seen.failed + crowd.seen.unanswered for crowd in every)
    alone, together = (1e3 / milliseconds for milliseconds in used)
    what, goal = f"throughput of each of {HOSTS} servers against one alone", Goal(0.9, "ratio", "least")
    return [
        Figure("scale", what, "turns per CPU second", (together,), (alone,), goal),
        _figure("CPU per turn of one alone", "ms", used[0], None),
        _figure("turns failed under it", "", lacking, NONE),
        _figure("CPU of a server that nobody asks", "ms/s", sum(idle) * 1e3 / len(idle), None),
    ]


async def _idle(hosts: list[Host]) -> list[float]:
    """Return the CPU seconds per second of each server while nobody asks."""
    before = [host.cpu_seconds for host in hosts]
    await asyncio.sleep(IDLE_SECONDS)
    return [(host.cpu_seconds - start) / IDLE_SECONDS for host, start in zip(hosts, before, strict=True)]


def _ledger(hosts: list[Host], crowd: Crowd) -> list[Figure]:
    """Drain to the end, then compare what users saw with what the ledger holds."""
    stores = [Store(host.data, host.settings["ANSWERDECK_LEDGER"]) for host in hosts]
    until = time.monotonic() + WAIT_SECONDS
    while any(store.health().lag_seconds > 0 for store in stores) and time.monotonic() < until:
        time.sleep(0.5)
    seen = crowd.seen
    with stores[0].read() as ledger:
        rows = ledger.rows("select turn_id, user_id, client_turn_id, outcome, cost_usd from turns")
    recorded = [row["turn_id"] for row in rows]
    clients = [row["client_turn_id"] for row in rows if row["outcome"] in ENDED]
    doubled = [name for name in clients if name in seen.over]
    spender = [row for row in rows if row["user_id"] == "spender"]
    spent = sum(row["cost_usd"] or 0.0 for row in spender)
    with _as(hosts[1]):
        pages = asyncio.run(knowledge(load_settings()).documents("valves"))
    return [
        _figure("turns whose end a user received", "", len(seen.ended), None),
        _figure("of these failed", "", seen.failed, NONE),
        _figure("questions never answered", "", seen.unanswered, NONE),
        _figure("of these lost", "", len(seen.ended.keys() - set(recorded)), NONE),
        _figure("turns recorded twice", "", len(recorded) - len(set(recorded)), NONE),
        _figure("questions answered twice", "", len(doubled) - len(set(doubled)), NONE),
        _figure("5xx without a time to come back", "", seen.wrong, NONE),
        _figure("503 with a time to come back", "", seen.replies["come back (503)"], None),
        _figure("requests that met no server, asked again", "", seen.replies["no connection"], None),
        _figure("replies cut short, asked again", "", seen.replies["cut short"], None),
        _figure("dollars of a user above the budget", "$", max(spent - BUDGET_USD, 0.0), NONE),
        _figure("dollars of that user", "$", spent, Goal(0.8 * BUDGET_USD, "value", "least")),
        _figure("turns of that user without a model", "", sum(not row["cost_usd"] for row in spender), None),
        _figure("documents missing after a killed ingest", "", PAGES - len(pages), NONE),
    ]


@contextmanager
def _as(host: Host) -> Iterator[None]:
    """Have a host's environment meanwhile."""
    before = dict(os.environ)
    os.environ.update(host.env)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def sharing(folder: Path, redis: Sessions, turns: int = 400) -> list[Figure]:
    """Return what a turn waits for Redis: its limits and its budget, beside the files of one machine.

    Both are asked in turn, so that whatever else the machine does meets both.
    """
    shared = RedisCounts(RedisServer(redis.address))
    together = SharedSpending(folder / "shared.sqlite", RedisServer(redis.address))
    own, alone = SharedCounts(folder / "own-counts.sqlite"), Spending(folder / "own.sqlite")
    with ExitStack() as stack:
        for part in (shared, together, own, alone):
            stack.callback(part.close)
        waits = [(_wait(shared, together, n), _wait(own, alone, n)) for n in range(turns)]
    added = quantile([redis_ms for redis_ms, _ in waits], 0.95) - quantile(
        [file_ms for _, file_ms in waits], 0.95
    )
    return [_figure("p95 that Redis adds to a turn", "ms", added, Goal(3, "value"), turns)]


def _wait(counts: Counts, spending: Spending, number: int) -> float:
    """Return the milliseconds that limits and budget take of a turn."""
    turn, who = f"t{number}", f"user{number % 50}"
    began = time.perf_counter()
    counts.claim(who, turn, time.time() + 60, time.time())
    counts.enter(who, turn, 1_000, time.time() + 60, time.time())
    counts.take(who, turn, RequestLimits(1_000), 100.0, time.time())
    spending.sums(who, "2026-11-30")
    spending.hold(turn, who, "2026-11-30", 0.01, time.time(), SpendingSums(9e9, 9e9, 9e9))
    spending.settle(turn, who, "2026-11-30", 0.01, 0)
    counts.settle(turn, 90.0)
    counts.leave(who, turn, turn)
    return (time.perf_counter() - began) * 1e3


def _figure(what: str, unit: str, value: float, goal: Goal | None, n: int | None = None) -> Figure:
    return Figure("scale", what, unit, (value,), goal=goal, n=n)
