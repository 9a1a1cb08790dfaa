"""Turns whose process was killed: begun in a journal segment, never ended; each becomes one that was cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from traces import segments
from traces.journal import Journal
from traces.records import Payload, Trace, Turn

_COLUMNS = frozenset(field.name for field in fields(Turn))
_BLOCK = 8 << 20


def turns(path: Path) -> list[Turn]:
    """Return the turns that begin in a segment and do not end in it, oldest first."""
    begun: dict[str, Turn] = {}
    start = 0
    while block := segments.next_block(path, start, _BLOCK):
        for _, line in block.lines():
            if line.startswith(b'{"kind":"begun"'):
                turn = _turn(line)
                if turn is not None:
                    begun[turn.turn_id] = turn
            elif begun and line.startswith(b'{"kind":"trace"'):
                begun.pop(_ended(line), None)
        start = block.end
    return list(begun.values())


def alive(path: Path) -> bool:
    """Say whether the process that wrote a segment still writes to another one."""
    writer = segments.name(path).partition("-")[2]
    for other in segments.live(path.parent):
        if other != path and segments.name(other).partition("-")[2] == writer:
            with segments.abandoned(other) as gone:
                if not gone and other.exists():
                    return True
    return False


def write(folder: Path, lost: Sequence[Turn]) -> None:
    """Append a trace for each turn, durably; they are drained like any other line."""
    if not lost:
        return
    journal = Journal(folder, "fsync")
    for turn in lost:
        ended = replace(turn, outcome="cut", error_class="cut")
        journal.write(Trace(ended, Payload(turn_id=turn.turn_id)))
    journal.close()


def _turn(line: bytes) -> Turn | None:
    try:
        entry: dict[str, Any] = orjson.loads(line)
        columns = {name: value for name, value in entry.items() if name in _COLUMNS}
        columns["started_at"] = datetime.fromisoformat(columns["started_at"]).astimezone(UTC)
        return Turn(**columns)
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return None  # put aside as damaged when it was drained


def _ended(line: bytes) -> str:
    try:
        return orjson.loads(line)["turn"]["turn_id"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return ""
