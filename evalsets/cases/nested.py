"""Finds the questions in JSON of any shape: lists inside objects, transcripts, inputs beside outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from evalsets.cases import heads, promptfoo

Row = dict[str, Any]
DEPTH = 6  # levels of a document that are searched for its questions
TRANSCRIPTS = (
    "messages",
    "conversations",
    "conversation",
    "chat",
    "dialogue",
    "dialog",
    "transcript",
    "turns",
)
GIVEN = ("inputs", "input", "vars", "variables")
EXPECTED = (
    "outputs",
    "reference_outputs",
    "expected",
    "expected_output",
    "output",
    "answers",
    "answer",
    "ideal",
)
AROUND = ("item", "example", "sample", "test_case", "testcase", "record", "row")
_ROLES = {
    "user": "user", "human": "user", "customer": "user", "client": "user", "prompter": "user",
    "assistant": "assistant", "ai": "assistant", "gpt": "assistant", "bot": "assistant", "agent": "assistant",
    "model": "assistant", "chatgpt": "assistant",
}  # fmt: skip


def rows(whole: Any) -> list[Row]:
    """Return the rows of a JSON document: those of all its lists whose objects ask something.

    Without any it is the first list of objects, columns of equal length, or pairs of texts; else none.
    """
    asking = [row for part in _lists(whole, DEPTH) for row in part]
    return asking or _columns(whole) or _texts(whole) or next(_objects(whole, DEPTH), [])


def spread(row: Mapping[str, Any]) -> Row:
    """Return a row whose question, history and answer lie side by side, whatever held them before."""
    flat = dict(row)
    for key in AROUND:
        if isinstance(flat.get(key), dict):
            flat = {**flat.pop(key), **flat}
    for key in GIVEN:
        if isinstance(flat.get(key), dict):
            flat = {**_named(flat.pop(key), "question"), **flat}
    for key in EXPECTED:
        if key in flat and not isinstance(flat[key], str):
            flat = {**flat, **_named({"reference": text}, "reference")} if (
                text := _answer(flat.pop(key))) else flat  # fmt: skip
    for key in TRANSCRIPTS:
        if (heard := messages(flat.get(key))) is not None:
            del flat[key]
            flat = {**_transcript(heard), **flat}
    return _alpaca(promptfoo.expected(flat))


def messages(value: Any) -> list[dict[str, str]] | None:
    """Return a conversation as {role, text} of user and assistant; None when the value is none."""
    if not isinstance(value, list) or not value or not all(isinstance(part, dict) for part in value):
        return None
    heard = [
        {"role": _ROLES[role], "text": said(part)}
        for part in value
        if (role := _role(part)) in _ROLES and said(part)
    ]
    return heard or None


def said(message: Mapping[str, Any]) -> str:
    """Return the text of a message, its parts joined."""
    content = next((message[key] for key in ("content", "value", "text", "message") if key in message), None)
    if isinstance(content, list):
        parts = [part.get("text") if isinstance(part, dict) else part for part in content]
        return "\n".join(part for part in parts if isinstance(part, str)).strip()
    return content.strip() if isinstance(content, str) else ""


def _role(message: Mapping[str, Any]) -> str:
    keys = ("role", "from", "type", "speaker", "author")
    return next((str(message[key]).lower() for key in keys if isinstance(message.get(key), str)), "")


def _transcript(heard: Sequence[dict[str, str]]) -> Row:
    """Return the last question, what came before it, and the answer that it got in the end."""
    place = max((place for place, part in enumerate(heard) if part["role"] == "user"), default=None)
    if place is None:
        return {}
    row: Row = {"question": heard[place]["text"]}
    if heard[:place]:
        row["history"] = list(heard[:place])
    if heard[place + 1 :]:
        row["reference"] = heard[-1]["text"]
    return row


def _named(inner: Row, field: str) -> Row:
    """Return an object's fields; its only text is the `field`, whatever its name."""
    texts = [key for key, value in inner.items() if isinstance(value, str)]
    if len(inner) == 1 and texts and field == "question" and not heads.asks(texts):
        return {field: inner[texts[0]]}
    return dict(inner)


def _answer(value: Any) -> str | None:
    """Return the text of an answer that is an object, a list, a number or a conversation."""
    if isinstance(value, list):
        if (heard := messages(value)) is not None:
            return heard[-1]["text"]
        return "\n".join(dict.fromkeys(filter(None, map(_answer, value)))) or None
    if isinstance(value, dict):
        if (heard := messages(value.get("messages"))) is not None:
            return heard[-1]["text"]
        keys = (*heads.NAMES["reference"], "text", "content", "value")
        named = {heads.fold(key): inner for key, inner in value.items()}
        texts = [inner for inner in value.values() if isinstance(inner, str) and inner.strip()]
        text = next((_answer(named[key]) for key in keys if key in named), None)
        return text or (texts[0] if len(texts) == 1 else None)
    return None if value is None else ("yes" if value else "no") if isinstance(value, bool) else str(value)


def _alpaca(row: Row) -> Row:
    """Join an instruction with the input it is about."""
    if {"instruction", "input", "output"} <= row.keys() and isinstance(row["input"], str):
        question = "\n".join(filter(None, [str(row["instruction"]).strip(), row["input"].strip()]))
        rest = {key: value for key, value in row.items() if key not in ("instruction", "input")}
        return {"question": question, **rest}
    return row


def _lists(value: Any, depth: int) -> Iterator[list[Row]]:
    """Yield the lists whose objects ask something; what lies inside such a list is its own affair."""
    if depth == 0:
        return
    if isinstance(value, list):
        objects = [row for row in value if isinstance(row, dict)]
        if objects and heads.asks(key for row in objects for key in spread(row)):
            yield objects
            return
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for part in inner:
        if isinstance(part, dict | list):
            yield from _lists(part, depth - 1)


def _objects(value: Any, depth: int) -> Iterator[list[Row]]:
    if depth and isinstance(value, list):
        if objects := [row for row in value if isinstance(row, dict)]:
            yield objects
    elif depth and isinstance(value, dict):
        for part in value.values():
            yield from _objects(part, depth - 1)


def _columns(whole: Any) -> list[Row]:
    """Return the rows of columns of equal length, under a name or not."""
    for columns in (whole, *(whole.values() if isinstance(whole, dict) else ())):
        lists = list(columns.values()) if isinstance(columns, dict) else []
        if lists and all(isinstance(part, list) and len(part) == len(lists[0]) for part in lists) and not any(
            isinstance(cell, dict) for part in lists for cell in part
        ):  # fmt: skip
            return [dict(zip(columns, cells, strict=True)) for cells in zip(*lists, strict=True)]
    return []


def _texts(whole: Any) -> list[Row]:
    """Return the rows of {question: answer}, of pairs, and of questions alone."""
    if isinstance(whole, dict):
        pairs = list(whole.items())
        titled = bool(pairs) and all(isinstance(text, str) and " " in key.strip() for key, text in pairs)
        return [{"question": key, "answer": text} for key, text in pairs] if titled else []
    if not isinstance(whole, list) or not whole:
        return []
    if all(isinstance(text, str) for text in whole):
        return [{"question": text} for text in whole]
    if all(isinstance(pair, list) and pair and all(isinstance(cell, str) for cell in pair) for pair in whole):
        if heads.asks(whole[0]):
            return [dict(zip(whole[0], cells, strict=False)) for cells in whole[1:]]
        if all(len(pair) == 2 for pair in whole):
            return [{"question": question, "answer": answer} for question, answer in whole]
    return []
