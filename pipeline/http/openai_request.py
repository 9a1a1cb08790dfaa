"""What an OpenAI client sends, read as a question: what it merely offers or keeps is passed over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipeline.errors import Refused
from pipeline.events import Message

MODEL = "answerdeck"
REPLY_KEY = "answer"  # of the JSON object, when a client wants any JSON
_SYSTEM = ("system", "developer")
_TOOLS = ("tool", "function")
_TEXTS = ("text", "input_text", "output_text")
_UNREAD = {
    "image_url": "picture",
    "input_image": "picture",
    "image": "picture",
    "input_audio": "sound",
    "audio": "sound",
    "video_url": "video",
    "input_video": "video",
    "video": "video",
    "file": "file",
    "input_file": "file",
}
_OFFERED = ("auto", "none")


class Part(BaseModel):
    """A part of a message; only text is read."""

    model_config = ConfigDict(extra="allow")
    type: str = "text"
    text: str = ""
    refusal: str = ""

    @property
    def words(self) -> str:
        return self.text if self.type in _TEXTS else self.refusal

    @property
    def unread(self) -> str | None:
        """What it is in a word, when it cannot be read."""
        return None if self.type in (*_TEXTS, "refusal") else _UNREAD.get(self.type, "part")


class Entry(BaseModel):
    """One message of the conversation as the client holds it."""

    model_config = ConfigDict(extra="allow")
    role: str
    content: str | list[Part] = ""
    refusal: str = ""

    @property
    def text(self) -> str:
        if isinstance(self.content, str):
            return self.content or self.refusal
        return "\n".join(part.words for part in self.content if part.words) or self.refusal

    @property
    def unread(self) -> list[str]:
        """What it holds beside text, a word each."""
        parts = () if isinstance(self.content, str) else self.content
        return list(dict.fromkeys(part.unread for part in parts if part.unread is not None))


class StreamOptions(BaseModel):
    model_config = ConfigDict(extra="allow")
    include_usage: bool = False


class Completions(BaseModel):
    """The body of POST /v1/chat/completions; sampling parameters are accepted and not used."""

    model_config = ConfigDict(extra="allow")
    model: str = MODEL
    messages: list[Entry] = Field(min_length=1, max_length=2000)
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    n: int = 1
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    tool_choice: str | dict[str, Any] = "auto"
    function_call: str | dict[str, Any] = "auto"
    response_format: dict[str, Any] = Field(default_factory=dict)
    logprobs: bool = False
    modalities: list[str] = ["text"]

    @model_validator(mode="before")
    @classmethod
    def _unset(cls, body: Any) -> Any:
        return without_nulls(body)

    @property
    def system(self) -> str:
        """The client's system text: no model is handed it, but the guard looks at it."""
        return "\n".join(entry.text for entry in self.messages if entry.role in _SYSTEM and entry.text)

    @property
    def cap(self) -> int | None:
        """The most tokens the client wants; -1 is how some say that there is no limit."""
        caps = [cap for cap in (self.max_completion_tokens, self.max_tokens) if cap is not None and cap != -1]
        return min(caps, default=None)

    @property
    def schema_asked(self) -> Mapping[str, Any] | None:
        """The JSON schema that the reply must keep to."""
        wrapped = self.response_format.get("json_schema")
        schema = wrapped.get("schema") if isinstance(wrapped, dict) else None
        return schema if isinstance(schema, dict) else None


@dataclass(frozen=True, slots=True)
class SpokenQuestion:
    """The question of a request, what was said before, and what of the question was not read."""

    text: str
    history: tuple[Message, ...]
    unread: tuple[str, ...]

    @property
    def earlier(self) -> list[str]:
        """What the person said before."""
        return [message.text for message in self.history if message.role == "user"]


def without_nulls(value: Any) -> Any:
    """Return JSON without the fields that are null, at every depth: they are fields not set."""
    if isinstance(value, dict):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [without_nulls(inner) for inner in value]
    return value


def question_of(request: Completions) -> SpokenQuestion:
    """Return what is asked; raises Refused (400) that names the field for what cannot be done."""
    _refuse(request)
    spoken = [
        (place, entry)
        for place, entry in enumerate(request.messages)
        if entry.role not in (*_SYSTEM, *_TOOLS)
    ]
    for place, entry in spoken:
        if entry.role not in ("user", "assistant"):
            sentence = f"There is no role {entry.role!r}; use system, developer, user, assistant or tool."
            raise _no("unsupported_role", f"messages.{place}.role", sentence)
    last = max(
        (place for place, entry in enumerate(request.messages) if entry.role not in _SYSTEM), default=0
    )
    if request.messages[last].role != "user":
        raise _no(
            "no_question", f"messages.{last}", "The last message must be the user's question; put one there."
        )
    text = _asked(request.messages[last], f"messages.{last}.content")
    return SpokenQuestion(text, tuple(_history(spoken[:-1])), tuple(request.messages[last].unread))


def json_key(request: Completions) -> str | None:
    """Return the key of the JSON object that holds the answer; None when text is wanted.

    Raises Refused (400) for a schema that has no place for an answer, or needs more than one.
    """
    kind = request.response_format.get("type", "text")
    if kind == "text":
        return None
    if kind == "json_object":
        return REPLY_KEY
    schema = request.schema_asked or {}
    properties = schema.get("properties")
    if kind == "json_schema" and isinstance(properties, dict):
        texts = [name for name, rule in properties.items() if _holds_text(rule)]
        required = schema.get("required")
        needed = required if isinstance(required, list) else []
        key = next((name for name in texts if name in needed), next(iter(texts), None))
        if key is not None and set(needed) <= {key}:
            return str(key)
    sentence = (
        "An answer is one text: leave response_format out, set its type to 'text' or 'json_object',"
        " or give a schema whose one required property is a string."
    )
    raise _no("unsupported_response_format", "response_format", sentence)


def _holds_text(rule: Any) -> bool:
    return isinstance(rule, dict) and rule.get("type") == "string" and not rule.keys() & {"enum", "const"}


def _asked(entry: Entry, param: str) -> str:
    """Return the text of the question."""
    text = entry.text
    if any(sign.isprintable() and not sign.isspace() for sign in text):
        return text
    if not entry.unread:
        raise _no("no_question", param, "The last message is empty; write the question there.")
    sentence = (
        f"The message holds only a {entry.unread[0]}, which cannot be read; write the question as text."
    )
    raise _no("unsupported_content", param, sentence)


def _history(spoken: list[tuple[int, Entry]]) -> Iterator[Message]:
    """Yield what was said before, with a placeholder for what was not read."""
    for _, entry in spoken:
        marks = " ".join(f"[{name}, not read]" for name in entry.unread)
        if text := "\n".join(part for part in (entry.text, marks) if part):
            yield Message("user" if entry.role == "user" else "assistant", text)


def _refuse(request: Completions) -> None:
    forced = "No tool is ever called here: leave {0} out or set it to 'auto'."
    wrong = {
        "n": (request.n != 1, "Only one answer is given: leave n out or set it to 1."),
        "tool_choice": (_forces(request.tool_choice), forced.format("tool_choice")),
        "function_call": (_forces(request.function_call), forced.format("function_call")),
        "logprobs": (request.logprobs, "There are no logprobs: leave logprobs out or set it to false."),
        "modalities": (
            request.modalities != ["text"],
            "Answers are text only: leave modalities out or set it to ['text'].",
        ),
    }
    for name, (is_wrong, sentence) in wrong.items():
        if is_wrong:
            raise _no(f"unsupported_{name}", name, sentence)
    if request.cap is not None and request.cap < 1:
        name = "max_tokens" if request.max_completion_tokens is None else "max_completion_tokens"
        raise _no(
            "invalid_request", name, f"{name} must be 1 or more: leave it out for no limit of your own."
        )


def _forces(choice: str | dict[str, Any]) -> bool:
    """Tell whether a tool must be called, not merely may."""
    if isinstance(choice, str):
        return choice not in _OFFERED
    allowed = choice.get("allowed_tools")
    return not (isinstance(allowed, dict) and allowed.get("mode", "auto") in _OFFERED)


def _no(code: str, param: str, sentence: str) -> Refused:
    return Refused(code, sentence, status=400, param=param)
