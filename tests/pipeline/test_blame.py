"""Blame: each stage that can lose a passage, on recorded turns and on a real knowledge base."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline import build
from pipeline.breakers import Breakers
from pipeline.context.blame import blame_passage
from pipeline.context.patience import Patience
from pipeline.context.retrieval import Retriever
from pipeline.errors import KnowledgeError
from pipeline.knowledge.documents import Document
from pipeline.knowledge.index import Knowledge
from pipeline.knowledge.ingest import store
from pipeline.knowledge.shelf import Shelf
from pipeline.settings import load_settings
from tests.factories import make_passage, make_trace
from tests.fake_embedder import WordEmbedder
from traces.recorder import Nowhere, Recorder
from traces.records import Trace

PAGES = [Document(f"d{n}", f"Lamp {n}", f"The lamp number{n} is bright.") for n in range(9)]


def turn(question: str = "Which lamp is bright?", **passage: Any) -> Trace:
    trace = make_trace(question=question, kb="kb")
    row = replace(make_passage(trace.turn.turn_id), chunk_id="d1#0", document_id="d1", **passage)
    return replace(trace, passages=(row,))


@pytest.mark.parametrize(
    ("passage", "stage", "sentence"),
    [
        ({"rank": 2, "n": 2, "cited": True}, "cited", "It was cited, as passage 2."),
        ({"rank": 2, "n": 2, "cited": False}, "unused", "It was in the prompt as passage 2 and not used."),
        (
            {"rank": 4, "n": None, "cited": False},
            "budget",
            "It came 4th and was cut by the token budget, or says what another passage says.",
        ),
        (
            {"rank": 11, "fused_rank": 4, "n": None, "cited": False},
            "rerank",
            "The reranker dropped it from 4 to 11.",
        ),
        (
            {"rank": 9, "fused_rank": 12, "n": None, "cited": False},
            "rerank",
            "The reranker left it at 9, and a prompt takes 5.",
        ),
    ],
)
@pytest.mark.parametrize("wanted", ["d1#0", "d1"])
async def test_what_the_turn_recorded_is_told(
    tmp_path: Path, passage: dict[str, Any], stage: str, sentence: str, wanted: str
) -> None:
    retriever = Retriever(Knowledge(tmp_path / "knowledge", WordEmbedder()))
    verdict = await blame_passage(retriever, turn(**passage), wanted, 5)
    assert (verdict.stage, verdict.sentence) == (stage, sentence)


@pytest.mark.parametrize("memory_chunks", [2, 20_000])
async def test_what_was_no_candidate_is_searched_again(tmp_path: Path, memory_chunks: int) -> None:
    knowledge = Knowledge(tmp_path / "data" / "knowledge", WordEmbedder(), memory_chunks=memory_chunks)
    await store([*PAGES, Document("odd", "Kettle", "Boil water in it's pot.")], "kb", knowledge)
    retriever = Retriever(knowledge, candidates=2)
    verdict = await blame_passage(retriever, turn("Which lamp number1 is bright?"), "odd#0", 5)
    assert verdict.stage == "search" and verdict.text_rank is None
    assert verdict.vector_rank == verdict.fused_rank == 10
    assert verdict.sentence == ("Vector rank 10, no word in common: fused rank 10, beyond the 2 candidates.")
    missing = await blame_passage(retriever, turn(), "nobody's", 5)
    assert (missing.stage, missing.sentence) == ("not indexed", "It is not indexed in knowledge base 'kb'.")


@pytest.mark.parametrize(("n", "sentence"), [(None, "found nothing near enough"), (1, "nothing was found")])
async def test_a_turn_that_found_nothing_did_not_cut_it(tmp_path: Path, n: int | None, sentence: str) -> None:
    retriever = Retriever(Knowledge(tmp_path / "knowledge", WordEmbedder()))
    silent = turn(rank=1, n=n, cited=False)
    silent = replace(silent, turn=replace(silent.turn, outcome="no_context"))
    verdict = await blame_passage(retriever, silent, "d1", 5)
    assert verdict.stage == "silent" and sentence in verdict.sentence


async def test_what_was_indexed_after_the_turn_was_not_there(tmp_path: Path) -> None:
    knowledge = Knowledge(tmp_path / "data" / "knowledge", WordEmbedder())
    await store(PAGES, "kb", knowledge)
    before = (await knowledge.open("kb")).version
    trace = turn("How do I boil water in the kettle?")
    trace = replace(trace, turn=replace(trace.turn, index_version=before))
    await store([Document("kettle", "Kettle", "Boil water in the kettle.")], "kb", knowledge)
    retriever = Retriever(Knowledge(tmp_path / "data" / "knowledge", WordEmbedder()))
    verdict = await blame_passage(retriever, trace, "kettle", 5)
    assert verdict.stage == "not indexed" and f"The turn searched {before}" in verdict.sentence


async def test_who_looks_by_hand_waits_longer_than_a_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(Knowledge):
        async def open(self, kb: str) -> Shelf:
            await asyncio.sleep(0.05)
            return await super().open(kb)

    bases = Slow(tmp_path, WordEmbedder())
    await store(PAGES[:1], "kb", bases)
    monkeypatch.setattr(build, "Patience", lambda: Patience(open=0.001))
    settings = load_settings(data_dir=tmp_path)
    by_hand = build.retriever(settings, bases)
    recorder = Recorder(turn().turn, Nowhere())
    assert await by_hand.trail("Which lamp?", "kb", "nobody's", recorder) is None
    of_a_turn = build.retriever(settings, bases, Breakers())
    with pytest.raises(KnowledgeError, match="no answer in"):
        await of_a_turn.trail("Which lamp?", "kb", "nobody's", recorder)
