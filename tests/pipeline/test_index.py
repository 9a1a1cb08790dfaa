"""A knowledge base: versions and their history, damage, readers beside writers."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import KnowledgeError
from pipeline.knowledge.documents import Document
from pipeline.knowledge.index import Knowledge
from pipeline.knowledge.ingest import store
from pipeline.rehearsal.clock import Clock
from tests.fake_embedder import WordEmbedder


def documents(count: int, note: str = "") -> list[Document]:
    return [
        Document(f"d{n}", f"Fruit {n}", f"Apple number{n} is sweet. Pears are green{note}.")
        for n in range(count)
    ]


@pytest.fixture
def clock() -> Clock:
    return Clock(0.0)


@pytest.fixture
def knowledge(tmp_path: Path, clock: Clock) -> Knowledge:
    return Knowledge(tmp_path / "data" / "knowledge", WordEmbedder(), clock)


def files(knowledge: Knowledge, pattern: str) -> list[Path]:
    found = [path for path in knowledge.folder.glob(f"kb.lance/{pattern}") if path.is_file()]
    assert found
    return found


async def error_class(knowledge: Knowledge, kb: str = "kb") -> str:
    with pytest.raises(KnowledgeError) as caught:
        await knowledge.open(kb)
    assert "cargo" not in str(caught.value) and ".rs" not in str(caught.value)
    return caught.value.error_class


@pytest.mark.parametrize("name", ["", "../esc", "a/b", "a b", "x" * 65, "a'; drop", "ä", "kb\n"])
async def test_names_are_checked_everywhere(knowledge: Knowledge, name: str) -> None:
    assert await error_class(knowledge, name) == "config"
    for call in (
        knowledge.status,
        knowledge.history,
        knowledge.remove,
        knowledge.contents,
        knowledge.release,
    ):
        with pytest.raises(KnowledgeError, match="cannot name"):
            await call(name)


async def test_a_missing_knowledge_base_says_how_to_make_one(knowledge: Knowledge) -> None:
    assert await error_class(knowledge) == "store_missing"
    status = await knowledge.status("kb")
    assert status.version is None and "answerdeck ingest" in (status.problem or "")
    assert await knowledge.names() == [] and await knowledge.contents("kb") == {}


async def test_what_was_stored_is_read_back(knowledge: Knowledge) -> None:
    done = await store(documents(3), "kb", knowledge)
    shelf = await knowledge.open("kb")
    assert (shelf.version, shelf.chunks, shelf.embedder) == (done.version, 3, "words")
    scores = await shelf.by_text("number1")
    [row] = await shelf.rows(scores.keys.tolist())
    assert (row.document_id, row.title, row.text) == (
        "d1",
        "Fruit 1",
        "Apple number1 is sweet. Pears are green.",
    )
    assert [row.text[start:end] for start, end in row.spans] == [
        "Apple number1 is sweet.",
        "Pears are green.",
    ]
    assert row.vectors is not None and np.allclose(np.linalg.norm(row.vectors, axis=1), 1, atol=1e-2)
    cosines = await shelf.by_vector(WordEmbedder().vector("apple number1"))
    assert len(cosines.keys) == 3 and int(np.argmax(cosines.values)) == int(scores.keys[0])
    assert cosines.mean == pytest.approx(float(cosines.values.mean()), abs=1e-6)


async def test_every_release_can_be_returned_to(knowledge: Knowledge) -> None:
    first = (await store(documents(3), "kb", knowledge)).version
    second = (await store([*documents(3, " now"), Document("new", "New", "Plums.")], "kb", knowledge)).version
    history = await knowledge.history("kb")
    assert [(one.version, one.documents, one.current) for one in history] == [
        (second, 4, True),
        (first, 3, False),
    ]
    assert await knowledge.rollback("kb", first or "") == first
    shelf = await knowledge.open("kb")
    assert (shelf.chunks, shelf.version) == (3, first)
    assert [(one.version, one.current) for one in await knowledge.history("kb")] == [
        (second, False),
        (first, True),
    ]
    assert (await knowledge.status("kb")).version == first
    assert await knowledge.rollback("kb", second or "") == second
    assert (await knowledge.open("kb")).version == second
    await knowledge.rollback("kb", first or "")
    assert len(await knowledge.contents("kb")) == 3
    with pytest.raises(KnowledgeError, match="no release 'v999'; there are: "):
        await knowledge.rollback("kb", "v999")


async def test_a_reader_sees_what_another_process_stored(knowledge: Knowledge, clock: Clock) -> None:
    await store(documents(2), "kb", knowledge)
    reader = Knowledge(knowledge.folder, WordEmbedder(), clock)
    before = await reader.open("kb")
    await store(documents(5), "kb", knowledge)
    assert await reader.open("kb") is before
    clock.now += 1.1
    after = await reader.open("kb")
    assert (before.chunks, after.chunks) == (2, 5)
    assert len((await before.by_text("apple")).keys) == 2  # a running turn keeps its version
    assert len((await after.by_text("apple")).keys) == 5


async def test_another_embedder_is_refused_with_both_names(knowledge: Knowledge) -> None:
    await store(documents(2), "kb", knowledge)
    other = Knowledge(knowledge.folder, WordEmbedder("other", dimensions=32))
    with pytest.raises(KnowledgeError, match="'words'.*'other'.*cannot be mixed") as caught:
        await store(documents(3), "kb", other)
    assert caught.value.error_class == "config"
    assert "cannot be mixed" in ((await other.status("kb")).problem or "")


@pytest.mark.parametrize("harm", ["truncate", "empty", "delete"])
@pytest.mark.parametrize("pattern", ["data/*", "_versions/*"])
async def test_damage_is_named_and_can_be_removed(knowledge: Knowledge, pattern: str, harm: str) -> None:
    await store(documents(5), "kb", knowledge)
    for path in files(knowledge, pattern):
        if harm == "delete":
            path.unlink()
        else:
            path.write_bytes(path.read_bytes()[: len(path.read_bytes()) // 2] if harm == "truncate" else b"")
    fresh = Knowledge(knowledge.folder, WordEmbedder())
    assert await error_class(fresh) in ("store_damaged", "store_missing")
    assert (await fresh.status("kb")).problem
    await fresh.remove("kb")
    assert (await store(documents(5), "kb", fresh)).added == 5


async def test_a_version_in_memory_survives_damage_on_disk(
    knowledge: Knowledge, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    await store(documents(5), "kb", knowledge)
    held = await knowledge.open("kb")
    for path in files(knowledge, "_versions/*"):
        path.write_bytes(b"")
    clock.now += 2
    with caplog.at_level(logging.WARNING):
        assert await knowledge.open("kb") is held
    assert "from memory" in caplog.text


async def test_a_removed_knowledge_base_is_gone_within_a_second(knowledge: Knowledge, clock: Clock) -> None:
    await store(documents(2), "kb", knowledge)
    await knowledge.open("kb")
    shutil.rmtree(knowledge.folder / "kb.lance")
    clock.now += 1.1
    assert await error_class(knowledge) == "store_missing"


async def test_a_flipped_byte_in_a_text_loses_that_chunk_only(knowledge: Knowledge) -> None:
    await store(documents(5), "kb", knowledge)
    flipped = 0
    for path in files(knowledge, "data/*"):
        data = path.read_bytes()
        flipped += data.count(b"Apple number3")
        path.write_bytes(data.replace(b"Apple number3", b"Maple number3"))
    assert flipped
    shelf = await Knowledge(knowledge.folder, WordEmbedder()).open("kb")
    assert shelf.chunks == 4
    assert len((await shelf.by_text("number3")).keys) == 0


async def test_a_damaged_text_index_is_reported_and_mended_by_the_next_ingestion(
    knowledge: Knowledge,
) -> None:
    await store(documents(5), "kb", knowledge)
    for path in files(knowledge, "_indices/*/*"):
        path.unlink()
    large = Knowledge(knowledge.folder, WordEmbedder(), memory_chunks=2)
    with pytest.raises(KnowledgeError):
        await (await large.open("kb")).by_text("apple")
    fresh = Knowledge(knowledge.folder, WordEmbedder())
    assert len((await (await fresh.open("kb")).by_text("apple")).keys) == 5  # small ones need no index
    assert "full-text index" in ((await fresh.status("kb")).problem or "")
    assert (await store(documents(5), "kb", fresh)).unchanged == 5
    mended = Knowledge(knowledge.folder, WordEmbedder(), memory_chunks=2)
    assert len((await (await mended.open("kb")).by_text("apple")).keys) == 5
    assert (await fresh.status("kb")).problem is None


@pytest.mark.parametrize("memory_chunks", [2, 20_000])
@pytest.mark.parametrize(
    "query",
    [
        '"Apple number3"',
        '"never said here" apple',
        '""',
        '"',
        "+apple -pears number3^9 ~2 apple* AND (NOT OR",
        "title:apple [a TO z] {b}",
        "\\ / ? ! && ||",
        "🍎🍐",
        "яблоко 苹果 تفاحة",
        "a" * 4_000,
        "apple " * 700,
        "<b>apple</b>'; drop table kb; --",
        "\ud800 apple",
        " ",
    ],
)
async def test_no_question_breaks_the_text_search(
    knowledge: Knowledge, query: str, memory_chunks: int
) -> None:
    await store(documents(5), "kb", knowledge)
    shelf = await Knowledge(knowledge.folder, WordEmbedder(), memory_chunks=memory_chunks).open("kb")
    scores = await shelf.by_text(query)
    assert len(scores.keys) == (5 if "apple" in query.lower() else 0)


async def test_a_large_knowledge_base_answers_like_a_small_one(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    letters = str.maketrans(
        "0123456789", "bcdfghklmn"
    )  # words with digits are codes, which memory weighs twice
    names = [f"word{n}".translate(letters) for n in range(300)]
    only = [f"only{n}".translate(letters) for n in range(600)]
    many = [Document(f"d{n}", "", f"{' '.join(rng.choice(names, 12))} {only[n]}.") for n in range(600)]
    embedder = WordEmbedder(dimensions=64)
    small = Knowledge(tmp_path / "a" / "knowledge", embedder)
    large = Knowledge(tmp_path / "b" / "knowledge", embedder, memory_chunks=100)
    for knowledge in (small, large):
        await store(many, "kb", knowledge)
    memory, table = await small.open("kb"), await large.open("kb")
    assert type(memory).__name__ == "MemoryShelf" and type(table).__name__ == "TableShelf"
    query = embedder.vector(many[7].text)
    for one, other in (
        (await memory.by_vector(query), await table.by_vector(query)),
        (await memory.by_text(f"{only[7]} {names[3]}"), await table.by_text(f"{only[7]} {names[3]}")),
    ):
        best = [
            (await shelf.rows([int(scores.keys[np.argmax(scores.values)])]))[0]
            for shelf, scores in ((memory, one), (table, other))
        ]
        assert best[0].document_id == best[1].document_id == "d7"
        assert other.mean == pytest.approx(one.mean, abs=0.05 * one.deviation + 1e-6)
        assert other.deviation == pytest.approx(one.deviation, rel=0.05)
    scores = await table.by_text(f"{only[7]} {names[3]}")
    cosines = await table.cosines(query, scores.keys)
    rows = await table.rows(scores.keys.tolist())
    expected = [float(embedder.vector(row.text) @ query) for row in rows]
    assert np.allclose(cosines, expected, atol=1e-2)
    assert (large.folder / "kb.probes.json").exists()


async def test_a_release_lies_in_one_piece_however_often_it_grew(knowledge: Knowledge) -> None:
    for count in (20, 30, 31, 60):
        await store(documents(count), "kb", knowledge)
        assert (await knowledge.status("kb")).fragments == 1
