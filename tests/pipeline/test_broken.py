"""A provider that breaks off in the middle of its answer: what it said stays, another call goes on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing

import httpx2 as httpx
import pytest

from pipeline import notices
from pipeline.errors import ErrorClass, ModelError
from pipeline.events import Answer, Retract
from pipeline.http.api import create_app
from pipeline.knowledge.documents import Document
from pipeline.models.broken import GO_ON, finished, whole
from pipeline.models.gateway import Gateway, Time
from pipeline.models.model import AnswerEvent, Broken, Stop, Text
from pipeline.models.openai import OpenAIChat
from pipeline.models.prices import Prices
from pipeline.models.scripted import Scripted
from pipeline.rehearsal.server import FaultServer
from pipeline.settings import load_settings
from pipeline.turn import Pipeline
from tests.factories import make_turn
from tests.pipeline.served import served
from tests.pipeline.turns import ask, make_pipeline, recorded
from tests.wire import make_prompt
from traces.recorder import Recorder
from traces.records import Record

QUESTION = "Where do I set the fallback model?"
HALF = ["Set the fallback ", "mod"]
PAGE = Document("models", "Fallback model", "Set the fallback model in the environment. It answers then.")


class Drain:
    def write(self, record: Record) -> None:
        pass


async def stream(*models: Scripted, purpose: str = "answer") -> list[AnswerEvent]:
    async def soon(_: float) -> None:
        pass

    gateway = Gateway(
        models,
        Scripted("From the documents [1].", name="extractive"),
        prices=Prices(),
        timing=Time(lambda: 1.0, soon, lambda: 0.5),
    )
    recorder = Recorder(make_turn(), Drain())
    try:
        async with aclosing(gateway.stream(make_prompt(), recorder, 60.0, purpose)) as events:
            return [event async for event in events]
    finally:
        recorder.close()


def broken(error_class: ErrorClass) -> ModelError:
    return ModelError(error_class, "gone")


@pytest.mark.parametrize("error_class", ["timeout_gap", "cut", "protocol", "overloaded", "provider_5xx"])
async def test_another_call_goes_on_with_what_was_said(error_class: ErrorClass) -> None:
    models = (
        Scripted([*HALF, broken(error_class)], broken("connect"), name="a"),
        Scripted("Set it.", name="b"),
    )
    *texts, stop = await stream(*models)
    assert texts == [
        Text(HALF[0]),
        Text(HALF[1]),
        Broken(error_class, finished=False),
        Text("Set "),
        Text("it."),
    ]
    assert isinstance(stop, Stop)
    assert (stop.model, stop.broken, stop.cut, stop.degraded) == ("b", error_class, None, None)
    said, request = models[1].prompts[0].messages[-2:]
    assert (said.role, said.text, request.text) == ("assistant", "".join(HALF), GO_ON)


async def test_a_second_break_ends_it_with_the_last_resort_or_a_whole_sentence() -> None:
    half, whole_one = [*HALF, broken("timeout_gap")], ["Set it [1].", broken("timeout_gap")]
    *texts, stop = await stream(Scripted(half, name="a"), Scripted(half, name="b"), Scripted("C.", name="c"))
    assert [event.resort for event in texts if isinstance(event, Broken)] == [False, True]
    assert isinstance(stop, Stop)
    assert (stop.model, stop.broken, stop.degraded) == ("extractive", "timeout_gap", "timeout_gap")
    *texts, stop = await stream(Scripted(half, name="a"), Scripted(whole_one, name="b"))
    assert isinstance(stop, Stop) and (stop.model, stop.cut) == ("b", "timeout_gap")


async def test_want_of_time_and_other_purposes_end_where_they_are() -> None:
    half = Scripted([*HALF, broken("deadline")], name="a")
    *_, stop = await stream(half)
    assert isinstance(stop, Stop) and stop.cut == "deadline"
    *_, stop = await stream(Scripted([*HALF, broken("cut")], name="a"), purpose="condense")
    assert isinstance(stop, Stop) and stop.cut == "cut"


@pytest.mark.parametrize(
    ("text", "rest"),
    [("Do it [1]. Then st", "Do it [1]."), ("Do it. [1]", "Do it. [1]"), ("Do it now", ""), ("", ""),
     ("1. Do it.\n2. Th", "1. Do it."), ("Set e.g. the", ""), ("Is it “on”?", "Is it “on”?")],
)  # fmt: skip
def test_what_is_whole_of_a_text(text: str, rest: str) -> None:
    assert whole(text) == rest
    assert finished(text) is (bool(text) and rest == text)


async def test_a_named_model_that_breaks_off_ends_with_a_whole_sentence() -> None:
    reply = ["Set the fallback model in the environment [1]. It an", broken("timeout_gap")]
    pipeline = await make_pipeline(Scripted(reply, name="a"), documents=(PAGE,))
    answer, events = await ask(pipeline, QUESTION, model="a")
    assert isinstance(answer, Answer)
    assert (answer.outcome, answer.notice) == ("cut", notices.CUT)
    assert answer.answer == "Set the fallback model in the environment [1]."
    assert [event for event in events if isinstance(event, Retract)] == [Retract(answer.answer, "cut")]
    await pipeline.close()


@pytest.fixture
async def providers() -> AsyncIterator[tuple[FaultServer, Pipeline]]:
    """One server, and a pipeline that asks it for two models."""
    with FaultServer() as server:
        models = (
            OpenAIChat("a", base_url=server.openai_url, api_key="k"),
            OpenAIChat("b", base_url=server.openai_url, api_key="k"),
        )
        pipeline = await make_pipeline(*models, documents=(PAGE,))
        yield server, pipeline
        await pipeline.close()
        await asyncio.sleep(0)  # the sockets close


async def test_both_doors_tell_of_the_break(providers: tuple[FaultServer, Pipeline]) -> None:
    server, pipeline = providers
    app = create_app(pipeline, load_settings())
    async with served(app) as address, httpx.AsyncClient(base_url=address, timeout=60) as http:
        server.script("cut_middle", "status?code=503", "ok")
        reply = await http.post("/api/chat", json={"question": QUESTION})
        frames = dict(
            part[7:].split("\ndata: ", 1) for part in reply.text.split("\n\n") if part.startswith("event: ")
        )
        done = json.loads(frames["done"])
        assert (done["outcome"], done["notice"]) == ("degraded", notices.RESUMED)
        first, rest = done["answer"].split(f"…\n\n{notices.GOES_ON}\n\n")
        assert (first, rest) == ("Set the fallback ", "Set the fallback model in the environment [1].")
        assert [citation["n"] for citation in done["citations"]] == [1]
        trace = recorded(pipeline, done["turn_id"])
        assert (trace.turn.outcome, trace.turn.error_class, trace.turn.model) == (
            "degraded",
            "cut",
            "openai:b",
        )
        calls = [span.attributes.get("goes_on") for span in trace.spans if span.name.startswith("model ·")]
        assert calls == [None, True, True]

        server.script("end_middle", "ok")
        body = {"model": "answerdeck", "stream": True, "messages": [{"role": "user", "content": QUESTION}]}
        reply = await http.post("/v1/chat/completions", json=body)
        chunks = [json.loads(line[6:]) for line in reply.text.split("\n\n") if line.startswith("data: {")]
        said = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)
        assert said.split(f"…\n\n{notices.GOES_ON}\n\n") == [first, rest]
        assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
        assert chunks[-1]["answerdeck"]["notice"] == notices.RESUMED


async def test_an_overflow_twice_is_answered_from_the_passages(
    providers: tuple[FaultServer, Pipeline],
) -> None:
    server, pipeline = providers
    server.script("overflow", "overflow")
    answer, _ = await ask(pipeline, QUESTION)
    assert isinstance(answer, Answer)
    assert (answer.outcome, answer.notice) == ("degraded", notices.TOO_LONG)
    turn = recorded(pipeline, answer.turn_id).turn
    assert (turn.error_class, turn.model) == ("context_overflow", "extractive")
