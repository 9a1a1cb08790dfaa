"""Moves journal lines into the store, each exactly once, in windows short enough for readers."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from traces import segments, unfinished
from traces.engine import Engine, Stale, Unfit
from traces.errors import StoreBusy, StoreDamaged, StoreError
from traces.rows import Damaged, Row, by_table, rows
from traces.segments import Block

WINDOW_BYTES = 8 << 20
LONGEST_GAP_SECONDS = 0.1
log = logging.getLogger(__name__)


@dataclass(slots=True)
class Drained:
    """What one pass did."""

    elected: bool = True  # False: another process is the drainer, nothing was done here
    lines: int = 0
    bytes: int = 0
    damaged: int = 0  # lines put aside
    windows: int = 0
    retired: int = 0  # segments whose writer is gone, now compressed
    quarantined: str | None = None  # the damaged store file put aside, when there was one


@dataclass(frozen=True, slots=True)
class _Line:
    segment: str
    at: int
    end: int
    text: bytes
    rows: list[tuple[str, Row]] = field(default_factory=list)


class Drainer:
    """Drains one journal into an engine. Only the elected process may call `drain`.

    The marks (how far each segment is drained) are committed with the rows, so a kill at any moment
    leaves either both or neither.
    """

    def __init__(self, journal: Path, engine: Engine) -> None:
        self._journal = journal
        self._engine = engine
        self._marks: dict[str, int] | None = None  # unknown until the store was opened

    def drain(self) -> Drained:
        """Move everything there is; raises StoreBusy, StoreVersion or StoreError, and loses nothing."""
        done = Drained()
        if self._engine.suspected():
            self._quarantine(done)
        try:
            try:
                self._pass(done)
            except (StoreDamaged, Stale) as error:
                self._marks = None
                if isinstance(error, StoreDamaged):
                    log.error("trace store damaged, rebuilding it from the journal: %s", error)
                    self._quarantine(done)
                self._pass(done)
        except Stale:
            raise StoreBusy("another process is draining the journal too") from None
        except StoreError:
            self._marks = None
            raise
        return done

    def _pass(self, done: Drained) -> None:
        if self._marks and not self._engine.exists():
            self._marks = None  # somebody took the store away: build it again
        if self._marks is None:
            if not segments.live(self._journal) and not segments.drained(self._journal):
                return
            self._marks = self._begin()
            for path in segments.drained(self._journal):
                for block in segments.kept_blocks(
                    path, self._marks.get(segments.name(path), 0), WINDOW_BYTES
                ):
                    self._move([block], done)
        while blocks := self._collect():
            self._move(blocks, done)
        self._engine.tend()
        self._retire(done)

    def _begin(self) -> dict[str, int]:
        """Open the store, which may change its schema, and read the marks."""
        self._engine.begin()
        with self._engine.window() as window:
            return window.marks()

    def _collect(self) -> list[Block]:
        """Return undrained lines of all segments, one window's worth."""
        assert self._marks is not None
        blocks: list[Block] = []
        budget = WINDOW_BYTES
        for path in segments.live(self._journal):
            start = self._marks.get(segments.name(path), 0)
            if budget > 0 and path.stat().st_size > start:
                block = segments.next_block(path, start, budget)
                if block is not None:
                    blocks.append(block)
                    budget -= block.end - block.start
        return blocks

    def _move(self, blocks: Sequence[Block], done: Drained) -> None:
        """Move some blocks in one window, then leave the readers a gap as long as it took."""
        lines: list[_Line] = []
        for block in blocks:
            for at, text in block.lines():
                line = _Line(block.segment, at, at + len(text) + 1, text)
                try:
                    line.rows.extend(rows(text))
                except Damaged as error:
                    self._put_aside(line, str(error), done)
                else:
                    lines.append(line)
        began = time.monotonic()
        self._commit(lines, {block.segment: block.end for block in blocks}, done)
        done.bytes += sum(block.end - block.start for block in blocks)
        time.sleep(min(time.monotonic() - began, LONGEST_GAP_SECONDS))

    def _commit(self, lines: Sequence[_Line], marks: Mapping[str, int], done: Drained) -> None:
        """Commit lines and marks together; a line the tables refuse is found by halving and put aside."""
        try:
            self._transact(lines, marks)
        except Unfit as error:
            if len(lines) > 1:
                first, rest = lines[: len(lines) // 2], lines[len(lines) // 2 :]
                self._commit(first, {line.segment: line.end for line in first}, done)
                self._commit(rest, marks, done)
                return
            self._put_aside(lines[0], str(error), done)
            self._transact((), marks)
            lines = ()
        done.lines += len(lines)
        done.windows += 1

    def _transact(self, lines: Sequence[_Line], marks: Mapping[str, int]) -> None:
        assert self._marks is not None
        with self._engine.window() as window:
            window.add(by_table(line.rows for line in lines), marks, self._marks)
        self._marks.update(marks)

    def _put_aside(self, line: _Line, reason: str, done: Drained) -> None:
        log.warning("journal line put aside in damaged.jsonl (%s at %d)", line.segment, line.at)
        segments.put_aside(self._journal, line.segment, line.at, line.text, reason)
        done.damaged += 1

    def _retire(self, done: Drained) -> None:
        """Compress the segments that are drained for good: writer gone, rows checkpointed."""
        assert self._marks is not None
        if not self._engine.settled():
            return
        for path in segments.live(self._journal):
            with segments.abandoned(path) as gone:
                start = self._marks.get(segments.name(path), 0)
                if not gone or segments.next_block(path, start, WINDOW_BYTES) is not None:
                    continue
                if not self._finish(path):
                    continue
                torn = segments.rest(path, start)
                if torn.strip():
                    line = _Line(segments.name(path), start, start + len(torn), torn)
                    self._put_aside(line, "its writer ended in the middle of the line", done)
                segments.retire(path)
                done.retired += 1

    def _finish(self, path: Path) -> bool:
        """Give the turns that ended with their process a trace; False while one may still end by itself."""
        lost = unfinished.turns(path)
        if not lost:
            return True
        with self._engine.window() as window:
            lost = [turn for turn in lost if not window.has_turn(turn.turn_id)]
        if lost and unfinished.alive(path):
            return False  # its process writes on in another segment
        unfinished.write(self._journal, lost)
        return True

    def _quarantine(self, done: Drained) -> None:
        """Put the damaged store aside; the next pass builds a new one."""
        done.quarantined = self._engine.quarantine()
        self._marks = None
