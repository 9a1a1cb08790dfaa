"""An SQLite file that is put back, with all its rows, when somebody deletes it under a running server."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

log = logging.getLogger(__name__)


class Database(Protocol):
    """What statements are executed by: an SQLite connection, or what stands for one."""

    def execute(self, statement: str, values: Sequence[Any] = ..., /) -> Any: ...


class Linked:
    """A connection to the file that bears a name; a deleted file goes on without one, and so would its rows.

    Use it under a lock. `notice` says what happened last, for health pages.
    """

    def __init__(self, path: Path, connect: Callable[[Path], sqlite3.Connection]) -> None:
        self.path = path
        self.notice: tuple[datetime, str] | None = None
        self._connect = connect
        self._connection = connect(private(path))
        self._identity = _identity(path)

    def current(self) -> sqlite3.Connection:
        """Return the connection, to the file put back when it was deleted; raises sqlite3.Error."""
        identity = _identity(self.path)
        if identity != self._identity:
            self._again(identity)
        return self._connection

    def close(self) -> None:
        """Close the file; a later use fails."""
        self._connection.close()

    def _again(self, identity: tuple[int, int] | None) -> None:
        """Put the deleted file back, or take the one that stands in its place; then use that."""
        try:
            if identity is None:
                self._restore()
            before, self._connection = self._connection, self._connect(private(self.path))
        except OSError as error:
            raise sqlite3.OperationalError(
                f"{self.path.name} cannot be put back: {error.strerror}"
            ) from error
        self._identity = _identity(self.path)
        before.close()  # deletes no log of the new file: SQLite sees that its own file was moved
        done = "deleted and is put back with its rows" if identity is None else "replaced by another file"
        self.notice = (datetime.now(UTC), f"{self.path.name} was {done}")
        log.error("%s under the running server", self.notice[1])

    def _restore(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_name(f"{self.path.name}.{os.getpid()}.back")
        draft.unlink(missing_ok=True)
        with closing(sqlite3.connect(private(draft))) as fresh:
            self._connection.backup(fresh)
        for suffix in ("-wal", "-shm"):  # of the deleted file: they must not be read into the new one
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        try:
            os.link(draft, self.path)
        except FileExistsError:
            log.info("another process put %s back first", self.path.name)
        finally:
            draft.unlink()


def private(path: Path) -> Path:
    """Begin a file that its owner alone may read, where there is none; return its path.

    One that is there is never opened: closing it again would end the locks that this process holds on it.
    """
    with suppress(OSError):  # it is there, or cannot be made, as SQLite will say
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    return path


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        stat = os.stat(path)  # noqa: PTH116 - twice as fast as Path.stat, and asked before each use
    except FileNotFoundError:
        return None
    return stat.st_dev, stat.st_ino
