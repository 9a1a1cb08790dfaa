"""Connections to stores kept ready between uses: making one costs many times what attaching a store does."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb


class Idle:
    """Keeps at most so many connections, each made for one store; each holds a thread and a few MB."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.ready: list[
            tuple[int, Path, duckdb.DuckDBPyConnection]
        ] = []  # by process: a fork must not use them

    def take(self, path: Path) -> duckdb.DuckDBPyConnection | None:
        """Lend one that was made for a store; None when there is none."""
        for entry in list(self.ready):
            if entry[:2] == (os.getpid(), path):
                try:
                    self.ready.remove(entry)
                except ValueError:  # another thread was faster
                    continue
                return entry[2]
        return None

    def keep(self, path: Path, connection: duckdb.DuckDBPyConnection) -> None:
        self.ready.append((os.getpid(), path, connection))
        while len(self.ready) > self._most:
            pid, _, oldest = self.ready.pop(0)
            if pid == os.getpid():
                oldest.close()
