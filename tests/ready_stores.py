"""Stores and readers made once a process, so that a folder of a test's own is opened as fast as a server's.

A server makes its store once and keeps its readers; tests have hundreds of folders, and making both anew for
each was a fifth of the suite's CPU. What a test gets is what the code made: a copy of an empty store, and a
reader that lay ready, locked to the folder of all tests instead of to one store.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from traces import duck, readers

if TYPE_CHECKING:
    import duckdb

LENT = Path("to any folder")  # stands where a reader's own store does
_writing, _take, _keep, _migrations = duck.writing, readers._take, readers._keep, duck.migrations


@contextmanager
def ready_stores(folder: Path) -> Iterator[None]:
    """Copy new stores and lend readers to all folders of tests, which lie in this one."""
    empty = folder / "empty.duckdb"
    with _writing(empty):
        pass  # closing it leaves a store of the present schema

    @contextmanager
    def writing(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
        if not path.exists() and duck.migrations is _migrations:
            shutil.copyfile(empty, path)
            path.chmod(0o600)
        with _writing(path) as connection:
            yield connection

    def take(path: Path) -> duckdb.DuckDBPyConnection:
        for entry in list(readers._ready):
            if entry[:2] == (os.getpid(), LENT):
                with suppress(ValueError):  # another thread was faster
                    readers._ready.remove(entry)
                    return entry[2]
        connection = duck.reader(path, exporting=True)
        connection.execute("set allowed_directories = $folders", {"folders": [f"{folder}/"]})
        connection.execute("set enable_external_access = false; set lock_configuration = true")
        return connection

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duck, "writing", writing)
        patch.setattr(readers, "_take", take)
        patch.setattr(readers, "_keep", lambda _, connection: _keep(LENT, connection))
        yield


@pytest.fixture
def shipped_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test make its store and its readers as the program does."""
    monkeypatch.setattr(duck, "writing", _writing)
    monkeypatch.setattr(readers, "_take", _take)
    monkeypatch.setattr(readers, "_keep", _keep)
