"""Folders that one worker makes for all of a test run: each gets a copy."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


def copied(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Return this worker's copy of what `make` puts into a folder; who comes meanwhile waits for it."""
    shared = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    ready = shared / f"{name}-of-all"
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            draft = factory.mktemp(f"{name}-draft")
            make(draft)
            draft.rename(ready)
    return Path(shutil.copytree(ready, factory.mktemp(name) / "data"))
