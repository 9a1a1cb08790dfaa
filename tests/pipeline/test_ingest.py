"""Ingestion: only what changed, resumable, honest about what it left out; and the sample."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.errors import KnowledgeError
from pipeline.knowledge import writer
from pipeline.knowledge.chunking import chunk
from pipeline.knowledge.documents import Document
from pipeline.knowledge.embedding import EmbedError, MiniLM, PassageVectors, Spans
from pipeline.knowledge.index import Knowledge
from pipeline.knowledge.ingest import SAMPLE, ensure_sample, ingest, sample, store
from tests.fake_embedder import WordEmbedder


def make(tmp_path: Path, fail_after: int | None = None) -> Knowledge:
    return Knowledge(tmp_path / "data" / "knowledge", WordEmbedder(fail_after=fail_after))


def documents(count: int) -> list[Document]:
    return [Document(f"d{n}", f"Title {n}", f"Text of page number{n}.") for n in range(count)]


async def test_a_second_run_only_touches_what_changed(tmp_path: Path) -> None:
    knowledge = make(tmp_path)
    embedder = knowledge.embedder
    assert isinstance(embedder, WordEmbedder)
    folder = tmp_path / "docs"
    folder.mkdir()
    for name in ("a", "b", "c"):
        (folder / f"{name}.md").write_text(f"# {name}\n\nText of {name}.")
    (folder / "d.exe").write_bytes(b"MZ")
    told: list[tuple[int, int, str]] = []
    first = await ingest([folder], "kb", knowledge, lambda *step: told.append(step))
    assert (first.added, first.chunks, first.pending) == (3, 3, 0)
    assert told == [(1, 3, "a.md"), (2, 3, "b.md"), (3, 3, "c.md")]
    assert first.skipped == (("d.exe", "files of kind '.exe' are not read"),)

    (folder / "b.md").write_text("# b\n\nPlums are blue.")
    (folder / "c.md").unlink()
    embedder.passages.clear()
    second = await ingest([folder], "kb", knowledge)
    assert (second.added, second.updated, second.unchanged, second.removed) == (0, 1, 1, 0)
    assert len(embedder.passages) == 1
    shelf = await knowledge.open("kb")
    assert shelf.chunks == 3 and len((await shelf.by_text("plums")).keys) == 1

    third = await ingest([folder], "kb", knowledge, prune=True)
    assert (third.unchanged, third.removed) == (2, 1)
    assert (await knowledge.open("kb")).chunks == 2
    fourth = await ingest([folder], "kb", knowledge, prune=True)
    assert (fourth.version, fourth.unchanged) == (None, 2)


async def test_a_shorter_page_leaves_no_old_chunk_behind(tmp_path: Path) -> None:
    knowledge = make(tmp_path)
    long = " ".join(f"Sentence number {n} of a long page about apples." for n in range(120))
    assert (await store([Document("d", "T", long)], "kb", knowledge)).chunks > 2
    assert (await store([Document("d", "T", "Short now.")], "kb", knowledge)).updated == 1
    shelf = await knowledge.open("kb")
    assert shelf.chunks == 1 and len((await shelf.by_text("apples")).keys) == 0


async def test_empty_and_doubled_documents_are_named(tmp_path: Path) -> None:
    given = [Document("a", "", "One."), Document("a", "", "Two."), Document("b", "Title", " \u200b\n")]
    done = await store(given, "kb", make(tmp_path))
    assert done.added == 1
    assert done.skipped == (("b", "no text in it"), ("a", "another document has the same id"))


async def test_nothing_to_ingest_makes_no_knowledge_base(tmp_path: Path) -> None:
    knowledge = make(tmp_path)
    done = await store([], "kb", knowledge)
    assert (done.added, done.version, await knowledge.names()) == (0, None, [])


async def test_ids_that_look_like_sql_are_only_ids(tmp_path: Path) -> None:
    knowledge = make(tmp_path)
    evil = "x') OR 1=1 --"
    await store([Document(evil, "", "Evil apples."), *documents(3)], "kb", knowledge)
    await store([Document(evil, "", "Changed pears.")], "kb", knowledge)
    assert len(await knowledge.contents("kb")) == 4
    done = await store(documents(3), "kb", knowledge, prune=True)
    assert (done.removed, len(await knowledge.contents("kb"))) == (1, 3)


async def test_a_broken_down_embedder_leaves_the_rest_pending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "BATCH_CHUNKS", 4)
    knowledge = make(tmp_path, fail_after=8)
    embedder = knowledge.embedder
    assert isinstance(embedder, WordEmbedder)
    first = await store(documents(20), "kb", knowledge)
    assert (first.added, first.pending) == (8, 12)
    assert "run the ingestion again" in (first.problem or "")
    assert (await knowledge.status("kb")).pending == 12
    assert (await knowledge.open("kb")).chunks == 8
    embedder.fail_after = None
    second = await store(documents(20), "kb", knowledge)
    assert (second.added, second.unchanged, second.pending) == (12, 8, 0)
    assert (await knowledge.status("kb")).pending == 0


class OneBadVector(WordEmbedder):
    async def embed_passages(self, texts: Sequence[str], spans: Sequence[Spans]) -> list[PassageVectors]:
        if any("number3" in text for text in texts):
            raise EmbedError("the embedder gave a vector of length nan", "embed_invalid")
        return await super().embed_passages(texts, spans)


async def test_writers_take_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "BATCH_CHUNKS", 2)
    pages = [[Document(f"d{n}", "", f"Writer {writer} page {n}.") for n in range(8)] for writer in range(4)]
    results = await asyncio.gather(*(store(some, "kb", make(tmp_path)) for some in pages))
    assert sorted((one.added, one.updated) for one in results) == [(0, 8), (0, 8), (0, 8), (8, 0)]
    shelf = await make(tmp_path).open("kb")
    texts = {row.text.split()[1] for row in await shelf.rows(list(range(shelf.chunks)))}
    assert shelf.chunks == 8 and len(texts) == 1


async def test_one_bad_vector_costs_one_document(tmp_path: Path) -> None:
    knowledge = Knowledge(tmp_path / "data" / "knowledge", OneBadVector())
    done = await store(documents(6), "kb", knowledge)
    assert (done.added, done.pending) == (5, 0)
    assert done.skipped == (("d3", "the embedder gave a vector of length nan"),)
    assert (await knowledge.status("kb")).failed == {"d3": "the embedder gave a vector of length nan"}


async def test_vectors_are_kept_across_knowledge_bases_and_damage(tmp_path: Path) -> None:
    knowledge = make(tmp_path)
    await store(documents(10), "kb", knowledge)
    again = make(tmp_path)
    await store(documents(10), "other", again)
    assert isinstance(again.embedder, WordEmbedder) and again.embedder.passages == []
    [kept] = (tmp_path / "data" / "vectors").iterdir()
    kept.write_bytes(kept.read_bytes()[:-7])
    third = make(tmp_path)
    assert (await store(documents(12), "third", third)).added == 12
    assert isinstance(third.embedder, WordEmbedder) and len(third.embedder.passages) == 3
    fourth = make(tmp_path)
    assert (await store(documents(12), "fourth", fourth)).added == 12


async def test_the_sample_loads_with_its_own_vectors(tmp_path: Path) -> None:
    class NoPassages(MiniLM):
        async def embed_passages(self, texts: Sequence[str], spans: Sequence[Spans]) -> list[PassageVectors]:
            raise AssertionError(
                f"{len(texts)} chunks lack a vector; run: python -m pipeline.knowledge.sample_build"
            )

    knowledge = Knowledge(tmp_path / "data" / "knowledge", NoPassages())
    done = await ensure_sample(knowledge, "kb")
    assert done is not None and (done.added, done.skipped) == (len(sample()), ())
    again = await ensure_sample(knowledge, "kb")
    assert again is not None and (again.added, again.unchanged) == (0, len(sample()))


async def test_the_sample_keeps_away_from_other_documents_and_other_embedders(tmp_path: Path) -> None:
    knowledge = make(tmp_path)
    await store(documents(1), "mine", knowledge)
    assert await ensure_sample(knowledge, "mine") is None
    assert isinstance(knowledge.embedder, WordEmbedder)
    knowledge.embedder.passages.clear()
    done = await ensure_sample(knowledge, "kb")
    assert done is not None and done.added == len(sample())
    assert len(knowledge.embedder.passages) == done.chunks == sum(len(chunk(page)) for page in sample())


def test_the_sample_is_our_own_handbook() -> None:
    pages = sample()
    assert len(pages) >= 80 and len({page.document_id for page in pages}) == len(pages)
    for page in pages:
        assert page.text.startswith(f"# {page.title}\n"), page.document_id
        assert page.url == ""  # no address is invented: a page is read where it lies
    assert (SAMPLE / "vectors.npz").stat().st_size < 4_000_000


WRITER = """
import asyncio, sys
from pathlib import Path
from pipeline.knowledge import ingest
from pipeline.knowledge.documents import Document
from pipeline.knowledge.index import Knowledge
from tests.fake_embedder import WordEmbedder
ingest.BATCH_CHUNKS = 6
texts = [" ".join(f"Page {n} sentence {i} about apples." for i in range(80)) for n in range(60)]
documents = [Document(f"d{n}", "T", text) for n, text in enumerate(texts)]
knowledge = Knowledge(Path(sys.argv[1]), WordEmbedder())
asyncio.run(knowledge.names())
print("go", flush=True)
done = lambda done, total, name: print(name, flush=True)
asyncio.run(ingest.store(documents, "kb", knowledge, done))
"""


@pytest.mark.slow
def test_kill_at_any_moment_loses_no_stored_document_and_leaves_no_half_one(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "knowledge"
    pages = [
        Document(f"d{n}", "T", " ".join(f"Page {n} sentence {i} about apples." for i in range(80)))
        for n in range(60)
    ]
    whole = {page.document_id: len(chunk(page)) for page in pages}
    acknowledged: set[str] = set()
    answering: dict[str, int] = {}
    for kill in range(12):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path.cwd(),
            env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        )
        assert writer.stdout is not None and writer.stdout.readline() == "go\n"
        time.sleep(0.04 * (kill + 1))
        writer.send_signal(signal.SIGKILL)
        acknowledged |= set(writer.stdout.read().split())
        writer.wait()
        writer.stdout.close()
        kept, answering = asyncio.run(_stored(folder))
        assert acknowledged <= kept.keys()  # stored, if not yet in force: the next run goes on with it
        assert all(whole[name] == count for name, count in (kept | answering).items())
        assert answering.keys() in (set(), whole.keys())  # a first version answers whole or not at all
    assert acknowledged and answering.keys() == whole.keys()


async def _stored(folder: Path) -> tuple[dict[str, int], dict[str, int]]:
    """Return how many chunks of each document are stored, and how many answer."""
    knowledge = Knowledge(folder, WordEmbedder())
    try:
        table = await knowledge.table("kb")
    except KnowledgeError as error:  # killed before the table was, or with its folder made alone
        assert error.error_class == "store_missing"
        return {}, {}
    rows = await table.query().select(["document_id"]).to_list()
    kept = Counter(row["document_id"] for row in rows)
    shelf = await knowledge.open("kb")
    answering = Counter(row.document_id for row in await shelf.rows(list(range(shelf.chunks))))
    return dict(kept), dict(answering)
