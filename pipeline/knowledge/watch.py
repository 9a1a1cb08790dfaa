"""Follows folders: what changes in them is ingested once it has come to rest."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

from pipeline.knowledge.documents import Skipped
from pipeline.knowledge.reading.folders import listed

EVERY_SECONDS = 2.0
LONGEST_PAUSE = 5  # looks between two tries of what fails: 2 to this power
Seen = dict[str, tuple[int, int, int]]  # file to inode, size and time of change


def look(paths: Sequence[Path]) -> Seen:
    """Return the files under the paths with what shows that one changed."""
    seen: Seen = {}
    for file in _files(paths):
        try:
            information = file.stat()
        except OSError:
            continue
        seen[str(file)] = (information.st_ino, information.st_size, information.st_mtime_ns)
    return seen


async def follow(
    paths: Sequence[Path],
    changed: Callable[[], Awaitable[bool]],
    *,
    every_seconds: float = EVERY_SECONDS,
    stop: asyncio.Event | None = None,
) -> None:
    """Call `changed` at first and after every change that has come to rest; until stopped.

    Folders are looked at, not subscribed to: that also works on network drives and mounts. A run
    that says it left work is repeated, less and less often while nothing changes.
    """
    stop = stop or asyncio.Event()
    tried: Seen | None = None
    before: Seen | None = None
    failures = passed = 0
    while not stop.is_set():
        now = await asyncio.to_thread(look, paths)
        rested = now != tried and now == before
        passed += 1
        if tried is None or rested or (failures and passed >= 2 ** min(failures, LONGEST_PAUSE)):
            whole = await changed()
            tried, passed, failures = now, 0, 0 if whole else failures + 1
        before = now
        try:
            await asyncio.wait_for(stop.wait(), every_seconds)
        except TimeoutError:
            continue


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        try:
            yield from (entry[0] for entry in listed(path) if not isinstance(entry, Skipped))
        except OSError:
            continue
