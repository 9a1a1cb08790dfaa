"""The two protocols' events and bodies, as the server sends them."""

from __future__ import annotations

import json
import zlib
from typing import Any, ClassVar, Protocol


class Dialect(Protocol):
    """How one protocol says things."""

    request_id_header: str
    kinds: ClassVar[dict[int, str]]

    def __init__(self, body: dict[str, Any]) -> None: ...
    def opening(self) -> bytes: ...
    def text(self, piece: str) -> bytes: ...
    def thinking(self, piece: str) -> bytes: ...
    def tool_call(self) -> bytes: ...
    def refusal(self) -> bytes: ...
    def ping(self) -> bytes: ...
    def wrong_shape(self) -> bytes: ...
    def closing(self, reason: str, *, last: bool = True, missing: bool = False, **usage: Any) -> bytes: ...
    def error_event(self, kind: str, message: str) -> bytes: ...
    def error_body(self, kind: str, message: str, code: str | None = None) -> bytes: ...
    def overflow(self) -> bytes: ...
    def whole(self, text: str) -> bytes: ...


def _dump(body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()


class OpenAI:
    """Chat completions."""

    request_id_header = "x-request-id"
    kinds: ClassVar[dict[int, str]] = {
        400: "invalid_request_error",
        401: "invalid_request_error",
        404: "invalid_request_error",
        429: "requests",
        500: "server_error",
    }

    def __init__(self, body: dict[str, Any]) -> None:
        self._model = body.get("model", "stub")
        self._wants_usage = (body.get("stream_options") or {}).get("include_usage", False)

    def _chunk(self, choices: list[dict[str, Any]], **more: Any) -> bytes:
        body = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": self._model}
        return b"data: " + _dump(body | {"choices": choices} | more) + b"\n\n"

    def _delta(self, **delta: Any) -> bytes:
        return self._chunk([{"index": 0, "delta": delta, "finish_reason": None}])

    def opening(self) -> bytes:
        return self._delta(role="assistant", content="")

    def text(self, piece: str) -> bytes:
        return self._delta(content=piece)

    def thinking(self, piece: str) -> bytes:
        return self._delta(reasoning_content=piece)

    def tool_call(self) -> bytes:
        call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "rm", "arguments": "{}"}}
        return self._delta(tool_calls=[call])

    def refusal(self) -> bytes:
        return self._delta(refusal="I cannot help with that.")

    def ping(self) -> bytes:
        return b": PROCESSING\n\n"

    def wrong_shape(self) -> bytes:
        return b'data: {"choices": {"0": "text"}}\n\n'

    def closing(self, reason: str, *, last: bool = True, missing: bool = False, **usage: Any) -> bytes:
        finish = {"tool": "tool_calls", "refusal": "content_filter"}.get(reason, reason)
        data = self._chunk([{"index": 0, "delta": {}, "finish_reason": finish}])
        if self._wants_usage and not missing:
            data += self._chunk([], usage=_openai_usage(**usage))
        return data + b"data: [DONE]\n\n" if last else data

    def error_event(self, kind: str, message: str) -> bytes:
        return b"data: " + self.error_body(kind, message) + b"\n\n"

    def error_body(self, kind: str, message: str, code: str | None = None) -> bytes:
        return _dump({"error": {"message": message, "type": kind, "param": None, "code": code}})

    def overflow(self) -> bytes:
        message = (
            "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000."
        )
        return self.error_body("invalid_request_error", message, "context_length_exceeded")

    def whole(self, text: str) -> bytes:
        message = {"role": "assistant", "content": text, "refusal": None}
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
        body = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": self._model}
        return _dump(body | {"choices": [choice], "usage": _openai_usage()})


class EmbeddingsDialect(OpenAI):
    """Embeddings: a vector is the hashed bag of a text's words, so that texts that share words are near."""

    dimensions = 64

    def __init__(self, body: dict[str, Any]) -> None:
        super().__init__(body)
        self.vectors = [self._vector(text) for text in body.get("input", [])]

    def whole(self, text: str) -> bytes:
        rows = [{"index": at, "embedding": vector} for at, vector in enumerate(self.vectors)]
        return _dump({"object": "list", "model": self._model, "data": rows})

    def _vector(self, text: str) -> list[float]:
        vector = [0.01] * self.dimensions
        for word in text.lower().split():
            vector[zlib.crc32(word.strip(".,?").encode()) % self.dimensions] += 1.0
        return vector


class Anthropic:
    """Messages."""

    request_id_header = "request-id"
    kinds: ClassVar[dict[int, str]] = {
        400: "invalid_request_error",
        401: "authentication_error",
        402: "billing_error",
        403: "permission_error",
        404: "not_found_error",
        413: "request_too_large",
        429: "rate_limit_error",
        500: "api_error",
        529: "overloaded_error",
    }

    def __init__(self, body: dict[str, Any]) -> None:
        self._model = body.get("model", "stub")

    def _event(self, kind: str, **fields: Any) -> bytes:
        return f"event: {kind}\ndata: ".encode() + _dump({"type": kind, **fields}) + b"\n\n"

    def _delta(self, kind: str, **delta: Any) -> bytes:
        return self._event("content_block_delta", index=0, delta={"type": kind, **delta})

    def opening(self) -> bytes:
        message = {"id": "msg_1", "type": "message", "role": "assistant", "model": self._model, "content": []}
        message |= {"stop_reason": None, "stop_sequence": None, "usage": _anthropic_usage(output=1)}
        block = {"type": "text", "text": ""}
        return self._event("message_start", message=message) + self._event(
            "content_block_start", index=0, content_block=block
        )

    def text(self, piece: str) -> bytes:
        return self._delta("text_delta", text=piece)

    def thinking(self, piece: str) -> bytes:
        return self._delta("thinking_delta", thinking=piece)

    def tool_call(self) -> bytes:
        block = {"type": "tool_use", "id": "toolu_1", "name": "rm", "input": {}}
        return self._event("content_block_start", index=1, content_block=block) + self._delta(
            "input_json_delta", partial_json="{}"
        )

    def refusal(self) -> bytes:
        return b""

    def ping(self) -> bytes:
        return self._event("ping")

    def wrong_shape(self) -> bytes:
        return b'event: content_block_delta\ndata: {"type": "content_block_delta", "delta": ["text"]}\n\n'

    def closing(self, reason: str, *, last: bool = True, missing: bool = False, **usage: Any) -> bytes:
        reasons = {"stop": "end_turn", "length": "max_tokens", "tool": "tool_use"}
        delta = {"stop_reason": reasons.get(reason, reason), "stop_sequence": None}
        counts: dict[str, Any] = {"output_tokens": usage.get("output", 8)}
        if "input" in usage or "cached" in usage:
            counts = _anthropic_usage(**usage)
        if missing:
            counts = {"input_tokens": 0, "output_tokens": 0}
        data = self._event("content_block_stop", index=0) + self._event(
            "message_delta", delta=delta, usage=counts
        )
        return data + self._event("message_stop") if last else data

    def error_event(self, kind: str, message: str) -> bytes:
        return b"event: error\ndata: " + self.error_body(kind, message) + b"\n\n"

    def error_body(self, kind: str, message: str, code: str | None = None) -> bytes:
        error = {"type": kind if code in (None, kind) else code, "message": message}
        return _dump({"type": "error", "error": error, "request_id": "req_1"})

    def overflow(self) -> bytes:
        return self.error_body("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum")

    def whole(self, text: str) -> bytes:
        body = {"id": "msg_1", "type": "message", "role": "assistant", "model": self._model}
        body |= {
            "content": [{"type": "text", "text": text}],
            "stop_reason": "end_turn",
            "stop_sequence": None,
        }
        return _dump(body | {"usage": _anthropic_usage()})


def _openai_usage(input: Any = 20, output: Any = 8, cached: Any = 5) -> dict[str, Any]:
    details = {"cached_tokens": cached}
    return {
        "prompt_tokens": input,
        "completion_tokens": output,
        "total_tokens": 28,
        "prompt_tokens_details": details,
    }


def _anthropic_usage(input: Any = 12, output: Any = 8, cached: Any = 5, written: Any = 3) -> dict[str, Any]:
    return {
        "input_tokens": input,
        "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": written,
        "output_tokens": output,
    }
