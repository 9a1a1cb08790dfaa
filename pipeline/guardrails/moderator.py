"""Asks a moderator elsewhere about doubtful questions: OpenAI's protocol, or a Llama-Guard-style model."""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from pipeline.breaker import Breaker
from pipeline.errors import AnswerdeckError

Protocol = Literal["openai", "llama-guard"]
Action = Literal["block", "flag", "off"]
Failing = Literal["open", "closed"]
LONGEST = 1_000_000  # bytes of an answer
SHOWN = 12_000  # characters of a text that are sent
GREY = 0.3  # share of a threshold from which on a question is in the grey zone
_HAZARDS = {
    "S1": "violent-crimes",
    "S2": "non-violent-crimes",
    "S3": "sex-crimes",
    "S4": "child-exploitation",
    "S5": "defamation",
    "S6": "specialized-advice",
    "S7": "privacy",
    "S8": "intellectual-property",
    "S9": "indiscriminate-weapons",
    "S10": "hate",
    "S11": "self-harm",
    "S12": "sexual",
    "S13": "elections",
    "S14": "code-interpreter-abuse",
}
_CODES = re.compile(r"\bS\d{1,2}\b")


class ModeratorError(AnswerdeckError):
    """The moderator gave no verdict; `reason` is one word for the trace."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the moderator gave no verdict: {reason}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Handling:
    """What is done with a category, and with a question whose category is feared when nobody answers."""

    actions: Mapping[str, Action] = field(default_factory=dict)  # others are blocked
    failing: Mapping[str, Failing] = field(default_factory=dict)  # by our label; others are open

    def action(self, category: str) -> Action:
        """Return what is done with a category, by its own name or by the part before a slash."""
        return self.actions.get(category) or self.actions.get(category.partition("/")[0]) or "block"


class Moderator:
    """One moderator behind a breaker; every call ends within `seconds`."""

    def __init__(
        self,
        protocol: Protocol,
        *,
        base_url: str,
        model: str,
        key: str,
        breaker: Breaker,
        seconds: float = 1.5,
        handling: Handling = Handling(),
    ) -> None:
        self.handling = handling
        self._protocol: Protocol = protocol
        self._base_url, self._model, self._key = base_url.rstrip("/"), model, key
        self._breaker = breaker
        self._seconds = seconds

    async def categories(self, text: str) -> tuple[str, ...]:
        """Return the categories of harm the moderator sees in a text; raises ModeratorError."""
        permit = self._breaker.admit()
        if permit is None:
            raise ModeratorError("resting")
        began = time.monotonic()
        try:
            answer = await self._ask(text[:SHOWN])
            result = _flagged(answer) if self._protocol == "openai" else _hazards(answer)
            permit.started(time.monotonic() - began)
            return result
        except ModeratorError as error:
            permit.failed(error.reason)
            raise
        finally:
            permit.left()

    async def _ask(self, text: str) -> Any:
        """Return the JSON of the answer."""
        import httpx2 as httpx

        body: dict[str, Any] = {"model": self._model}
        if self._protocol == "openai":
            path = "moderations"
            body["input"] = text
        else:
            path = "chat/completions"
            body |= {"messages": [{"role": "user", "content": text}], "temperature": 0, "max_tokens": 32}
        headers = {"authorization": f"Bearer {self._key}"} if self._key else {}
        try:
            async with asyncio.timeout(self._seconds), httpx.AsyncClient(verify=_trust()) as http:
                response = await http.post(f"{self._base_url}/{path}", json=body, headers=headers)
        except TimeoutError:
            raise ModeratorError("timeout") from None
        except httpx.HTTPError:
            raise ModeratorError("connect") from None
        if response.status_code != 200:
            raise ModeratorError(f"status_{response.status_code}")
        if len(response.content) > LONGEST:
            raise ModeratorError("too_long")
        try:
            return response.json()
        except ValueError:
            raise ModeratorError("protocol") from None


@cache
def _trust() -> ssl.SSLContext:
    """Return the certificates we trust; reading them takes longer than a call."""
    return ssl.create_default_context()


def _flagged(answer: Any) -> tuple[str, ...]:
    """Return the flagged categories of a moderation; one that names none is still a verdict."""
    match answer:
        case {"results": [{"flagged": bool(flagged), "categories": dict(categories)}, *_]}:
            names = tuple(sorted(str(name) for name, value in categories.items() if value is True))
            return names or (("unnamed",) if flagged else ())
    raise ModeratorError("protocol")


def _hazards(answer: Any) -> tuple[str, ...]:
    """Return the hazards a guard model names: "safe", or "unsafe" and a line of codes."""
    match answer:
        case {"choices": [{"message": {"content": str(text)}}, *_]}:
            word = text.strip().lower()
            if word.startswith("unsafe"):
                codes: list[str] = list(dict.fromkeys(_CODES.findall(text)))
                return tuple(_HAZARDS.get(code, code) for code in codes) or ("unnamed",)
            if word.startswith("safe"):
                return ()
    raise ModeratorError("protocol")
