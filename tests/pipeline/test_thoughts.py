"""A model's thoughts are no answer: any tag, any cut, opening missing, unclosed; code stays."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from pipeline import notices
from pipeline.events import Answer
from pipeline.models.openai import OpenAIChat
from pipeline.models.thoughts import Thoughts, shown
from tests.pipeline.served import served
from tests.pipeline.turns import ask, make_pipeline, recorded

CASES = [
    ("<think>\nIs it [2]?\n</think>\n\nSwitch it on [1].", "Switch it on [1]."),
    ("<Thinking>a < b</Thinking>Yes.", "Yes."),
    ("<think>\nSwitch", ""),
    ("One. <think>hm</think>Two.", "One. Two."),
    ("[THINK]hm[/THINK]Yes.", "Yes."),
    ("<|begin_of_thought|>hm<|end_of_thought|>Yes.", "Yes."),
    ("◁think▷hm◁/think▷Yes.", "Yes."),
    ("<seed:think>hm</seed:think>Yes.", "Yes."),
    (
        "<|channel|>analysis<|message|>hm [2]<|end|><|start|>assistant"
        "<|channel|>final<|message|>Yes [1].<|return|>",
        "Yes [1].",
    ),
    ("<think>hm</think><answer>Yes [1].</answer>", "Yes [1]."),
    ("<think>hm</think>\n<final_answer>\nYes.\n</final_answer>", "Yes."),
    ("The mark <answer> begins it.", "The mark <answer> begins it."),
    ("Write `<think>` before `</think>`.", "Write `<think>` before `</think>`."),
    ("```\n<think>a</think>\n```\nSo.", "```\n<think>a</think>\n```\nSo."),
    ("a < b and c <i>d</i> [1] [", "a < b and c <i>d</i> [1] ["),
    ("<thinker>x</thinker>", "<thinker>x</thinker>"),
    ("", ""),
]


@pytest.mark.parametrize(("text", "wanted"), CASES)
@pytest.mark.parametrize("held", [False, True])
def test_every_cut_shows_the_same(text: str, wanted: str, held: bool) -> None:
    for size, offset in itertools.product((1, 2, 3, 5, 7, 100), (0, 1, 2)):
        thoughts = Thoughts(held=held)
        pieces = [text[:offset], *(text[at : at + size] for at in range(offset, len(text), size))]
        given = "".join(thoughts.take(piece) for piece in pieces) + thoughts.end()
        assert given.strip() == wanted, (size, offset)


def test_a_thought_without_its_opening_is_held_back_until_it_ends() -> None:
    thoughts = Thoughts(held=True)
    assert [thoughts.take(piece) for piece in ("Is it", " [2]?</th", "ink>Yes", ".")] == ["", "", "Yes", "."]
    assert thoughts.unopened
    assert thoughts.thought == "Is it [2]?"


def test_an_answer_without_tags_streams_on() -> None:
    thoughts = Thoughts()
    assert [thoughts.take(piece) for piece in ("Press", " Esc", ".")] == ["Press", " Esc", "."]
    assert (thoughts.end(), thoughts.thought, thoughts.unopened) == ("", "", False)


def test_an_unclosed_thought_is_kept_as_a_thought() -> None:
    thoughts = Thoughts()
    assert thoughts.take("<think>Is it") + thoughts.end() == ""
    assert thoughts.thought == "Is it"


def test_a_whole_text_loses_its_thoughts() -> None:
    assert shown('see {x}</think>\n{"a": 1}').strip() == '{"a": 1}'


THOUGHT = "Bounce keys, see [1] and [2]. Draft: press Esc [2]."
SAID = "Set the Bounce Keys switch to on [1]."
MODES = {
    "tagged": [{"content": f"<think>\n{THOUGHT}\n</think>\n\n{SAID}"}],
    "unopened": [{"content": f"{THOUGHT}\n</think>\n\n{SAID}"}],
    "parted": [{"reasoning_content": THOUGHT}, {"content": SAID}],
    "unclosed": [{"content": f"<thinking>\n{THOUGHT}"}],
    "silent": [{"reasoning": THOUGHT}],
}


async def _reply(request: Request) -> StreamingResponse:
    mode = (await request.json())["model"]

    async def events() -> AsyncIterator[bytes]:
        for delta in MODES[mode]:
            ((key, text),) = delta.items()
            for at in range(0, len(text), 3):
                yield _event({key: text[at : at + 3]}, None)
        yield _event({}, "length" if mode == "unclosed" else "stop")
        yield b"data: [DONE]\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


def _event(delta: dict[str, str], reason: str | None) -> bytes:
    body: dict[str, Any] = {"model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


SERVER = Starlette(routes=[Route("/v1/chat/completions", _reply, methods=["POST"])])


@pytest.mark.parametrize("mode", ["tagged", "unopened", "parted"])
async def test_a_thought_is_neither_answer_nor_citation_nor_memory(mode: str) -> None:
    async with served(SERVER) as url:
        pipeline = await make_pipeline(OpenAIChat(mode, base_url=f"{url}/v1", provider="local"))
        answer, _ = await ask(pipeline, "How do I turn on bounce keys?")
        assert isinstance(answer, Answer)
        assert (answer.outcome, answer.answer) == ("answered", SAID)
        assert [one.n for one in answer.citations] == [1]
        trace = recorded(pipeline, answer.turn_id)
        assert THOUGHT in (trace.payload.raw_response or "")
        assert not any(THOUGHT[:20] in str(span.attributes) for span in trace.spans), (
            "it outlives the payload"
        )
        more = await ask(pipeline, "and slow keys?", conversation_id=answer.conversation_id)
        assert isinstance(more[0], Answer)
        assert "Draft" not in (recorded(pipeline, more[0].turn_id).payload.prompt or "")
        await pipeline.close()


@pytest.mark.parametrize("mode", ["unclosed", "silent"])
async def test_thoughts_alone_are_no_answer_and_are_paid(mode: str) -> None:
    async with served(SERVER) as url:
        model = OpenAIChat(mode, base_url=f"{url}/v1", provider="local")
        pipeline = await make_pipeline(model)
        answer, _ = await ask(pipeline, "How do I turn on bounce keys?")
        assert isinstance(answer, Answer)
        assert answer.outcome == "degraded"
        assert "Draft" not in answer.answer
        assert "Bounce Keys" in answer.answer
        usage = recorded(pipeline, answer.turn_id).usages[0]
        assert usage.error_class == ("truncated" if mode == "unclosed" else "empty")
        assert (usage.output_tokens or 0) > 5
        named, _ = await ask(pipeline, "How do I turn on bounce keys?", model=model.name)
        assert isinstance(named, Answer)
        cut = ("cut", notices.THOUGHT_ALONE)
        assert (named.outcome, named.answer) == cut if mode == "unclosed" else named.outcome == "failed"
        assert named.notice is None
        await pipeline.close()
