"""Retrieval: both searches, their fusion, the rerank, and what happens when a part is missing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.context.fusion import Weights, best, fuse, neighbours
from pipeline.context.rerank import capped
from pipeline.context.retrieval import Retriever
from pipeline.errors import KnowledgeError
from pipeline.knowledge.documents import Document
from pipeline.knowledge.embedding import MiniLM
from pipeline.knowledge.found import Retrieved
from pipeline.knowledge.index import Knowledge
from pipeline.knowledge.ingest import ensure_sample, store
from pipeline.knowledge.shelf import Scores
from tests.factories import make_turn
from tests.fake_embedder import WordEmbedder
from traces.recorder import Collected, Recorder
from traces.records import Trace

PAGES = [
    Document(
        "battery", "Charge the battery", "Plug in the cable. The battery charges in an hour.", "https://b"
    ),
    Document("screen", "Clean the screen", "Use a soft cloth. Water is enough for the screen."),
    Document("sound", "Louder sound", "Turn the dial to raise the volume of the speaker."),
    Document("error", "Error codes", "Code XK-4711 means the fan is blocked."),
]


@pytest.fixture
async def knowledge(tmp_path: Path) -> Knowledge:
    knowledge = Knowledge(tmp_path / "data" / "knowledge", WordEmbedder())
    await store(PAGES, "kb", knowledge)
    return knowledge


async def ask(knowledge: Knowledge, query: str, **options: Any) -> tuple[Retrieved, Trace]:
    recorder = Recorder(make_turn(), Collected())
    with recorder.span("retrieve", "retrieval"):
        found = await Retriever(knowledge, **options).retrieve(query, "kb", recorder)
    return found, recorder.close()


async def test_the_right_page_comes_first_with_all_its_scores(knowledge: Knowledge) -> None:
    found, _ = await ask(knowledge, "How long does the battery charge?")
    assert (found.kb, found.embedder, found.degraded) == ("kb", "words", None)
    assert found.index_version == (await knowledge.open("kb")).version
    first = found.candidates[0].passage
    assert (first.document_id, first.url, first.rank) == ("battery", "https://b", 1)
    assert first.vector_rank == first.text_rank == first.fused_rank == 1
    assert first.text_score is not None and first.text_score > 0
    assert first.vector_score == pytest.approx(found.top_score)
    assert first.fused_score is not None and first.rerank_score is not None
    last = found.candidates[-1].passage
    assert (last.rank, last.text_score, last.text_rank) == (4, None, None)
    assert last.vector_score is not None
    for one in found.candidates:
        assert one.passage.text is not None and one.vectors is not None
        assert one.vectors.shape == (len(one.spans), 64)
    start, end = found.candidates[0].spans[0]
    assert (first.text or "")[start:end] == "Plug in the cable."


async def test_a_follow_up_is_searched_with_and_without_its_topic(knowledge: Knowledge) -> None:
    embedder = WordEmbedder()
    alone, glued = [
        await embedder.embed_query(text) for text in ("And the screen?", "And the screen?  (battery)")
    ]
    found, _ = await ask(knowledge, "And the screen?  (battery)")
    assert found.query_vector is not None
    middle = alone / np.linalg.norm(alone) + glued / np.linalg.norm(glued)
    assert found.query_vector == pytest.approx(middle / np.linalg.norm(middle), abs=1e-5)


async def test_every_step_is_a_span_under_the_callers(knowledge: Knowledge) -> None:
    _, trace = await ask(knowledge, "clean screen")
    spans = {span.name: span for span in trace.spans}
    steps = {"embed query", "full-text search", "vector search", "fuse", "rerank"}
    assert steps <= spans.keys()
    assert {spans[name].parent_id for name in steps} == {spans["retrieve"].span_id}


async def test_a_rare_word_is_found_by_the_text_search(knowledge: Knowledge) -> None:
    found, _ = await ask(knowledge, "XK-4711")
    assert found.candidates[0].passage.document_id == "error"


async def test_candidates_and_weight_are_obeyed(knowledge: Knowledge) -> None:
    found, _ = await ask(knowledge, "screen", candidates=2)
    assert len(found.candidates) == 2
    words_only, _ = await ask(knowledge, "screen", weights=Weights(text=100.0))
    assert words_only.candidates[0].passage.document_id == "screen"


async def test_a_failing_embedder_leaves_the_words(knowledge: Knowledge) -> None:
    knowledge.embedder = WordEmbedder(fail_after=0)
    found, _ = await ask(knowledge, "clean the screen")
    assert (found.degraded, found.query_vector, found.top_score) == ("embed_failed", None, None)
    assert [one.passage.document_id for one in found.candidates] == ["screen"]
    assert found.candidates[0].passage.vector_rank is None


async def test_another_embedder_is_never_compared(knowledge: Knowledge) -> None:
    knowledge.embedder = WordEmbedder("other")
    found, _ = await ask(knowledge, "clean the screen")
    assert (found.degraded, found.query_vector) == ("embedder_changed", None)


async def test_an_embedder_of_another_size_is_never_compared(knowledge: Knowledge) -> None:
    knowledge.embedder = WordEmbedder(dimensions=32)
    found, _ = await ask(knowledge, "clean the screen")
    assert (found.degraded, found.query_vector) == ("embed_invalid", None)


async def test_a_missing_text_index_leaves_the_vectors(knowledge: Knowledge) -> None:
    for path in knowledge.folder.glob("kb.lance/_indices/*/*"):
        path.unlink()
    broken = Knowledge(knowledge.folder, WordEmbedder(), memory_chunks=1)
    found, _ = await ask(broken, "clean the screen")
    assert found.degraded == "text_index_missing"
    broken.embedder = WordEmbedder(fail_after=0)
    with pytest.raises(KnowledgeError, match="neither search"):
        await ask(broken, "clean the screen")


async def test_an_empty_knowledge_base_finds_nothing_and_a_missing_one_says_so(knowledge: Knowledge) -> None:
    await knowledge.drop("kb", list(await knowledge.contents("kb")))
    await knowledge.release("kb")
    found, _ = await ask(knowledge, "screen")
    assert (found.candidates, found.top_score, found.degraded) == ((), None, None)
    await knowledge.remove("kb")
    with pytest.raises(KnowledgeError) as caught:
        await ask(knowledge, "screen")
    assert caught.value.error_class == "store_missing"


@pytest.mark.parametrize(
    "query",
    ["", "  ", "the of and", '"', "a AND (b OR", "text:x^2 ~*?", "\x00\ud800", "x" * 100_000, "🙂" * 50],
)
async def test_odd_queries_never_raise(knowledge: Knowledge, query: str) -> None:
    found, _ = await ask(knowledge, query)
    assert found.degraded is None and len(found.candidates) == 4


async def test_a_turn_that_is_cancelled_leaves_no_task_behind(knowledge: Knowledge) -> None:
    await knowledge.open("kb")
    before = asyncio.all_tasks()
    turn = asyncio.create_task(ask(knowledge, "screen"))
    await asyncio.sleep(0)
    turn.cancel()
    with pytest.raises(asyncio.CancelledError):
        await turn
    await asyncio.sleep(0.05)
    assert asyncio.all_tasks() == before


async def test_one_long_document_does_not_fill_the_first_places(tmp_path: Path) -> None:
    knowledge = Knowledge(tmp_path / "data" / "knowledge", WordEmbedder())
    stuffed = " ".join(f"Battery battery battery charge {n} of the battery." for n in range(900))
    pages = [Document("stuffed", "Battery", stuffed), *PAGES, Document("more", "", "A battery lasts long.")]
    await store(pages, "kb", knowledge)
    found, _ = await ask(knowledge, "charge the battery")
    first = [one.passage.document_id for one in found.candidates[:5]]
    assert first.count("stuffed") <= 3 and {"battery", "more"} <= set(first)
    assert [one.passage.rank for one in found.candidates] == list(range(1, len(found.candidates) + 1))


def scores(values: dict[int, float], pages: list[int], mean: float = 0.0, deviation: float = 1.0) -> Scores:
    keys = np.array(sorted(values), np.int64)
    return Scores(
        keys,
        np.array([values[key] for key in keys.tolist()], np.float32),
        np.array(pages, np.int64)[keys],
        mean,
        deviation,
    )


def test_fusion_adds_weighted_z_scores() -> None:
    pages = [0, 0, 1]
    cosines = scores({0: 0.9, 1: 0.5, 2: 0.1}, pages, mean=0.5, deviation=0.2)
    texts = scores({2: 8.0}, pages, mean=2.0, deviation=4.0)
    pool = fuse(cosines, texts, Weights(0.5))
    assert pool.fused.tolist() == pytest.approx([2.0 - 0.25, -0.25, -2.0 + 0.75])
    places = best(pool, 2)
    seconds = neighbours(pool, places)
    assert places.tolist() == [0, 2]
    assert seconds[0] == pytest.approx(-0.25) and np.isnan(seconds[1])
    assert best(pool, 20).tolist() == [0, 2, 1]


def test_the_cap_moves_back_and_loses_nothing() -> None:
    assert capped(list("aaaabc"), first=5, most=3) == [0, 1, 2, 4, 5, 3]
    assert capped(list("aaaa"), first=5, most=3) == [0, 1, 2, 3]
    assert capped([], first=5) == []


async def test_the_sample_answers_everyday_questions(tmp_path: Path) -> None:
    knowledge = Knowledge(tmp_path / "data" / "knowledge", MiniLM())
    await ensure_sample(knowledge, "kb")
    wanted = {
        "Somebody else listens on 7860 already. What now?": "trouble-port-in-use",
        "My manuals are scans. Can it read them?": "documents-formats",
        "How do I throw away all that one person asked?": "erase-a-person",
        "What does MRR mean?": "metric-ranking",
    }
    for question, page in wanted.items():
        found, _ = await ask(knowledge, question)
        assert page in {one.passage.document_id for one in found.candidates[:5]}, question
