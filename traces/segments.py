"""The journal's files on disk: live segments, kept (drained) ones, and lines put aside."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from traces.locks import try_lock

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
        whole_lines: list[tuple[int, bytes]] = []
        at = self.start
        for line in self.data.split(b"\n"):
            if line.strip():
                whole_lines.append((at, line))
            at += len(line) + 1
        return whole_lines


def live(folder: Path) -> list[Path]:
    """Return the segments that may still hold undrained lines, oldest first."""
    return sorted(folder.glob("[0-9]*.jsonl"))


def drained(folder: Path) -> list[Path]:
    """Return the drained segments kept for a rebuild, oldest first."""
    return sorted((folder / "drained").glob("*.jsonl.gz"))


def unseen(path: Path, seen: float) -> float | None:
    """Return since when a live segment holds lines that nobody looked at since `seen` (Unix seconds)."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    if not stat.st_size or stat.st_mtime <= seen:
        return None
    return max(int(name(path).partition("-")[0]) / 1e9, seen)


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


def kept_blocks(path: Path, start: int, size: int) -> Iterator[Block]:
    """Yield the lines of a kept segment from `start` on, in blocks; nothing when all is drained."""
    if unpacked_size(path) <= start:
        return
    with gzip.open(path) as file:
        file.seek(start)
        pending = b""
        while data := file.read(size):
            data = pending + data
            cut = data.rfind(b"\n") + 1
            if cut:
                yield Block(name(path), start, start + cut, data[:cut])
            pending = data[cut:]
            start += cut


def unpacked_size(path: Path) -> int:
    """Return a compressed file's size before compression, from its last four bytes."""
    with path.open("rb") as file:
        file.seek(-4, os.SEEK_END)
        return int.from_bytes(file.read(4), "little")


@contextmanager
def abandoned(path: Path) -> Iterator[bool]:
    """Yield whether a segment's writer is gone; while it yields True nobody else takes the segment."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield False
        return
    try:
        yield try_lock(file)
    finally:
        os.close(file)


def rest(path: Path, start: int) -> bytes:
    """Return what stands after the last whole line: half a line that its writer never ended."""
    with path.open("rb") as file:
        file.seek(start)
        return file.read()


def retire(path: Path) -> None:
    """Move a drained segment among the kept ones, compressed; an empty one just goes."""
    if path.stat().st_size:
        kept_path = path.parent / "drained" / f"{path.name}.gz"
        kept_path.parent.mkdir(exist_ok=True)
        with path.open("rb") as file:
            write_kept(kept_path, iter(lambda: file.read(1 << 20), b""), path.stat().st_mtime)
    path.unlink()


def write_kept(path: Path, blocks: Iterator[bytes], written_at: float) -> None:
    """Write a compressed segment whole or not at all, dated by when its last line was written."""
    draft = path.with_name(path.name + ".new")
    with draft.open("wb") as file:
        with gzip.GzipFile(fileobj=file, mode="wb", compresslevel=3, mtime=0, filename="") as packed:
            for block in blocks:
                packed.write(block)
        file.flush()
        os.fsync(file.fileno())
    os.utime(draft, (written_at, written_at))
    draft.replace(path)


def put_aside(folder: Path, segment: str, at: int, line: bytes, reason: str) -> None:
    """Add a line nobody can read to `damaged.jsonl`, with the reason."""
    row = {
        "segment": segment,
        "offset": at,
        "reason": reason,
        "line": line.decode("utf-8", "backslashreplace"),
    }
    with (folder / "damaged.jsonl").open("ab") as file:
        file.write(json.dumps(row).encode() + b"\n")


def damaged(folder: Path) -> int:
    """Count the lines put aside, each once."""
    try:
        with (folder / "damaged.jsonl").open("rb") as file:
            rows = [json.loads(line) for line in file if line.endswith(b"}\n")]
    except FileNotFoundError:
        return 0
    return len({(row["segment"], row["offset"]) for row in rows})


def forget_damaged(folder: Path, user_id: str) -> int:
    """Drop the lines put aside that name a user; returns how many."""
    path = folder / "damaged.jsonl"
    if not path.exists():
        return 0
    lines = path.read_bytes().splitlines(keepends=True)
    stay = [line for line in lines if user_id not in json.loads(line)["line"]]
    draft = path.with_name(path.name + ".new")
    draft.write_bytes(b"".join(stay))
    draft.replace(path)
    return len(lines) - len(stay)
