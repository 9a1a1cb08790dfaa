"""Knowledge bases in an object store: several machines read, one at a time writes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from pipeline import build
from pipeline.errors import ConfigurationError, KnowledgeError
from pipeline.knowledge.documents import Document
from pipeline.knowledge.index import Knowledge
from pipeline.knowledge.ingest import store
from pipeline.knowledge.tables import plainly
from pipeline.settings import load_settings
from tests.databases import Databases
from traces.postgres.lease import Leases

PAGES = [Document(f"p{n}", f"Page {n}", f"The valve {n} opens at {n} bar.") for n in range(4)]


@pytest.fixture(scope="module")
def objects() -> Iterator[str]:
    """The address of an S3 server of this test process, with a bucket."""
    moto = pytest.importorskip("moto.server", reason="the package moto is not installed here")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    address = f"http://127.0.0.1:{port}"
    httpx.put(f"{address}/team").raise_for_status()
    yield address
    server.stop()


@pytest.fixture
def machines(
    objects: str, postgres: Databases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> list[Knowledge]:
    """Two machines with one bucket, below a prefix of this test."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "ada",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT": objects,
        "AWS_ALLOW_HTTP": "true",
        "ANSWERDECK_LEDGER": postgres.fresh(),
        "ANSWERDECK_KNOWLEDGE__PLACE": f"s3://team/{tmp_path.name}",
    }.items():
        monkeypatch.setenv(name, value)
    return [build.knowledge(load_settings(data_dir=tmp_path / name)) for name in ("north", "south")]


async def ids(knowledge: Knowledge) -> list[str]:
    shelf = await knowledge.open("valves")
    return sorted(row.document_id for row in await shelf.rows(range(shelf.chunks)))


async def test_what_one_machine_ingests_another_answers_from(
    machines: list[Knowledge],
) -> None:
    north, south = machines
    assert not south.exists("valves")
    await store(PAGES[:2], "valves", north)
    await asyncio.sleep(1.1)  # names are believed for a second
    assert south.exists("valves")
    assert await south.names() == ["valves"]
    assert await ids(south) == ["p0", "p1"]
    first = (await south.status("valves")).version
    await store(PAGES, "valves", south)
    for _ in range(100):
        if len(await ids(north)) == 4:
            break
        await asyncio.sleep(0.1)
    assert await ids(north) == ["p0", "p1", "p2", "p3"]
    assert await north.rollback("valves", first or "") == first
    assert (await north.status("valves")).bytes > 0
    assert [release.current for release in await south.history("valves")] == [False, True]
    assert not list(north.folder.glob("*.lance"))


async def test_one_machine_writes_at_a_time(machines: list[Knowledge]) -> None:
    north, south = machines
    steps: list[str] = []

    async def write(knowledge: Knowledge, name: str) -> None:
        async with knowledge.writing("valves"):
            steps.append(f"{name} begins")
            await asyncio.sleep(0.1)
            steps.append(f"{name} ends")

    await asyncio.gather(write(north, "north"), write(south, "south"))
    assert steps in (
        ["north begins", "north ends", "south begins", "south ends"],
        ["south begins", "south ends", "north begins", "north ends"],
    )


async def test_both_ingest_at_once_and_nothing_is_lost(machines: list[Knowledge]) -> None:
    north, south = machines
    await asyncio.gather(store(PAGES[:2], "valves", north), store(PAGES[2:], "valves", south))
    assert sorted(document.document_id for document in (await north.documents("valves")).values()) == [
        "p0",
        "p1",
        "p2",
        "p3",
    ]


async def test_without_the_database_nobody_writes(machines: list[Knowledge], postgres: Databases) -> None:
    north, _ = machines
    await store(PAGES[:1], "valves", north)
    postgres.kill()
    try:
        with pytest.raises(KnowledgeError, match="who writes knowledge base 'valves' cannot be asked"):
            await store(PAGES, "valves", north)
        assert await ids(north) == ["p0"]
    finally:
        postgres.start()


@pytest.mark.parametrize(
    ("place", "endpoint", "problem"),
    [
        ("s3://nobodys/things", None, "the object store of knowledge base 'valves' has no such bucket"),
        ("s3://team/things", "http://127.0.0.1:1", "the object store of knowledge base 'valves' cannot be"),
    ],
)
async def test_what_an_object_store_refuses_is_one_line(
    place: str,
    endpoint: str | None,
    problem: str,
    machines: list[Knowledge],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("ANSWERDECK_KNOWLEDGE__PLACE", place)
    if endpoint is not None:
        monkeypatch.setenv("AWS_ENDPOINT", endpoint)
    knowledge = build.knowledge(load_settings(data_dir=tmp_path / "west"))
    with pytest.raises(KnowledgeError, match=problem) as caught:
        await store(PAGES, "valves", knowledge)
    assert "\n" not in str(caught.value)


def test_an_overloaded_object_store_is_one_to_come_back_to() -> None:
    answer = 'store: "S3", source: Client error with status 503 Service Unavailable: <Code>SlowDown</Code>'
    line = "'valves' is overloaded; run the same command again"
    with pytest.raises(KnowledgeError, match=line), plainly("valves"):
        raise OSError(f"LanceError(IO): Generic S3 error, object_store {answer}")


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (401, "refuses the credentials"),
        (403, "refuses the credentials"),
        (404, "has no such bucket"),
        (429, "is overloaded; run the same command again"),
        (500, "is overloaded"),
        (503, "is overloaded"),
        (418, "cannot be reached"),
    ],
)
def test_what_an_object_store_answers_to_a_listing_is_told_apart(status: int, line: str) -> None:
    inner = f'Status {{ status: {status}, body: Some("") }}'
    with pytest.raises(KnowledgeError, match=f"object store of the knowledge bases {line}"), plainly(None):
        raise ValueError(
            'Invalid input, Failed to connect to namespace: IO { source: Generic { store: "S3", source:'
            f" ListRequest {{ source: RetryError(RetryErrorImpl {{ retries: 3, inner: {inner} }}) }} }} }}"
        )


def test_a_lease_is_free_when_its_holder_is_gone(postgres: Databases) -> None:
    leases = Leases(postgres.fresh())
    lease = leases.take("a")
    assert lease is not None
    assert leases.take("a") is None
    other = leases.take("b")
    assert other is not None
    other.release()
    lease._connection.pgconn.finish()  # as a killed process leaves it
    while (again := leases.take("a")) is None:
        pass
    again.release()


@pytest.mark.parametrize(
    ("place", "problem"),
    [
        ("s3://team/x", "knowledge.place: documents that machines share need ANSWERDECK_LEDGER"),
        ("gopher://team", 'no such place; use "embedded", s3://bucket/prefix or db://database'),
        ("s3://", 'no such place; use "embedded", s3://bucket/prefix or db://database'),
    ],
)
def test_a_wrong_place_is_one_line(place: str, problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSWERDECK_KNOWLEDGE__PLACE", place)
    monkeypatch.setenv("ANSWERDECK_SESSIONS", "redis://:s3cret@127.0.0.1:1/0")
    with pytest.raises(ConfigurationError, match=problem.replace("(", r"\(")) as caught:
        load_settings()
    (line,) = caught.value.problems
    assert len(line) < 250 and "s3cret" not in line
