"""Reads JSON Lines strictly: every bad line becomes one sentence with its number."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MOST = 20  # problems shown at most


def objects(path: Path, problems: list[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number, object) for each line that holds one; others are added to `problems`."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        problems.append(f"{path.name}: cannot be read ({error.strerror})")
        return
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            problems.append(f"{path.name} line {number}: not JSON ({error})")
            continue
        if isinstance(value, dict):
            yield number, value
        else:
            problems.append(f"{path.name} line {number}: expected an object, got {type(value).__name__}")


def shown(problems: list[str]) -> str:
    """Return the problems as lines, the rest counted when there are many."""
    rest = len(problems) - MOST
    return "\n".join(problems[:MOST] + ([f"and {rest} more"] if rest > 0 else []))


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a JSON number")
