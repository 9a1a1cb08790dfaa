"""What a model is to the pipeline: a prompt in, text and one stop out."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from pipeline.errors import ErrorClass, ModelError
from pipeline.events import Message
from pipeline.knowledge.found import Retrieved


@dataclass(frozen=True, slots=True)
class Prompt:
    """A fully assembled prompt.

    `messages` ends with the user's question (and holds the passages as text); `retrieved`
    carries the numbered passages themselves for models that work on them directly.
    """

    system: str
    messages: tuple[Message, ...]
    question: str  # standalone
    retrieved: Retrieved
    max_output_tokens: int = 1024
    stable: int = 0  # characters of the first message that stay the same from turn to turn

    def render(self) -> str:
        """Return the whole prompt as one readable text, for the trace."""
        parts = [f"SYSTEM\n{self.system}"]
        parts += [f"{message.role.upper()}\n{message.text}" for message in self.messages]
        return "\n\n".join(parts)


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of the model's answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of one call; `input_tokens` includes cached ones. None means not reported."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class Stop:
    """The end of a model's answer.

    `abstained` is set by models that know it themselves. The gateway sets `degraded` (the error
    class that made it answer with its last resort) and `cut` (the error class that ended a
    stream after its first token; the text so far stands).
    """

    reason: str  # stop | length | refusal
    tokens: Tokens
    model: str  # the name the provider reported, or the one asked for
    abstained: bool = False
    degraded: ErrorClass | None = None
    cut: ErrorClass | None = None
    request_id: str | None = None  # the provider's name for the call
    thought: str | None = None  # what the model thought first; kept with the raw response alone
    cache: str | None = None  # the cache that answered in the model's place: no time, no cost
    broken: ErrorClass | None = None  # what broke off an earlier stream, whose text stands before this one's
    chosen_by: str | None = None  # which way the embedded model chose its answer, and why by words alone


@dataclass(frozen=True, slots=True)
class Broken:
    """Where one stream broke off and another call goes on; `finished`: after a whole sentence.

    `resort`: what goes on is the last resort, not a model that was told what was said so far.
    """

    error_class: ErrorClass
    finished: bool
    resort: bool = False


class Unsaid(ModelError):
    """A model thought and said nothing for the reader; `stop` holds what it thought and what that costs."""

    def __init__(self, error_class: ErrorClass, message: str, stop: Stop) -> None:
        super().__init__(error_class, message, request_id=stop.request_id)
        self.stop = stop


ModelEvent = Text | Stop
AnswerEvent = ModelEvent | Broken  # of a gateway, which may ask more than one model


class Model(Protocol):
    """A model that streams. Raises ModelError; closing the iterator closes the connection."""

    @property
    def name(self) -> str:
        """The name used in configuration and traces, for example "openai:gpt-6-luna"."""
        ...

    def stream(self, prompt: Prompt, seconds: float) -> AsyncGenerator[ModelEvent]:
        """Yield Text… then one Stop, within `seconds`."""
        ...


async def disconnect(model: Model) -> None:
    """Close the connections that a model keeps; not every one does."""
    if close := getattr(model, "close", None):
        await close()
