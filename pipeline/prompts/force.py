"""Which prompt versions are in force, and the append-only audit log of how they came to be."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import orjson

from pipeline.errors import AnswerdeckError

log = logging.getLogger(__name__)
Action = Literal["promote", "override", "rollback", "canary", "return"]
BECOMING = ("promote", "override", "rollback")  # what changes the version in force


class AuditError(AnswerdeckError):
    """The audit log was altered: an entry does not follow from the one before it."""


class Overtaken(AnswerdeckError):
    """Another version came into force between reading and changing."""


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
    share: float | None = None  # of the conversations, for a canary


@dataclass(frozen=True, slots=True)
class Canary:
    """A version that a share of the conversations is answered with."""

    label: str
    fingerprint: str
    share: float  # 0..1
    at: str  # when it began


@dataclass(slots=True)
class PromptStanding:
    """How a prompt stands: versions with their fingerprints, the one in force last, and the canary."""

    trail: list[tuple[str, str | None]]  # a default has no fingerprint of its own
    canary: Canary | None = None

    def take(self, change: Change) -> None:
        """Follow one entry of the log; whatever comes into force ends a canary."""
        self.canary = None
        if change.action == "canary":
            self.canary = Canary(change.after, change.fingerprint, change.share or 0.0, change.at)
        elif change.action == "rollback" and len(self.trail) > 1:
            self.trail.pop()
        elif change.action in BECOMING:
            self.trail.append((change.after, change.fingerprint))

    def states(self) -> dict[str, str]:
        """Return the versions that answer now: "in force", and "canary" with its share."""
        labels = {self.canary.label: f"canary {self.canary.share:.0%}"} if self.canary else {}
        return {**labels, self.trail[-1][0]: "in force"}


class Force:
    """Reads what is in force with every turn (one stat), and changes it by appending to the log."""

    def __init__(
        self,
        path: Path,
        defaults: dict[str, str],
        exclusive: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self.path = path
        self._exclusive = exclusive  # keeps other machines from changing it meanwhile
        self.trouble: str | None = None  # why the log cannot be used; what was read before goes on
        self._defaults = defaults
        self._seen: tuple[int, int] | None = None
        self._standings = self._follow([])

    @property
    def names(self) -> list[str]:
        """The prompts there are."""
        return list(self._defaults)

    def label(self, name: str) -> str:
        """Return the version in force, such as "answer@v2"."""
        return self.standing(name).trail[-1][0]

    def standing(self, name: str) -> PromptStanding:
        """Return how a prompt stands now; an altered log is reported in `trouble` and changes nothing."""
        try:
            stamp = self.stamp()
        except OSError as error:
            log.error("the audit log cannot be read (%s); what was read before is in force", error.strerror)
            return self._standings[name]
        if stamp is None:
            if self._seen is not None:
                self._seen, self._standings = None, self._follow([])
            return self._standings[name]
        if self._seen != stamp:
            self._seen = stamp
            try:
                self._standings, self.trouble = self._follow(self.changes()), None
            except AuditError as error:
                self.trouble = f"{error}; the versions read before stay in force"
                log.error("%s", self.trouble)
        return self._standings[name]

    def stamp(self) -> tuple[int, int] | None:
        """Return time and size of the log; None when there is none yet."""
        try:
            stat = self.path.stat()
        except FileNotFoundError:
            return None
        return stat.st_mtime_ns, stat.st_size

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
        after: str,
        fingerprint: str,
        *,
        action: Action,
        actor: str,
        reason: str | None = None,
        gate: dict[str, Any] | None = None,
        share: float | None = None,
        expected: str | None = None,
    ) -> Change:
        """Put a version in force; durable when this returns, seen by every process with its next turn.

        Raises Overtaken when the version in force is no longer the `expected` one.
        """
        name = after.partition("@")[0]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._exclusive(), self.path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            _drop_torn_line(file)
            changes = self.changes()
            before = self._follow(changes)[name].trail[-1][0]
            if expected not in (None, before):
                raise Overtaken(f"{before} came into force meanwhile, not {expected}; look again")
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            entry = Change(now, actor, action, name, before, after, fingerprint, reason, gate, "", share)
            digest = _digest(entry, changes[-1].digest if changes else "")
            line = orjson.dumps({**_entry(entry), "digest": digest}) + b"\n"
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        return _parse(line, len(changes) + 1)

    def previous(self, name: str) -> str | None:
        """Return the version a rollback would go back to, or None when nothing was changed yet."""
        trail = self._follow(self.changes())[name].trail
        return trail[-2][0] if len(trail) > 1 else None

    def _follow(self, changes: list[Change]) -> dict[str, PromptStanding]:
        standings = {name: PromptStanding([(label, None)]) for name, label in self._defaults.items()}
        for change in changes:
            if change.prompt in standings:
                standings[change.prompt].take(change)
        return standings


def _parse(line: bytes, number: int) -> Change:
    try:
        return Change(**orjson.loads(line))
    except (orjson.JSONDecodeError, TypeError) as error:
        raise AuditError(f"audit log: line {number} cannot be read ({error})") from None


def _digest(change: Change, before: str) -> str:
    entry = {**_entry(change), "digest": before}
    return hashlib.sha256(orjson.dumps(entry, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _entry(change: Change) -> dict[str, Any]:
    """Return the columns of an entry; a share is written only where there is one."""
    columns = asdict(change)
    return columns if change.share is not None else {k: v for k, v in columns.items() if k != "share"}


def _drop_torn_line(file: Any) -> None:
    """Cut off what a killed writer left after the last line break."""
    file.seek(0)
    content = file.read()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        file.truncate(whole)
