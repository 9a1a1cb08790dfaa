"""Who drains: one process at a time holds the lock file, and says in it how it is doing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from traces.locks import try_lock


@dataclass(frozen=True, slots=True)
class Note:
    """What the last drainer wrote into the lock file."""

    pid: int | None = None  # of the drainer at work; None when nobody holds the lock
    at: datetime | None = None  # when it last looked at the journal
    trouble: str | None = None  # why it could not drain, when it could not
    since: datetime | None = None  # when the trouble began


class Election:
    """A lock file: the kernel frees it when its holder dies, so no stale lock can block anybody."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None
        self._noted: object = ()

    @contextmanager
    def won(self) -> Iterator[bool]:
        """Yield True while this process is the drainer, False when another one is."""
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not try_lock(file):
                yield False
                return
            self._file = file
            yield True
        finally:
            if self._file == file:
                self._file = None
            os.close(file)

    def note(self, trouble: str | None) -> None:
        """Say how draining goes; the file's time is the sign of life."""
        if self._file is None:
            return
        note = {"pid": os.getpid(), "trouble": trouble}
        if note != self._noted:
            since = datetime.now(UTC).isoformat() if trouble else None
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, json.dumps(note | {"since": since}).encode(), 0)
            self._noted = note
        os.utime(self._file)

    def read(self) -> Note:
        """Return the last note; the process id only while its process really holds the lock."""
        try:
            file = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return Note()
        try:
            at = datetime.fromtimestamp(os.fstat(file).st_mtime, UTC)
            held = not try_lock(file, shared=True)
            try:
                holder = json.loads(os.pread(file, 10_000, 0) or b"{}")
            except ValueError:
                holder = {}
        finally:
            os.close(file)
        since = holder.get("since")
        return Note(
            holder.get("pid") if held else None,
            at,
            holder.get("trouble"),
            datetime.fromisoformat(since) if since else None,
        )
