"""Talks to OpenAI and to any server that speaks its chat completions protocol."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from typing import TYPE_CHECKING, Any

from pipeline.errors import ModelError
from pipeline.models.call import streamed
from pipeline.models.connection import PerLoop, SdkWire, broken, network_errors, pool
from pipeline.models.model import ModelEvent, Prompt, Stop, Tokens
from pipeline.models.reading import AnswerSoFar, answer
from pipeline.models.structured import Reply, ReplyForm, post
from pipeline.models.thoughts import Thoughts
from pipeline.models.usage import count
from pipeline.models.watch import CallLimits, CallWatch

if TYPE_CHECKING:
    from openai import AsyncOpenAI

BASE_URL = "https://api.openai.com/v1"
LOCAL_KEY = "not-a-secret"  # local servers want some key and check none
STOPS = {"length": "length", "content_filter": "refusal"}
BROKEN_STOPS = ("error", "abort", "insufficient_system_resource")  # said by proxies and by vLLM


class OpenAIChat:
    """A model behind chat completions, streamed. `provider` "local" is a server of our own.

    No sampling parameters are sent: reasoning models refuse them. Servers other than OpenAI's
    know `max_tokens`; OpenAI's newer models know `max_completion_tokens` only.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        provider: str = "openai",
        connect_seconds: float = 3.0,
        first_token_seconds: float = 10.0,
        gap_seconds: float = 15.0,
    ) -> None:
        self.name = f"{provider}:{model}"
        self._model = model
        self._base_url = base_url or BASE_URL
        self._url = f"{self._base_url.rstrip('/')}/chat/completions"
        self._api_key = api_key or LOCAL_KEY
        self._limits = CallLimits(connect_seconds, first_token_seconds, gap_seconds)
        self._most = "max_tokens" if provider == "local" else "max_completion_tokens"
        # A template may open the tag for thoughts itself. Whether it does, a model's first answer tells.
        self._holds = provider == "local"
        self._client = PerLoop(self._connect)

    async def stream(self, prompt: Prompt, seconds: float) -> AsyncGenerator[ModelEvent]:
        """Yield Text… then one Stop; raise ModelError. Closing it closes the connection."""
        wire, thoughts = await self._client.get(), Thoughts(held=self._holds)
        try:
            async with AsyncExitStack() as stack:
                watch = stack.enter_context(CallWatch(self.name, self._limits, seconds))
                call = streamed(wire, self._url, self._request(prompt), watch)
                response = await stack.enter_async_context(call)
                events = answer(response, take, prompt, watch, thoughts)
                async for event in await stack.enter_async_context(aclosing(events)):
                    if isinstance(event, Stop):
                        self._holds = thoughts.unopened
                    yield event
        except network_errors() as error:
            raise broken(self.name, error) from None

    async def fill(self, form: ReplyForm, seconds: float) -> Reply:
        """Return the reply to a form, under its JSON schema; raise ModelError."""
        wire = await self._client.get()
        schema = {"name": form.name, "schema": form.schema, "strict": True}
        body = {
            "model": self._model,
            "messages": [{"role": "user", "content": form.prompt}],
            "response_format": {"type": "json_schema", "json_schema": schema},
            self._most: form.max_output_tokens,
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

    def _connect(self) -> SdkWire[AsyncOpenAI]:
        import openai

        # llama.cpp closes a connection after a stream without saying so; the next call would meet that.
        http = pool(self._limits, idle=0 if self.name.startswith("local:") else 100)
        sdk = openai.AsyncOpenAI(
            api_key=self._api_key, base_url=self._base_url, max_retries=0, http_client=http
        )
        headers = {key: value for key, value in sdk.default_headers.items() if isinstance(value, str)}
        headers |= sdk.auth_headers  # not among the defaults
        return SdkWire(sdk, http, headers)

    def _request(self, prompt: Prompt) -> dict[str, Any]:
        messages = [{"role": "system", "content": prompt.system}] if prompt.system else []
        messages += [{"role": message.role, "content": message.text} for message in prompt.messages]
        return {
            "model": self._model,
            "messages": messages,
            "stream": True,
            "stream_options": {"include_usage": True},
            self._most: prompt.max_output_tokens,
        }


def take(event: dict[str, Any], reading: AnswerSoFar) -> None:
    """Read one `chat.completion.chunk` into what was said so far."""
    reading.model = event.get("model") or reading.model
    if event.get("usage"):
        reading.tokens = tokens(event["usage"])
    choices = event.get("choices")
    if not choices:
        return
    choice = choices[0]
    delta = choice.get("delta") or {}
    if text := delta.get("content"):
        reading.say(text)
    elif thought := delta.get("reasoning_content") or delta.get("reasoning"):
        reading.think(thought)
    if delta.get("tool_calls"):
        reading.called_tool = reading.progressed = True
    if delta.get("refusal"):
        reading.stop = "refusal"
    if reason := choice.get("finish_reason"):
        if reason in BROKEN_STOPS:
            raise ModelError("cut", f"{reading.name}: the server ended its answer with {reason!r}")
        reading.stop = reading.stop or STOPS.get(reason, "stop")


def replied(reply: dict[str, Any], name: str, call: str | None) -> Reply:
    """Read a whole `chat.completion`."""
    try:
        choice = reply["choices"][0]
        message, reason = choice["message"], choice.get("finish_reason")
        refused = bool(message.get("refusal"))
        text = message.get("content") or ""
    except (LookupError, TypeError, AttributeError):
        raise ModelError("protocol", f"{name}: the reply holds no message") from None
    if reason in BROKEN_STOPS or not isinstance(text, str):
        raise ModelError("protocol", f"{name}: the server ended its reply with {reason!r}")
    stop = "refusal" if refused else STOPS.get(reason, "stop")
    return Reply(text, stop, tokens(reply.get("usage") or {}), str(reply.get("model") or name), call)


def tokens(usage: dict[str, Any]) -> Tokens:
    """Return OpenAI's counts; its prompt tokens include cached ones.

    Some servers count the tokens of thoughts in the total alone: they are paid for like the others.
    """
    details = usage.get("prompt_tokens_details") or {}
    prompt_tokens = count(usage.get("prompt_tokens"))
    completion_tokens = count(usage.get("completion_tokens"))
    total = count(usage.get("total_tokens"))
    if prompt_tokens and completion_tokens and completion_tokens > 0 and total is not None:
        completion_tokens = max(completion_tokens, total - prompt_tokens)
    return Tokens(
        input_tokens=prompt_tokens,
        output_tokens=completion_tokens,
        cache_read_tokens=count(details.get("cached_tokens")),
        cache_write_tokens=count(details.get("cache_write_tokens")),
    )
