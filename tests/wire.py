"""What both provider tests share: prompts, limits, and what each fault must come to."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast

from pipeline.errors import ModelError
from pipeline.events import Message
from pipeline.knowledge.found import Retrieved
from pipeline.models.model import Model, Prompt, Stop, Text
from pipeline.rehearsal.call import WORDS

QUICK: dict[str, Any] = {"first_token_seconds": 0.8, "gap_seconds": 0.8}
ANSWER = "".join(WORDS)  # what the fault server says when nothing is wrong

# fault → (error class or "stop"/"length"/"refusal", the text that was streamed before)
OUTCOMES: dict[str, tuple[str, str]] = {
    "ok": ("stop", ANSWER),
    "status?code=500": ("provider_5xx", ""),
    "status?code=502&html=1": ("provider_5xx", ""),
    "status?code=503&html=1": ("provider_5xx", ""),
    "status?code=504&html=1": ("provider_5xx", ""),
    "status?code=401": ("auth", ""),
    "status?code=402": ("auth", ""),
    "status?code=403": ("auth", ""),
    "status?code=404": ("bad_request", ""),
    "status?code=400": ("bad_request", ""),
    "status?code=413": ("context_overflow", ""),
    "status?code=429": ("rate_limited", ""),
    "overloaded": ("overloaded", ""),
    "quota": ("auth", ""),
    "overflow": ("context_overflow", ""),
    "overflow_llamacpp": ("context_overflow", ""),
    "content_filter_400": ("refused", ""),
    "login_page": ("protocol", ""),
    "login_page_as_stream": ("protocol", ""),
    "json_error_200": ("overloaded", ""),
    "redirect": ("protocol", ""),
    "error_first": ("overloaded", ""),
    "error_middle": ("overloaded", "Set the fallback "),
    "error_with_text": ("overloaded", "Set the fallback "),
    "reset": ("cut", ""),
    "cut_first": ("cut", ""),
    "cut_middle": ("cut", "Set the fallback "),
    "end_first": ("cut", ""),
    "end_middle": ("cut", "Set the fallback "),
    "end_inside_event": ("cut", "Set the fallback "),
    "nothing": ("protocol", ""),
    "malformed": ("protocol", "Set the fallback "),
    "wrong_shape": ("protocol", ""),
    "odd_but_fine": ("stop", ANSWER),
    "bytewise": ("stop", "Grüße, 東京\u2028🙂\x85 ok"),
    "half_characters": ("stop", "🙂"),
    "no_done": ("stop", ANSWER),
    "never_closed": ("stop", ANSWER),
    "long_line?size=900": ("stop", "x" * 900),
    "endless_line": ("protocol", ""),
    "empty": ("empty", ""),
    "garbage": ("protocol", ""),
    "blank": ("empty", ""),
    "only_thinking": ("empty", ""),
    "tool_call": ("protocol", ""),
    "refusal": ("refusal", ""),
    "length": ("length", ANSWER),
}

SILENCES: dict[str, tuple[str, str]] = {
    "hang": ("timeout_first_token", ""),
    "hang_after_head": ("timeout_first_token", ""),
    "only_pings": ("timeout_first_token", ""),
    "stall": ("timeout_gap", "Set the fallback "),
}


@dataclass
class Heard:
    """What came of one call."""

    text: str
    pieces: int
    stop: Stop | None
    error: ModelError | None

    @property
    def outcome(self) -> str:
        if self.error is not None:
            return self.error.error_class
        return self.stop.reason if self.stop else "nothing"


def make_prompt(
    text: str = "How do I turn on bounce keys?", system: str = "Answer.", most: int = 64
) -> Prompt:
    retrieved = Retrieved(text, None, (), "default", None, None)
    return Prompt(system, (Message("user", text),), text, retrieved, most)


async def ask(model: Model, prompt: Prompt | None = None, seconds: float = 20.0) -> Heard:
    """Stream one answer to its end."""
    heard = Heard("", 0, None, None)
    try:
        async with aclosing(cast(Any, model.stream(prompt or make_prompt(), seconds))) as events:
            async for event in events:
                assert heard.stop is None, "an event came after the Stop"
                if isinstance(event, Text):
                    heard.text += event.text
                    heard.pieces += 1
                else:
                    heard.stop = event
    except ModelError as error:
        heard.error = error
    return heard
