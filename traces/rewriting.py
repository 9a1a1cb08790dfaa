"""Rewrites the free texts of a record; its ids, names of parts and numbers stay as they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from traces.records import Case, Passage, Payload, Record, Run, Score, Span, Trace, Turn, Usage

Rewrite = Callable[[str], str]
R = TypeVar("R", bound=Record | Turn)
_TEXTS: dict[type, tuple[str, ...]] = {
    Turn: ("question", "standalone", "answer", "error_class"),
    Payload: ("prompt", "raw_response"),
    Span: ("name", "attributes", "error"),
    Passage: ("title", "text"),
    Usage: ("error_class",),
    Score: ("reason", "tags"),
    Run: ("error",),
    Case: ("question", "history", "reference", "must_contain"),
}


def rewritten(record: R, rewrite: Rewrite) -> R:
    """Return the record with each of its free texts rewritten, those within attributes and lists too."""
    if not isinstance(record, Trace):
        return _row(record, rewrite)
    rows: dict[str, Any] = {name: _row(getattr(record, name), rewrite) for name in ("turn", "payload")}
    for name in ("spans", "passages", "usages", "scores"):
        rows[name] = tuple(_row(row, rewrite) for row in getattr(record, name))
    return replace(record, **rows)


def _row(row: Any, rewrite: Rewrite) -> Any:
    columns = {name: value for name in _TEXTS[type(row)] if (value := getattr(row, name))}
    return replace(row, **{name: _data(value, rewrite) for name, value in columns.items()})


def _data(value: Any, rewrite: Rewrite) -> Any:
    if isinstance(value, str):
        return rewrite(value)
    if isinstance(value, dict):
        return {key: _data(item, rewrite) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_data(item, rewrite) for item in value]
    return value
