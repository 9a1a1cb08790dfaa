"""How another chatbot is asked and its reply read: OpenAI's form, or a team's own TOML or JSON file."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.errors import ConfigurationError
from traces.redact import redact, redacted

KEY = "ANSWERDECK_TARGET_KEY"
PLACE = re.compile(r"\{\{\s*(\w+)\s*\}\}")
PLACES = ("question", "history", "messages", "model", "key")
_MISSING = object()


class ReplyTemplate(BaseModel):
    """Where things are in a reply: keys and list places joined by dots; "." is the thing itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    answer: str = "choices.0.message.content"
    passages: str | None = None  # a list; None: the target shows none
    id: str = "id"  # these four within a passage
    text: str = "text"
    title: str = "title"
    url: str = "url"
    abstains: tuple[str, ...] = ()  # an answer with one of these says that it does not know
    refuses: tuple[str, ...] = ()  # and with one of these that it will not


class Template(BaseModel):
    """One question to the target as an HTTP request, with {{places}} to fill."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    method: Literal["GET", "POST", "PUT"] = "POST"
    headers: dict[str, str] = {}
    body: Any = None
    seconds: float = Field(60.0, gt=0, le=600, allow_inf_nan=False)  # for one answer
    reply: ReplyTemplate = ReplyTemplate()

    @property
    def host(self) -> str:
        """The host, and the port if one is named."""
        return urlsplit(self.url).netloc

    @property
    def here(self) -> bool:
        """Whether the target is on this machine."""
        name = urlsplit(self.url).hostname or ""
        return name in ("localhost", "::1") or name.startswith("127.")

    def request(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parts of the request: method, url, headers and, but for GET, its JSON."""
        texts = {name: quote(_text(value), safe="") for name, value in values.items()}
        headers = {name: _text(fill(value, values)) for name, value in self.headers.items()}
        request = {"method": self.method, "url": str(_filled(self.url, texts)), "headers": headers}
        return request if self.method == "GET" else {**request, "json": fill(self.body, values)}


def openai(url: str, *, model: str | None, key: bool) -> Template:
    """Return the template of a server that speaks OpenAI's chat completions below this address."""
    body = {"messages": "{{messages}}", "stream": False} | ({"model": "{{model}}"} if model else {})
    headers = {"Authorization": "Bearer {{key}}"} if key else {}
    address = f"{url.rstrip('/')}/chat/completions"
    return checked({"url": address, "headers": headers, "body": body}, "--target")


def read(path: Path, url: str | None = None) -> Template:
    """Return the template of a file; `url` stands in for its own. Raises ConfigurationError."""
    own_json = path.suffix == ".json"
    try:
        text = path.read_text("utf-8")
        values = json.loads(text) if own_json else tomllib.loads(text)
    except OSError as error:
        raise ConfigurationError([f"{path}: cannot be read, {error.strerror}"]) from None
    except ValueError as error:  # of either form, or no text at all
        raise ConfigurationError([f"{path}: is no {'JSON' if own_json else 'TOML'}, {error}"]) from None
    if not isinstance(values, dict):
        raise ConfigurationError([f"{path}: must be an object with a url"])
    return checked(values | ({"url": url} if url else {}), str(path))


def fill(value: Any, values: Mapping[str, Any]) -> Any:
    """Return the value with its places filled; a text that is one place alone becomes what stands for it."""
    if isinstance(value, dict):
        return {name: fill(item, values) for name, item in value.items()}
    if isinstance(value, list):
        return [fill(item, values) for item in value]
    if not isinstance(value, str):
        return value
    alone = PLACE.fullmatch(value.strip())
    return values[alone[1]] if alone else _filled(value, values)


def at(value: Any, path: str) -> Any:
    """Return what is at a path such as "choices.0.message.content"; `absent` tells when nothing is."""
    for step in path.split(".") if path != "." else ():
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return _MISSING
    return value


def absent(value: Any) -> bool:
    """Say whether `at` came upon nothing."""
    return value is _MISSING


def _filled(text: str, values: Mapping[str, Any]) -> str:
    return PLACE.sub(lambda place: _text(values[place[1]]), text)


def _text(value: Any) -> str:
    """Return a value inside a longer text; a conversation is a line for each utterance."""
    if isinstance(value, list):
        return "\n".join(f"{line['role']}: {line['content']}" for line in value)
    return value if isinstance(value, str) else json.dumps(value)


def checked(values: Any, where: str) -> Template:
    """Return the template that these values describe; raises ConfigurationError, which names `where`."""
    try:
        template = Template.model_validate(values)
    except ValidationError as error:
        problems = [f"{where}: {'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
        raise ConfigurationError(problems) from None
    problems = [f"{where}: {problem}" for problem in (*_address(template.url), *_content(template))]
    if problems:
        raise ConfigurationError(problems)
    return template


def _address(url: str) -> Iterator[str]:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if parts.scheme not in ("http", "https") or not host or "{" in parts.netloc:
        yield "url must be a whole address, such as https://chat.example.org/v1"
    elif "@" in parts.netloc or redact(url) != url:
        yield f"url holds a secret; export {KEY} and write {{{{key}}}} into a header"


def _content(template: Template) -> Iterator[str]:
    content = {"url": template.url, "headers": template.headers, "body": template.body}
    leaves = list(_leaves(content))
    used = {place for _, text in leaves for place in PLACE.findall(text)}
    for place in sorted(used - set(PLACES)):
        yield f"{{{{{place}}}}} is unknown; there are {', '.join(PLACES)}"
    if not used & {"question", "messages"}:
        yield "neither url nor body holds {{question}} or {{messages}}, so nothing would be asked"
    for name, text in leaves:
        bare = name != "url" and "key" not in PLACE.findall(text)
        if bare and (redacted({name: text}) != {name: text} or name.casefold() == "cookie"):
            yield f"{name} holds a secret; write {{{{key}}}} in its place and export {KEY}"


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield each text with the key it stands under."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, key)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item, name)
    elif isinstance(value, str):
        yield name, value


def uses(template: Template, place: str) -> bool:
    """Say whether a template has this place."""
    content = {"url": template.url, "headers": template.headers, "body": template.body}
    return any(place in PLACE.findall(text) for _, text in _leaves(content))
