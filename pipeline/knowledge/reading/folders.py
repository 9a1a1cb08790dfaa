"""Finds the files under the given paths: links inside a folder are followed, each target once."""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import KnowledgeError
from pipeline.knowledge.documents import Skipped
from pipeline.knowledge.reading import files, furniture
from pipeline.knowledge.reading.child import SECONDS, ReaderProcess
from pipeline.knowledge.reading.files import Found, Outside
from pipeline.knowledge.reading.kinds import printable

Entry = tuple[Path, str] | Skipped  # a file with its name, or why there is none


@dataclass(frozen=True, slots=True)
class Readers:
    """Who reads files elsewhere: `outside` does in another process what takes long, `width` at a time."""

    outside: Outside
    width: int


def read(paths: Iterable[Path], seconds: float = SECONDS, readers: Readers | None = None) -> Iterator[Found]:
    """Yield the documents of the files and folders, and what had to be left out.

    A file in a folder is named by its path within that folder; hidden files are not read. `seconds`
    is the time a file may take. Raises KnowledgeError when a path does not exist.
    """
    entries = (entry for path in paths for entry in _given(path))
    yield from furniture.without(
        list(_alone(entries, seconds) if readers is None else _shared(entries, readers))
    )


def _alone(entries: Iterable[Entry], seconds: float) -> Iterator[Found]:
    reader = ReaderProcess(seconds)
    try:
        for entry in entries:
            yield from _inside(entry, reader.read)
    finally:
        reader.close()


def _shared(entries: Iterable[Entry], readers: Readers) -> Iterator[Found]:
    """Read some files ahead, no more than there are readers, and yield what they hold in order."""
    ahead: deque[Future[list[Found]]] = deque()
    with ThreadPoolExecutor(readers.width, "reading") as pool:
        try:
            for entry in entries:
                ahead.append(pool.submit(_inside, entry, readers.outside))
                if len(ahead) > readers.width:
                    yield from ahead.popleft().result()
            while ahead:
                yield from ahead.popleft().result()
        finally:
            for waiting in ahead:
                waiting.cancel()


def _inside(entry: Entry, outside: Outside) -> list[Found]:
    return [entry] if isinstance(entry, Skipped) else list(files.read(*entry, outside))


def _given(path: Path) -> Iterator[Entry]:
    if not path.exists():
        raise KnowledgeError(f"there is no file or folder {printable(str(path))!r}", "config")
    if path.is_dir():
        yield from listed(path)
    else:
        yield path, printable(path.name)


def listed(path: Path) -> Iterator[Entry]:
    """Yield the files of a folder with their names in it, and the links that are not followed."""
    top = os.path.realpath(path)
    seen: set[str] = set()
    links: list[tuple[Path, str]] = []
    for file, name in _walk(path, top, seen):
        if file.is_symlink():
            links.append((file, name))
        elif (real := os.path.realpath(file)) not in seen:
            seen.add(real)
            yield file, name
    for file, name in links:
        real = os.path.realpath(file)
        if real in seen:
            continue
        if reason := _refused(file, real, top):
            yield Skipped(name, reason, printable(str(file.absolute())))
        else:
            seen.add(real)
            yield file, name


def _walk(folder: Path, top: str, seen: set[str]) -> Iterator[tuple[Path, str]]:
    """Yield files and links in order of name; a linked folder is walked when it lies inside, once."""
    waiting = [(folder, "")]
    linked: list[tuple[Path, str]] = []
    while waiting or linked:
        here, before = waiting.pop(0) if waiting else linked.pop(0)
        real = os.path.realpath(here)
        if real in seen:
            continue
        seen.add(real)
        inner: list[tuple[Path, str]] = []
        for entry in sorted(os.scandir(here), key=lambda entry: os.fsencode(entry.name)):
            name = before + printable(entry.name)
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                inner.append((Path(entry.path), f"{name}/"))
            elif entry.is_dir() and not _refused(Path(entry.path), os.path.realpath(entry.path), top):
                linked.append((Path(entry.path), f"{name}/"))
            else:
                yield Path(entry.path), name
        waiting = inner + waiting


def _refused(file: Path, real: str, top: str) -> str | None:
    """Return why a link is not followed, or None."""
    if not Path(real).exists():
        return "a link to nothing"
    if os.path.commonpath([real, top]) != top:
        return "a link that leads out of the folder, not followed; give its target itself"
    mode = file.stat().st_mode
    return None if stat.S_ISREG(mode) or stat.S_ISDIR(mode) else "not a regular file"
