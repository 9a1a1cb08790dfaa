"""Work for other processes and machines: they find it by its name."""

from __future__ import annotations

import os
from pathlib import Path


def double(number: int) -> int:
    return 2 * number


def die_once(mark: str, number: int) -> int:
    """Die as by kill -9 the first time, then work."""
    try:
        Path(mark).touch(exist_ok=False)
    except FileExistsError:
        return 2 * number
    os._exit(9)


def die() -> None:
    os._exit(9)


def refuse(text: str) -> None:
    raise ValueError(text)
