"""Finds the files under the given paths: links inside a folder are followed, each target once."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from pipeline.errors import KnowledgeError
from pipeline.knowledge.documents import Skipped
from pipeline.knowledge.reading import files, furniture
from pipeline.knowledge.reading.child import SECONDS, Reader
from pipeline.knowledge.reading.files import Found
from pipeline.knowledge.reading.kinds import printable


def read(paths: Iterable[Path], seconds: float = SECONDS) -> Iterator[Found]:
    """Yield the documents of the files and folders, and what had to be left out.

    A file in a folder is named by its path within that folder; hidden files are not read. `seconds`
    is the time a file may take. Raises KnowledgeError when a path does not exist.
    """
    reader = Reader(seconds)
    try:
        yield from furniture.without([candidate for path in paths for candidate in _given(path, reader)])
    finally:
        reader.close()


def _given(path: Path, reader: Reader) -> Iterator[Found]:
    if not path.exists():
        raise KnowledgeError(f"there is no file or folder {printable(str(path))!r}", "config")
    if path.is_dir():
        yield from _folder(path, reader)
    else:
        yield from files.read(path, printable(path.name), reader.read)


def listed(path: Path) -> Iterator[tuple[Path, str] | Skipped]:
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


def _folder(path: Path, reader: Reader) -> Iterator[Found]:
    for entry in listed(path):
        if isinstance(entry, Skipped):
            yield entry
        else:
            yield from files.read(*entry, reader.read)


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
