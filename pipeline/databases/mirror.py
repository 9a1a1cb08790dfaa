"""Keeps small files of this machine as they are on all machines: prompts, and what is in force."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from traces.errors import StoreError
from traces.postgres.files import FilesInTransaction, SharedFiles

log = logging.getLogger(__name__)
Folders = Mapping[str, tuple[Path, tuple[str, ...]]]  # the first part of a name: where, and which files
EVERY_SECONDS = 0.5  # a change is seen everywhere within a second
LOOK_SECONDS = 5.0  # between two looks at what can wait a little
REST_SECONDS = 3.0  # after a failure


class Mirror:
    """Copies of shared files, and the one way to change them.

    `folders` maps the first part of a shared name to a folder here and the patterns of its files. What a
    machine had of its own before it began to share is put aside where the others have something else. `gate`
    is the lock file of those who write the copies here.
    """

    def __init__(self, files: SharedFiles, folders: Folders, gate: Path) -> None:
        self._files = files
        self._gate = gate
        self._folders = folders
        self._since = 0
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._follower: threading.Thread | None = None
        self.trouble: str | None = None

    def pull(self) -> None:
        """Take over what changed; what cannot be reached is noted, and the copies here go on."""
        try:
            with self._alone_here():
                self._since, changes = self._files.changed(self._since)
                write(self._folders, changes)
                if self._follower is None:  # else it asks again at once
                    self._files.close()
        except (StoreError, OSError) as error:
            if self.trouble is None:
                log.error("prompts of other machines cannot be read, the last copies go on: %s", error)
            self.trouble = str(error)
        else:
            self.trouble = None

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Let files be changed here, then everywhere; nothing is changed when that fails, with StoreError."""
        with self._alone_here(), self._files.writing() as shared:
            since, changes = shared.changed(0)
            write(self._folders, changes)
            before = contents(self._folders)
            try:
                yield
                self._push(shared, changes)
            except BaseException:  # the files are put back, the error passed on
                now = contents(self._folders)
                write(self._folders, {name: before.get(name) for name in {*before, *now}}, keep=False)
                raise
            self._since = since

    def follow(self, look: Callable[[], None]) -> None:
        """Take over changes as they come, until closed; `look` takes over others, every few seconds."""
        self._follower = threading.Thread(target=self._keep_pulling, args=(look,), name="mirror", daemon=True)
        self._follower.start()

    def close(self) -> None:
        """Stop following."""
        self._stop.set()
        if self._follower is not None:
            self._follower.join()
        self._files.close()

    @contextmanager
    def _alone_here(self) -> Iterator[None]:
        """Keep other processes and threads of this machine from writing the copies meanwhile."""
        self._gate.parent.mkdir(parents=True, exist_ok=True)
        with self._lock, self._gate.open("ab") as gate:
            fcntl.flock(gate, fcntl.LOCK_EX)
            yield

    def _keep_pulling(self, look: Callable[[], None]) -> None:
        looked = time.monotonic()
        while not self._stop.wait(EVERY_SECONDS if self.trouble is None else REST_SECONDS):
            self.pull()
            if self.trouble is None and time.monotonic() - looked >= LOOK_SECONDS:
                look()
                looked = time.monotonic()

    def _push(self, shared: FilesInTransaction, before: Mapping[str, bytes | None]) -> None:
        now = contents(self._folders)
        for name in sorted({*now, *before}):
            if now.get(name) != before.get(name):
                shared.put(name, now.get(name))


def contents(folders: Folders) -> dict[str, bytes]:
    """Return the files of the folders by their shared names."""
    return {
        f"{part}/{path.relative_to(folder).as_posix()}": path.read_bytes()
        for part, (folder, patterns) in folders.items()
        for pattern in patterns
        for path in folder.glob(pattern)
    }


def write(folders: Folders, changes: Mapping[str, bytes | None], *, keep: bool = True) -> None:
    """Make the files what they should be; `keep` puts aside lines that would be lost by it."""
    for name, content in changes.items():
        part, _, rest = name.partition("/")
        if part in folders and not {"..", ""} & set(rest.split("/")):
            _replace(folders[part][0] / rest, content, keep=keep)


def _replace(path: Path, content: bytes | None, *, keep: bool) -> None:
    """Make a file what it should be, in one step; `keep` puts aside lines that would be lost by it."""
    present = path.read_bytes() if path.is_file() else None
    if present == content:
        return
    grows = path.suffix != ".json"  # what is chosen anew is no loss
    if keep and grows and present is not None and not (content or b"").startswith(present):
        aside = path.with_name(f"{path.name}.own-{datetime.now(UTC):%Y%m%dT%H%M%S}")
        aside.write_bytes(present)
        log.warning("%s is what all machines share now; what was here before is in %s", path, aside.name)
    if content is None:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f"{path.name}.half-{os.getpid()}-{threading.get_ident()}")
    try:
        half.write_bytes(content)
        half.replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            half.unlink()
