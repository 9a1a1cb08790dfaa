"""Turns a journal line into rows of the ledger's tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import fields
from operator import itemgetter
from typing import Any

import orjson

from traces.records import Case, Passage, Payload, Run, Score, Span, Turn, Usage, json_columns

Row = tuple[Any, ...]
TABLES: dict[str, type] = {
    "turns": Turn,
    "payloads": Payload,
    "spans": Span,
    "passages": Passage,
    "usages": Usage,
    "scores": Score,
    "runs": Run,
    "cases": Case,
}
STATED = ("runs", "cases")
_REPETITION = "repetition:"
_OF_A_TURN = ("spans", "passages", "usages", "scores")


class Damaged(ValueError):
    """A journal line that is not a record; the message says why."""


def columns(table: str) -> tuple[str, ...]:
    """Return the names of a table's columns, in order."""
    return tuple(field.name for field in fields(TABLES[table]))


def stored_columns(table: str) -> tuple[str, ...]:
    """Return the columns of a stored table, in order; each new state of a run and a case is a row."""
    return (*columns(table), "written_ns") if table in STATED else columns(table)


def rows(line: bytes) -> list[tuple[str, Row]]:
    """Return the rows a journal line stands for, with their tables; raises Damaged."""
    try:
        entry = orjson.loads(line)
        kind = entry["kind"]
        if kind == "trace":
            return _trace_rows(entry)
        if kind == "begun":
            return []  # a turn under way; its trace follows, or `traces.unfinished` finds it
        if kind == "score":
            return [("scores", _row["scores"](_repeated(entry)))]
        if kind in ("run", "case"):
            table = kind + "s"
            return [(table, (*_row[table](entry), entry["written_ns"]))]
    except (ValueError, TypeError, KeyError) as error:
        raise Damaged(f"{type(error).__name__}: {error}") from None
    raise Damaged(f"unknown kind {kind!r}")


def _repeated(score: dict[str, Any]) -> dict[str, Any]:
    """Return a score with its repetition; in older lines it rides in the tags."""
    tags = score.get("tags") or ""
    if "repetition" in score or not tags.startswith(_REPETITION):
        return score
    return {**score, "tags": None, "repetition": int(tags.removeprefix(_REPETITION))}


def _trace_rows(entry: dict[str, Any]) -> list[tuple[str, Row]]:
    pairs = [("turns", _row["turns"](entry["turn"]))]
    payload = entry["payload"]
    if payload["prompt"] is not None or payload["raw_response"] is not None:
        pairs.append(("payloads", _row["payloads"](payload)))
    for table in _OF_A_TURN:
        row = _row[table]
        pairs += [(table, row(item)) for item in entry[table]]
    return pairs


def _reader(table: str) -> Callable[[dict[str, Any]], Row]:
    """Build the function that picks a table's columns out of a decoded record."""
    names = columns(table)
    pick = itemgetter(*names)
    json_at = [at for at, name in enumerate(names) if name in json_columns(TABLES[table])]

    def read(item: dict[str, Any]) -> Row:
        try:
            row = pick(item)
        except KeyError:  # written before a column was added
            row = tuple(map(item.get, names))
        if not json_at:
            return row
        values = list(row)
        for at in json_at:
            if values[at] is not None:
                values[at] = orjson.dumps(values[at]).decode()
        return tuple(values)

    return read


_row = {table: _reader(table) for table in TABLES}


def by_table(lines: Iterable[list[tuple[str, Row]]]) -> dict[str, list[Row]]:
    """Sort the rows of many lines by table."""
    tables: dict[str, list[Row]] = {}
    for line in lines:
        for table, row in line:
            tables.setdefault(table, []).append(row)
    return tables


def live_rows(lines: Iterable[bytes]) -> dict[str, list[Row]]:
    """Return the rows of many journal lines by table; damaged lines are left to the drainer."""

    def sound() -> Iterator[list[tuple[str, Row]]]:
        for line in lines:
            with suppress(Damaged):
                yield rows(line)

    return by_table(sound())
