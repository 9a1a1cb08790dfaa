"""Who looks after which unanswered question: one line a change, never rewritten."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

FILE = "gaps.jsonl"  # below the data folder


@dataclass(frozen=True, slots=True)
class Assigned:
    """The last word on a question: who looks after it, and whether it was closed by hand."""

    key: str
    to: str
    closed: bool
    note: str
    by: str
    at: str


def note(folder: Path, key: str, *, to: str, closed: bool, note: str, by: str) -> None:
    """Keep who looks after a question, or that it is closed."""
    row = Assigned(key, to.strip()[:100], closed, note.strip()[:500], by, datetime.now(UTC).isoformat())
    folder.mkdir(parents=True, exist_ok=True)
    file = os.open(folder / FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, (json.dumps(asdict(row)) + "\n").encode())
    finally:
        os.close(file)


def read(folder: Path) -> dict[str, Assigned]:
    """Return the last word on each question by its key; half a line is left out."""
    try:
        lines = (folder / FILE).read_text("utf-8").splitlines()
    except FileNotFoundError:
        return {}
    assignments: dict[str, Assigned] = {}
    for line in lines:
        try:
            row = Assigned(**json.loads(line))
        except (ValueError, TypeError):
            continue
        assignments[row.key] = row
    return assignments
