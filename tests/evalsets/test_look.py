"""A file is looked at before it is imported, and a change of a set can be taken back."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalsets.cases import team
from evalsets.cases.cases import load_evalset
from evalsets.cases.evalset import EvalsetError
from evalsets.cases.look import look
from evalsets.cases.undo import step


def put(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_shows_its_columns_and_how_they_are_understood(tmp_path: Path) -> None:
    seen = look(put(tmp_path, "a.csv", "Question;Expected answer;Team\nHow?;So it is;x\nWhy?;Because;y\n"))
    assert seen.columns == ("Question", "Expected answer", "Team")
    assert seen.mapping == {"question": "Question", "reference": "Expected answer"}
    assert seen.imported is not None and len(seen.imported.rows) == 2 and seen.problems == ()
    assert seen.sample[0]["Question"] == "How?"


def test_unknown_heads_are_a_problem_that_a_mapping_solves(tmp_path: Path) -> None:
    path = put(tmp_path, "a.csv", "Was,Soll\nWie geht das?,So geht das\nWarum?,Darum\n")
    seen = look(path)
    assert seen.imported is None and seen.columns == ("Was", "Soll")
    assert "no column holds the questions" in seen.problems[0]
    again = look(path, "csv", {"question": "Was", "reference": "Soll"})
    assert again.imported is not None and again.imported.rows[0]["reference"] == "So geht das"


def test_a_file_that_cannot_be_read_names_its_line(tmp_path: Path) -> None:
    seen = look(put(tmp_path, "a.csv", 'question,answer\n"How?,yes\nWhy?,no\n'))
    assert seen.imported is None and "line 2" in seen.problems[0]
    assert look(tmp_path / "nosuch.csv").problems[0].startswith("there is no")


def test_each_kind_of_change_can_be_taken_back(tmp_path: Path) -> None:
    rows = [{"id": "a", "question": "How?"}, {"id": "b", "question": "Why?", "reference": "Because."}]
    path = team.save("mine", rows, {"title": "Mine"}, folder=tmp_path)
    before = path.read_bytes()
    with step("mine", "case a changed", tmp_path) as changed:
        team.change("mine", "a", {"question": "How so?"}, folder=tmp_path)
    changed.undo()
    assert path.read_bytes() == before
    with step("mine", "cases deleted", tmp_path) as gone:
        team.remove("mine", "a", folder=tmp_path)
        team.remove("mine", "b", folder=tmp_path)
    assert not path.exists()
    gone.undo()
    assert path.read_bytes() == before and load_evalset(path).title == "Mine"
    with step("new", "case added", tmp_path) as added:
        team.add("new", {"id": "c", "question": "When?"}, folder=tmp_path)
    added.undo()
    assert not (tmp_path / "new.jsonl").exists()


def test_what_was_changed_again_is_not_taken_back(tmp_path: Path) -> None:
    team.save("mine", [{"id": "a", "question": "How?"}], {"title": "Mine"}, folder=tmp_path)
    with step("mine", "case a changed", tmp_path) as first:
        team.change("mine", "a", {"reference": "So."}, folder=tmp_path)
    team.change("mine", "a", {"reference": "Not so."}, folder=tmp_path)
    with pytest.raises(EvalsetError, match="changed again since"):
        first.undo()
    assert load_evalset(tmp_path / "mine.jsonl").cases[0].reference == "Not so."
