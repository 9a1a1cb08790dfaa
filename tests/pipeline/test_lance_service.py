"""Knowledge bases at LanceDB's service: its client is the real one, the server is one of the tests."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from console import erasing
from pipeline import build
from pipeline.errors import ConfigurationError, KnowledgeError
from pipeline.knowledge import elsewhere, listing, tables
from pipeline.knowledge.documents import Document
from pipeline.knowledge.index import Knowledge
from pipeline.knowledge.ingest import store
from pipeline.settings import load_settings
from tests.databases import Databases
from tests.fake_embedder import WordEmbedder
from tests.lance_service import KEY, LanceService, serving

PAGES = [Document(f"p{n}", f"Page {n}", f"The valve {n} opens at {n} bar.") for n in range(4)]


@pytest.fixture
def service(tmp_path: Path, postgres: Databases, monkeypatch: pytest.MonkeyPatch) -> Iterator[LanceService]:
    """The service, and the environment in which a machine uses it."""
    with serving(tmp_path / "service") as (running, address):
        for name, value in {
            "LANCEDB_API_KEY": KEY,
            "LANCEDB_HOST_OVERRIDE": address,
            "ANSWERDECK_LEDGER": postgres.fresh(),
            "ANSWERDECK_KNOWLEDGE__PLACE": "db://team",
        }.items():
            monkeypatch.setenv(name, value)
        retries = {"retries": 1, "connect_retries": 1, "read_retries": 1, "backoff_factor": 0.0}
        monkeypatch.setitem(elsewhere._SERVICE_PATIENCE, "retry_config", retries)
        yield running


def machine(folder: Path, **more: int) -> Knowledge:
    knowledge = build.knowledge(load_settings(data_dir=folder), WordEmbedder())
    for name, value in more.items():
        setattr(knowledge, name, value)
    return knowledge


async def ids(knowledge: Knowledge) -> list[str]:
    knowledge._clock = lambda: float("inf")  # nothing in memory counts as fresh
    shelf = await knowledge.open("valves")
    scores = await shelf.by_text("valve opens")
    return sorted({row.document_id for row in await shelf.rows(scores.keys.tolist())})


async def test_machines_share_what_the_service_holds_with_its_versions(
    service: LanceService, tmp_path: Path
) -> None:
    north, south = machine(tmp_path / "north"), machine(tmp_path / "south")
    assert not south.exists("valves")
    await store(PAGES[:2], "valves", north)
    south._tables.forget("valves")
    assert south.exists("valves")
    assert await south.names() == ["valves"]
    assert await ids(south) == ["p0", "p1"]
    first = (await south.status("valves")).version
    await store(PAGES[1:], "valves", south)
    assert await ids(north) == ["p0", "p1", "p2", "p3"]
    assert await north.rollback("valves", first or "") == first
    status = await south.status("valves")
    assert (status.version, status.documents, status.problem) == (first, 2, None)
    assert [release.current for release in await south.history("valves")] == [False, True]
    await north.remove("valves")
    with pytest.raises(KnowledgeError, match="there is no knowledge base 'valves'"):
        await north.open("valves")
    assert not list(north.folder.glob("*.lance"))


async def test_a_base_too_large_for_memory_is_searched_there(service: LanceService, tmp_path: Path) -> None:
    north = machine(tmp_path / "north", memory_chunks=300)
    many = [
        Document(f"d{n}", "", f"The valve number {n} opens when {n % 7} bar are reached.") for n in range(400)
    ]
    await store(many, "valves", north)
    shelf = await north.open("valves")
    vector = await north.embedder.embed_query("valve number 17")
    assert "d17" in {
        row.document_id for row in await shelf.rows((await shelf.by_text("number 17")).keys.tolist())
    }
    assert len((await shelf.by_vector(vector)).keys) == 200
    assert "index/list" in service.routes
    assert "optimize" not in service.routes


class Indexing:
    """A table whose indexes are late."""

    name = "valves"

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def list_indices(self) -> list[Any]:
        return [SimpleNamespace(name="searched_idx", columns=["searched"])]

    async def wait_for_index(self, names: list[str], most: timedelta) -> None:
        assert names == ["searched_idx"]
        raise self._error


async def test_indexes_that_come_late_are_named_and_cost_no_ingestion(
    caplog: pytest.LogCaptureFixture,
) -> None:
    late: Any = Indexing(TimeoutError("not all indexed"))
    await tables._indexed(late, {"searched"})
    assert "the indexes of 'valves' are not ready after 300 s" in caplog.text
    broken: Any = Indexing(RuntimeError("Http error: (request_id=a) 403 Forbidden"))
    with pytest.raises(RuntimeError, match="403"):
        await tables._indexed(broken, {"searched"})


async def test_old_releases_can_no_longer_be_returned_to(service: LanceService, tmp_path: Path) -> None:
    north = machine(tmp_path / "north", _releases=2)
    for number in range(1, 4):
        await store(PAGES[:number], "valves", north)
    assert len(await north.history("valves")) == 2


@pytest.mark.parametrize(
    ("status", "key", "line"),
    [
        (
            503,
            KEY,
            "the LanceDB service of knowledge base 'valves' is overloaded; run the same",
        ),
        (None, "wrong", "the LanceDB service of knowledge base 'valves' refuses the key; look at"),
    ],
)
async def test_what_the_service_refuses_is_one_line(
    status: int | None,
    key: str,
    line: str,
    service: LanceService,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service.fails = status
    monkeypatch.setenv("LANCEDB_API_KEY", key)
    with pytest.raises(KnowledgeError, match=line) as caught:
        await store(PAGES, "valves", machine(tmp_path / "west"))
    assert "\n" not in str(caught.value)
    assert KEY not in str(caught.value)


async def test_a_service_that_is_not_there_is_one_line(
    service: LanceService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LANCEDB_HOST_OVERRIDE", "http://127.0.0.1:1")
    with pytest.raises(KnowledgeError, match="service of knowledge base 'valves' cannot be reached; look at"):
        await store(PAGES, "valves", machine(tmp_path / "west"))


async def test_a_silent_service_is_not_waited_for(
    service: LanceService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "WAIT_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("LANCEDB_HOST_OVERRIDE", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(KnowledgeError, match="did not answer within 0.15 s; look at knowledge.place"):
            await store(PAGES, "valves", machine(tmp_path / "west"))


def test_without_a_key_nothing_starts(service: LanceService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LANCEDB_API_KEY")
    with pytest.raises(ConfigurationError, match="LANCEDB_API_KEY: not set"):
        load_settings()


def test_the_certificate_says_whose_old_versions_cannot_be_proved_gone(
    service: LanceService, tmp_path: Path
) -> None:
    settings = load_settings(data_dir=tmp_path / "north")
    certificate = erasing.erase(build.store(settings), "ada")
    assert "the service itself" in certificate.kept["the team's documents at LanceDB's service"]
