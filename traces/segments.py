"""The journal's files on disk: live segments, kept (drained) ones, and lines put aside."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

NEVER_LONGER = 256 << 20  # a line longer than this is taken for damage


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines of one segment: bytes `start` to `end` of it."""

    segment: str
    start: int
    end: int
    data: bytes

    def lines(self) -> list[tuple[int, bytes]]:
        """Return (offset of the line, the line without its end), blank lines left out."""
        found: list[tuple[int, bytes]] = []
        at = self.start
        for line in self.data.split(b"\n"):
            if line.strip():
                found.append((at, line))
            at += len(line) + 1
        return found


def live(folder: Path) -> list[Path]:
    """Return the segments that may still hold undrained lines, oldest first."""
    return sorted(folder.glob("[0-9]*.jsonl"))


def kept(folder: Path) -> list[Path]:
    """Return the drained segments kept for a rebuild, oldest first."""
    return sorted((folder / "drained").glob("*.jsonl.gz"))


def name(path: Path) -> str:
    """Return the segment's name, the same before and after it was compressed."""
    return path.name.partition(".")[0]


def next_block(path: Path, start: int, size: int) -> Block | None:
    """Return about `size` bytes of whole lines from `start` on; None when there is no whole line."""
    with path.open("rb") as file:
        file.seek(start)
        data = file.read(size)
        while (cut := data.rfind(b"\n") + 1) == 0:
            more = file.read(size)
            if not more or len(data) > NEVER_LONGER:
                return None
            data += more
    return Block(name(path), start, start + cut, data[:cut])


def last_block(path: Path, start: int, size: int) -> Block | None:
    """Return the newest whole lines after `start`, `size` bytes at most; None when there are none."""
    with path.open("rb") as file:
        begin = max(start, os.fstat(file.fileno()).st_size - size)
        file.seek(begin)
        data = file.read(size)
    first = 0 if begin == start else data.find(b"\n") + 1
    cut = data.rfind(b"\n") + 1
    if cut <= first:
        return None
    return Block(name(path), begin + first, begin + cut, data[first:cut])


def tail(folder: Path, marks: Mapping[str, int], budget: int) -> tuple[list[Block], int]:
    """Return the newest undrained lines within `budget` bytes, and how many bytes were left out."""
    blocks: list[Block] = []
    hidden = 0
    for path in reversed(live(folder)):
        start = marks.get(name(path), 0)
        try:
            behind = path.stat().st_size - start
            block = last_block(path, start, budget) if behind > 0 and budget > 0 else None
        except FileNotFoundError:  # drained and retired since it was listed
            continue
        hidden += max(0, behind)
        if block is not None:
            blocks.append(block)
            budget -= block.end - block.start
            hidden -= block.end - block.start
    return blocks[::-1], hidden
