"""Connections kept ready between uses: lent again, and never after an error."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from traces import duck, writers

pytestmark = pytest.mark.usefixtures("shipped_stores")


def test_a_writer_is_lent_again_and_leaves_nothing_open(tmp_path: Path) -> None:
    path = tmp_path / "traces.duckdb"
    with writers.writing(path) as first:
        first.execute("insert into marks values ('a', 1)")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["traces.duckdb"], "its log is folded in"
    assert path.stat().st_mode & 0o777 == 0o600
    with duckdb.connect(str(path)) as another:  # as another process does between two windows
        another.execute("insert into marks values ('b', 2)")
    with writers.writing(path) as second:
        assert second is first
        assert second.execute("select count(*) from marks").fetchall() == [(2,)]
    assert writers.stored_version(path) == len(duck.migrations())


def test_a_writer_is_not_lent_again_after_an_error(tmp_path: Path) -> None:
    path = tmp_path / "traces.duckdb"
    with pytest.raises(ZeroDivisionError), writers.writing(path) as first:
        first.begin()
        first.execute("insert into marks values ('a', 1)")
        raise ZeroDivisionError
    with writers.writing(path) as second:
        assert second is not first
        assert second.execute("select count(*) from marks").fetchall() == [(0,)]


def test_each_store_has_its_own_writer(tmp_path: Path) -> None:
    """What a writer has no memory for it writes beside its store."""
    for name in ("a", "b"):
        with writers.writing(tmp_path / name) as connection:
            [(spill,)] = connection.execute("select current_setting('temp_directory')").fetchall()
            assert spill == f"{tmp_path / name}.tmp"
