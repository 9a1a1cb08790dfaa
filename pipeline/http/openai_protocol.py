"""The OpenAI chat protocol: their request into our question, our events into their chunks."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field

from pipeline.errors import Refused
from pipeline.events import Answer, Delta, Event, Failed, Message, Retract, Started
from pipeline.http.problem import body, status_of

MODEL = "answerdeck"
DONE = b"data: [DONE]\n\n"
_IGNORED_ROLES = ("system", "developer")


class Part(BaseModel):
    """A part of a message; only text can be read."""

    model_config = ConfigDict(extra="allow")
    type: str
    text: str | None = None


class Said(BaseModel):
    """One message of the conversation as the client holds it."""

    model_config = ConfigDict(extra="allow")
    role: str
    content: str | list[Part] | None = None


class StreamOptions(BaseModel):
    model_config = ConfigDict(extra="allow")
    include_usage: bool = False


class Request(BaseModel):
    """The body of POST /v1/chat/completions; sampling parameters are accepted and not used."""

    model_config = ConfigDict(extra="allow")
    model: str = MODEL
    messages: list[Said] = Field(min_length=1, max_length=2000)
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: int | None = None
    tools: list[Any] | None = None
    functions: list[Any] | None = None
    response_format: dict[str, Any] | None = None
    logprobs: bool | None = None
    modalities: list[str] | None = None


def conversation(request: Request) -> tuple[str, tuple[Message, ...]]:
    """Return the question and what was said before; raises Refused (400) for what we cannot do."""
    _refuse(request)
    messages: list[Message] = []
    for said in request.messages:
        if said.role in _IGNORED_ROLES:
            continue
        if said.role not in ("user", "assistant"):
            raise Refused(
                "unsupported_role", f"Messages of role {said.role!r} are not supported.", status=400
            )
        messages.append(Message("user" if said.role == "user" else "assistant", _text(said)))
    if not messages or messages[-1].role != "user":
        raise Refused("no_question", "The last message must be the user's question.", status=400)
    return messages[-1].text, tuple(messages[:-1])


def system(request: Request) -> str:
    """Return the client's system text: no model is handed it, but the guard looks at it."""
    texts = (_text(said) for said in request.messages if said.role in _IGNORED_ROLES)
    return "\n".join(text for text in texts if text)


def _refuse(request: Request) -> None:
    wanted = {
        "n": request.n not in (None, 1),
        "tools": bool(request.tools),
        "functions": bool(request.functions),
        "response_format": (request.response_format or {}).get("type", "text") != "text",
        "logprobs": bool(request.logprobs),
        "modalities": bool(request.modalities) and request.modalities != ["text"],
    }
    for name, asked in wanted.items():
        if asked:
            raise Refused(
                f"unsupported_{name}", f"{name} is not supported here; please leave it out.", status=400
            )


def _text(said: Said) -> str:
    if isinstance(said.content, list):
        other = next((part.type for part in said.content if part.type != "text"), None)
        if other is not None:
            raise Refused("unsupported_content", f"Content of type {other!r} is not supported.", status=400)
        return "\n".join(part.text or "" for part in said.content)
    return said.content or ""


def usage(answer: Answer) -> dict[str, Any]:
    """Return the tokens in OpenAI's words; what was not reported counts as none there."""
    asked = answer.usage.get("input_tokens") or 0
    told = answer.usage.get("output_tokens") or 0
    return {
        "prompt_tokens": asked,
        "completion_tokens": told,
        "total_tokens": asked + told,
        "prompt_tokens_details": {"cached_tokens": answer.usage.get("cache_read_tokens") or 0},
    }


def ours(answer: Answer) -> dict[str, Any]:
    """Return the `answerdeck` field: what their protocol has no words for."""
    told = answer.to_dict()
    names = (
        "turn_id",
        "conversation_id",
        "outcome",
        "citations",
        "passages",
        "cost_usd",
        "notice",
        "model",
        "answer_checks",
    )
    return {name: told[name] for name in names}


def finish(answer: Answer) -> str:
    """Return OpenAI's finish_reason for an outcome."""
    if answer.outcome == "refused":
        return "content_filter"
    return "length" if answer.outcome == "cut" else "stop"


def completion(answer: Answer) -> dict[str, Any]:
    """Return a whole answer as a chat.completion object."""
    message = {"role": "assistant", "content": answer.answer, "refusal": None}
    return {
        "id": f"chatcmpl-{answer.turn_id}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": MODEL,
        "choices": [{"index": 0, "message": message, "finish_reason": finish(answer), "logprobs": None}],
        "usage": usage(answer),
        "answerdeck": ours(answer),
    }


def models(names: list[str]) -> dict[str, Any]:
    """Return the answer to GET /v1/models."""
    return {"object": "list", "data": [model(name) for name in names]}


def model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": MODEL}


@dataclass(slots=True)
class Chunks:
    """Encodes the events of one turn as server-sent chat.completion.chunk objects."""

    include_usage: bool
    head: dict[str, Any]

    @classmethod
    def begin(cls, include_usage: bool) -> Chunks:
        head = {
            "id": "chatcmpl-",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": MODEL,
        }
        return cls(include_usage, head)

    def encode(self, event: Event) -> bytes:
        if isinstance(event, Delta):
            return self._chunk({"content": event.text})
        if isinstance(event, Started):
            self.head["id"] = f"chatcmpl-{event.turn_id}"
            return self._chunk({"role": "assistant", "content": ""})
        if isinstance(event, Retract):  # their protocol cannot take words back
            return self._chunk({"content": f"\n\n{event.text}"})
        if isinstance(event, Answer):
            return self._end(event)
        if isinstance(event, Failed):
            return _data(body(event.code, event.message, status_of(event.code), turn_id=event.turn_id))
        return b""

    def _chunk(self, delta: dict[str, Any], reason: str | None = None, **more: Any) -> bytes:
        choices = [{"index": 0, "delta": delta, "finish_reason": reason}]
        tail: dict[str, Any] = {"usage": None} if self.include_usage else {}
        return _data({**self.head, "choices": choices, **tail, **more})

    def _end(self, answer: Answer) -> bytes:
        end = self._chunk({}, finish(answer), answerdeck=ours(answer))
        if self.include_usage:
            end += _data({**self.head, "choices": [], "usage": usage(answer)})
        return end


def _data(value: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"
