"""Forgets on purpose: bulky texts after their time, and everything of one user on demand."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import orjson

from traces import segments
from traces.drainer import Drainer
from traces.engine import Engine

_SLIM = ".slim.jsonl.gz"
_BARE = ".bare.jsonl.gz"  # of a segment whose turns were forgotten
_AT_A_TIME = 20_000  # turns forgotten in one transaction
NOBODY = ""  # is nobody's name


class TurnStore(Protocol):
    """Where turns are kept: a journal and the engine it is drained into."""

    @property
    def journal(self) -> Path: ...
    @property
    def engine(self) -> Engine: ...


@dataclass(frozen=True, slots=True)
class Pruned:
    payloads: int  # prompts and raw responses forgotten
    passages: int  # passage texts forgotten
    segments: int  # kept journal segments stripped of them


@dataclass(frozen=True, slots=True)
class Erased:
    turns: int
    scores: int
    lines: int  # journal lines blanked or taken out
    left: tuple[str, ...]  # what may still hold the user's turns and is out of reach here


def prune_turns(store: TurnStore, payload_days: int, now: datetime) -> Pruned:
    """Forget prompts, raw responses and passage texts older than `payload_days`; turns stay."""
    before = now - timedelta(days=payload_days)
    stripped = [
        path
        for path in segments.drained(store.journal)
        if not path.name.endswith((_SLIM, _BARE)) and path.stat().st_mtime < before.timestamp()
    ]
    for path in stripped:
        _rewrite(path, _without_texts, path.with_name(segments.name(path) + _SLIM))
    if not store.engine.exists():
        return Pruned(0, 0, len(stripped))
    with store.engine.window() as window:
        payloads, passages = window.forget_texts(before)
    return Pruned(payloads, passages, len(stripped))


def forget_turns(store: TurnStore, turn_days: int, now: datetime) -> int:
    """Delete turns older than `turn_days` with all that belongs to them, and return how many.

    The sums that pages read lose them too. Turns of runs stay, for they belong to reports.
    """
    before = now - timedelta(days=turn_days)

    def old(entry: dict[str, Any]) -> bool:
        kind, row = entry.get("kind"), entry.get("turn") or entry
        if kind not in ("trace", "begun", "score") or row.get("run_id") is not None:
            return False
        return datetime.fromisoformat(row["created_at" if kind == "score" else "started_at"]) < before

    for path in segments.drained(store.journal):
        if not path.name.endswith(_BARE) and path.stat().st_mtime < before.timestamp():
            bare = path.with_name(segments.name(path) + _BARE)
            _rewrite(path, lambda entry: None if old(entry) else entry, bare)
    if not store.engine.exists():
        return 0
    number = 0
    with store.engine.window() as window:
        sql = "select turn_id from turns where started_at < $before and run_id is null limit $most"
        while rows := window.rows(sql, before=before, most=_AT_A_TIME):
            window.erase_user(NOBODY, [row["turn_id"] for row in rows], ())
            number += len(rows)
    return number


def erase(
    store: TurnStore,
    user_id: str,
    more_turns: Collection[str] = (),
    cases: Collection[str] = (),
) -> Erased:
    """Erase a user's turns and scores from the store and from every journal segment.

    With `more_turns` and `cases` (made from the user's turns) go those too. What the user does
    meanwhile is not erased: block the user first.
    """
    journal, engine = store.journal, store.engine
    Drainer(journal, engine).drain()
    if not engine.exists():
        return Erased(0, 0, 0, engine.put_aside())
    with engine.window() as window:
        turn_ids, scores = window.erase_user(user_id, more_turns, cases)
    case_ids = set(cases)

    def theirs(entry: dict[str, Any]) -> bool:
        turn = entry.get("turn") or entry
        return (
            turn.get("user_id") == user_id
            or turn.get("turn_id") in turn_ids
            or turn.get("case_id") in case_ids
        )

    lines = sum(_blank(path, theirs) for path in segments.live(journal))
    for path in segments.drained(journal):
        lines += _rewrite(path, lambda entry: None if theirs(entry) else entry, path)
    lines += segments.forget_damaged(journal, user_id)
    engine.compact()
    return Erased(len(turn_ids), scores, lines, engine.put_aside())


def _blank(path: Path, theirs: Callable[[dict[str, Any]], bool]) -> int:
    """Overwrite lines with spaces where they stand, so that the offsets of all others stay true."""
    blanked = start = 0
    file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        while block := segments.next_block(path, start, 8 << 20):
            for at, line in block.lines():
                if theirs(_entry(line)):
                    os.pwrite(file, b" " * len(line), at)
                    blanked += 1
            start = block.end
        os.fsync(file)
    finally:
        os.close(file)
    return blanked


def _rewrite(path: Path, change: Callable[[dict[str, Any]], dict[str, Any] | None], out: Path) -> int:
    """Write a kept segment again with each line changed (None: blanked); returns how many changed."""
    changed = 0

    def pieces() -> Iterator[bytes]:
        nonlocal changed
        with gzip.open(path) as file:
            for line in file:
                entry = _entry(line)
                new = change(entry) if entry else entry
                if new is entry:
                    yield line
                    continue
                changed += 1
                # blanked lines keep their length: the store's mark counts bytes of this segment
                yield b" " * (len(line) - 1) + b"\n" if new is None else orjson.dumps(new) + b"\n"

    written_at = path.stat().st_mtime
    segments.write_kept(out, pieces(), written_at)
    if out != path:
        path.unlink()
    return changed


def _without_texts(entry: dict[str, Any]) -> dict[str, Any]:
    if entry.get("kind") != "trace":
        return entry
    entry["payload"] = {key: value if key == "turn_id" else None for key, value in entry["payload"].items()}
    entry["passages"] = [passage | {"text": None} for passage in entry["passages"]]
    return dict(entry)


def _entry(line: bytes) -> dict[str, Any]:
    """Decode a journal line; empty when it is blank or damaged."""
    try:
        entry = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}
    return entry if isinstance(entry, dict) else {}
