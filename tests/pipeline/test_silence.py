"""A database that went silent: who needs it waits in a thread, everybody else goes on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from pipeline import build
from pipeline.access.accounts import ACCOUNTS, Unreachable
from pipeline.access.people import People
from pipeline.access.workspaces import Workspaces
from pipeline.auth import Keys, digest
from pipeline.errors import KnowledgeError
from pipeline.events import Answer
from pipeline.http.middleware import Border
from pipeline.http.origins import Origins
from pipeline.knowledge.lock import lock
from pipeline.settings import load_settings
from tests.databases import Databases
from tests.pipeline.turns import ask
from traces.errors import StoreError
from traces.postgres.lease import Leases
from traces.postgres.tables import SharedTables


class Silence:
    """Keeps whoever asks the database waiting until it is over; a loop that waits itself never ends it."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self._over = threading.Event()

    def execute(self, *_: Any) -> Any:
        self.asked.set()
        assert self._over.wait(20), "the event loop waited for a database"
        raise StoreError("no answer")

    async def end(self) -> None:
        """Go on once somebody waits."""
        assert await asyncio.to_thread(self.asked.wait, 20)
        self._over.set()


@pytest.fixture
def address(postgres: Databases) -> str:
    return postgres.fresh()


@pytest.fixture
def silence(monkeypatch: pytest.MonkeyPatch) -> Silence:
    return Silence()


@pytest.fixture
def people(address: str) -> Iterator[People]:
    opened = People(SharedTables(address, ACCOUNTS, named=True), Keys(f"env:viewer:{digest('from-env')}"))
    yield opened
    opened.close()


def served(people: People) -> httpx.AsyncClient:
    async def hello(_: Request) -> Response:
        return PlainTextResponse("hello")

    app = Starlette(routes=[Route("/api/hello", hello), Route("/healthz", hello)])
    app.add_middleware(Border, body_bytes=1_000, people=people, origins=Origins([]))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://localhost")


async def test_a_turn_waits_for_the_conversations_in_a_thread(
    address: str, silence: Silence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANSWERDECK_LEDGER", address)
    pipeline = build.build(load_settings(data_dir=tmp_path))
    try:
        first, _ = await ask(pipeline, "Hello there!")
        monkeypatch.setattr(SharedTables, "execute", silence.execute)
        fields = {"conversation_id": first.conversation_id, "client_turn_id": "t1"}  # type: ignore[union-attr] # an Answer
        (answer, _), _ = await asyncio.gather(ask(pipeline, "And my name?", **fields), silence.end())
    finally:
        await pipeline.close()
    assert isinstance(answer, Answer)


async def test_a_key_is_looked_up_in_a_thread_and_others_are_not_kept_waiting(
    people: People, silence: Silence, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SharedTables, "execute", silence.execute)
    async with served(people) as client:

        async def get(path: str, key: str = "") -> int:
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            return (await client.get(path, headers=headers)).status_code

        asked = asyncio.ensure_future(get("/api/hello", "of-the-database"))
        assert await asyncio.to_thread(silence.asked.wait, 20)
        assert [await get("/healthz"), await get("/api/hello", "from-env")] == [200, 200]
        await silence.end()
        assert await asked == 503


def test_whose_the_documents_are_is_what_was_read_last(
    people: People, silence: Silence, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    workspaces = Workspaces(people.workspaces._accounts, clock=lambda: now[0])
    workspaces.add("sales", "ada")
    workspaces.give("sales", "prices", "ada")
    assert workspaces.of("prices") == "sales"
    monkeypatch.setattr(SharedTables, "execute", silence.execute)
    monkeypatch.setattr("pipeline.access.workspaces.WAIT_SECONDS", 0.01)
    now[0] += 10.0
    assert workspaces.of("prices") == "sales"
    silence._over.set()


async def test_who_writes_documents_is_asked_in_a_thread(
    silence: Silence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Leases, "take", silence.execute)

    async def write() -> None:
        async with lock(tmp_path, "manual", Leases("postgresql://nobody")):
            raise AssertionError("nobody may write")

    with pytest.raises(KnowledgeError, match="who writes knowledge base 'manual' cannot be asked: no answer"):
        await asyncio.wait_for(asyncio.gather(write(), silence.end()), 30)


async def test_a_lease_that_nobody_waits_for_any_more_is_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on, given_back = threading.Event(), threading.Event(), threading.Event()

    class Late:
        def release(self) -> None:
            given_back.set()

    def take(*_: Any) -> Late:
        begun.set()
        assert go_on.wait(20)
        return Late()

    monkeypatch.setattr(Leases, "take", take)
    entering = asyncio.ensure_future(lock(tmp_path, "manual", Leases("postgresql://nobody")).__aenter__())
    assert await asyncio.to_thread(begun.wait, 20)
    entering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await entering
    go_on.set()
    assert await asyncio.to_thread(given_back.wait, 20)


def test_what_a_silent_server_cannot_say_is_unreachable(
    people: People, silence: Silence, monkeypatch: pytest.MonkeyPatch
) -> None:
    silence._over.set()
    monkeypatch.setattr(SharedTables, "execute", silence.execute)
    with pytest.raises(Unreachable, match="users and keys cannot be asked: no answer"):
        people.person("of-the-database")
