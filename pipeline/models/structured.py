"""Asks a model for data instead of prose: a JSON schema goes out, a validated value comes back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from pipeline.errors import ModelError
from pipeline.models.connection import broken, network_errors
from pipeline.models.failures import failure, request_id
from pipeline.models.model import Tokens
from pipeline.models.thoughts import shown

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T", bound=BaseModel)
LONGEST_REPLY = 4_000_000  # bytes
REPAIR = """{prompt}

Your last reply could not be used: {problem}
Your last reply was:
{reply}

Reply again, with one JSON object that fits the schema and nothing else."""


@dataclass(frozen=True, slots=True)
class ReplyForm:
    """What is asked: a prompt and the JSON schema of the reply."""

    prompt: str
    name: str
    schema: Mapping[str, Any]
    max_output_tokens: int = 2048


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model replied, before anyone looked whether it fits."""

    text: str
    stop: str  # stop | length | refusal
    tokens: Tokens
    model: str
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Filled(Generic[T]):
    """A reply that fits; `replies` holds every call that was made for it, the last one included."""

    value: T
    replies: tuple[Reply, ...]


class Unfit(ModelError):
    """The replies do not fit the schema; `replies` are those that were made and paid for."""

    def __init__(self, error: ModelError, replies: tuple[Reply, ...]) -> None:
        super().__init__(error.error_class, str(error), status=error.status, retry_after=error.retry_after)
        self.replies = replies


class Structured(Protocol):
    """A model that can be asked for data."""

    @property
    def name(self) -> str: ...

    async def fill(self, form: ReplyForm, seconds: float) -> Reply:
        """Return the reply to a form; raises ModelError."""
        ...

    async def close(self) -> None:
        """Close its connections."""
        ...


async def ask(
    model: Structured, prompt: str, shape: type[T], seconds: float, *, max_output_tokens: int = 2048
) -> Filled[T]:
    """Return what the model replied as a `shape`; a reply that does not fit may be mended once.

    Raises Unfit when it still does not fit, was cut off or refused, and ModelError when a call failed.
    `seconds` is for both calls together.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    form = form_of(prompt, shape, max_output_tokens)
    reply = await model.fill(form, seconds)
    try:
        return Filled(read(model.name, reply, shape), (reply,))
    except ModelError as error:
        if error.error_class != "protocol":
            raise Unfit(error, (reply,)) from None
        mended = REPAIR.format(prompt=prompt, problem=error, reply=reply.text[:4000])
    try:
        second = await model.fill(replace(form, prompt=mended), max(deadline - loop.time(), 0.001))
    except ModelError as error:
        raise Unfit(error, (reply,)) from None
    try:
        return Filled(read(model.name, second, shape), (reply, second))
    except ModelError as error:
        raise Unfit(error, (reply, second)) from None


def form_of(prompt: str, shape: type[BaseModel], max_output_tokens: int = 2048) -> ReplyForm:
    """Return the form that asks for a `shape`."""
    if shape not in _schemas:
        _schemas[shape] = strict(shape.model_json_schema())
    return ReplyForm(prompt, shape.__name__, _schemas[shape], max_output_tokens)


_schemas: dict[type[BaseModel], dict[str, Any]] = {}


def read(name: str, reply: Reply, shape: type[T]) -> T:
    """Return the reply as a `shape`, or raise ModelError: truncated, refused, or protocol (unfit)."""
    if reply.stop == "length":
        raise ModelError("truncated", f"{name}: the reply was cut off at its token limit")
    if reply.stop == "refusal":
        raise ModelError("refused", f"{name}: the model refused to reply")
    try:
        return shape.model_validate_json(_object(reply.text))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the reply"
        raise ModelError("protocol", f"{name}: does not fit the schema, {place}: {first['msg']}") from None


def strict(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema as both providers want it: every property required, none besides, no defaults."""
    strict_schema: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "default":
            continue
        if key in ("properties", "$defs"):
            strict_schema[key] = {name: strict(part) for name, part in value.items()}
        elif isinstance(value, Mapping):
            strict_schema[key] = strict(value)
        elif isinstance(value, list):
            strict_schema[key] = [strict(part) if isinstance(part, Mapping) else part for part in value]
        else:
            strict_schema[key] = value
    if strict_schema.get("type") == "object" and "properties" in strict_schema:
        strict_schema["additionalProperties"] = False
        strict_schema["required"] = list(strict_schema["properties"])
    return strict_schema


async def post(
    http: httpx2.AsyncClient, name: str, url: str, headers: Mapping[str, str], body: Any, seconds: float
) -> tuple[dict[str, Any], str | None]:
    """Return the JSON object a provider replied with and the call's id; raises ModelError.

    The SDKs spend twice the time of the connection itself on building and checking a call. A judge
    makes thousands, so these go straight to the SDK's connections with the headers it would send.
    """
    try:
        async with asyncio.timeout(seconds):
            response = await http.post(url, content=orjson.dumps(body), headers=headers, timeout=seconds)
    except TimeoutError:
        raise ModelError("deadline", f"{name}: no reply in {seconds:g} s") from None
    except network_errors() as error:
        raise broken(name, error) from None
    if len(response.content) > LONGEST_REPLY:
        raise ModelError("protocol", f"{name}: a reply of {len(response.content)} bytes")
    try:
        reply = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        reply = None
    if response.status_code != 200 or (isinstance(reply, dict) and reply.get("error")):
        raise failure(name, response.status_code, reply, response.headers)
    if not isinstance(reply, dict):
        raise ModelError("protocol", f"{name}: the reply is no JSON object")
    return reply, request_id(response.headers)


def _object(text: str) -> str:
    """Return the JSON object in a text that may think before it, fence it or talk around it."""
    text = shown(text)
    decoder = json.JSONDecoder()
    longest = ""
    start = text.find("{")
    while start >= 0:
        try:
            _, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            start = text.find("{", start + 1)
            continue
        longest = max(longest, text[start:end], key=len)
        start = text.find("{", end)
    return longest or text
