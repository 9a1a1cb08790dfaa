"""A loopback judge that answers any JSON schema on both protocols, and breaks on demand.

In a test: `with JudgeStub() as judge: judge.script("broken", "ok")`; each call takes the next fault of
the script, then "ok" for ever. `judge.answer` may be a function of (prompt, schema) that returns the reply,
`judge.fault_for` one of the prompt that names a fault.
By hand, for benchmarks: `python -m tests.judge_stub --seconds 0.2` prints its address.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import orjson

from pipeline.rehearsal.loopback import Loopback

FAULTS = ("ok", "broken", "truncated", "wrong_shape", "status500", "status429", "stall", "refusal", "drop")
TOKENS = (800, 120)


class JudgeStub(Loopback):
    """The server."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.calls = self.most_in_flight = self._in_flight = 0
        self.prompts: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.heads: list[bytes] = []  # of the requests, in lower case
        self.default = "ok"
        self.answer: Callable[[str, dict[str, Any]], Any] = lambda _, schema: filled(schema, schema)
        self.fault_for: Callable[[str], str | None] = lambda _: None
        self.keep = True
        self._script: list[str] = []
        super().__init__()

    def script(self, *faults: str) -> None:
        unknown = set(faults) - set(FAULTS)
        if unknown:
            raise ValueError(f"unknown faults {unknown!r}; there are {', '.join(FAULTS)}")
        self._script = list(faults)

    def reset(self) -> None:
        self.calls = self.most_in_flight = 0
        self.prompts, self.bodies, self.heads, self._script, self.default = [], [], [], [], "ok"
        self.seconds, self.answer = 0.0, lambda _, schema: filled(schema, schema)
        self.fault_for = lambda _: None

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                if self.keep:
                    self.heads.append(head)
                path = head.split(b" ", 2)[1].decode()
                start = head.index(b"content-length:") + 15
                body = orjson.loads(await reader.readexactly(int(head[start : head.index(b"\r", start)])))
                status, reply = await self._reply(path, body)
                if status == 0:
                    break
                data = orjson.dumps(reply)
                writer.write(
                    b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
                    % (status, len(data))
                    + data
                )
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    async def _reply(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        self.calls += 1
        self._in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self._in_flight)
        try:
            fault = self._script.pop(0) if self._script else self.default
            if path.endswith("/embeddings"):
                return 200, embedded(body)
            fault = self.fault_for(body["messages"][0]["content"]) or fault
            if self.keep:
                self.bodies.append(body)
                self.prompts.append(body["messages"][0]["content"])
            if self.seconds:
                await asyncio.sleep(self.seconds)
            if fault == "stall":
                await asyncio.sleep(30)
            return self._say(path, body, fault)
        finally:
            self._in_flight -= 1

    def _say(self, path: str, body: dict[str, Any], fault: str) -> tuple[int, Any]:
        if fault == "drop":
            return 0, None
        if fault.startswith("status"):
            return int(fault[6:]), {"error": {"type": "server_error", "message": "no"}}
        schema = schema_of(body)
        text = orjson.dumps(self.answer(body["messages"][-1]["content"], schema)).decode()
        text = {
            "broken": "Sure! {not json",
            "truncated": text[: len(text) // 2],
            "wrong_shape": '{"surprise": [1]}',
        }.get(fault, text)
        wire = anthropic_reply if path.endswith("/messages") else openai_reply
        return 200, wire(body["model"], text, fault)


def schema_of(body: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON schema that a request of either dialect asks for."""
    if "output_config" in body:
        return body["output_config"]["format"]["schema"]
    return body["response_format"]["json_schema"]["schema"]


def filled(schema: dict[str, Any], root: dict[str, Any], name: str = "text") -> Any:
    """Return an answer that fits the schema: arrays of two, integers 1, texts after their field."""
    if "$ref" in schema:
        return filled(root["$defs"][schema["$ref"].rsplit("/", 1)[1]], root, name)
    kind = schema.get("type")
    if kind == "object":
        return {key: filled(value, root, key) for key, value in schema.get("properties", {}).items()}
    if kind == "array":
        return [filled(schema["items"], root, f"{name} {i}") for i in range(2)]
    return {"integer": 1, "number": 1.0, "boolean": True}.get(kind or "", f"a {name}")


def openai_reply(model: str, text: str, fault: str) -> dict[str, Any]:
    finish = {"truncated": "length", "refusal": "content_filter"}.get(fault, "stop")
    usage = {"prompt_tokens": TOKENS[0], "completion_tokens": TOKENS[1], "total_tokens": sum(TOKENS)}
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": finish}
    about = {"id": "c", "object": "chat.completion", "created": 1, "model": model}
    return {**about, "choices": [choice], "usage": usage}


def anthropic_reply(model: str, text: str, fault: str) -> dict[str, Any]:
    stop = {"truncated": "max_tokens", "refusal": "refusal"}.get(fault, "end_turn")
    return {
        "id": "m", "type": "message", "role": "assistant", "model": model, "stop_reason": stop,
        "stop_sequence": None, "content": [{"type": "text", "text": text}],
        "usage": {"input_tokens": TOKENS[0], "output_tokens": TOKENS[1]},
    }  # fmt: skip


def embedded(body: dict[str, Any]) -> dict[str, Any]:
    inputs = body["input"] if isinstance(body["input"], list) else [body["input"]]
    data = [
        {"object": "embedding", "index": i, "embedding": [1.0, len(text), 2.0]}
        for i, text in enumerate(inputs)
    ]
    return {"object": "list", "data": data, "model": "e", "usage": {"prompt_tokens": 1, "total_tokens": 1}}


def main() -> None:
    """Serve until stopped, telling now and then how many calls came."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--live", type=float, default=600.0)
    options = parser.parse_args()
    with JudgeStub(options.seconds) as judge:
        judge.keep = False
        print(json.dumps({"openai": judge.openai_url, "anthropic": judge.anthropic_url}), flush=True)
        time.sleep(options.live)


if __name__ == "__main__":
    main()
