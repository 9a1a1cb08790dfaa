"""A store in a bad state: pages that need it say so calmly with the next step, the others go on."""

from __future__ import annotations

import errno
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from streamlit.testing.v1 import AppTest

from console.dashboard import jobs
from tests import synthetic
from tests.console.console_server import page
from tests.factories import make_trace
from traces.journal import Journal
from traces.store import Store


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    synthetic.write(folder, 20, cases=5, days=1, detailed=5)
    Store(folder).drain()
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    copy = tmp_path / "data"
    shutil.copytree(whole, copy)
    monkeypatch.setenv("ANSWERDECK_DATA_DIR", str(copy))
    return copy


def garbage(folder: Path) -> None:
    (folder / "traces.duckdb").write_bytes(b"\0garbage" * 5_000)


def half(folder: Path) -> None:
    content = (folder / "traces.duckdb").read_bytes()
    (folder / "traces.duckdb").write_bytes(content[: len(content) // 2])


def older(folder: Path) -> None:
    with duckdb.connect(folder / "traces.duckdb") as store:
        store.execute("delete from migrations where version > 1")


def newer(folder: Path) -> None:
    with duckdb.connect(folder / "traces.duckdb") as store:
        store.execute("insert into migrations values (999, now())")
        store.execute("alter table turns rename column hit to hits")


@pytest.mark.parametrize(
    ("spoil", "what", "step"),
    [(garbage, "is damaged", "rebuilds it from the journal"), (half, "is damaged", "rebuilds it"),
     (older, "has schema version 1", "brings an older one up to date")],
)  # fmt: skip
def test_a_page_that_needs_the_store_says_what_is_wrong(
    spoil: Callable[[Path], None], what: str, step: str, folder: Path
) -> None:
    spoil(folder)
    for name in ("turns", "overview", "health"):
        app = page(name)
        assert not app.exception and what in app.error[0].value and step in app.error[0].value, name
    for name in ("alerts", "configuration", "sql"):
        app = page(name)
        assert not app.exception and not app.error, name
    app = page("sql")
    next(button for button in app.button if button.label == "Ask").click().run()
    assert not app.exception and app.error


def test_a_page_that_a_newer_store_breaks_says_so(folder: Path) -> None:
    newer(folder)
    app = page("turns")
    assert not app.exception and "has schema version 999" in app.error[0].value
    assert "install the version of Answerdeck that wrote it" in app.error[0].value


def test_a_list_of_ingestions_that_cannot_be_used_is_a_sentence(folder: Path) -> None:
    (folder / "jobs.sqlite").write_text("no database")
    app = page("knowledge")
    assert not app.exception and "list of ingestions" in app.error[0].value


def test_a_folder_of_documents_that_is_a_file_is_a_sentence(folder: Path) -> None:
    shutil.rmtree(folder / "knowledge", ignore_errors=True)
    (folder / "knowledge").write_text("x")
    app = page("knowledge")
    assert not app.exception and app.error and "our fault" not in app.error[0].value


def test_a_journal_that_is_no_folder_is_a_sentence_on_health(folder: Path) -> None:
    shutil.rmtree(folder / "journal")
    (folder / "journal").write_text("x")
    app = page("health")
    assert "The data folder cannot be read" in app.error[0].value and "our fault" not in app.error[0].value


def test_times_ahead_of_the_clock_are_drawn(folder: Path) -> None:
    """A clock that was set back leaves turns of the future."""
    journal = Journal(folder / "journal")
    for days in (1, 400):
        journal.write(make_trace(started_at=datetime.now(UTC) + timedelta(days=days), door="chat"))
    journal.close()
    for name in ("overview", "turns", "conversations", "costs", "topics"):
        app = page(name)
        assert not app.exception and not app.error, name


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_grade_on_a_full_disk_says_so_and_can_be_given_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = page("annotate", queue="Random sample", **{"as": "ada"})
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "_append", full)
        app.button(key="grade-3").click().run()
    assert not app.exception
    assert "Not graded: the disk is full: free some space" in app.error[0].value
    app.button(key="grade-3").click().run()
    assert not app.exception and not app.error
    assert "faithfulness: **3**" in app.caption[0].value


def test_a_run_that_cannot_be_remembered_is_not_left_running(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[Any]] = []
    popen = subprocess.Popen

    def start(*arguments: Any, **options: Any) -> subprocess.Popen[Any]:
        started.append(popen(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(jobs.subprocess, "Popen", start)
    monkeypatch.setattr(jobs, "_write", full)
    with pytest.raises(OSError, match="No space"):
        jobs.launch(folder, "runs", "key", [sys.executable, "-c", "import time; time.sleep(60)"], "a run")
    assert started[0].wait(timeout=10) != 0


def test_a_full_disk_is_no_fault_of_ours() -> None:
    app = AppTest.from_function(_fills, default_timeout=30).run()
    assert not app.exception
    assert "Not saved: the disk is full" in app.error[0].value and "our fault" not in app.error[0].value


def _fills() -> None:
    import errno

    from console.dashboard import boundary

    def draw() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    boundary.guarded(draw, "a page")()
