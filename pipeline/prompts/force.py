"""Which prompt versions are in force, and the append-only audit log of how they came to be."""

from __future__ import annotations

import fcntl
import hashlib
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import orjson

from pipeline.errors import AnswerdeckError

Action = Literal["promote", "override", "rollback"]


class AuditError(AnswerdeckError):
    """The audit log was altered: an entry does not follow from the one before it."""


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of the audit log. `digest` covers the entry and the digest before it."""

    at: str  # ISO 8601, UTC
    actor: str
    action: Action
    prompt: str  # "answer"
    before: str  # "answer@v1"
    after: str  # "answer@v2"
    fingerprint: str  # of the version that came into force
    reason: str | None  # required for an override
    gate: dict[str, Any] | None  # which runs the decision rests on
    digest: str


class Force:
    """Reads what is in force with every turn (one stat), and changes it by appending to the log."""

    def __init__(self, path: Path, defaults: dict[str, str]) -> None:
        self.path = path
        self._defaults = defaults
        self._seen: tuple[int, int] | None = None
        self._current = dict(defaults)

    def label(self, name: str) -> str:
        """Return the version in force, such as "answer@v2"."""
        try:
            stat = self.path.stat()
        except FileNotFoundError:
            return self._defaults[name]
        if self._seen != (stat.st_mtime_ns, stat.st_size):
            self._current = {**self._defaults, **{c.prompt: c.after for c in self.changes()}}
            self._seen = stat.st_mtime_ns, stat.st_size
        return self._current[name]

    def changes(self) -> list[Change]:
        """Return the log, oldest first; raises AuditError when it was altered."""
        if not self.path.exists():
            return []
        lines = self.path.read_bytes().split(b"\n")
        changes: list[Change] = []
        for number, line in enumerate(lines[:-1], 1):  # a torn last line was never acknowledged
            change = _parse(line, number)
            before = changes[-1].digest if changes else ""
            if change.digest != _digest(change, before):
                raise AuditError(f"{self.path.name}: line {number} was altered or is out of order")
            changes.append(change)
        return changes

    def change(
        self,
        name: str,
        after: str,
        fingerprint: str,
        *,
        action: Action,
        actor: str,
        reason: str | None = None,
        gate: dict[str, Any] | None = None,
    ) -> Change:
        """Put a version in force; durable when this returns, seen by every process with its next turn."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            _drop_torn_line(file)
            changes = self.changes()
            before = {**self._defaults, **{c.prompt: c.after for c in changes}}[name]
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            entry = Change(now, actor, action, name, before, after, fingerprint, reason, gate, "")
            digest = _digest(entry, changes[-1].digest if changes else "")
            line = orjson.dumps({**asdict(entry), "digest": digest}) + b"\n"
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        return _parse(line, len(changes) + 1)

    def previous(self, name: str) -> str | None:
        """Return the version a rollback would go back to, or None when nothing was changed yet."""
        trail = [self._defaults[name]]
        for change in self.changes():
            if change.prompt == name:
                trail = (
                    trail[:-1] if change.action == "rollback" and len(trail) > 1 else [*trail, change.after]
                )
        return trail[-2] if len(trail) > 1 else None


def _parse(line: bytes, number: int) -> Change:
    try:
        return Change(**orjson.loads(line))
    except (orjson.JSONDecodeError, TypeError) as error:
        raise AuditError(f"audit log: line {number} cannot be read ({error})") from None


def _digest(change: Change, before: str) -> str:
    entry = {**asdict(change), "digest": before}
    return hashlib.sha256(orjson.dumps(entry, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _drop_torn_line(file: Any) -> None:
    """Cut off what a killed writer left after the last line break."""
    file.seek(0)
    content = file.read()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        file.truncate(whole)
