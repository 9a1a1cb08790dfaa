"""Evalsets in the console: dropped in with their columns shown, read, changed with a way back, taken away."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from evalsets.cases import team
from evalsets.cases.cases import load_evalset
from pipeline.settings import load_settings
from tests.console.console_server import page, shown

if TYPE_CHECKING:
    from streamlit.testing.v1 import AppTest

ROWS = [
    {"id": "a", "question": "How <b>so</b>?", "reference": "Like $x$."},
    {"id": "b", "question": "Why?", "tags": ["hard"]},
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ANSWERDECK_DATA_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def mine(folder: Path) -> Path:
    return team.save("mine", ROWS, {"title": "Mine"}, folder=folder / "evalsets")


def press(app: AppTest, label: str) -> AppTest:
    return next(one for one in app.button if one.label == label).click().run()


def test_all_sets_are_listed_with_their_cases(mine: Path) -> None:
    html = shown(page("evals", part="Evalsets"))
    assert "shipped" in html and "yours" in html
    assert "set=mine" in html and "set=demo" in html


def test_a_dropped_table_is_understood_mapped_and_saved(folder: Path) -> None:
    app = page("evals", part="Evalsets")
    table = "Question;Expected answer;Team\nHow?;So it is;x\nWhy?;Because of it;y\n"
    app.file_uploader[0].set_value(("my cases.csv", table.encode(), "text/csv")).run()
    assert not app.exception
    assert "2 cases, 2 with an expected answer" in app.caption[0].value
    assert "Because of it" in shown(app)
    app.selectbox(key="map-my cases.csv-reference").set_value("—").run()
    assert "2 cases, 0 with an expected answer" in app.caption[0].value
    app.selectbox(key="map-my cases.csv-reference").set_value("Expected answer").run()
    press(app, "Save as evalset")
    assert [case.reference for case in load_evalset("my_cases").cases] == ["So it is", "Because of it"]
    assert "my_cases" in shown(app) and "2 cases imported" in app.success[0].value
    app.file_uploader[0].set_value(("my cases.csv", b"q,a\nHow?,no\nWho?,You\n", "text/csv")).run()
    assert "my_cases is there already" in [control.label for control in app.radio]
    press(app, "Save as evalset")
    assert [case.reference for case in load_evalset("my_cases").cases] == ["So it is", "Because of it", "You"]
    assert "1 case added, 1 there already" in app.success[0].value and not app.exception
    press(app, "Undo")
    assert len(load_evalset("my_cases").cases) == 2


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", 'question,answer\n"How?,yes\n', "line 2"),
        ("a.csv", "", "a.csv"),
        ("a.json", "{", "cannot be read"),
        ("a.xlsx", "PK\x03\x04 broken", "Excel workbook that cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(folder: Path, name: str, text: str, said: str) -> None:
    app = page("evals", part="Evalsets")
    app.file_uploader[0].set_value((name, text.encode(), "text/plain")).run()
    assert not app.exception
    assert said in app.error[0].value


def test_unknown_heads_wait_for_a_choice(folder: Path) -> None:
    app = page("evals", part="Evalsets")
    app.file_uploader[0].set_value(("a.csv", b"Was,Soll\nWie denn?,So geht das\n", "text/csv")).run()
    assert "which column holds the questions" in app.warning[0].value
    app.selectbox(key="map-a.csv-question").set_value("Was").run()
    app.selectbox(key="map-a.csv-reference").set_value("Soll").run()
    press(app, "Save as evalset")
    assert load_evalset("a").cases[0].reference == "So geht das"


def test_a_column_without_a_name_waits_for_a_choice_beside_a_known_one(folder: Path) -> None:
    app = page("evals", part="Evalsets")
    table = "\ufeffFrage;;Quelle\nWie denn?;So geht das hier.;a\nWarum denn?;Weil es so ist.;b\n"
    app.file_uploader[0].set_value(("a.csv", table.encode(), "text/csv")).run()
    assert app.selectbox(key="map-a.csv-question").value == "Frage"
    assert "'column 2' may hold the expected answers" in app.warning[0].value
    app.selectbox(key="map-a.csv-reference").set_value("column 2").run()
    assert not app.warning and not app.error
    press(app, "Save as evalset")
    assert load_evalset("a").cases[1].reference == "Weil es so ist."


def test_the_cases_of_a_set_are_read_and_searched(mine: Path) -> None:
    app = page("evals", part="Evalsets", set="mine")
    assert not app.exception
    html = shown(app)
    assert "How &lt;b&gt;so&lt;/b&gt;?" in html and "Like $x$." in html and "hard" in html
    app.text_input(key="holds").set_value("why").run()
    assert "Like $x$." not in shown(app)
    app.text_input(key="holds").set_value("nothing of the kind").run()
    assert "No question or expected answer" in shown(app)
    assert "No such case" in shown(page("evals", part="Evalsets", set="mine", case="z"))


def test_a_case_is_changed_added_and_deleted_with_a_way_back(mine: Path) -> None:
    before = mine.read_bytes()
    app = page("evals", part="Evalsets", set="mine", case="a")
    next(one for one in app.text_area if one.label == "Expected answer").set_value("Like this.")
    press(app, "Save")
    assert load_evalset(mine).cases[0].reference == "Like this." and not app.exception
    press(app, "Undo")
    assert mine.read_bytes() == before
    app = press(page("evals", part="Evalsets", set="mine", case="a"), "Delete")
    assert [case.case_id for case in load_evalset(mine).cases] == ["b"]
    press(app, "Undo")
    press(app, "Add a case")
    next(one for one in app.text_area if one.label == "Question").set_value("When?")
    press(app, "Save")
    assert [case.question for case in load_evalset(mine).cases] == ["How <b>so</b>?", "Why?", "When?"]


def test_a_shipped_set_is_read_only_and_can_be_copied(folder: Path) -> None:
    app = page("evals", part="Evalsets", set="demo")
    assert "Add a case" not in [one.label for one in app.button]
    press(app, "Copy")
    copied = load_evalset("my_demo")
    assert copied.sample and len(copied.cases) == len(load_evalset("demo").cases)


def test_a_set_is_deleted_and_an_unknown_one_named(mine: Path) -> None:
    app = page("evals", part="Evalsets", set="mine")
    press(app, "Delete it")
    assert team.names() == []
    assert "No such evalset" in shown(app)
    press(app, "Undo")
    assert team.names() == ["mine"]


def test_a_set_is_put_into_the_gate_and_taken_out(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANSWERDECK_GATE__EVALSETS", raising=False)
    app = press(page("evals", part="Evalsets", set="mine"), "Put it into the gate")
    assert not app.exception and not app.error
    assert load_settings().gate.evalsets[-1] == "mine"
    press(app, "Take it out of the gate")
    assert "mine" not in load_settings().gate.evalsets
