"""Reads a provider's streamed answer: what both dialects share."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import Any, Protocol, cast

import orjson

from pipeline.errors import ModelError
from pipeline.models.failures import failure, request_id
from pipeline.models.model import ModelEvent, Prompt, Stop, Text, Tokens, Unsaid
from pipeline.models.sse import Event, Splitter, TooLong
from pipeline.models.thoughts import Thoughts
from pipeline.models.usage import believe, estimate_tokens
from pipeline.models.watch import CallWatch

LONGEST_PAGE = 64_000  # bytes of a body that is no event stream
MOST_CHARACTERS_PER_TOKEN = 16  # above any language's; an answer longer than its limit allows is cut off


class Response(Protocol):
    """What is read of a streamed response."""

    @property
    def headers(self) -> Mapping[str, str]: ...

    def aiter_bytes(self) -> AsyncIterator[bytes]: ...


class AnswerSoFar:
    """What one answer has said so far."""

    def __init__(self, name: str, request_id: str | None = None, thoughts: Thoughts | None = None) -> None:
        self.name = name
        self.thoughts = thoughts or Thoughts()
        self.request_id = request_id
        self.model: str | None = None  # as the provider calls itself
        self.stop: str | None = None  # stop | length | refusal
        self.tokens: Tokens | None = None
        self.characters = 0
        self.events = 0
        self.progressed = False  # text, thoughts or a tool call since the last look
        self.called_tool = False
        self.ended = False  # the protocol's own end was seen
        self._pieces: list[str] = []
        self._waiting = ""  # half a character

    @property
    def written(self) -> int:
        """Characters that were generated, for the reader or not."""
        return self.characters + self.thoughts.characters

    def say(self, text: object) -> None:
        if not isinstance(text, str):
            raise TypeError(f"text is a {type(text).__name__}")
        self._pieces.append(text)
        self.progressed = True

    def think(self, text: object) -> None:
        """Take what the provider calls a thought; it is no word of the answer."""
        if isinstance(text, str):
            self.thoughts.think(text)
        self.progressed = True

    def taken(self, *, last: bool = False) -> str:
        """Return the new text, without thoughts; after the `last` piece, what waited for more too.

        Blanks before the first word wait for it: they may be all there is.
        """
        text = self._waiting + self.thoughts.take("".join(self._pieces))
        self._waiting = ""
        if last:
            text += self.thoughts.end()
        if not self.characters:
            text = text.lstrip()
        self._pieces = []
        if text and "\ud800" <= text[-1] <= "\udbff":  # half a character; the other half is to come
            self._waiting, text = text[-1], text[:-1]
        if not text.isascii():
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        self.characters += len(text)
        return text

    def finish(self, prompt: Prompt) -> Stop:
        """Return the Stop, or raise ModelError when this was no whole answer."""
        if not self.events:
            raise ModelError("protocol", f"{self.name}: the response held no events")
        if self.stop is None:
            raise ModelError("cut", f"{self.name}: the stream ended without a finish reason")
        if self.stop != "refusal" and not self.characters:
            if self.called_tool:
                raise ModelError("protocol", f"{self.name}: called a tool that it was not given")
            if not self.thoughts.thought:
                raise ModelError("empty", f"{self.name}: answered nothing")
        stop = self.stopped(self.stop, believe(self.tokens, prompt, self.written))
        if self.stop == "refusal" or self.characters:
            return stop
        if self.stop == "length":
            limit = prompt.max_output_tokens
            raise Unsaid("truncated", f"{self.name}: used its {limit} tokens for thoughts alone", stop)
        raise Unsaid("empty", f"{self.name}: thought and answered nothing", stop)

    def stopped(self, reason: str, tokens: Tokens) -> Stop:
        name, thought = str(self.model or self.name), self.thoughts.thought or None
        return Stop(reason, tokens, name, request_id=self.request_id, thought=thought)


Take = Callable[[dict[str, Any], AnswerSoFar], None]


async def answer(
    response: Response, take: Take, prompt: Prompt, watch: CallWatch, thoughts: Thoughts | None = None
) -> AsyncGenerator[ModelEvent]:
    """Yield Text… and one Stop from a response; `take` reads a dialect's events into what was said."""
    reading, splitter = AnswerSoFar(watch.name, request_id(response.headers), thoughts), Splitter()
    await _check_type(response, watch)
    longest = prompt.max_output_tokens * MOST_CHARACTERS_PER_TOKEN
    async with aclosing(watch.read(_bytes(response))) as received:
        async for part in received:
            error = _feed(reading, splitter, take, part)
            if reading.progressed:
                watch.progress()
                reading.progressed = False
            if text := reading.taken():
                yield Text(text[: longest - reading.characters] if reading.characters > longest else text)
            if error is not None:
                raise error
            if max(reading.characters, reading.thoughts.characters) > longest:
                yield reading.stopped("length", estimate_tokens(prompt, reading.written))
                return
            if reading.ended:
                watch.ended()
    error = _feed(reading, splitter, take, b"\n\n")  # an event may lack its final empty line
    if text := reading.taken(last=True):
        yield Text(text)
    if error is not None and reading.stop is None:
        raise ModelError("cut", f"{watch.name}: the stream ended inside an event")
    yield reading.finish(prompt)


def _feed(reading: AnswerSoFar, splitter: Splitter, take: Take, part: bytes) -> ModelError | None:
    """Read the events of one part; return what went wrong, so that the text before it is kept."""
    try:
        for event in splitter.feed(part):
            if reading.ended:
                break
            if event.data == b"[DONE]":
                reading.events += 1
                reading.ended = True
            elif event.data:
                reading.events += 1
                take(_decode(event, reading), reading)
    except ModelError as error:
        return error
    except (AttributeError, TypeError, KeyError, IndexError) as error:  # JSON of another shape
        return ModelError("protocol", f"{reading.name}: an event has the wrong shape, {error}")
    except TooLong as error:
        return ModelError("protocol", f"{reading.name}: {error}")
    return None


def _decode(event: Event, reading: AnswerSoFar) -> dict[str, Any]:
    """Decode an event's JSON object; raise ModelError for an error event or what cannot be read."""
    try:
        body = orjson.loads(event.data)
    except orjson.JSONDecodeError:
        body = _lenient(event, reading)
    if not isinstance(body, dict):
        raise ModelError("protocol", f"{reading.name}: an event is no JSON object")
    if body.get("error") or event.name == "error":
        raise failure(reading.name, 200, body)
    return body


def _lenient(event: Event, reading: AnswerSoFar) -> Any:
    """Decode what orjson refuses and Python accepts: half a surrogate pair, NaN."""
    try:
        return json.loads(event.data)
    except (ValueError, RecursionError):
        if event.name == "error":
            return {}
        raise ModelError("protocol", f"{reading.name}: an event is not JSON") from None


async def _check_type(response: Response, watch: CallWatch) -> None:
    """Raise ModelError when status 200 brought a page or a JSON body instead of a stream."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("text/html", "application/json"):
        return
    try:
        body = orjson.loads(await page(response, watch))
    except orjson.JSONDecodeError:
        body = None
    if isinstance(body, dict) and body.get("error"):
        raise failure(watch.name, 200, body)
    raise ModelError("protocol", f"{watch.name}: sent {kind} instead of an event stream")


async def page(response: Response, watch: CallWatch) -> bytes:
    """Return a body that is no event stream, as far as LONGEST_PAGE."""
    content = b""
    async with aclosing(watch.read(_bytes(response))) as received:
        async for part in received:
            content += part
            if len(content) > LONGEST_PAGE:
                break
    return content


def _bytes(response: Response) -> AsyncGenerator[bytes]:
    return cast("AsyncGenerator[bytes]", response.aiter_bytes())  # httpx2 promises the weaker AsyncIterator
