"""SlipCover's counting of lines, prepared in half the time: each worker prepares all of our modules anew.

What is counted stays the same; tests/test_counting.py compares both.
"""

from __future__ import annotations

import dis
import sys
from types import CodeType
from typing import Any

import slipcover.pytest_plugin as counting
import slipcover.slipcover as lines

SLIPCOVERS = lines._get_annotation_only_lines
_ANNOTATING = {dis.opmap[name] for name in (*lines._ANNOTATION_ONLY_OPS, "CACHE") if name in dis.opmap}


def annotation_only_lines(code: CodeType) -> frozenset[int]:
    """Return the lines that do nothing but load annotations, without a list of all instructions."""
    pairs = {(place[0], op) for place, op in zip(code.co_positions(), code.co_code[::2], strict=True)}
    others = {line for line, op in pairs if op not in _ANNOTATING}
    return frozenset(line for line, _ in pairs if line and line not in others)


def hasten() -> None:
    """Exchange what takes longest, and mark lines as they run: a worker is not told of `immediate`."""
    counter: Any = counting._slipcover_instance
    if counter is None or sys.version_info >= (3, 12):
        return
    import slipcover.bytecode as bytecode

    counter.immediate = True  # without it, code that runs is exchanged again and again
    lines._get_annotation_only_lines = annotation_only_lines
    lines.Slipcover.branches_from_code = staticmethod(lambda co: iter(()))  # branches are not counted
    stacks: dict[int, int] = {}
    measured = bytecode.calc_max_stack

    def max_stack(probe: bytes | bytearray) -> int:
        if len(probe) not in stacks:  # probes of one length have the same instructions
            stacks[len(probe)] = measured(probe)
        return stacks[len(probe)]

    bytecode.calc_max_stack = max_stack


hasten()
