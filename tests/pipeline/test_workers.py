"""Work given away to processes and to a Ray cluster: a worker that dies loses and doubles nothing."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from pipeline import build, spread
from pipeline.build import knowledge
from pipeline.errors import KnowledgeError
from pipeline.knowledge.documents import Document, Skipped
from pipeline.knowledge.embedding import EmbedError, PassageVectors, Spans
from pipeline.knowledge.ingest import ingest, store
from pipeline.providers import workers
from pipeline.settings import load_settings
from pipeline.spread import Spread
from pipeline.workers import Processes, WorkersError
from tests import workmates


class Threads:
    """Workers of this process, who count how many work at a time."""

    width = 2

    def __init__(self, fails_at: int | None = None, fingerprint: str = "f") -> None:
        self.calls = self.most = self._now = 0
        self._fails_at = fails_at
        self._fingerprint = fingerprint

    async def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        number = self.calls = self.calls + 1
        self._now += 1
        self.most = max(self.most, self._now)
        await asyncio.sleep(0)
        self._now -= 1
        if number == self._fails_at:
            raise WorkersError("embed: its process died 4 times")
        if function is spread.read:
            data, name, _ = arguments
            return [Document(name, name, data.decode())]
        texts: Sequence[str] = arguments[2]
        return self._fingerprint, [PassageVectors(unit(text), None) for text in texts]

    def close(self) -> None:
        pass


class Plain:
    """An embedder of this machine, which embeds questions alone."""

    fingerprint = "f"
    dimensions = 8

    async def embed_query(self, text: str) -> np.ndarray:
        return unit(text)

    async def embed_passages(self, texts: Sequence[str], spans: Sequence[Spans]) -> list[PassageVectors]:
        raise AssertionError("passages are embedded elsewhere")


def unit(text: str) -> np.ndarray:
    vector = np.random.default_rng(len(text)).random(8).astype(np.float32)
    return vector / np.linalg.norm(vector)


def documents(count: int) -> list[Document]:
    text = "\n\n".join(f"Paragraph {n} of the manual, " + "with words " * 60 for n in range(2))
    return [Document(f"d{n}", f"Manual {n}", f"Number {n}. {text}", "") for n in range(count)]


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    pool = Processes(1)
    yield pool
    pool.close()


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.knowledge.writer.BATCH_CHUNKS", 4)


async def test_processes_work_and_pass_exceptions_on(processes: Processes) -> None:
    assert await asyncio.gather(*(processes.run(workmates.double, n) for n in range(4))) == [0, 2, 4, 6]
    with pytest.raises(ValueError, match="no"):
        await processes.run(workmates.refuse, "no")


async def test_what_a_dead_process_did_is_done_again(processes: Processes, tmp_path: Path) -> None:
    mark = str(tmp_path / "mark")
    results = await asyncio.gather(*(processes.run(workmates.die_once, mark, n) for n in range(3)))
    assert results == [0, 2, 4]
    with pytest.raises(WorkersError, match="its process died 4 times"):
        await processes.run(workmates.die)
    assert await processes.run(workmates.double, 4) == 8


@pytest.mark.parametrize("place", ["", "nowhere", "processes:0", "processes:x", "raydar://host"])
def test_a_place_that_cannot_be_one_is_named(place: str) -> None:
    with pytest.raises(WorkersError, match="is no place to work at; it can be processes"):
        workers(place)


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.ray_cluster.find_spec", lambda _: None)
    with pytest.raises(WorkersError, match=r'pip install "answerdeck\[ray\]"'):
        workers("ray")


@pytest.mark.usefixtures("small_batches")
async def test_batches_are_embedded_ahead_but_only_so_many_and_stored_in_order() -> None:
    crew, order = Threads(), list[str]()
    bases = knowledge(load_settings(), Spread(Plain(), crew, "plain", None))
    result = await store(documents(24), "manual", bases, lambda done, total, name: order.append(name))
    assert (result.added, result.pending, result.problem) == (24, 0, None)
    assert order == [f"d{n}" for n in range(24)]
    assert 1 < crew.most <= 3 < crew.calls, (crew.most, crew.calls)


@pytest.mark.usefixtures("small_batches")
async def test_workers_that_die_leave_the_rest_waiting_and_a_second_run_goes_on() -> None:
    bases = knowledge(load_settings(), Spread(Plain(), Threads(fails_at=3), "plain", None))
    result = await store(documents(24), "manual", bases)
    assert result.problem is not None and result.problem.startswith("embed: its process died")
    assert 0 < result.added < 24 and result.pending == 24 - result.added
    crew = Threads()
    again = await store(
        documents(24), "manual", knowledge(load_settings(), Spread(Plain(), crew, "plain", None))
    )
    assert (again.added, again.unchanged, again.problem) == (24 - result.added, result.added, None)
    assert len(await bases.documents("manual")) == 24


async def test_files_are_read_by_workers_too_but_only_so_many_ahead_and_stored_in_order(
    tmp_path: Path,
) -> None:
    pages = tmp_path / "pages"
    pages.mkdir()
    for number in range(8):
        (pages / f"page{number}.html").write_text(f"The valve {number} opens at {number} bar.")
    crew, order = Threads(), list[str]()
    bases = knowledge(load_settings(), Spread(Plain(), crew, "plain", None))
    result = await ingest([pages], "valves", bases, lambda done, total, name: order.append(name))
    assert (result.added, result.skipped) == (8, ())
    assert order == [f"page{number}.html" for number in range(8)]
    assert crew.most <= crew.width and crew.calls == 9  # eight to read, one batch to embed


async def test_a_file_that_no_worker_is_left_to_read_stops_the_ingestion(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("The valve opens.")
    bases = knowledge(load_settings(), Spread(Plain(), Threads(fails_at=1), "plain", None))
    with pytest.raises(KnowledgeError, match=r"'page\.html' cannot be given away to be read: embed: its"):
        await ingest([tmp_path / "page.html"], "valves", bases)


async def test_a_process_reads_a_file_as_this_one_does(processes: Processes) -> None:
    page = b"<html><title>Valves</title><p>The valve opens at 4 bar.</p></html>"
    (document,) = await processes.run(spread.read, page, "valves.html", ".html")
    assert isinstance(document, Document)
    assert (document.document_id, document.title, document.text) == (
        "valves.html",
        "Valves",
        "The valve opens at 4 bar.",
    )
    (skipped,) = await processes.run(spread.read, b"no PDF", "x.pdf", ".pdf")
    assert isinstance(skipped, Skipped) and "not a PDF file" in skipped.reason


async def test_workers_that_embed_otherwise_are_refused() -> None:
    embedder = Spread(Plain(), Threads(fingerprint="other"), "plain", None)
    with pytest.raises(EmbedError, match="a worker embeds with other, this machine with f"):
        await embedder.embed_passages(["a"], [()])


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_ray_cluster_of_two_nodes_loses_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pytest.importorskip("ray.cluster_utils", reason="the extra [ray] is not installed")
    for name in ("RAY_raylet_start_wait_time_s", "RAY_agent_register_timeout_ms"):
        monkeypatch.setenv(
            name, "100" if name.endswith("_s") else "100000"
        )  # a busy machine is slow to start
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    node = {
        "num_cpus": 1,
        "object_store_memory": 80_000_000,
        "node_ip_address": "127.0.0.2",
    }  # loopback, and not what Ray replaces
    cluster: Any = ray.Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    second = cluster.add_node(**node)
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    try:
        crew = workers("ray")
        assert crew.width == 2
        mark = str(tmp_path / "mark")
        assert await crew.run(workmates.die_once, mark, 4) == 8
        with pytest.raises(ValueError, match="no"):
            await crew.run(workmates.refuse, "no")
        settings = load_settings()
        bases = knowledge(settings, Spread(build.embedder(settings), crew, settings.embedder, None))
        (page,) = await crew.run(spread.read, b"<p>The valve opens.</p>", "valve.html", ".html")
        assert isinstance(page, Document) and page.text == "The valve opens."
        killed: list[str] = []

        def progress(done: int, total: int, name: str) -> None:
            if not killed:
                killed.append(name)
                cluster.remove_node(second, allow_graceful=False)

        result = await store(documents(24), "manual", bases, progress)
        assert (result.added, result.pending, result.problem) == (24, 0, None)
        stored = await bases.documents("manual")
        assert sorted(stored) == sorted(document.key for document in documents(24))
        crew.close()
    finally:
        cluster.shutdown()


def test_a_ray_that_does_not_start_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = ModuleType("ray")

    def init(**options: Any) -> None:
        raise Exception("The current node timed out during startup.\nAnd more")

    monkeypatch.setattr(ray, "init", init, raising=False)
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setattr("pipeline.ray_cluster.find_spec", lambda _: object())
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(WorkersError, match="at this machine: The current node timed out during startup.$"):
        workers("ray")
