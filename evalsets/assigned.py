"""Who looks after which unanswered question, and what asking it again gave: one line a change."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from traces.records import DEFAULT

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
    turn_id: str = ""  # the newest turn that asked it then


def keyed(key: str, workspace: str | None) -> str:
    """Return the key under which a workspace's notes about a question are kept."""
    return key if workspace in (None, DEFAULT) else f"{workspace}: {key}"


def note(folder: Path, key: str, *, to: str, closed: bool, note: str, by: str, turn_id: str = "") -> None:
    """Keep who looks after a question, or that it is closed."""
    row = Assigned(
        key, to.strip()[:100], closed, note.strip()[:500], by, datetime.now(UTC).isoformat(), turn_id
    )
    append(folder, asdict(row))


def append(folder: Path, row: Mapping[str, Any]) -> None:
    """Add a line about a question to the file."""
    folder.mkdir(parents=True, exist_ok=True)
    file = os.open(folder / FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, (json.dumps(row) + "\n").encode())
    finally:
        os.close(file)


def lines(folder: Path) -> list[str]:
    """Return the lines about questions, the oldest first."""
    try:
        return (folder / FILE).read_text("utf-8").splitlines()
    except FileNotFoundError:
        return []


def rewrite(folder: Path, rest: Sequence[str]) -> None:
    """Put these lines in the place of all."""
    beside = folder / f"{FILE}.new"
    beside.write_text("".join(f"{line}\n" for line in rest), "utf-8")
    beside.chmod(0o600)
    beside.replace(folder / FILE)


def read(folder: Path) -> dict[str, Assigned]:
    """Return the last word on each question by its key; half a line is left out."""
    assignments: dict[str, Assigned] = {}
    for line in lines(folder):
        try:
            row = Assigned(**json.loads(line))
        except (ValueError, TypeError):
            continue
        assignments[row.key] = row
    return assignments
