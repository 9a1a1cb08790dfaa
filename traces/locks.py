"""File locks between the processes that share a data folder; the kernel frees a dead one's."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Literal, TypeVar

from traces.errors import StoreBusy, StoreError

_FIRST_PAUSE_SECONDS = 0.002
_LONGEST_PAUSE_SECONDS = 0.05
_STRANGER_PAUSE_SECONDS = 0.02
T = TypeVar("T")


def try_lock(descriptor: int, *, shared: bool = False) -> bool:
    """Lock an open file without waiting; False when somebody else holds it."""
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


@contextmanager
def holding(data_dir: Path, mode: Literal["shared", "alone"], seconds: float) -> Iterator[None]:
    """Hold the store's file, shared by readers or alone; raises StoreBusy after `seconds`.

    Everybody passes the gate first. Who wants the store alone keeps the gate shut while waiting,
    so a stream of readers cannot starve the drainer.
    """
    if not data_dir.is_dir():  # nothing recorded yet, nothing to protect
        yield
        return
    until = time.monotonic() + seconds
    gate = _open(data_dir / "traces.gate")
    try:
        main = _open(data_dir / "traces.lock")
    except StoreError:
        os.close(gate)
        raise
    try:
        _wait(gate, mode == "shared", until)
        if mode == "shared":
            fcntl.flock(gate, fcntl.LOCK_UN)
        _wait(main, mode == "shared", until)
        fcntl.flock(gate, fcntl.LOCK_UN)
        yield
    finally:
        os.close(gate)
        os.close(main)


def enter(stack: ExitStack, opened: Callable[[], AbstractContextManager[T]], seconds: float) -> T:
    """Enter what `opened` makes, again and again while a stranger (a DuckDB shell) makes it StoreBusy."""
    until = time.monotonic() + seconds
    while True:
        try:
            return stack.enter_context(opened())
        except StoreBusy:
            if time.monotonic() > until:
                raise
        time.sleep(_STRANGER_PAUSE_SECONDS)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"cannot open {str(path)!r}: {error.strerror}; check the folder's owner") from error


def _wait(descriptor: int, shared: bool, until: float) -> None:
    pause = _FIRST_PAUSE_SECONDS
    while not try_lock(descriptor, shared=shared):
        if time.monotonic() > until:
            raise StoreBusy("the trace store is in use by another process; try again in a moment")
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
