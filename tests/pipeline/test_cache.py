"""The semantic cache: what may be served for what, and what is never kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.context.cache import CacheScope, SemanticCache, differ
from pipeline.context.likeness import THRESHOLD, same
from pipeline.context.retrieval import Retriever
from pipeline.events import Answer
from pipeline.knowledge.documents import Document
from pipeline.knowledge.embedding import MiniLM
from pipeline.knowledge.found import Retrieved
from pipeline.knowledge.index import Knowledge
from pipeline.knowledge.ingest import store
from tests.factories import make_turn
from tests.fake_embedder import WordEmbedder
from tests.pipeline.turns import ask, make_pipeline
from traces.queries.caches import served
from traces.recorder import Recorder
from traces.records import Record, Trace

HERE = Path(__file__).parent
SCOPE = CacheScope("ada", "answer@v1", "extractive", "g")
PAGES = [
    Document("battery", "Charge the battery", "Plug in the cable. The battery charges in an hour."),
    Document("screen", "Clean the screen", "Use a soft cloth. Water is enough for the screen."),
]


def pairs(name: str) -> Iterator[tuple[str, str]]:
    for line in (HERE / name).read_text(encoding="utf-8").splitlines():
        question, *others = line.split("\t")
        yield from ((question, other) for other in others)


async def similar(embedder: MiniLM, one: str, other: str) -> bool:
    return float(await embedder.embed_query(one) @ await embedder.embed_query(other)) >= THRESHOLD


async def test_no_near_miss_is_served_and_half_of_the_paraphrases_are() -> None:
    """200 near misses: 0 false hits, where the cosine alone gives 81; 60 paraphrases: 35 hits."""
    embedder = MiniLM()
    near, alike = list(pairs("near_misses.tsv")), list(pairs("paraphrases.tsv"))
    assert (len(near), len(alike)) == (200, 60)
    assert [pair for pair in near if same(*pair) or same(*reversed(pair))] == []
    hits = [pair for pair in alike if same(*pair) and await similar(embedder, *pair)]
    assert len(hits) >= 30


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Can teachers rate students?", "Can students rate teachers?"),
        ("How do I delete restored files?", "How do I restore deleted files?"),
        ("how do i export to csv", "how do i import to csv"),
        ("How do I pay with a card?", "How do I pay without a card?"),
        ("Is smoking allowed?", "Isn't smoking allowed?"),
        ("How many seats are there?", "Where are the seats?"),
        ("Does ana report to ben?", "Does ben report to ana?"),
        ("What is new in 3.1?", "What is new in 3.10?"),
        ("Show my invoices", "Show her invoices"),
        ("", "How do I print?"),
        ("Who trains the guards?", "Who do the guards train?"),
        ("Was the visitor paid by the guide?", "Did the visitor pay the guide?"),
        ("Does the guide explain the code?", "Does the code explain the guide?"),
        ("What is a guard dog?", "What is a dog guard?"),
        ("Can I sue you?", "Can you sue me?"),
        ("What is my limit?", "What is your limit?"),
        ("Do I pay if I cancel?", "Do I cancel if I pay?"),
        ("How long is the trial?", "How long was the trial?"),
        ("What may a guest see?", "What must a guest see?"),
        ("How do I report a manager?", "How do I report to a manager?"),
        ("How do I pay for a guest?", "How do I pay as a guest?"),
        ("How hot is -5 degrees?", "How hot is 5 degrees?"),
        ("What does IT need?", "What does it need?"),
        ("Is C# in use?", "Is C++ in use?"),
        ("Can it be reached over HTTP?", "Can it be reached over HTTPS?"),
    ],
)
def test_questions_that_differ_in_one_thing_are_not_the_same(one: str, other: str) -> None:
    assert not same(one, other) and not same(other, one) and same(one, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("How long are turns kept?", "Could you tell me for how long turns are kept?"),
        ("Who may delete turns?", "Who can delete turns?"),
        ("Who founded it?", "Who was it that founded it?"),
        ("Why does the alarm sound?", "Why is the alarm sounding?"),
        ("How is the filter cleaned?", "How does one clean the filter?"),
        ("How do I sign in?", "HOW CAN I SIGN IN?"),
    ],
)
def test_other_little_words_may_ask_the_same(one: str, other: str) -> None:
    assert same(one, other) and same(other, one)


class Sink:
    def write(self, record: Record) -> None:
        pass


async def find(retriever: Retriever, query: str, scope: CacheScope | None = SCOPE) -> tuple[Retrieved, Trace]:
    recorder = Recorder(make_turn(), Sink())
    return await retriever.retrieve(query, "kb", recorder, scope), recorder.close()


def told(trace: Trace) -> dict[str, Any] | None:
    return next((span.attributes for span in trace.spans if span.kind == "cache"), None)


@pytest.fixture
async def knowledge(tmp_path: Path) -> Knowledge:
    knowledge = Knowledge(tmp_path / "data" / "knowledge", WordEmbedder(), clock=iter(range(10_000)).__next__)
    await store(PAGES, "kb", knowledge)
    return knowledge


async def test_the_same_question_is_served_without_a_search(knowledge: Knowledge) -> None:
    retriever = Retriever(knowledge, cache=SemanticCache(sample=0.0))
    fresh, first = await find(retriever, "How long does the battery charge?")
    kept, second = await find(retriever, "how long does the battery charge")
    assert (told(first) or {})["hit"] is False
    hit = told(second) or {}
    assert hit["hit"] and not hit["checked"] and hit["saved_seconds"] > 0
    assert [one.passage for one in kept.candidates] == [one.passage for one in fresh.candidates]
    assert kept.query == "how long does the battery charge"
    assert "vector search" not in {span.name for span in second.spans}


async def test_nobody_is_served_from_another_scope(knowledge: Knowledge) -> None:
    retriever = Retriever(knowledge, cache=SemanticCache(sample=0.0, share="user"))
    await find(retriever, "battery charge")
    for other in (
        replace(SCOPE, owner="eve"),
        replace(SCOPE, prompt="answer@v2"),
        replace(SCOPE, model="openai:x"),
        replace(SCOPE, guardrails="h"),
    ):
        assert (told((await find(retriever, "battery charge", other))[1]) or {})["hit"] is False
    assert (told((await find(retriever, "battery charge"))[1]) or {})["hit"] is True
    assert told((await find(retriever, "battery charge", None))[1]) is None
    together = Retriever(knowledge, cache=SemanticCache(sample=0.0, share="workspace"))
    await find(together, "battery charge")
    eve = replace(SCOPE, owner="eve")
    assert (told((await find(together, "battery charge", eve))[1]) or {})["hit"] is True


async def test_an_edited_document_evicts(knowledge: Knowledge) -> None:
    cache = SemanticCache(sample=0.0)
    retriever = Retriever(knowledge, cache=cache)
    await find(retriever, "battery charge")
    await store(
        [Document("battery", "Charge the battery", "The battery charges in 9 days.")], "kb", knowledge
    )
    fresh, trace = await find(retriever, "battery charge")
    assert (told(trace) or {})["hit"] is False
    assert "9 days" in (fresh.candidates[0].passage.text or "")
    assert len(cache._kept) == 1


async def test_degraded_and_fallback_results_are_never_kept(knowledge: Knowledge) -> None:
    cache = SemanticCache(sample=0.0)
    whole, _ = await find(Retriever(knowledge), "battery charge")
    for broken in (
        replace(whole, degraded="text_index_missing"),
        replace(whole, query_vector=None),
        replace(whole, candidates=()),
    ):
        cache.put(SCOPE, broken, 1.0)
    assert not cache._kept


async def test_a_sampled_hit_is_searched_afresh_and_compared(knowledge: Knowledge) -> None:
    cache = SemanticCache(sample=1.0)
    retriever = Retriever(knowledge, cache=cache)
    right, _ = await find(retriever, "battery charge")
    assert (told((await find(retriever, "battery charge"))[1]) or {})["false"] is False
    cache.put(SCOPE.__class__("", *(SCOPE.prompt, SCOPE.model, SCOPE.guardrails)), wrong_order(right), 0.1)
    checked, trace = await find(retriever, "battery charge")
    assert (told(trace) or {})["false"] is True
    assert checked.candidates[0].passage.chunk_id == right.candidates[0].passage.chunk_id
    assert (told((await find(retriever, "battery charge"))[1]) or {})["false"] is False  # mended


def wrong_order(right: Retrieved) -> Retrieved:
    other = replace(right.candidates[0], passage=replace(right.candidates[0].passage, chunk_id="another#0"))
    return replace(right, candidates=(other,))


async def test_sizes_are_bounded(knowledge: Knowledge) -> None:
    cache = SemanticCache(sample=0.0, size=3)
    found, _ = await find(Retriever(knowledge), "battery charge")
    for number in range(10):
        cache.put(SCOPE, replace(found, query=f"battery {number}"), 0.1)
    for number in range(100):
        cache.put(replace(SCOPE, owner=str(number)), found, 0.1)
    assert len(cache._kept) == 64 and all(len(kept) <= 3 for kept in cache._kept.values())
    assert not differ(found, found) and differ(wrong_order(found), found)


async def test_a_turn_is_served_and_says_so() -> None:
    pipeline = await make_pipeline(cache={"checked": 0.0})
    await ask(pipeline, "How do I turn on bounce keys?")
    again, _ = await ask(pipeline, "how can I turn on bounce keys?", user_id="eve")
    other, _ = await ask(pipeline, "How do I turn off bounce keys?")
    assert isinstance(again, Answer) and again.trace is not None and again.outcome == "answered"
    assert (told(again.trace) or {})["hit"] is True
    assert isinstance(other, Answer) and other.trace is not None
    assert (told(other.trace) or {})["hit"] is False
    await pipeline.close()
    pipeline.store.drain()
    with pipeline.store.read() as ledger:
        now = datetime.now(UTC)
        counted = served(ledger, now - timedelta(hours=1), now)
    assert (counted.looked, counted.hits, counted.checked, counted.false) == (3, 1, 0, 0)
    assert counted.saved_seconds > 0
