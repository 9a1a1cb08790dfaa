"""The journal: each finished record is one line in this process's own file, before anyone is told."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal

import orjson

from traces.errors import JournalError
from traces.locks import try_lock
from traces.records import Case, Passage, Payload, Record, Run, RunSettings, Score, Span, Trace, Turn, Usage
from traces.redact import redacted, suspect
from traces.rewriting import Rewrite, rewritten

__all__ = ["Durability", "Journal", "JournalError"]

Durability = Literal["background", "fsync"]
SEGMENT_BYTES = 64 << 20
SYNC_SECONDS = 0.05
_HEADS: dict[type, bytes] = {
    Trace: b'{"kind":"trace","written_ns":%d,',
    Score: b'{"kind":"score","written_ns":%d,',
    Run: b'{"kind":"run","written_ns":%d,',
    Case: b'{"kind":"case","written_ns":%d,',
    Turn: b'{"kind":"begun","written_ns":%d,',
}
_OPTIONS = orjson.OPT_NAIVE_UTC
_DEEPEST = 40
log = logging.getLogger(__name__)


class Journal:
    """Appends records to `<folder>/<time_ns>-<pid>.jsonl`; safe for threads and after a fork.

    When `write` returns, the line survives a kill -9 of this process; with durability "fsync" also
    a power cut, with "background" all but the last 50 ms. The file is held locked while its writer
    lives, so the drainer can tell. `dropped` counts records that could not be written. `mask` rewrites
    the free texts of each record first.
    """

    def __init__(
        self,
        folder: Path,
        durability: Durability = "background",
        segment_bytes: int = SEGMENT_BYTES,
        mask: Rewrite | None = None,
    ) -> None:
        self.folder = folder
        self.dropped = 0
        self.trouble: str | None = None  # why the last write or sync failed; None after a good one
        self.notice: tuple[datetime, str] | None = None  # when a file was found deleted, what was done
        self._durability = durability
        self._segment_bytes = segment_bytes
        self._mask = mask
        self._forget()

    def write(self, record: Record) -> None:
        """Append one record; raises JournalError when it could not be written whole."""
        self._write(encode(record if self._mask is None else rewritten(record, self._mask)))

    def begin(self, turn: Turn) -> None:
        """Mark that a turn was accepted: without a trace after it, it becomes one that was cut."""
        self._write(encode(turn if self._mask is None else rewritten(turn, self._mask)))

    def _write(self, line: bytes) -> None:
        if self._pid != os.getpid():  # forked: the parent's file stays the parent's
            self._forget()
        with self._lock:
            try:
                self._append(line)
            except OSError as error:
                self.dropped += 1
                self.trouble = f"{type(error).__name__}: {error.strerror}"
                raise JournalError(
                    f"cannot write to the journal in {str(self.folder)!r}: {error.strerror}; "
                    "free disk space or make the folder writable"
                ) from error
            self.trouble = None

    def look(self) -> tuple[datetime, str] | None:
        """Put the segment back if somebody deleted it; return when that last happened, and what was done."""
        with self._lock:
            if self._pid == os.getpid() and self._file is not None and not self._linked():
                try:
                    self._put_back()
                except OSError as error:
                    self.trouble = f"{type(error).__name__}: {error.strerror}"
        return self.notice

    def flush(self) -> None:
        """Bring everything written so far to the disk."""
        with self._lock:
            self._sync()

    def close(self) -> None:
        """Sync and close the segment; a later write opens a new one."""
        with self._lock:
            self._sync()
            self._leave()
        self._stop.set()
        self._dirty.set()

    def _forget(self) -> None:
        """Start with no segment, as a new process does."""
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._dirty = threading.Event()
        self._stop = threading.Event()
        self._syncer: threading.Thread | None = None
        self._file: int | None = None
        self._path: Path | None = None
        self._size = 0
        self._torn = False

    def _append(self, line: bytes) -> None:
        if self._file is not None and not self._linked():
            self._put_back()
        if self._file is None or self._size >= self._segment_bytes:
            self._rotate()
        file = self._file
        assert file is not None
        if self._torn:  # a full disk left half a line; end it, so that this one stands alone
            line = b"\n" + line
        written = os.write(file, line)
        self._size += written
        while written < len(line):
            self._torn = True
            more = os.write(file, line[written:])
            self._size += more
            written += more
        self._torn = False
        if self._durability == "fsync":
            os.fdatasync(file)
        elif not self._dirty.is_set():
            self._dirty.set()
            if self._syncer is None or self._stop.is_set():
                self._start_syncer()

    def _rotate(self) -> None:
        self._sync()
        self._leave()
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file, self._path = open_segment(self.folder)
        self._size = 0
        self._torn = False

    def _linked(self) -> bool:
        """Say whether the open file still bears its name: a deleted one would take lines and keep none."""
        assert self._file is not None and self._path is not None
        try:
            named = os.stat(self._path)  # noqa: PTH116 - twice as fast as Path.stat, before each write
        except FileNotFoundError:
            return False
        return os.path.samestat(named, os.fstat(self._file))

    def _put_back(self) -> None:
        """Write the deleted segment again under its name, so that marks of what is drained stay true."""
        assert self._file is not None and self._path is not None
        try:
            with Path(f"/proc/self/fd/{self._file}").open("rb") as lost:
                content = lost.read()
        except OSError:
            content = b""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = self._path.name
        self._leave()
        try:
            self._file = _create(self._path)
        except FileExistsError:  # another file stands there now: the lines go into a new one
            self._file = None
            self._rotate()
        assert self._file is not None
        written = 0
        while written < len(content):
            written += os.write(self._file, content[written:])
        self._size = len(content)
        done = f"is put back with {content.count(10)} lines" if content else "is lost; a new one is begun"
        self.notice = (datetime.now(UTC), f"the journal file {name} was deleted and {done}")
        log.error("%s", self.notice[1])

    def _leave(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _sync(self) -> None:
        if self._file is None:
            return
        try:
            os.fdatasync(self._file)
        except OSError as error:
            self.trouble = f"{type(error).__name__}: {error.strerror}"
            log.error("journal not synced to disk: %s", error)

    def _start_syncer(self) -> None:
        self._stop = threading.Event()
        self._syncer = threading.Thread(target=self._keep_syncing, name="journal-sync", daemon=True)
        self._syncer.start()

    def _keep_syncing(self) -> None:
        stop, dirty = self._stop, self._dirty
        while not stop.is_set():
            dirty.wait()
            if stop.wait(SYNC_SECONDS):
                return
            dirty.clear()
            with self._lock:
                file = None if self._file is None else os.dup(self._file)
            if file is not None:
                self._sync_copy(file)

    def _sync_copy(self, file: int) -> None:
        """Sync outside the lock, so that no turn waits for the disk."""
        try:
            os.fdatasync(file)
        except OSError as error:
            self.trouble = f"{type(error).__name__}: {error.strerror}"
            log.error("journal not synced to disk: %s", error)
        finally:
            os.close(file)


def _create(path: Path) -> int:
    """Create a segment and lock it; raises FileExistsError."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    file = os.open(path, flags, 0o600)
    try_lock(file)
    return file


def open_segment(folder: Path) -> tuple[int, Path]:
    """Create this process's next segment and lock it for as long as it stays open."""
    while True:
        path = folder / f"{time.time_ns()}-{os.getpid()}.jsonl"
        file = _create(path)
        if try_lock(file) and os.fstat(file).st_nlink:
            return file, path
        os.close(file)  # the drainer took the empty file away between the two calls


def encode(record: Record | Turn) -> bytes:
    """Return the record's journal line: JSON in UTF-8, secrets redacted, ended by a newline."""
    head = _HEADS[type(record)] % time.time_ns()
    try:
        if suspect(record):
            body = orjson.dumps(redacted(_plain(record)), option=_OPTIONS)
        else:
            body = orjson.dumps(_outline(record), default=str, option=_OPTIONS)
    except (orjson.JSONEncodeError, RecursionError):
        body = orjson.dumps(redacted(_plain(record)), option=_OPTIONS)
    return b"%b%b\n" % (head, body[1:])


def _reader(record: type) -> Callable[[Any], dict[str, Any]]:
    """Return the function that makes a record a dict, faster than orjson does for slots."""
    names = tuple(field.name for field in fields(record))
    values = attrgetter(*names)
    return lambda record: dict(zip(names, values(record), strict=True))


_READ = {record: _reader(record) for record in (Turn, Payload, Span, Passage, Usage, Score, Run, Case)}
_READ[Run] = Run.to_dict


def _outline(record: Record | Turn) -> dict[str, Any]:
    if not isinstance(record, Trace):
        return _READ[type(record)](record)
    return {
        "turn": _READ[Turn](record.turn),
        "payload": _READ[Payload](record.payload),
        "spans": list(map(_READ[Span], record.spans)),
        "passages": list(map(_READ[Passage], record.passages)),
        "usages": list(map(_READ[Usage], record.usages)),
        "scores": list(map(_READ[Score], record.scores)),
    }


def _plain(value: Any, depth: int = 0) -> Any:
    """Copy a value into what JSON can hold: no lone surrogates, no huge numbers, no endless nesting."""
    if depth > _DEEPEST:
        return "..."
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**64 else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, RunSettings):
        return _plain(value.stored(), depth)
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name), depth + 1) for field in fields(value)}
    if isinstance(value, dict):
        return {_plain(str(key)): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item, depth + 1) for item in value]
    return value if hasattr(value, "isoformat") else _plain(str(value), depth + 1)
