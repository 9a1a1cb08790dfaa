"""Data from models: what goes over the wire of both dialects, and what becomes of replies that do not fit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from pydantic import BaseModel

from pipeline.errors import ErrorClass, ModelError
from pipeline.models.anthropic import AnthropicMessages
from pipeline.models.model import Tokens
from pipeline.models.openai import OpenAIChat
from pipeline.models.structured import Reply, Unfit, ask, read, strict
from tests.judge_stub import JudgeStub


class Verdict(BaseModel):
    statement: str
    verdict: int = 0


class Verdicts(BaseModel):
    statements: list[Verdict]


@pytest.fixture(scope="module")
def judge() -> Iterator[JudgeStub]:
    with JudgeStub() as stub:
        yield stub


@pytest.fixture(params=["openai", "local", "anthropic"])
async def model(
    request: pytest.FixtureRequest, judge: JudgeStub
) -> AsyncIterator[OpenAIChat | AnthropicMessages]:
    judge.reset()
    if request.param == "anthropic":
        made = AnthropicMessages("claude-x", base_url=judge.anthropic_url, api_key="sk-test")
    else:
        made = OpenAIChat("gpt-x", base_url=judge.openai_url, api_key="sk-test", provider=request.param)
    yield made
    await made.close()
    await asyncio.sleep(0)  # the sockets close


Model = OpenAIChat | AnthropicMessages


async def test_a_reply_comes_back_as_a_value(model: Model, judge: JudgeStub) -> None:
    filled = await ask(model, "Judge this.", Verdicts, 5)
    assert [one.verdict for one in filled.value.statements] == [1, 1]
    assert (filled.replies[0].tokens.input_tokens, filled.replies[0].tokens.output_tokens) == (800, 120)
    assert judge.prompts == ["Judge this."]
    assert "temperature" not in judge.bodies[0]
    assert b": bearer sk-test" in judge.heads[0] or b"x-api-key: sk-test" in judge.heads[0]


async def test_a_reply_that_does_not_fit_is_mended_once(model: Model, judge: JudgeStub) -> None:
    judge.script("broken", "ok")
    filled = await ask(model, "Judge this.", Verdicts, 5)
    assert len(filled.replies) == 2
    assert "Sure! {not json" in judge.prompts[1]
    judge.script("wrong_shape", "broken")
    with pytest.raises(Unfit) as caught:
        await ask(model, "Judge this.", Verdicts, 5)
    assert caught.value.error_class == "protocol"
    assert len(caught.value.replies) == 2  # both were paid for
    assert "surprise" not in str(caught.value)


@pytest.mark.parametrize(
    ("fault", "error_class"),
    [("truncated", "truncated"), ("refusal", "refused"), ("status500", "provider_5xx"),
     ("status429", "rate_limited"), ("drop", "cut"), ("stall", "deadline")],
)  # fmt: skip
async def test_every_failure_has_its_class(
    model: Model, judge: JudgeStub, fault: str, error_class: ErrorClass
) -> None:
    judge.script(fault)
    with pytest.raises(ModelError) as caught:
        await ask(model, "Judge this.", Verdicts, 0.3)
    assert caught.value.error_class == error_class
    assert judge.calls == 1


@pytest.mark.parametrize(
    "text",
    [
        "<think>It may be {a} or {b}.</think>\n```json\n{}\n```",
        "It may be {a}.</think>{}",
        "My verdict:\n{}\nAsk for {more} if you like, or {}.",
        'The shape {"statement": 1} is empty.\n{}',
    ],
)
def test_a_reply_among_thoughts_prose_and_braces_is_read(text: str) -> None:
    said = text.replace("{}", '{"statement": "It is {on}.", "verdict": 1}', 1)
    assert read("judge", Reply(said, "stop", Tokens(), "m"), Verdict).statement == "It is {on}."


def test_a_fenced_reply_is_read() -> None:
    text = 'Here it is:\n```json\n{"statements": []}\n```'
    assert read("m", Reply(text, "stop", Tokens(), "m"), Verdicts).statements == []


def test_the_schema_is_what_providers_accept() -> None:
    schema = strict(Verdicts.model_json_schema())
    assert schema["additionalProperties"] is False
    assert schema["$defs"]["Verdict"]["required"] == ["statement", "verdict"]
    assert "default" not in schema["$defs"]["Verdict"]["properties"]["verdict"]
