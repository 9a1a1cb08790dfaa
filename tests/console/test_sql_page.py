"""The SQL page: asks, refuses in words, keeps questions."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from console.dashboard.views import sql
from tests.console.console_server import page, shown
from tests.factories import make_trace
from traces.journal import Journal
from traces.queries.free import QueryResult

if TYPE_CHECKING:
    from streamlit.testing.v1 import AppTest


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ANSWERDECK_DATA_DIR", str(tmp_path))
    journal = Journal(tmp_path / "journal")
    journal.write(make_trace(started_at=datetime.now(UTC), question="<b>why</b> $x$", door="chat"))
    journal.close()
    return tmp_path


def press(app: AppTest, label: str) -> AppTest:
    return next(one for one in app.button if one.label == label).click().run()


def test_the_question_that_stands_there_is_answered(folder: Path) -> None:
    app = press(page("sql"), "Ask")
    assert not app.exception and not app.error
    assert "extractive" in shown(app) and app.caption[1].value.startswith("1 row in")


def test_texts_stay_texts_and_mistakes_are_said(folder: Path) -> None:
    app = page("sql")
    app.text_area[0].set_value("select question, null as n, 1.5 as x from turns").run()
    assert "&lt;b&gt;why&lt;/b&gt; $x$" in shown(press(app, "Ask"))
    app.text_area[0].set_value("select * from nosuch").run()
    assert "nosuch" in press(app, "Ask").error[0].value
    app.text_area[0].set_value("select 1 where false").run()
    assert "Nothing found" in shown(press(app, "Ask"))


def test_a_question_is_kept_and_forgotten(folder: Path) -> None:
    app = page("sql")
    app.text_area[0].set_value("select 42 as kept").run()
    next(one for one in app.text_input if one.label == "Name").set_value("mine").run()
    press(app, "Keep it")
    app = page("sql", question="mine")
    assert app.text_area[0].value == "select 42 as kept"
    press(app, "Forget it")
    assert page("sql").selectbox[0].options == []


def test_columns_of_one_name_stay_apart() -> None:
    assert sql._named(QueryResult(("n", "n"), ((1, 2),), False, 0.0)) == [{"n": 1, "n_2": 2}]
