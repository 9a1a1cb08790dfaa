"""Errands that chat front ends run for themselves: a title, tags, next questions, search queries.

They come through the OpenAI protocol as if somebody asked. They are told from people's questions by
what they hold: an order, and the conversation it is about. No model is needed to run them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from pipeline.text.sentences import STOP_WORDS
from pipeline.text.tokens import estimate

Kind = Literal["title", "tags", "follow_ups", "queries"]
TITLE_WORDS = 5
MOST_ITEMS = 3
EMOJI = "\N{SPEECH BALLOON}"
_ORDER = re.compile(
    r"\b(?:generate|create|write|provide|give|suggest|propose|come up with|name|summari[sz]e|determine"
    r"|analy[sz]e|reply with|respond with|return|produce|extract|assign|classify|make|think of|predict"
    r"|formulate|label)\b",
    re.IGNORECASE,
)
# The order of these matters: search queries are spoken of as topics, follow-ups as questions.
_KINDS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("queries", re.compile(r"\b(?:search|web|retrieval) quer(?:y|ies)\b|\"queries\"", re.IGNORECASE)),
    (
        "follow_ups",
        re.compile(
            r"follow[\s_-]?ups?\b|\b(?:next|further|suggested|related|possible) (?:questions?|prompts?)\b",
            re.IGNORECASE,
        ),
    ),
    (
        "title",
        re.compile(
            r"\b(?:title|headline|subject line|name (?:for )?(?:this|the|a)|a (?:\w+ )?name)\b", re.IGNORECASE
        ),
    ),
    ("tags", re.compile(r"\b(?:tags?|keywords?|labels?|categor(?:y|ies))\b", re.IGNORECASE)),
)
_ABOUT = re.compile(
    r"\b(?:this|the|our|above|following|previous|a) (?:\w+ )?"
    r"(?:chat|conversation|dialogue?|discussion|messages|exchange|thread)\b",
    re.IGNORECASE,
)
_ASKING = re.compile(
    r"\W*(?:how|what|which|who|where|when|why|can|could|may|is|are|do|does|will|should)\b|[^\n]*\?\s*\Z",
    re.IGNORECASE,
)
_LINE = re.compile(
    r"^[ \t>|*#\-\[(]*(?:(?P<user>user|human|question|q|you)|(?P<other>assistant|ai|bot|model|answer|a))"
    r"[ \t*\])]*:[ \t*]*",
    re.IGNORECASE | re.MULTILINE,
)
_HISTORY = re.compile(r"<(?:chat_history|conversation|messages)>", re.IGNORECASE)
_MESSAGE = re.compile(  # a title of one message, which stands after a colon
    r"\A[^\n:]{0,60}?\b(?:title|headline|name)\b[^:]{0,160}\b(?:message|chat|conversation|question|text)\b"
    r"[^:]{0,80}:\s*(?P<message>\S.*)\Z"
    r"|\A[^\n:]{0,60}\b(?:message|chat|conversation|question|text)\b[^:]{0,60}\b(?:title|headline|name)\b"
    r"[^:]{0,160}:\s*(?P<said>\S.*)\Z",
    re.IGNORECASE | re.DOTALL,
)
_SHORT = re.compile(r"\b(?:words?|short|concise|brief|characters)\b", re.IGNORECASE)
_SHAPE = re.compile(r"\{\s*[\"']([A-Za-z_]\w{0,39})[\"']\s*:\s*([\"'\[])")
_LEADING = re.compile(
    r"\W*(?:(?:please|hello|hi|hey|can you|could you)[ ,]+)*(?:(?:tell|show) me (?:about |how )?|explain |"
    r"(?:how|where|when|why|what|which|who)(?:'s| (?:do|does|did|can|could|should|would|is|are|was|to|must))?"
    r"(?: (?:i|we|you|one|it|there))?(?: to)?\b|(?:can|could|may|do|does|should|is|are)"
    r"(?: (?:i|we|you|it|there))?\b|i (?:want|need|would like)(?: to)?)\s*",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W_]+(?:['’.-][^\W_]+)*")


@dataclass(frozen=True, slots=True)
class Task:
    """An errand: what is wanted, of which conversation, and the form the reply must have."""

    kind: Kind
    questions: tuple[str, ...]  # what people said in the conversation, oldest first
    key: str | None = None  # of the JSON object that is wanted; None: plain text
    several: bool = True  # whether the key holds a list
    emoji: bool = False
    most_tokens: int | None = None

    def reply(self, others: Sequence[str] = ()) -> str:
        """Return the whole reply; `others` are titles of documents that go on from it."""
        items = self._items(others)
        while len(items) > 1 and not self._fits(self._formed(items)):
            items = items[:-1]
        while items and len(items[0].split()) > 1 and not self._fits(self._formed(items)):
            items = [items[0].rsplit(" ", 1)[0]]
        return self._formed(items)

    def _items(self, others: Sequence[str]) -> list[str]:
        if self.kind == "title":
            return [title(self.questions, emoji=self.emoji)]
        if self.kind == "tags":
            return tags(self.questions)
        if self.kind == "queries":
            return [" ".join(self.questions[-1].split())] if self.questions else []
        return list(others[:MOST_ITEMS])

    def _formed(self, items: Sequence[str]) -> str:
        if self.key is None:
            return "\n".join(items)
        value: Any = list(items) if self.several else ", ".join(items)
        return orjson.dumps({self.key: value}).decode()

    def _fits(self, text: str) -> bool:
        return self.most_tokens is None or estimate(text) <= self.most_tokens


def task(
    text: str,
    earlier: Sequence[str] = (),
    system: str = "",
    *,
    schema: Mapping[str, Any] | None = None,
    most_tokens: int | None = None,
) -> Task | None:
    """Return the errand that a front end runs with this message, or None when somebody asks.

    The conversation stands in the text, or it is what the person said `earlier`: then the text must
    speak of it.
    `schema` is the JSON schema the client wants the reply in.
    """
    orders, questions = _parted(text)
    if not questions and (errand := _of_one_message(text, most_tokens)) is not None:
        return errand
    if not questions:
        questions = list(earlier)
        if not questions or not _ABOUT.search(orders) or _ASKING.match(text):
            return None
    elif not _ORDER.search(orders):
        orders = system
    kind = _kind(orders)
    if kind is None:
        return None
    key, several = _shape(text if _SHAPE.search(text) else system, schema)
    return Task(kind, tuple(questions), key, several, "emoji" in orders.lower(), most_tokens)


def title(questions: Sequence[str], *, emoji: bool = False) -> str:
    """Return what a conversation is about, in a few words of its first question."""
    first = next((text for text in questions if _WORD.search(text)), "")
    line = re.split(r"[.?!\n](?:\s|\Z)", first.strip(), maxsplit=1)[0]
    words = _LEADING.sub("", line, count=1).split() or line.split()
    short = " ".join(words[:TITLE_WORDS]).strip(" ,;:-?!.") or "Conversation"
    name = short[:1].upper() + short[1:]
    return f"{EMOJI} {name}" if emoji else name


def tags(questions: Sequence[str]) -> list[str]:
    """Return the content words that were said most, longest first among equals."""
    words = [word.lower() for text in questions for word in _WORD.findall(text)]
    counts = Counter(word for word in words if word not in STOP_WORDS and len(word) > 2)
    best = sorted(counts, key=lambda word: (-counts[word], -len(word), word))[:MOST_ITEMS]
    return [word.capitalize() for word in best]


def _parted(text: str) -> tuple[str, list[str]]:
    """Return the text around a conversation in it, and what its people say.

    None without both sides; one side will do where a form of the reply or a tag shows that it is one.
    """
    marks = list(_LINE.finditer(text))
    shown = _HISTORY.search(text) or _SHAPE.search(text)
    if not any(mark["user"] for mark in marks) or not (shown or any(mark["other"] for mark in marks)):
        return text, []
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    parts = [
        re.sub(r"</?\w+>", " ", text[mark.end() : end]).strip()
        for mark, end in zip(marks, ends, strict=True)
        if mark["user"]
    ]
    last = text[marks[-1].end() :].partition("\n\n")[2]  # an order may follow the conversation
    return f"{text[: marks[0].start()]}\n{last}", [sentence for sentence in parts if sentence]


def _of_one_message(text: str, most_tokens: int | None) -> Task | None:
    """Return the errand to give one message, which is quoted after the order, a short title."""
    hit = _MESSAGE.match(text.strip())
    if hit is None:
        return None
    quoted = hit["message"] or hit["said"]
    order, message = text.strip().removesuffix(quoted), quoted.strip(" \n\"'`“”‘’")
    short = _ORDER.search(order) and _SHORT.search(order) and not _ASKING.match(order)
    if not short or not message or _SHAPE.search(message):
        return None
    return Task("title", (message,), emoji="emoji" in order.lower(), most_tokens=most_tokens)


def _kind(orders: str) -> Kind | None:
    """Return what is ordered: of several, what is named first; None without an order."""
    if not _ORDER.search(orders):
        return None
    places: list[tuple[int, Kind]] = [
        (hit.start(), kind) for kind, pattern in _KINDS if (hit := pattern.search(orders))
    ]
    return min(places)[1] if places else None


def _shape(text: str, schema: Mapping[str, Any] | None) -> tuple[str | None, bool]:
    """Return the key of the JSON object that is wanted, and whether a list stands there."""
    properties = (schema or {}).get("properties")
    if isinstance(properties, Mapping) and properties:
        key, rule = next(iter(properties.items()))
        return str(key), isinstance(rule, Mapping) and rule.get("type") == "array"
    hit = _SHAPE.search(text)
    return (hit[1], hit[2] == "[") if hit else (None, True)
