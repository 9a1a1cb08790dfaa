"""Ingestions survive what happens to folders, disks and processes; the last good version stays in force."""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import KnowledgeError
from pipeline.knowledge import ingest as ingesting
from pipeline.knowledge import ingestions, running, standing, tables, vector_files, watch
from pipeline.knowledge.documents import Document
from pipeline.knowledge.index import Knowledge
from pipeline.knowledge.ingest import Ingested, ingest
from pipeline.knowledge.watch import follow
from tests.fake_embedder import WordEmbedder

PATIENCE_SECONDS = 30.0  # of a test that hangs; no test waits for it


def make(tmp_path: Path) -> Knowledge:
    return Knowledge(tmp_path / "data" / "knowledge", WordEmbedder())


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


async def texts(knowledge: Knowledge) -> dict[str, str]:
    """Return what is in force: the text of each document."""
    return {document: text for _, document, text, _ in await knowledge.passages("kb")}


class Follower:
    """Follows a folder into a knowledge base, and waits for a run of a kind."""

    def __init__(self, folder: Path, knowledge: Knowledge, prune: bool) -> None:
        self.runs: asyncio.Queue[Ingested | Exception] = asyncio.Queue()
        self._folder, self._knowledge, self._prune = folder, knowledge, prune

    async def changed(self) -> bool:
        try:
            result = await ingest([self._folder], "kb", self._knowledge, prune=self._prune)
        except KnowledgeError as error:
            await self.runs.put(error)
            return False
        await self.runs.put(result)
        return result.problem is None

    async def until(self, fits: Callable[[Any], bool]) -> Any:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not fits(result := await self.runs.get()):
                pass
        return result


async def followed(
    folder: Path, knowledge: Knowledge, story: Callable[[Follower], Awaitable[None]], prune: bool = False
) -> None:
    follower, stop = Follower(folder, knowledge, prune), asyncio.Event()
    task = asyncio.create_task(follow([folder], follower.changed, every_seconds=0.01, stop=stop))
    try:
        await story(follower)
    finally:
        stop.set()
        await task


async def test_a_followed_folder_is_stored_as_it_changes(tmp_path: Path) -> None:
    knowledge, folder = make(tmp_path), tmp_path / "docs"
    write(folder / "a.md", "Apples are red.")

    async def story(follower: Follower) -> None:
        await follower.until(lambda run: run.added == 1)
        write(folder / "b.md", "Bananas are yellow.")
        await follower.until(lambda run: run.added == 1)
        write(folder / "a.md", "Apples are green.")
        await follower.until(lambda run: run.updated == 1)
        (folder / "b.md").rename(folder / "c.md")
        run = await follower.until(lambda run: run.added == 1)
        assert run.remaining == (("b.md", "its file is gone; --prune removes it"),)
        (folder / "a.md").unlink()
        run = await follower.until(lambda run: len(run.remaining) == 2)
        assert run.remaining[0] == ("a.md", "its file is gone; --prune removes it")

    await followed(folder, knowledge, story)


async def test_a_folder_that_vanishes_takes_nothing_with_it_and_comes_back(tmp_path: Path) -> None:
    knowledge, folder = make(tmp_path), tmp_path / "docs"
    write(folder / "a.md", "Apples are red.")
    write(folder / "b.md", "Bananas are yellow.")

    async def story(follower: Follower) -> None:
        await follower.until(lambda run: run.added == 2)
        folder.rename(tmp_path / "away")
        error = await follower.until(lambda run: isinstance(run, Exception))
        assert "no file or folder" in str(error)
        folder.mkdir()  # the mount point without its disk
        run = await follower.until(lambda run: isinstance(run, Ingested) and bool(run.remaining))
        assert run.removed == 0 and "is a disk missing?" in run.remaining[0][1]
        assert len(await texts(knowledge)) == 2
        folder.rmdir()
        (tmp_path / "away").rename(folder)
        (folder / "b.md").unlink()
        await follower.until(lambda run: isinstance(run, Ingested) and run.removed == 1)
        assert await texts(knowledge) == {"a.md": "Apples are red."}

    await followed(folder, knowledge, story, prune=True)


async def test_what_fails_is_tried_less_and_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, looks, stop = 0, 0, asyncio.Event()

    async def changed() -> bool:
        nonlocal calls
        calls += 1
        return False

    def look(_: object) -> dict[str, tuple[int, int, int]]:
        nonlocal looks
        looks += 1
        if looks == 40:
            stop.set()
        return {}

    monkeypatch.setattr(watch, "look", look)
    await follow([tmp_path], changed, every_seconds=0.0, stop=stop)
    assert calls <= 6


async def test_a_file_that_is_still_written_is_stored_whole_in_the_end(tmp_path: Path) -> None:
    knowledge, folder = make(tmp_path), tmp_path / "docs"
    whole = '{"id": "a", "text": "Apples are red."}\n{"id": "b", "text": "Bananas are yellow."}\n'
    write(folder / "a.jsonl", whole[:60])

    async def story(follower: Follower) -> None:
        run = await follower.until(lambda run: run.added == 1)
        assert run.skipped[0] == ("a.jsonl:2", "not valid JSON")
        write(folder / "a.jsonl", whole)
        await follower.until(lambda run: run.added == 1)

    await followed(folder, knowledge, story)
    assert await texts(knowledge) == {"a": "Apples are red.", "b": "Bananas are yellow."}


def full(*_: object, **__: object) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def refuse(*_: object, **__: object) -> Any:
    raise sqlite3.OperationalError("database or disk is full")


@pytest.mark.parametrize(
    ("place", "name", "fault"),
    [
        (tables, "index", full),  # of the release
        (ingesting, "_release", None),  # killed there
        (Knowledge, "release", None),
        (standing.Lag, "save", full),
        (Path, "write_text", full),
    ],
)
async def test_a_full_disk_leaves_the_last_good_version_in_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Any, name: str, fault: Any
) -> None:
    knowledge, folder = make(tmp_path), tmp_path / "docs"
    a = write(folder / "a.md", "Apples are red.")
    await running.run([folder], "kb", knowledge)
    b = (folder / "b.md", b"Bananas are yellow.")
    a.write_text("Apples are green.")
    b[0].write_bytes(b[1])
    with monkeypatch.context() as patch:
        patch.setattr(place, name, fault or killed)
        with pytest.raises((KnowledgeError, KeyboardInterrupt)) as caught:
            await running.run([folder], "kb", knowledge)
    reader = make(tmp_path)
    assert await texts(reader) == {"a.md": "Apples are red."}
    last = running.running_jobs(reader).list()[0]
    assert last.state == "failed"
    if fault:
        assert "the disk is full, the last good version stays in force; free some space" in str(caught.value)
        assert last.outcome == str(caught.value)
    done = await running.run([folder], "kb", reader)
    assert done.problem is None
    assert await texts(reader) == {"a.md": "Apples are green.", "b.md": "Bananas are yellow."}
    assert reader.lags.of("kb").pending == 0


def killed(*_: object, **__: object) -> Any:
    raise KeyboardInterrupt


async def test_documents_that_are_stored_but_not_in_force_count_as_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    knowledge = make(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(tables, "index", full)
        with pytest.raises(KnowledgeError):
            await ingesting.store([Document(f"d{n}", "", f"Text {n}.") for n in range(3)], "kb", knowledge)
    assert knowledge.lags.of("kb").pending == 3


async def test_vectors_that_cannot_be_kept_cost_no_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector_files.VectorFile, "put", full)
    result = await ingest([write(tmp_path / "a.md", "Apples are red.")], "kb", make(tmp_path))
    assert result.added == 1 and result.problem is None


async def test_a_list_of_ingestions_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    knowledge, path = make(tmp_path), write(tmp_path / "a.md", "Apples are red.")
    with monkeypatch.context() as patch:
        patch.setattr(ingestions.Jobs, "_opened", refuse)
        with pytest.raises(KnowledgeError, match="list of ingestions .* cannot be used .*disk is full"):
            await running.run([path], "kb", knowledge)
    with monkeypatch.context() as patch:
        patch.setattr(
            ingestions.Jobs, "files", lambda *_: ingestions.Jobs(tmp_path / "a.md" / "no")._open().__enter__()
        )
        assert (await running.run([path], "kb", knowledge)).added == 1


def test_a_killed_ingestion_is_listed_as_interrupted(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    code = (
        "import os, sys; from pathlib import Path; from pipeline.knowledge.ingestions import Jobs;"
        "kept = Jobs(Path(sys.argv[1])); job = kept.begin('kb', ['/docs']);"
        "kept.progress(job, 3, 9, 'c.md'); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == -9
    (job,) = ingestions.Jobs(path).list()
    assert (job.state, job.done, job.total, job.document) == ("interrupted", 3, 9, "c.md")
    assert "goes on where it stopped" in job.outcome


async def test_prune_touches_only_what_came_from_the_folders_given(tmp_path: Path) -> None:
    knowledge = make(tmp_path)
    for folder in ("east", "east-old", "west"):
        write(tmp_path / folder / "a.md", f"Apples of {folder}.")
        write(tmp_path / folder / "b.md", f"Bananas of {folder}.")
    lone = write(tmp_path / "lone.md", "A lone file.")
    await ingest([tmp_path / "east", tmp_path / "east-old", tmp_path / "west", lone], "kb", knowledge)
    await ingesting.store([Document("pushed", "", "It came by another way.")], "kb", knowledge)
    for path in ("east/b.md", "east-old/b.md", "west/b.md", "lone.md"):
        (tmp_path / path).unlink()
    result = await ingest([tmp_path / "east"], "kb", knowledge, prune=True)
    assert result.removed == 1
    left = await texts(knowledge)
    assert "Bananas of east." not in left.values()
    for text in ("Bananas of east-old.", "Bananas of west.", "A lone file.", "It came by another way."):
        assert text in left.values()
