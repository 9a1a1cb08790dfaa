"""Numbers every call of a turn that leaves the process, and breaks the one it is told to."""

from __future__ import annotations

import asyncio
import errno
import sqlite3
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

PATH = "/home/build/.cargo/registry/lance/secret.rs"  # what a library's message may hold; nobody may see it
HANG_SECONDS = 60.0
SLOW_SECONDS = 0.15

ERRORS: dict[str, Callable[[], Exception]] = {
    "runtime_error": lambda: RuntimeError(f"lance error: Io, {PATH}:12:3"),
    "value_error": lambda: ValueError(f"invalid value in {PATH}"),
    "missing": lambda: ValueError("Table 'default' was not found"),
    "io_error": lambda: OSError(errno.EIO, "Input/output error", PATH),
    "disk_full": lambda: OSError(errno.ENOSPC, "No space left on device", PATH),
    "no_permission": lambda: PermissionError(errno.EACCES, "Permission denied", PATH),
    "no_descriptors": lambda: OSError(errno.EMFILE, "Too many open files", PATH),
    "read_only": lambda: OSError(errno.EROFS, "Read-only file system", PATH),
    "memory": lambda: MemoryError(PATH),
    "timeout": lambda: TimeoutError(PATH),
    "locked": lambda: sqlite3.OperationalError("database is locked"),
    "corrupt": lambda: sqlite3.DatabaseError(f"file is not a database: {PATH}"),
    "closed": lambda: sqlite3.ProgrammingError("Cannot operate on a closed database."),
    "type_error": lambda: TypeError(f"unhashable {PATH}"),
}
_FILE = ("io_error", "no_permission", "no_descriptors", "memory")
_SEARCH = ("runtime_error", "value_error", "io_error", "no_descriptors", "memory", "timeout", "type_error")
_SQLITE = ("locked", "corrupt", "closed", "slow")
KINDS: dict[str, tuple[str, ...]] = {
    "knowledge": (*_SEARCH, "missing", "hang", "slow"),
    "search": (*_SEARCH, "hang", "slow"),
    "conversations": _SQLITE,
    "spending": _SQLITE,
    "journal": ("io_error", "disk_full", "read_only", "no_permission", "no_descriptors", "slow"),
    "prompt": (*_FILE, "value_error"),
    "audit": _FILE,
    "quota": ("runtime_error", "memory", "slow"),
}


@dataclass(frozen=True, slots=True)
class CallPoint:
    """One call of a turn: its number, what it calls, and whether the fault server answers it."""

    number: int
    name: str  # "search full-text"
    server: str | None = None  # "openai", "anthropic" or "embeddings"
    nth: int = 0  # among the calls of that name

    @property
    def kind(self) -> str:
        return self.name.partition(" ")[0]


class Points:
    """The calls of the present turn. `at` names the one to break, `fault` how."""

    def __init__(self) -> None:
        self.seen: list[CallPoint] = []
        self.fault: str | None = None
        self.on = False  # whether calls are counted: not between turns
        self.broken: dict[str, str] = {}  # fails whatever is counted: the name of a call -> its fault
        self._at: CallPoint | None = None
        self._lasting = False

    def arm(self, at: CallPoint | None, fault: str | None, *, lasting: bool) -> None:
        """Forget what was counted; break the call `at`, and with `lasting` the later ones like it."""
        self.seen = []
        self.fault, self._lasting = fault, lasting
        self._at = at
        self.on = True

    def off(self) -> None:
        self.on = False

    def next(self, name: str, server: str | None = None) -> str | None:
        """Count a call; return the fault it meets, or None."""
        if name in self.broken:
            return self.broken[name]
        if not self.on:
            return None
        point = CallPoint(len(self.seen), name, server, sum(earlier.name == name for earlier in self.seen))
        self.seen.append(point)
        at = self._at
        if at is None or at.name != name:  # by name: a call more or less, as time has it, shifts the numbers
            return None
        return self.fault if point.nth == at.nth or (self._lasting and point.nth > at.nth) else None

    def call(self, name: str, work: Callable[[], Any]) -> Any:
        """Make a call that does not wait for a network."""
        fault = self.next(name)
        if fault == "slow":
            time.sleep(SLOW_SECONDS)
        elif fault is not None:
            raise ERRORS[fault]()
        return work()

    async def wait(self, name: str, work: Callable[[], Awaitable[Any]]) -> Any:
        """Make a call that is awaited."""
        fault = self.next(name)
        if fault in ("slow", "hang"):
            await asyncio.sleep(SLOW_SECONDS if fault == "slow" else HANG_SECONDS)
        elif fault is not None:
            raise ERRORS[fault]()
        return await work()
