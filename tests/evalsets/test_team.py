"""The team's own sets: whole or not at all, no case twice, and a way back."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalsets.cases import cases, team
from evalsets.cases.evalset import EvalsetError

ROW = {"id": "a", "question": "How do I print?"}


def test_a_case_is_added_found_by_name_and_taken_out(tmp_path: Path) -> None:
    team.add("mine", ROW, folder=tmp_path)
    team.add("mine", {"id": "b", "question": "How do I scan?", "tags": ["guard"]}, folder=tmp_path)
    assert [one.case_id for one in cases.load_evalset("mine", own=tmp_path).cases] == ["a", "b"]
    mine = cases.list_sets(tmp_path)[-1]
    assert (mine.name, mine.cases, mine.shipped) == ("mine", 2, False)
    assert team.remove("mine", "a", folder=tmp_path)
    assert not team.remove("mine", "a", folder=tmp_path)
    assert [one.case_id for one in cases.load_evalset("mine", own=tmp_path).cases] == ["b"]
    assert team.remove("mine", "b", folder=tmp_path)
    assert team.names(tmp_path) == []


def test_the_same_question_is_not_added_twice(tmp_path: Path) -> None:
    team.add("mine", ROW, folder=tmp_path)
    with pytest.raises(EvalsetError, match="case 'a' asks the same already"):
        team.add("mine", {"id": "b", "question": "how do I print"}, folder=tmp_path)
    with pytest.raises(EvalsetError, match="id 'a' is there already"):
        team.add("mine", {"id": "a", "question": "Other?"}, folder=tmp_path)
    said = [{"role": "user", "text": "My printer."}]
    team.add("mine", {"id": "c", "question": "How do I print?", "history": said}, folder=tmp_path)


def test_cases_are_added_without_asking_anything_twice(tmp_path: Path) -> None:
    with pytest.raises(EvalsetError, match="no evalset 'mine' to add to"):
        team.extend("mine", [ROW], folder=tmp_path)
    path = team.save("mine", [ROW], {"title": "x"}, folder=tmp_path)
    rows = [{"id": "z", "question": "how do I PRINT"}, {"id": "a", "question": "How do I scan?"}]
    new, left = team.extend("mine", rows, folder=tmp_path)
    assert [row["id"] for row in new] == ["a-2"] and left == ["'how do I PRINT': mine asks it already"]
    before = path.read_bytes()
    with pytest.raises(EvalsetError, match="case 2: question must be a text"):
        team.extend("mine", [{"id": "n", "question": "New?"}, {"id": "b", "question": ""}], folder=tmp_path)
    with pytest.raises(EvalsetError, match="import it under a name of its own"):
        team.extend("mine", rows, corpus=[{"id": "d", "text": "x"}], folder=tmp_path)
    assert path.read_bytes() == before
    assert [one.case_id for one in cases.load_evalset("mine", own=tmp_path).cases] == ["a", "a-2"]


def test_a_file_without_its_last_line_end_is_not_broken(tmp_path: Path) -> None:
    path = team.save("mine", [ROW], {"title": "x"}, folder=tmp_path)
    path.write_text(path.read_text().rstrip("\n"))
    team.add("mine", {"id": "b", "question": "How do I scan?"}, folder=tmp_path)
    assert len(cases.load_evalset("mine", own=tmp_path).cases) == 2


def test_bad_rows_and_taken_names_write_nothing(tmp_path: Path) -> None:
    for name, rows, wrong in (
        ("mine", [ROW, ROW], "there twice"),
        ("mine", [{"id": "a", "question": ""}], "question must be a text"),
        ("mine", [], "no case"),
        ("demo", [ROW], "is a shipped evalset"),
        ("../x", [ROW], "cannot be a name"),
    ):
        with pytest.raises(EvalsetError, match=wrong):
            team.save(name, rows, {}, folder=tmp_path)
    assert not list(tmp_path.iterdir())
    team.save("mine", [ROW], {"title": 'a "quoted"\ntitle'}, folder=tmp_path)
    with pytest.raises(EvalsetError, match="already"):
        team.save("mine", [ROW], {}, folder=tmp_path)
    assert team.title("mine", tmp_path) == 'a "quoted"\ntitle'


def test_a_case_is_changed_and_a_bad_change_leaves_the_file(tmp_path: Path) -> None:
    path = team.save(
        "mine", [ROW, {"id": "b", "question": "How?", "tags": ["t"]}], {"title": "x"}, folder=tmp_path
    )
    team.change("mine", "b", {"reference": "So.", "tags": None}, folder=tmp_path)
    found = cases.load_evalset("mine", own=tmp_path).cases[1]
    assert (found.reference, found.tags) == ("So.", None)
    before = path.read_text()
    for bad in ({"question": ""}, {"id": "a"}, {"colour": "red"}):
        with pytest.raises(EvalsetError):
            team.change("mine", "b", bad, folder=tmp_path)
    assert path.read_text() == before
    with pytest.raises(EvalsetError, match="no case 'z'"):
        team.change("mine", "z", {"reference": "So."}, folder=tmp_path)


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_an_export_is_read_again_and_a_deleted_set_is_kept(tmp_path: Path, ending: str) -> None:
    said = [{"role": "user", "text": "My printer."}]
    row = {**ROW, "reference": 'Open "it"; then\nprint, please.', "tags": ["a;b", "c"], "must_refuse": False}
    team.save(
        "mine", [{**row, "history": said}, {"id": "b", "question": "How?"}], {"title": "x"}, folder=tmp_path
    )
    before = cases.load_evalset("mine", own=tmp_path)
    out = tmp_path / f"out{ending}"
    out.write_bytes(team.exported(before, ending).encode())
    assert cases.load_evalset(out).cases == before.cases
    kept = team.delete("mine", folder=tmp_path)
    assert team.names(tmp_path) == [] and cases.load_evalset(kept).cases == before.cases
    with pytest.raises(EvalsetError, match="no evalset 'mine'"):
        team.delete("mine", folder=tmp_path)


def test_new_cases_keep_the_thresholds_and_the_rubric(tmp_path: Path) -> None:
    path = team.save("mine", [ROW], {"title": "x", "notice": "[a]"}, folder=tmp_path)
    about = path.with_suffix(".toml")
    about.write_text(
        'notice = """\n[not a table]\n"""\n[thresholds]\nhit = 0.5 # mine\n[rubric]\ntone = "Kind."\n'
    )
    team.save("mine", [{"id": "z", "question": "Why?"}], {"title": "y"}, folder=tmp_path, replace=True)
    evalset = cases.load_evalset("mine", own=tmp_path)
    assert (evalset.title, evalset.thresholds, evalset.rubric[0].text) == ("y", {"hit": 0.5}, "Kind.")
    assert "# mine" in about.read_text()
