"""JSON lines, ours and those of other tools: one document a row, ids as given, every field kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pipeline.knowledge.documents import Document, Skipped
from pipeline.knowledge.reading.charset import decode
from pipeline.knowledge.reading.kinds import FILE_BYTES, Unreadable
from pipeline.knowledge.reading.rowids import Named, named

TEXTS = ("text", "page_content", "content", "contents", "body", "passage", "markdown", "chunk")
TITLES = ("title", "name", "heading")
URLS = ("url", "link", "source_url")
NESTED = ("metadata", "meta", "extra_info")
IDS = ("id", "_id", "id_", "document_id", "doc_id")
PAIRS = (("question", "answer"), ("frage", "antwort"), ("prompt", "completion"), ("instruction", "output"))
TALKS = ("messages", "conversations")
SPEECHES = ("content", "value", "text")
WANTED = "one JSON object a line is read, with a field 'text'"
NAMED_LINES = 20  # rows left out for the same reason that are named one by one


def read(data: bytes, name: str) -> Iterator[Document | Skipped]:
    """Yield a document per row, and every row that is left out with its line."""
    rows, problems = _rows(data, name)
    good: list[Named] = []
    for where, row in rows:
        try:
            good.append(_row(row, where, name))
        except Unreadable as error:
            problems.append(Skipped(where, str(error)))
    if not good and problems:
        first = problems[0]
        more = f", and {len(problems) - 1:,} more rows alike" if len(problems) > 1 else ""
        yield Skipped(first.name, f"{first.reason}{more}; {WANTED}")
        return
    yield from named(good)
    yield from problems[:NAMED_LINES]
    if len(problems) > NAMED_LINES:
        yield Skipped(name, f"{len(problems) - NAMED_LINES:,} more rows could not be read")


def _rows(data: bytes, name: str) -> tuple[list[tuple[str, Any]], list[Skipped]]:
    """Return the rows, each with its line, and the lines that are no JSON."""
    rows: list[tuple[str, Any]] = []
    problems: list[Skipped] = []
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        where = f"{name}:{number}"
        try:
            rows.append((where, json.loads(decode(line))))
        except (ValueError, RecursionError):
            if not rows and len(problems) <= 1 and (whole := _whole(data, name)) is not None:
                return _unwrapped(whole), []
            problems.append(Skipped(where, "not valid JSON"))
        except Unreadable as error:
            problems.append(Skipped(where, str(error)))
    return _unwrapped(rows), problems


def _unwrapped(rows: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Return the items of a file that is a single list, or a single object around a list of objects."""
    if len(rows) != 1:
        return rows
    where, row = rows[0]
    if isinstance(row, dict) and not any(key in row for key in (*TEXTS, *TALKS)):
        lists = [value for value in row.values() if _is_table(value)]
        row = lists[0] if len(lists) == 1 else row
    if not isinstance(row, list):
        return rows
    return [(f"{where}, item {place}", item) for place, item in enumerate(row, 1)]


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _whole(data: bytes, name: str) -> list[tuple[str, Any]] | None:
    """Return the rows of a file written over several lines; None when it is nothing of the kind."""
    if len(data) > FILE_BYTES:
        return None
    rows: list[tuple[str, Any]] = []
    decoder = json.JSONDecoder()
    try:
        text = decode(data)
        place = 0
        while place < len(text):
            value, end = decoder.raw_decode(text, place)
            where = f"{name}:{text.count(chr(10), 0, place) + 1}"
            rows.append((where, value))
            place = end
            while place < len(text) and text[place] in " \t\r\n,":
                place += 1
    except (ValueError, RecursionError, Unreadable):
        return None
    return rows


def _row(row: Any, where: str, name: str) -> Named:
    """Build a document; fields beyond id, title, text and url are added to its text."""
    if not isinstance(row, dict):
        raise Unreadable("is no JSON object")
    fields = dict(row)
    for nested in NESTED:
        if isinstance(fields.get(nested), dict):
            inner = fields.pop(nested)
            fields = {**{key: value for key, value in inner.items() if key not in fields}, **fields}
    document_id = _id(fields)
    text = _text(fields)
    title, url = _taken(fields, TITLES), _taken(fields, URLS)
    others = [line for key, value in fields.items() if (line := _line(key, value))]
    whole = "\n".join([text, *others]) if text.strip() else text
    document = Document(document_id or name, title, whole, url, where=where)
    return Named(document, title, (title, whole, url), given=bool(document_id))


def _id(fields: dict[str, Any]) -> str:
    for key in IDS:
        value = fields.pop(key, None)
        if isinstance(value, dict | list):
            raise Unreadable(f"field {key!r} is no word or number")
        if value is not None and value != "":
            return value if isinstance(value, str) else json.dumps(value)
    return ""


def _text(fields: dict[str, Any]) -> str:
    """Take the row's text out of its fields."""
    for question, answer in PAIRS:
        if isinstance(fields.get(question), str) and isinstance(fields.get(answer), str):
            return f"{fields.pop(question)}\n{fields.pop(answer)}"
    for key in TALKS:
        if talk := _talk(fields.get(key)):
            del fields[key]
            return talk
    for key in TEXTS:
        if key in fields:
            value = fields.pop(key)
            if not isinstance(value, str):
                raise Unreadable(f"field {key!r} is no string")
            return value
    longest = max(
        (key for key, value in fields.items() if isinstance(value, str)),
        key=lambda key: len(fields[key]),
        default=None,
    )
    hint = f"; rename {longest!r} if it holds the text" if longest else ""
    raise Unreadable(f"has no field 'text' with a string in it{hint}")


def _talk(messages: Any) -> str:
    """Return what was said in a recorded talk, a message a line; "" when it is none."""
    if not isinstance(messages, list):
        return ""
    texts = [message.get(key) for message in messages if isinstance(message, dict) for key in SPEECHES]
    return "\n".join(text for text in texts if isinstance(text, str) and text.strip())


def _taken(fields: dict[str, Any], keys: tuple[str, ...]) -> str:
    for key in keys:
        value = fields.get(key)
        if value is None:
            fields.pop(key, None)
        elif isinstance(value, str):
            return fields.pop(key)
        elif key == keys[0]:
            raise Unreadable(f"field {key!r} is no string")
    return ""


def _line(key: str, value: Any) -> str:
    """Return a field as a line; long lists of numbers, vectors as a rule, are no text."""
    if isinstance(value, str):
        return f"{key}: {value.strip()}" if value.strip() else ""
    if isinstance(value, bool | int | float):
        return f"{key}: {json.dumps(value)}"
    if isinstance(value, list) and value and all(isinstance(item, str | int) for item in value):
        return (
            ""
            if len(value) > 50 and not isinstance(value[0], str)
            else f"{key}: {', '.join(map(str, value))}"
        )
    if isinstance(value, dict) and value:
        inner = [line for name, item in value.items() if (line := _line(f"{key}.{name}", item))]
        return "\n".join(inner)
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        return "\n".join(line for item in value if (line := _line(key, item)))
    return ""
