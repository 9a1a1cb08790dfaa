"""What people said and spent is for the owner of the data folder alone, whatever its umask gives away."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.databases.linked import Linked, private
from pipeline.guardrails.counts import SharedCounts
from pipeline.guardrails.spending import Spending
from traces.alerts.standing import keeping


@pytest.fixture(autouse=True)
def open_to_all() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("create table if not exists words (word)")
    return connection


def readers(folder: Path) -> dict[str, int]:
    """Return the files that others than their owner may read."""
    modes = {path.name: path.stat().st_mode & 0o077 for path in folder.iterdir() if path.is_file()}
    return {name: mode for name, mode in modes.items() if mode}


def test_databases_and_alerts_are_for_their_owner(tmp_path: Path) -> None:
    with closing(Linked(tmp_path / "talks.sqlite", connect)) as talks:
        talks.current().execute("insert into words values ('secret')")
        (tmp_path / "talks.sqlite").unlink()
        assert talks.current().execute("select count(*) from words").fetchone() is not None
        with (
            closing(SharedCounts(tmp_path / "counts.sqlite")),
            closing(Spending(tmp_path / "spending.sqlite")),
        ):
            with keeping(tmp_path):
                pass
            assert len(list(tmp_path.iterdir())) >= 4
            assert readers(tmp_path) == {}


def test_a_file_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("x")
    path.chmod(0o640)
    assert private(path) == path and path.stat().st_mode & 0o777 == 0o640
    assert private(tmp_path / "no" / "folder").name == "folder"
