"""Talks to Anthropic's Messages API."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

from pipeline.errors import ModelError
from pipeline.models.call import streamed
from pipeline.models.connection import PerLoop, SdkWire, broken, network_errors, pool
from pipeline.models.model import ModelEvent, Prompt, Tokens
from pipeline.models.reading import AnswerSoFar, answer
from pipeline.models.structured import Reply, ReplyForm, post
from pipeline.models.usage import count
from pipeline.models.watch import CallLimits, CallWatch
from pipeline.text.tokens import estimate

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

BASE_URL = "https://api.anthropic.com"
MARK = {"type": "ephemeral"}
# Anthropic caches no prompt under 4,096 tokens on its smaller models; our estimate errs by up to 30 %.
CACHEABLE_TOKENS = 5_400
STOPS = {"max_tokens": "length", "model_context_window_exceeded": "length", "refusal": "refusal"}


class _Block(TypedDict):
    """A part of a message, as the API takes it."""

    type: str
    text: str
    cache_control: NotRequired[dict[str, str]]


class _Sent(TypedDict):
    """A message, as the API takes it."""

    role: str
    content: str | list[_Block]


class _Body(TypedDict):
    """The body of a request."""

    model: str
    max_tokens: int
    messages: list[_Sent]
    stream: bool
    system: NotRequired[list[_Block]]


class AnthropicMessages:
    """A Claude model, streamed. What stays the same is cached by the provider for five minutes.

    No sampling parameters are sent: the API refuses them since version 2026-10-21.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str,
        connect_seconds: float = 3.0,
        first_token_seconds: float = 10.0,
        gap_seconds: float = 15.0,
    ) -> None:
        self.name = f"anthropic:{model}"
        self._model = model
        self._base_url = base_url or BASE_URL
        self._url = f"{self._base_url.rstrip('/')}/v1/messages"
        self._api_key = api_key
        self._limits = CallLimits(connect_seconds, first_token_seconds, gap_seconds)
        self._client = PerLoop(self._connect)

    async def stream(self, prompt: Prompt, seconds: float) -> AsyncGenerator[ModelEvent]:
        """Yield Text… then one Stop; raise ModelError. Closing it closes the connection."""
        wire = await self._client.get()
        try:
            async with AsyncExitStack() as stack:
                watch = stack.enter_context(CallWatch(self.name, self._limits, seconds))
                call = streamed(wire, self._url, self._request(prompt), watch)
                response = await stack.enter_async_context(call)
                events = await stack.enter_async_context(aclosing(answer(response, take, prompt, watch)))
                async for event in events:
                    yield event
        except network_errors() as error:
            raise broken(self.name, error) from None

    async def fill(self, form: ReplyForm, seconds: float) -> Reply:
        """Return the reply to a form, under its JSON schema; raise ModelError."""
        wire = await self._client.get()
        body = {
            "model": self._model,
            "max_tokens": form.max_output_tokens,
            "messages": [{"role": "user", "content": form.prompt}],
            "output_config": {"format": {"type": "json_schema", "schema": form.schema}},
        }
        payload, call = await post(wire.http, self.name, self._url, wire.headers, body, seconds)
        return replied(payload, self.name, call)

    async def warm(self) -> None:
        """Import the SDK and build its client now instead of in the first turn."""
        await self._client.get()

    async def close(self) -> None:
        """Close the connections of this event loop."""
        wire = self._client.take()
        if wire is not None:
            await wire.sdk.close()

    def _connect(self) -> SdkWire[AsyncAnthropic]:
        import anthropic

        http = pool(self._limits)
        sdk = anthropic.AsyncAnthropic(
            api_key=self._api_key, base_url=self._base_url, max_retries=0, http_client=http
        )
        headers = {key: value for key, value in sdk.default_headers.items() if isinstance(value, str)}
        return SdkWire(sdk, http, headers)

    def _request(self, prompt: Prompt) -> _Body:
        request: _Body = {
            "model": self._model,
            "max_tokens": prompt.max_output_tokens,
            "messages": _marked(prompt),
            "stream": True,
        }
        if prompt.system.strip():
            block: _Block = {"type": "text", "text": prompt.system}
            if estimate(prompt.system) >= CACHEABLE_TOKENS:
                block["cache_control"] = MARK
            request["system"] = [block]
        return request


def _marked(prompt: Prompt) -> list[_Sent]:
    """Return the messages with a mark where a part ends that the next turn begins with, if it is long enough.

    That is the knowledge base at the beginning, and the conversation up to the present question.
    """
    messages: list[_Sent] = []
    length = estimate(prompt.system)
    for number, message in enumerate(prompt.messages):
        if not message.text.strip():  # the API refuses empty ones
            continue
        parts = [message.text]
        if number == 0 and prompt.stable:
            parts = [message.text[: prompt.stable], message.text[prompt.stable :]]
        blocks: list[_Block] = []
        for place, text in enumerate(parts):
            length += estimate(text)
            block: _Block = {"type": "text", "text": text}
            ends = (len(parts) == 2 and place == 0) or number == len(prompt.messages) - 2
            if ends and length >= CACHEABLE_TOKENS:
                block["cache_control"] = MARK
            blocks.append(block)
        plain = not any("cache_control" in block for block in blocks)
        messages.append({"role": message.role, "content": message.text if plain else blocks})
    return messages


def take(event: dict[str, Any], reading: AnswerSoFar) -> None:
    """Read one event of a message stream into what was said so far; unknown kinds are passed over."""
    kind = event.get("type")
    if kind == "content_block_delta":
        delta = event.get("delta") or {}
        if text := delta.get("text"):
            reading.say(text)
        elif delta.get("type") in ("thinking_delta", "signature_delta", "input_json_delta"):
            reading.think(delta.get("thinking"))
    elif kind == "content_block_start":
        block = event.get("content_block") or {}
        reading.called_tool = reading.called_tool or block.get("type") == "tool_use"
        if block.get("text"):
            reading.say(block["text"])
    elif kind == "message_start":
        message = event.get("message") or {}
        reading.model = message.get("model")
        reading.tokens = tokens(message.get("usage") or {}, None)
    elif kind == "message_delta":
        reading.tokens = tokens(event.get("usage") or {}, reading.tokens)
        if reason := (event.get("delta") or {}).get("stop_reason"):
            reading.stop = STOPS.get(reason, "stop")
    elif kind == "message_stop":
        reading.ended = True


def replied(reply: dict[str, Any], name: str, call: str | None) -> Reply:
    """Read a whole message."""
    try:
        text = "".join(block.get("text") or "" for block in reply["content"])
    except (LookupError, TypeError, AttributeError):
        raise ModelError("protocol", f"{name}: the reply holds no message") from None
    stop = STOPS.get(reply.get("stop_reason") or "", "stop")
    return Reply(text, stop, tokens(reply.get("usage") or {}, None), str(reply.get("model") or name), call)


def tokens(usage: dict[str, Any], before: Tokens | None) -> Tokens:
    """Return Anthropic's counts, newer ones over `before`.

    Its input tokens exclude those read from and written to the cache; ours include them.
    """
    fresh, read, write = (
        count(usage.get(key))
        for key in ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    )
    answered = count(usage.get("output_tokens"))
    before = before or Tokens()
    if fresh is None:
        return Tokens(
            before.input_tokens,
            before.output_tokens if answered is None else answered,
            before.cache_read_tokens,
            before.cache_write_tokens,
        )
    return Tokens(fresh + (read or 0) + (write or 0), answered, read, write)
