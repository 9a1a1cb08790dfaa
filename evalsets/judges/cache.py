"""Remembers what judges replied, in one SQLite file: JSON texts under the hash of all that shaped them."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

BUSY_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class KeptReply:
    """A reply as it was: valid JSON of its shape, and what it took."""

    text: str
    model: str
    input_tokens: int | None
    output_tokens: int | None


class JudgeCache:
    """Replies under content addresses; several processes may share the file."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = sqlite3.connect(
            folder / "replies.sqlite", isolation_level=None, timeout=BUSY_SECONDS, check_same_thread=False
        )
        self._file.execute("pragma journal_mode = wal")
        self._file.execute("pragma synchronous = off")  # what a crash loses is asked again
        self._file.execute(
            "create table if not exists replies (key text primary key, text text not null, model text, "
            "input_tokens integer, output_tokens integer, kept_at text not null) without rowid"
        )

    def get(self, key: str) -> KeptReply | None:
        row = self._file.execute(
            "select text, model, input_tokens, output_tokens from replies where key = ?", (key,)
        ).fetchone()
        return None if row is None else KeptReply(*row)

    def put(self, key: str, reply: KeptReply) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._file.execute(
            "insert or replace into replies values (?, ?, ?, ?, ?, ?)",
            (key, reply.text, reply.model, reply.input_tokens, reply.output_tokens, now),
        )

    def close(self) -> None:
        self._file.close()
