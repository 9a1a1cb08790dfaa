"""What people say of themselves is met as talk; what may ask the documents is not."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.events import Answer, Message
from pipeline.models.scripted import Scripted
from pipeline.steps.acquaintance import FORGETTING, KEEPING, STRANGER
from pipeline.turn import Pipeline
from tests.pipeline.turns import ask, make_pipeline


async def spoken(pipeline: Pipeline, text: str, conversation: str | None = None) -> Answer:
    answer, _ = await ask(pipeline, text, user_id="ada", conversation_id=conversation)
    assert isinstance(answer, Answer)
    await asyncio.gather(*pipeline._chores)
    return answer


async def test_statements_are_kept_said_back_corrected_and_forgotten() -> None:
    pipeline = await make_pipeline(Scripted("scripted", ["Noted [1]."]))
    first = await spoken(pipeline, "Hello! My region is the north.")
    assert (first.outcome, first.answer) == ("answered", KEEPING)
    assert first.trace is not None and first.trace.turn.route == "talk"
    conversation = first.conversation_id
    assert (
        await spoken(pipeline, "Which region am I in?")
    ).answer == "You told me: “My region is the north.”"
    assert (await spoken(pipeline, "no, it is the south now", conversation)).answer == KEEPING
    assert "the south" in (await spoken(pipeline, "what is my region?")).answer
    assert "the south" in (await spoken(pipeline, "What do you know about me?")).answer
    assert (await spoken(pipeline, "forget my region")).answer == FORGETTING
    assert (await spoken(pipeline, "What do you know about me?")).answer == STRANGER
    await pipeline.close()


async def test_a_correction_is_acknowledged_only_where_it_is_kept() -> None:
    pipeline = await make_pipeline(Scripted("scripted", ["Noted [1]."]))
    await spoken(pipeline, "My region is the north.")
    elsewhere = await spoken(pipeline, "no, it is the south now")  # in a conversation that stated nothing
    assert elsewhere.answer != KEEPING
    assert "the north" in (await spoken(pipeline, "what is my region?")).answer
    await pipeline.close()


@pytest.mark.parametrize(
    "text",
    [
        "My region is the north. How do I turn on bounce keys?",
        "My printer is jammed.",
        "forget about bounce keys",
        "What is my first step to turn on bounce keys?",
        "no, it is broken",
        "What is my plan?",
    ],
)
async def test_what_may_ask_the_documents_is_no_acquaintance(text: str) -> None:
    pipeline = await make_pipeline(Scripted("scripted", ["Set the switch [1]."]))
    await spoken(pipeline, "My region is the north.")
    answer = await spoken(pipeline, text)
    assert answer.trace is not None and answer.trace.turn.route != "talk"
    await pipeline.close()


async def test_another_way_of_answering_is_declined_by_a_model_that_quotes() -> None:
    quoting = await make_pipeline()
    assert "only quote" in (await spoken(quoting, "please answer in short sentences")).answer
    await quoting.close()
    wording = await make_pipeline(Scripted("scripted", ["So [1]."]), rules={"model": "scripted"})
    assert (await spoken(wording, "please answer in short sentences")).answer == KEEPING
    await wording.close()


async def test_with_a_history_of_its_own_nothing_is_promised() -> None:
    pipeline = await make_pipeline(Scripted("scripted", ["So [1]."]))
    history = (Message("user", "Hello"), Message("assistant", "Hello!"))
    answer, _ = await ask(pipeline, "My region is the north.", history=history)
    assert isinstance(answer, Answer) and answer.answer != KEEPING
    await pipeline.close()
