"""Several servers of one product on shared engines, each with a drainer, and users before all of them."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from console.bench.processes import cpu_seconds, environment, free_port, running, wait_for
from traces.ids import uuid7

KEY = "key-of-"
DRAIN = """
import sys, threading
from pathlib import Path
from traces.store import Store, drain_forever
drain_forever(Store(Path(sys.argv[1]), sys.argv[2]), threading.Event())
"""
TRIES = 40  # of one question, before its user gives up
PAUSE_SECONDS = 0.5  # between them
WAIT_SECONDS = 60.0


@dataclass
class Host:
    """A machine of its own: a data folder, a server and a drainer."""

    folder: Path
    settings: dict[str, str]
    port: int = field(default_factory=free_port)
    server: subprocess.Popen[str] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def env(self) -> dict[str, str]:
        return {**self.settings, "ANSWERDECK_DATA_DIR": str(self.data)}

    def start(self, stack: ExitStack) -> None:
        """Start the server, which ends with the stack, and wait until it answers."""
        log = self.folder / "server.log"
        command = ["-m", "console.cli", "serve", "--no-chat", "--port", str(self.port)]
        self.server = stack.enter_context(running(command, log, self.env))
        wait_for(f"{self.address}/healthz", self.server, log)

    def restart(self, stack: ExitStack) -> None:
        """Let the server end its turns and stop, then start it anew."""
        if self.server is not None:
            self.server.terminate()
            self.server.wait(WAIT_SECONDS)
        self.start(stack)

    def kill(self) -> None:
        """Kill the server as a power cut would."""
        if self.server is not None:
            self.server.kill()
            self.server.wait()

    @property
    def cpu_seconds(self) -> float:
        """The CPU time that the server has used."""
        return 0.0 if self.server is None else cpu_seconds(self.server.pid)

    def drain(self, stack: ExitStack, ledger: str) -> None:
        """Start a drainer, which ends with the stack."""
        log = self.folder / "drainer.log"
        stack.enter_context(running(["-c", DRAIN, str(self.data), ledger], log, self.env))


@dataclass
class UserTally:
    """What users saw: turns whose end they received, and replies by what they were."""

    ended: dict[str, str] = field(default_factory=dict)  # outcome by turn id
    over: set[str] = field(default_factory=set)  # ids of clients' turns that ended
    unanswered: int = 0  # questions that nobody answered however often they were asked
    replies: Counter[str] = field(default_factory=Counter)

    @property
    def wrong(self) -> int:
        """Replies that a client cannot make sense of: 5xx other than a 503 that says when to come back."""
        return sum(count for name, count in self.replies.items() if name.startswith("5"))

    @property
    def failed(self) -> int:
        """Turns that ended, but as failed."""
        return sum(outcome == "failed" for outcome in self.ended.values())


class Crowd:
    """Users who ask at these addresses in turn; what fails is asked again, under the same id."""

    def __init__(
        self, addresses: Sequence[str], client: httpx.AsyncClient, pause_seconds: float = PAUSE_SECONDS
    ) -> None:
        self.seen = UserTally()
        self._addresses = itertools.cycle(addresses)
        self._client = client
        self._pause_seconds = pause_seconds

    async def ask(self, user: str, question: str) -> str | None:
        """Ask until there is an end; return the outcome, "429" when refused, None when nobody answered."""
        body = {"question": question, "client_turn_id": uuid7()}
        for _ in range(TRIES):
            outcome = await self._try(user, body)
            if outcome is not None:
                return outcome
            await asyncio.sleep(self._pause_seconds)
        self.seen.unanswered += 1
        return None

    async def _try(self, user: str, body: dict[str, str]) -> str | None:
        headers = {"Authorization": f"Bearer {KEY}{user}"}
        try:
            reply = await self._client.post(f"{next(self._addresses)}/api/chat", json=body, headers=headers)
        except httpx.HTTPError:
            self.seen.replies["no connection"] += 1
            return None
        if reply.status_code != 200:
            return self._refused(reply)
        end = _end(reply.text)
        if end is None:
            self.seen.replies["cut short"] += 1
            return None
        outcome = end.get("outcome", "failed")
        self.seen.replies["200" if "outcome" in end else f"error: {end['code']}"] += 1
        self.seen.ended[end["turn_id"]] = outcome
        self.seen.over.add(body["client_turn_id"])
        return outcome

    def _refused(self, reply: httpx.Response) -> str | None:
        comes_back = "retry-after" in reply.headers
        named = f"{reply.status_code}" if reply.status_code != 503 or not comes_back else "come back (503)"
        self.seen.replies[named] += 1
        return "429" if reply.status_code == 429 else None

    async def live(
        self, users: Sequence[str], questions: Iterator[str], over: asyncio.Event, gap: float
    ) -> None:
        """Let every user ask now and then, about every `gap` seconds each, until it is over."""
        chance = random.Random(1)

        async def live(user: str) -> None:
            await asyncio.sleep(chance.uniform(0, gap))
            while not over.is_set():
                await self.ask(user, next(questions))
                with suppress(TimeoutError):
                    await asyncio.wait_for(over.wait(), chance.uniform(0.5, 1.5) * gap)

        await asyncio.gather(*(live(user) for user in users))


def _end(stream: str) -> dict[str, Any] | None:
    """Return the last event of a turn, its answer or the error that it failed with; None when it was cut."""
    lines = [line.removeprefix("data:") for line in stream.splitlines() if line.startswith("data:")]
    end = json.loads(lines[-1]) if lines else {}
    return end if isinstance(end, dict) and end.get("turn_id") and {"outcome", "code"} & end.keys() else None


@contextmanager
def ingesting(host: Host, folder: Path, kb: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run `answerdeck ingest` on a host; killed at the end if it goes on."""
    command = [sys.executable, "-m", "console.cli", "ingest", str(folder), "--kb", kb]
    process = subprocess.Popen(
        command, env=environment(host.env), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait()
