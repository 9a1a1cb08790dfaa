"""Tells a process that still lives from one that is gone, reused process ids included."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Process:
    """What names a process among all that ever ran on any machine."""

    host: str
    pid: int
    born: str | None  # see `born`

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> Process | None:
        """Return the process that JSON names, or None when it names none well."""
        try:
            return cls(stored["host"], int(stored["pid"]), stored["born"])
        except (KeyError, TypeError, ValueError):
            return None


def mine() -> Process:
    """Return this process."""
    return Process(socket.gethostname(), os.getpid(), born(os.getpid()))


def gone(process: Process | None) -> bool:
    """Say whether the process is surely gone; one on another machine, or not named, may live."""
    if process is None or process.host != socket.gethostname() or process.born is None:
        return False
    return born(process.pid) != process.born


def born(pid: int) -> str | None:
    """Return when a process started (field 22 of its stat, in clock ticks), or None when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]
