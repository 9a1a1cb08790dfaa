"""What OpenAI clients send without meaning it, and what chat front ends ask for themselves."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2 as httpx
import pytest

from pipeline.http.api import create_app
from pipeline.models.openai import tokens
from pipeline.models.scripted import Scripted
from pipeline.settings import load_settings
from pipeline.tasks import tags, task, title
from pipeline.turn import Pipeline
from tests.pipeline.served import served
from tests.pipeline.turns import make_pipeline

BOUNCE = "How do I turn on bounce keys?"
SAID = "Set the Bounce Keys switch to on [1]."
ASK = [{"role": "user", "content": BOUNCE}]
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
TOOL = {"type": "function", "function": {"name": "open_file", "parameters": {}, "strict": None}}
TALK = f"USER: {BOUNCE}\nASSISTANT: Open Settings, choose Accessibility [1]."


@asynccontextmanager
async def door() -> AsyncIterator[tuple[httpx.AsyncClient, Pipeline, Scripted]]:
    model = Scripted(*[SAID] * 40)
    pipeline = await make_pipeline(model)
    async with (
        served(create_app(pipeline, load_settings())) as address,
        httpx.AsyncClient(base_url=address, timeout=60) as http,
    ):
        yield http, pipeline, model


async def post(http: httpx.AsyncClient, **body: Any) -> httpx.Response:
    whole = {"model": "answerdeck", "messages": ASK} | body
    return await http.post("/v1/chat/completions", json=whole)


def content(response: httpx.Response) -> str:
    assert response.status_code == 200, response.text
    return response.json()["choices"][0]["message"]["content"]


PASSED_OVER: list[dict[str, Any]] = [
    {"stream": None, "stream_options": None, "tools": None, "n": None, "max_tokens": None, "model": None},
    {"tool_choice": None, "response_format": None, "logprobs": None, "modalities": None, "functions": None},
    {"messages": [{"role": "user", "content": [{"type": "text", "text": BOUNCE, "x": None}], "name": None}]},
    {"tools": [TOOL], "tool_choice": "auto", "parallel_tool_calls": True},
    {"tools": [TOOL], "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto"}}},
    {"functions": [{"name": "f"}], "function_call": "none"},
    {"response_format": {"type": "text"}},
    {"max_tokens": -1},
    {"messages": [{"role": "developer", "content": "Be brief."}, *ASK]},
    {"messages": [*ASK, {"role": "system", "content": "Be brief."}]},
    {"messages": [{"role": "user", "content": ""}, {"role": "assistant", "refusal": "I may not."}, *ASK]},
    {
        "messages": [
            {"role": "user", "content": "Open it"},
            {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "function": None}]},
            {"role": "tool", "tool_call_id": "1", "content": [{"type": "text", "text": "opened"}]},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
            *ASK,
        ]
    },
    {"messages": [{"role": "user", "content": [{"type": "input_file", "file_id": "x"}]}, *ASK]},
]  # fmt: skip


async def test_what_a_client_merely_offers_or_keeps_is_passed_over() -> None:
    async with door() as (http, _, _):
        for body in PASSED_OVER:
            assert content(await post(http, **body)) == SAID, body


async def test_a_stream_without_a_word_about_usage_has_none() -> None:
    async with door() as (http, _, _):
        answer = await post(http, stream=True, stream_options={"include_usage": None})
    assert answer.status_code == 200
    assert '"usage"' not in answer.text.replace('"answerdeck"', "").partition("passages")[0]
    assert answer.text.endswith("data: [DONE]\n\n")


CANNOT: list[tuple[dict[str, Any], str]] = [
    ({"n": 2}, "n"),
    ({"tools": [TOOL], "tool_choice": "required"}, "tool_choice"),
    ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "f"}}}, "tool_choice"),
    ({"functions": [{"name": "f"}], "function_call": {"name": "f"}}, "function_call"),
    ({"logprobs": True}, "logprobs"),
    ({"modalities": ["text", "audio"]}, "modalities"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_completion_tokens": -5}, "max_completion_tokens"),
    ({"response_format": {"type": "grammar"}}, "response_format"),
    ({"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}}, "response_format"),
    ({"messages": []}, "messages"),
    ({"messages": None}, "messages"),
    ({"messages": "hello"}, "messages"),
    ({"messages": [{"role": "user", "content": ""}]}, "messages.0.content"),
    ({"messages": [{"role": "user", "content": " \n\u200b"}]}, "messages.0.content"),
    ({"messages": [{"role": "user", "content": None}]}, "messages.0.content"),
    ({"messages": [{"role": "user", "content": []}]}, "messages.0.content"),
    ({"messages": [*ASK, {"role": "user", "content": [PICTURE]}]}, "messages.1.content"),
    ({"messages": [{"role": "user", "content": [{"type": "file", "file": {}}]}]}, "messages.0.content"),
    ({"messages": [*ASK, {"role": "assistant", "content": "x"}]}, "messages.1"),
    ({"messages": [{"role": "system", "content": "x"}]}, "messages.0"),
    ({"messages": [{"role": "pirate", "content": "x"}, *ASK]}, "messages.0.role"),
]  # fmt: skip


async def test_what_cannot_be_done_names_its_field_and_a_remedy() -> None:
    async with door() as (http, _, model):
        for body, param in CANNOT:
            answer = await post(http, **body)
            error = answer.json().get("error")
            assert error, body
            assert (answer.status_code, error["param"]) == (400, param), (body, error)
            assert error["type"] == "invalid_request_error"
            assert len(error["message"]) > 15
    assert model.prompts == []


async def test_a_picture_is_named_as_not_read() -> None:
    mixed = [{"role": "user", "content": [{"type": "text", "text": BOUNCE}, PICTURE]}]
    async with door() as (http, _, model):
        answer = await post(http, messages=mixed)
        note = "The picture in your message could not be read; only its text was."
        assert content(answer) == f"{SAID}\n\n{note}"
        assert answer.json()["answerdeck"]["notice"] == note
        assert note in (await post(http, messages=mixed, stream=True)).text
        earlier = [
            *mixed,
            {"role": "assistant", "content": "It is."},
            {"role": "user", "content": "And off again?"},
        ]
        assert "read" not in content(await post(http, messages=earlier))
    assert "[picture, not read]" in model.prompts[-1].render()
    assert "[picture" not in model.prompts[0].render()


async def test_a_cap_of_the_client_holds_and_is_told() -> None:
    async with door() as (http, _, model):
        await post(http, max_tokens=40, max_completion_tokens=30)
        await post(http, max_tokens=10_000_000)
        await post(http)
        assert [prompt.max_output_tokens for prompt in model.prompts] == [
            30, load_settings().models.max_output_tokens, load_settings().models.max_output_tokens,
        ]  # fmt: skip
    pipeline = await make_pipeline()  # the embedded model
    async with (
        served(create_app(pipeline, load_settings())) as address,
        httpx.AsyncClient(base_url=address, timeout=60) as http,
    ):
        body = {"messages": ASK, "max_tokens": 25}
        choice = (await http.post("/v1/chat/completions", json=body)).json()["choices"][0]
    assert choice["finish_reason"] == "length"


def schema(*required: str, **properties: str) -> dict[str, Any]:
    shape = {"type": "object", "properties": {name: {"type": kind} for name, kind in properties.items()}}
    return {
        "type": "json_schema",
        "json_schema": {"name": "x", "schema": shape | {"required": list(required)}},
    }


@pytest.mark.parametrize(
    ("wanted", "key"),
    [
        ({"type": "json_object"}, "answer"),
        (schema("reply", reply="string"), "reply"),
        (schema("text", score="number", text="string"), "text"),
        (schema(why="integer", says="string"), "says"),
    ],
)
async def test_json_is_given_where_one_text_is_all_that_is_wanted(wanted: dict[str, Any], key: str) -> None:
    async with door() as (http, _, _):
        assert json.loads(content(await post(http, response_format=wanted))) == {key: SAID}
        lines = (await post(http, response_format=wanted, stream=True)).text.split("\n\n")
        chunks = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
        pieces = [chunk["choices"][0]["delta"].get("content", "") for chunk in chunks]
        assert json.loads("".join(pieces)) == {key: SAID}


async def test_a_schema_that_wants_more_than_a_text_is_refused() -> None:
    async with door() as (http, _, _):
        for wanted in (
            schema("a", "b", a="string", b="string"),
            schema("a", a="integer"),
            schema("b", a="string"),
        ):
            assert (await post(http, response_format=wanted)).json()["error"]["param"] == "response_format"


TASKS: list[tuple[str, Any]] = [
    (f'Task: name this chat in three to five words.\nGive JSON: {{"title": "..."}}\nChat:\n{TALK}',
     {"title": "Turn on bounce keys"}),
    (f"### Task:\nGenerate a concise, 3-5 word title with an emoji summarizing the chat.\n### Output:\n"
     f'JSON format: {{ "title": "your concise title here" }}\n<chat_history>\n{TALK}\n</chat_history>',
     {"title": "💬 Turn on bounce keys"}),
    (f'### Task:\nGenerate 1-3 broad tags for the main themes.\nJSON: {{ "tags": ["tag1"] }}\n{TALK}',
     {"tags": ["Bounce", "Keys", "Turn"]}),
    (f"### Task:\nSuggest 3-5 relevant follow-up questions that the user might naturally ask next.\n"
     f'JSON format: {{ "follow_ups": ["Question 1?"] }}\n{TALK}', {"follow_ups": None}),
    (f"Analyze the chat history to determine the necessity of generating search queries.\n"
     f'{{\n  "queries": ["query1", "query2"]\n}}\n{TALK}', {"queries": [BOUNCE]}),
    (f"Provide a concise, 5-word-or-less title for the conversation, with no punctuation.\n{TALK}",
     "Turn on bounce keys"),
    (f"{TALK}\n\nWrite a headline for the chat above.", "Turn on bounce keys"),
    (f'### Task:\nDecide if a web search helps, and generate search queries.\n{{"queries": ["query1"]}}\n'
     f"<chat_history>\nUSER: {BOUNCE}\n</chat_history>", {"queries": [BOUNCE]}),
    (f"Summarize this conversation in a title of at most six words: '{BOUNCE}'", "Turn on bounce keys"),
    (f"Write a 5-word title, nothing else. Here is the message: {BOUNCE}", "Turn on bounce keys"),
]  # fmt: skip


async def test_errands_of_front_ends_are_run_without_a_model_and_kept_apart() -> None:
    async with door() as (http, pipeline, model):
        for text, expected in TASKS:
            answer = await post(http, messages=[{"role": "user", "content": text}], max_tokens=40)
            said = content(answer)
            assert "[1]" not in said
            if isinstance(expected, str):
                assert said == expected
                continue
            reply = json.loads(said)
            assert list(reply) == list(expected)
            if expected != {"follow_ups": None}:
                assert reply == expected
            elif reply["follow_ups"]:
                assert set(reply["follow_ups"]) <= {"Close the lid", "Connect to a hidden wireless network"}
        metrics = (await http.get("/metrics")).text
        assert model.prompts == []
        assert 'answerdeck_turns_total{door="task",outcome="answered"}' in metrics
        assert "answerdeck_turn_seconds_count 0" in metrics or "answerdeck_turn_seconds_count" not in metrics
        assert (await http.get("/api/conversations")).json() == {"conversations": []}
    pipeline.store.drain()
    with pipeline.store.read() as ledger:
        rows = ledger.rows("select door, route, hit, cost_usd from turns")
    assert {(row["door"], row["route"], row["hit"]) for row in rows} == {("task", "task", None)}


async def test_errands_do_not_use_up_a_users_limit() -> None:
    limits = {**load_settings().limits.model_dump(), "requests_per_minute": 1}
    pipeline = await make_pipeline(Scripted(SAID), limits=limits)
    app = create_app(pipeline, load_settings(limits=limits))
    async with served(app) as address, httpx.AsyncClient(base_url=address, timeout=60) as http:
        for text, _ in TASKS[:3]:
            assert content(await post(http, messages=[{"role": "user", "content": text}]))
        assert content(await post(http)) == SAID


PEOPLE = (
    "What is the title of the page about bounce keys?",
    "How do I give a conversation a title?",
    "Give me three tags for an evalset",
    "Generate an API key",
    "Suggest next questions",
    "Name the file formats that can be read",
    "Write a summary of the conversation settings page",
    "Create a tag for the release in this chat app?",
    "User: how do I name this chat?",
    "USER: write a name for the message queue",
    "Name the title of the message that says: the disk is full?",
    "Which title does the text have: Bounce keys or Slow keys?",
    "I write a message with the title: Bounce keys. How do I send it?",
    "Explain this dialogue:\nUser: hello\nAssistant: hello, how can I help?",
)


@pytest.mark.parametrize("text", PEOPLE)
def test_what_people_ask_is_no_errand(text: str) -> None:
    assert task(text, (BOUNCE,)) is None


def test_an_errand_may_speak_of_the_history_or_stand_in_the_system_text() -> None:
    spoken = task(
        "Based on the chat history, give this conversation a name. Keep it short, no quotes.", (BOUNCE,)
    )
    system = task(TALK, system="You write short titles for conversations. Reply with the title only.")
    assert spoken is not None
    assert system is not None
    assert spoken.reply() == system.reply() == "Turn on bounce keys"


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("How do I turn on bounce keys?", "Turn on bounce keys"),
        ("can you tell me about the lid. It is broken", "The lid"),
        ("WLAN einrichten", "WLAN einrichten"),
        ("Why?", "Why"),
        ("???", "Conversation"),
        ("如何打开粘滞键", "如何打开粘滞键"),
    ],
)
def test_titles(asked: str, expected: str) -> None:
    assert title([asked]) == expected


def test_a_reply_is_shortened_to_the_clients_cap() -> None:
    errand = task(TASKS[2][0], most_tokens=7)
    assert errand is not None
    assert json.loads(errand.reply()) == {"tags": ["Bounce"]}
    assert tags(["the the of"]) == []


@pytest.mark.parametrize(
    ("usage", "paid"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}, 5),
        (
            {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 75},
            65,
        ),  # thoughts in the total alone
        ({"prompt_tokens": 10, "completion_tokens": 65, "total_tokens": 75}, 65),
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 0}, 5),
        ({"prompt_tokens": 10, "completion_tokens": 5}, 5),
    ],
)
def test_thoughts_are_paid_for(usage: dict[str, int], paid: int) -> None:
    assert tokens(usage).output_tokens == paid
