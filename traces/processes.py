"""Tells a process that still lives from one that is gone, reused process ids included."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any


def mine() -> dict[str, Any]:
    """Return what names this process among all that ever ran on any machine: {host, pid, born}."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "born": born(os.getpid())}


def gone(named: dict[str, Any]) -> bool:
    """Say whether the process is surely gone; one on another machine, or not named well, may live."""
    try:
        host, pid, start = named["host"], int(named["pid"]), named["born"]
    except (KeyError, TypeError, ValueError):
        return False
    return host == socket.gethostname() and start is not None and born(pid) != start


def born(pid: int) -> str | None:
    """Return when a process started (field 22 of its stat, in clock ticks), or None when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]
