"""Stores and readers made once a process, so that a folder of a test's own is opened as fast as a server's.

A server makes its store once and keeps its readers; tests have hundreds of folders, and making both anew for
each was a fifth of the suite's CPU. What a test gets is what the code made: a copy of an empty store, and a
reader that lay ready, locked to the folder of all tests instead of to one store.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from traces import duck, readers, writers
from traces.idle import Idle

if TYPE_CHECKING:
    import duckdb

LENT = Path("to any folder")  # stands where a connection's own store does
_attach_alone, _migrations = duck.attach_alone, duck.migrations
_readers, _writers = readers.IDLE, writers.IDLE


class Lending(Idle):
    """Keeps connections for whatever store is asked for next."""

    def take(self, path: Path) -> duckdb.DuckDBPyConnection | None:
        return super().take(LENT)

    def keep(self, path: Path, connection: duckdb.DuckDBPyConnection) -> None:
        super().keep(LENT, connection)


class LendingReaders(Lending):
    """Makes readers that are locked to the folder of all tests."""

    def __init__(self, most: int, folder: Path) -> None:
        super().__init__(most)
        self._folder = folder

    def take(self, path: Path) -> duckdb.DuckDBPyConnection | None:
        if ready := super().take(path):
            return ready
        connection = duck.reader(path, exporting=True)
        connection.execute("set allowed_directories = $folders", {"folders": [f"{self._folder}/"]})
        connection.execute("set enable_external_access = false; set lock_configuration = true")
        return connection


@contextmanager
def ready_stores(folder: Path) -> Iterator[None]:
    """Copy new stores and lend connections to all folders of tests, which lie in this one."""
    empty = folder / "empty.duckdb"
    with writers.writing(empty):
        pass  # closing it leaves a store of the present schema

    def attach_alone(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
        if not path.exists() and duck.migrations is _migrations:
            shutil.copyfile(empty, path)
            path.chmod(0o600)
        _attach_alone(connection, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duck, "attach_alone", attach_alone)
        patch.setattr(readers, "IDLE", LendingReaders(4, folder))
        patch.setattr(writers, "IDLE", Lending(2))
        yield


@pytest.fixture
def shipped_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test make its store and its readers as the program does."""
    monkeypatch.setattr(duck, "attach_alone", _attach_alone)
    monkeypatch.setattr(readers, "IDLE", _readers)
    monkeypatch.setattr(writers, "IDLE", _writers)
