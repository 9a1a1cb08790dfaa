"""What people and checks of all machines work on together: alerts, unanswered questions, own evalsets."""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path

from pipeline.configuration.data_folder import DataFolder
from pipeline.databases.mirror import Folders, contents, write
from pipeline.settings import Settings
from traces.engine import EMBEDDED
from traces.errors import StoreError
from traces.postgres.files import FilesInTransaction, SharedFiles

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DeskMark:
    """After which change of which server the files here are, and the hash of each then."""

    server: str
    number: int = 0
    hashes: Mapping[str, str] = field(default_factory=dict)


class Desk:
    """Files of the data folder that one changes at a time, of all machines with one ledger.

    Where the others cannot be reached, a machine goes on with its own files and gives them what it changed
    later. What they changed meanwhile goes before it; lines only written here are put aside then.
    """

    def __init__(self, data_dir: Path, files: SharedFiles | None, folders: Folders) -> None:
        self._files = files
        self._folders = folders
        self._gate = data_dir / "desk.lock"
        self._marked = data_dir / "desk.json"
        self._lock = threading.RLock()
        self._inside = False

    @contextmanager
    def together(self) -> Iterator[None]:
        """Let files be changed here and for all, as one; put back when that ends with an exception."""
        with self._lock:
            if self._files is None or self._inside:
                yield
                return
            self._inside = True
            try:
                with self._alone_here(), self._changing(self._files):
                    yield
            finally:
                self._inside = False

    def look(self) -> None:
        """Take over what others changed; not while somebody here changes something."""
        if self._files is None or not self._lock.acquire(blocking=False):
            return
        try:
            if not self._inside:
                with self._alone_here(wait=False):
                    self._take_over(self._files)
        except BlockingIOError:
            return
        except StoreError as error:
            _complain(error)
        finally:
            self._lock.release()

    @contextmanager
    def _changing(self, files: SharedFiles) -> Iterator[None]:
        with ExitStack() as stack:
            shared = _reached(files, stack)
            mark = None if shared is None else self._caught_up(shared, files.name)
            before = contents(self._folders)
            try:
                yield
            except BaseException:  # the files are put back, the error passed on
                now = contents(self._folders)
                write(self._folders, {name: before.get(name) for name in {*before, *now}}, keep=False)
                raise
            if shared is None or mark is None:
                return
            try:
                mark = self._push(shared, mark)
                stack.close()
            except StoreError as error:  # what was done is done, as a message that was sent
                _complain(error)
            else:
                self._keep(mark)

    def _caught_up(self, shared: FilesInTransaction, server: str) -> DeskMark:
        """Bring the files here up to date; return how they stand, what was only changed here left out."""
        mark = self._mark(server)
        if shared.newest() < mark.number:  # the server was emptied, or put back to an earlier state
            mark = DeskMark(server)
        number, changes = shared.changed(mark.number)
        write(self._folders, changes)
        return DeskMark(server, number, _hashes(mark.hashes, changes))

    def _take_over(self, files: SharedFiles) -> None:
        mark = self._mark(files.name)
        try:
            number, changes = files.changed(mark.number)
        finally:
            files.close()
        if number != mark.number:
            write(self._folders, changes)
            self._keep(DeskMark(files.name, number, _hashes(mark.hashes, changes)))

    def _push(self, shared: FilesInTransaction, mark: DeskMark) -> DeskMark:
        """Give the others what was changed here since the mark; return the mark after it."""
        mine = contents(self._folders)
        theirs = {name: mine.get(name) for name in {*mine, *mark.hashes}}
        changes = {name: now for name, now in theirs.items() if _hash(now) != mark.hashes.get(name)}
        for name in sorted(changes):
            shared.put(name, changes[name])
        return DeskMark(mark.server, shared.newest(), _hashes(mark.hashes, changes))

    def _mark(self, server: str) -> DeskMark:
        try:
            mark = DeskMark(**json.loads(self._marked.read_bytes()))
        except (FileNotFoundError, ValueError, TypeError):
            return DeskMark(server)
        return mark if mark.server == server else DeskMark(server)

    def _keep(self, mark: DeskMark) -> None:
        half = self._marked.with_suffix(".half")
        half.write_text(json.dumps(asdict(mark)))
        half.replace(self._marked)

    @contextmanager
    def _alone_here(self, *, wait: bool = True) -> Iterator[None]:
        """Keep other processes of this machine away meanwhile; raises BlockingIOError when not to wait."""
        self._gate.parent.mkdir(parents=True, exist_ok=True)
        with self._gate.open("ab") as gate:
            fcntl.flock(gate, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield


def _reached(files: SharedFiles, stack: ExitStack) -> FilesInTransaction | None:
    try:
        return stack.enter_context(files.writing())
    except StoreError as error:
        _complain(error)
        return None


def _hashes(before: Mapping[str, str], changes: Mapping[str, bytes | None]) -> dict[str, str]:
    after = {name: digest for name, digest in before.items() if name not in changes}
    return after | {name: digest for name, now in changes.items() if (digest := _hash(now)) is not None}


def _hash(content: bytes | None) -> str | None:
    return None if content is None else hashlib.blake2b(content, digest_size=16).hexdigest()


def _complain(error: StoreError) -> None:
    log.error("what machines share cannot be reached, this one goes on alone: %s", error)


def desk(settings: Settings) -> Desk:
    """Return the desk of all machines that share the ledger, or of this one."""
    return of(settings.data_dir, settings.ledger.get_secret_value())


@cache
def of(data_dir: Path, ledger: str) -> Desk:
    """Return the desk of a data folder and a ledger's address."""
    folder = DataFolder(data_dir)
    shared = {
        "alerts": (data_dir, ("alerts.json", "alert-history.jsonl", "alert-rules.jsonl")),
        "deeds": (data_dir, ("deeds.jsonl",)),
        "gaps": (data_dir, ("gaps.jsonl",)),
        "gate": (data_dir, (folder.gate.name,)),
        "calibrations": (data_dir, (folder.calibrations.name,)),
        "evalsets": (folder.evalsets, ("*.jsonl", "*.toml")),
        "of workspaces": (folder.workspaces, ("*/evalsets/*.jsonl", "*/evalsets/*.toml", "*/gate.json")),
    }
    return Desk(data_dir, None if ledger == EMBEDDED else SharedFiles(ledger, tuple(shared)), shared)
