"""The answer cache: off by default; what it serves, to whom, and what it never keeps."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.context.answers import AnswerCache, AnswerKey, KeptAnswer, disagree
from pipeline.context.cache import CacheScope
from pipeline.events import Answer
from pipeline.knowledge.documents import Document
from pipeline.knowledge.ingest import store
from pipeline.models.scripted import Scripted
from pipeline.turn import Pipeline
from tests.pipeline.turns import ask, make_pipeline
from traces.queries.caches import served

ON = {"answers": True, "checked": 0.0}
QUESTION, OTHER_WORDS = "How do I turn on bounce keys?", "how can I turn on bounce keys?"
REPLY = "Set the Bounce Keys switch to on [1]."


async def told(pipeline: Pipeline, text: str, **fields: Any) -> tuple[Answer, dict[str, Any] | None]:
    answer, _ = await ask(pipeline, text, **fields)
    assert isinstance(answer, Answer) and answer.trace is not None
    spans = (span.attributes for span in answer.trace.spans if span.name == "answer cache")
    return answer, next(spans, None)


async def test_the_same_question_in_other_words_is_answered_without_the_model() -> None:
    model = Scripted(REPLY)
    pipeline = await make_pipeline(model, cache=ON)
    first, miss = await told(pipeline, QUESTION)
    again, hit = await told(pipeline, OTHER_WORDS, user_id="eve")
    assert miss == {"hit": False} and hit is not None and hit["hit"] and hit["saved_seconds"] >= 0
    assert len(model.prompts) == 1
    assert (again.answer, again.outcome, again.model) == (first.answer, "answered", first.model)
    assert again.citations == first.citations and again.cost_usd == 0.0
    await pipeline.close()
    pipeline.store.drain()
    with pipeline.store.read() as ledger:
        now = datetime.now(UTC)
        counted = served(ledger, now - timedelta(hours=1), now, "answer cache")
    assert (counted.looked, counted.hits, counted.checked, counted.false) == (2, 1, 0, 0)


@pytest.mark.parametrize(
    ("settings", "text", "fields"),
    [
        ({}, QUESTION, {}),
        (ON, "How do I turn off bounce keys?", {}),
        (ON | {"share": "user"}, QUESTION, {"user_id": "eve"}),
        (ON, QUESTION, {"max_output_tokens": 50}),
        (ON, QUESTION, {"door": "eval"}),
    ],
    ids=["off by default", "the contrary", "another user", "a shorter answer", "an eval"],
)
async def test_what_differs_is_answered_anew(
    settings: dict[str, Any], text: str, fields: dict[str, Any]
) -> None:
    model = Scripted(REPLY)
    pipeline = await make_pipeline(model, cache=settings)
    await told(pipeline, QUESTION)
    await told(pipeline, text, **fields)
    assert len(model.prompts) == 2
    await pipeline.close()


async def test_an_edited_document_evicts_and_a_conversation_takes_no_part() -> None:
    model = Scripted(REPLY)
    pipeline = await make_pipeline(model, cache=ON)
    first, _ = await told(pipeline, QUESTION)
    await told(pipeline, QUESTION, conversation_id=first.conversation_id)
    assert len(model.prompts) == 2
    text = "Bounce keys are now under Input. Turn on bounce keys there."
    await store([Document("bounce-keys", "Turn on bounce keys", text)], pipeline.rules.kb, pipeline.knowledge)
    pipeline.knowledge._held.clear()  # do not wait until the new version is looked for
    await told(pipeline, QUESTION)
    assert len(model.prompts) == 3
    await pipeline.close()


@pytest.mark.parametrize("reply", ["It is somewhere in the settings.", "", "The moon is made of cheese [1]."])
async def test_uncited_empty_and_unsupported_answers_are_not_kept(reply: str) -> None:
    model = Scripted(reply)
    pipeline = await make_pipeline(model, cache=ON)
    await told(pipeline, QUESTION)
    _, again = await told(pipeline, QUESTION)
    assert again == {"hit": False}
    await pipeline.close()


async def test_a_checked_hit_is_answered_afresh_and_a_wrong_one_goes() -> None:
    model = Scripted(REPLY, REPLY, "Open Settings and click Accessibility [1].", REPLY)
    pipeline = await make_pipeline(model, cache=ON | {"checked": 1.0})
    verdicts = [(await told(pipeline, QUESTION))[1] for _ in range(3)]
    assert [(verdict or {}).get("false") for verdict in verdicts] == [None, False, True]
    assert len(model.prompts) == 3
    await pipeline.close()


def asked(question: str, version: str = "v1", passages: tuple[str, ...] = ("a#0",)) -> AnswerKey:
    scope = CacheScope("", "answer@v1", "openai:x", "g")
    return AnswerKey(scope, "kb", version, "f", 800, passages, question, np.ones(3, np.float32))


def test_a_new_version_drops_the_old_ones_and_sizes_are_bounded() -> None:
    cache = AnswerCache(sample=0.0, size=3)
    for number in range(9):
        cache.put(asked(f"What is plan {number}?"), KeptAnswer("It is [1].", "m", 1.0, None))
    assert sum(map(len, cache._kept.values())) == 3
    assert cache.find(asked("What is plan 8?")) is not None
    assert cache.find(asked("What is plan 8?", passages=("b#0",))) is None
    cache.put(asked("What is new?", "v2"), KeptAnswer("It is [1].", "m", 1.0, None))
    assert cache.find(asked("What is plan 8?")) is None and len(cache._kept) == 1


def test_no_near_miss_is_served_whatever_its_vector() -> None:
    for line in (Path(__file__).parent / "near_misses.tsv").read_text(encoding="utf-8").splitlines():
        question, *others = line.split("\t")
        cache = AnswerCache(sample=0.0)
        cache.put(asked(question), KeptAnswer("It is [1].", "m", 1.0, None))
        assert all(cache.find(asked(other)) is None for other in others)


def test_every_question_stays_beside_its_own_vector() -> None:
    cache = AnswerCache(sample=0.0, size=20)
    vectors = np.eye(40, dtype=np.float32)

    def of(number: int, question: str) -> AnswerKey:
        return replace(asked(question), vector=vectors[number])

    for number in range(40):
        cache.put(of(number, f"What is plan {number}?"), KeptAnswer(f"Plan {number} [1].", "m", 1.0, None))
        if number % 3 == 0:
            cache.drop(of(number, f"What is plan {number}?"))
    hits = [cache.find(of(number, f"Please tell me what plan {number} is")) for number in range(40)]
    assert [number for number, hit in enumerate(hits) if hit] == [n for n in range(11, 40) if n % 3]
    assert all(hit is None or f"Plan {number} " in hit.answer.text for number, hit in enumerate(hits))
    assert cache.find(of(3, "Please tell me what plan 11 is")) is None  # another vector


@pytest.mark.parametrize(
    ("text", "other", "differ"),
    [
        ("The kettle holds 2 litres [1].", "It holds 2 litres: the kettle [1].", False),
        ("The kettle holds 2 litres [1].", "The kettle holds 3 litres [1].", True),
        ("Enable the timer in the menu [1].", "Disable the timer in the menu [1].", True),
        ("Descale it with vinegar [1].", "Ask the caretaker for help [1].", True),
    ],
)
def test_answers_disagree_by_what_they_say(text: str, other: str, differ: bool) -> None:
    assert disagree(text, other) is differ
