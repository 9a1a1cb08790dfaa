"""The OpenAI chat protocol: our events as their chunks, our answer as their completion."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import orjson

from pipeline.events import Answer, Delta, Event, Failed, Retract, Started
from pipeline.http.openai_request import MODEL
from pipeline.http.problem import body, status_of

DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class Form:
    """How the client wants the answer: as text or in a JSON object, and what it must be told beside it."""

    key: str | None = None
    unread: tuple[str, ...] = ()

    @property
    def note(self) -> str:
        """A sentence that names what of the question was not read; empty when all of it was."""
        if not self.unread:
            return ""
        names = " and ".join(f"the {name}" for name in self.unread)
        return f"{names[:1].upper()}{names[1:]} in your message could not be read; only its text was."

    def content(self, answer: Answer) -> str:
        """Return the whole message."""
        text = "\n\n".join(part for part in (answer.answer, self.note) if part)
        return text if self.key is None else orjson.dumps({self.key: text}).decode()


TEXT = Form()


def usage(answer: Answer) -> dict[str, Any]:
    """Return the tokens in OpenAI's words; what was not reported counts as none there."""
    input_tokens = answer.usage.get("input_tokens") or 0
    output_tokens = answer.usage.get("output_tokens") or 0
    return {
        "prompt_tokens": input_tokens,
        "completion_tokens": output_tokens,
        "total_tokens": input_tokens + output_tokens,
        "prompt_tokens_details": {"cached_tokens": answer.usage.get("cache_read_tokens") or 0},
    }


def ours(answer: Answer, form: Form = TEXT) -> dict[str, Any]:
    """Return the `answerdeck` field: what their protocol has no words for."""
    fields = answer.to_dict()
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
    notice = " ".join(part for part in (answer.notice, form.note) if part)
    return {name: fields[name] for name in names} | {"notice": notice or None}


def finish(answer: Answer) -> str:
    """Return OpenAI's finish_reason for an outcome."""
    if answer.outcome == "refused":
        return "content_filter"
    capped = answer.trace is not None and answer.trace.turn.stop_reason == "length"
    return "length" if capped or answer.outcome == "cut" else "stop"


def completion(answer: Answer, form: Form = TEXT) -> dict[str, Any]:
    """Return a whole answer as a chat.completion object."""
    message = {"role": "assistant", "content": form.content(answer), "refusal": None}
    return {
        "id": f"chatcmpl-{answer.turn_id}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": MODEL,
        "choices": [{"index": 0, "message": message, "finish_reason": finish(answer), "logprobs": None}],
        "usage": usage(answer),
        "answerdeck": ours(answer, form),
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
    form: Form = TEXT

    @classmethod
    def begin(cls, include_usage: bool, form: Form = TEXT) -> Chunks:
        head = {
            "id": "chatcmpl-",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": MODEL,
        }
        return cls(include_usage, head, form)

    def encode(self, event: Event) -> bytes:
        if isinstance(event, Delta):
            return self._said(event.text)
        if isinstance(event, Started):
            self.head["id"] = f"chatcmpl-{event.turn_id}"
            return self._chunk({"role": "assistant", "content": ""})
        if isinstance(event, Retract):  # their protocol cannot take words back
            return self._said(f"\n\n{event.text}")
        if isinstance(event, Answer):
            return self._end(event)
        if isinstance(event, Failed):
            return _data(body(event.code, event.message, status_of(event.code), turn_id=event.turn_id))
        return b""

    def _said(self, text: str) -> bytes:
        """Return a piece of the answer; a JSON object is sent whole at the end."""
        return self._chunk({"content": text}) if self.form.key is None else b""

    def _chunk(self, delta: dict[str, Any], reason: str | None = None, **more: Any) -> bytes:
        choices = [{"index": 0, "delta": delta, "finish_reason": reason}]
        tail: dict[str, Any] = {"usage": None} if self.include_usage else {}
        return _data({**self.head, "choices": choices, **tail, **more})

    def _end(self, answer: Answer) -> bytes:
        rest = f"\n\n{self.form.note}" if self.form.note else ""
        rest = rest if self.form.key is None else self.form.content(answer)
        end = self._chunk({"content": rest}) if rest else b""
        end += self._chunk({}, finish(answer), answerdeck=ours(answer, self.form))
        if self.include_usage:
            end += _data({**self.head, "choices": [], "usage": usage(answer)})
        return end


def _data(value: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"
