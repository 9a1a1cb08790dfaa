"""Questions are found in JSON of any shape, and under heads that nobody foresaw."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from evalsets.cases import heads, imports
from evalsets.cases.evalset import EvalsetError

Q, A = "How far is it?", "It is 22 kilometres long."
SAID = [{"role": "user", "content": Q}, {"role": "assistant", "content": A}]
BEFORE = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"},
          {"role": "assistant", "content": "Hello"}]  # fmt: skip


@pytest.mark.parametrize(
    "whole",
    [
        [{"question": Q, "answer": A}],
        {"version": 1, "questions": [{"question": Q, "answer": A}]},
        {"examples": [{"inputs": {"question": Q}, "outputs": {"answer": A}}]},
        {"examples": [{"inputs": {"anything": Q}, "outputs": {"whatever": A}}]},
        {"dataset": {"name": "x", "cases": [{"input": Q, "expected": A}]}},
        {"data": [{"paragraphs": [{"qas": [{"question": Q, "answers": [{"text": A, "answer_start": 0}]}]}]}]},
        [{"question": Q, "answers": {"text": [A], "answer_start": [0]}}],
        [{"inputs": {"messages": SAID[:1]}, "outputs": {"messages": SAID[1:]}}],
        [{"input": BEFORE[:1] + SAID[:1], "ideal": A}],
        [{"item": {"question": Q, "reference_answer": A}}],
        [{"messages": SAID}],
        [{"messages": [{"role": "user", "content": [{"type": "text", "text": Q}]}, SAID[1]]}],
        [{"conversations": [{"from": "human", "value": Q}, {"from": "gpt", "value": A}]}],
        {Q: A},
        [[Q, A]],
        [["Question", "Answer"], [Q, A]],
        {"question": [Q], "answer": [A]},
        [{"instruction": Q, "input": "", "output": A}],
    ],
)
def test_question_and_answer_are_found(whole: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(whole))
    (row,) = imports.read(path).rows
    assert (row["question"], row["reference"]) == (Q, A)
    assert "history" not in row


def test_of_a_transcript_the_last_question_is_asked_after_what_came_before(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"messages": BEFORE + SAID, "tags": ["x"]}) + "\n")
    (row,) = imports.read(path).rows
    assert row["history"] == [{"role": "user", "text": "Hi"}, {"role": "assistant", "text": "Hello"}]
    assert (row["question"], row["reference"], row["tags"]) == (Q, A, ["x"])


@pytest.mark.parametrize(
    "whole", ["7", "[]", "{}", '{"a": 1}', '[{"a": 1}]', "[[1, 2]]", '{"a": {"b": "c"}}']
)
def test_json_without_questions_is_refused_with_a_sentence(whole: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(whole)
    with pytest.raises(EvalsetError, match="a.json: (expected a list|no column holds)"):
        imports.read(path)


@pytest.mark.parametrize(
    ("columns", "question", "reference"),
    [
        ("Customer question|What a good answer looks like", 0, 1),
        ("User says|Bot should say", 0, 1),
        ("Testfrage|Soll-Antwort|Bemerkung", 0, 1),
        ("question_text|gold_label", 0, 1),
        ("inputs|outputs", 0, 1),
        ("id|Input|Model output|Ideal output|Score", 1, 3),
        ("user_prompt|assistant_response", 0, 1),
        ("Query|Reference Answer (approved)|Reference URL", 0, 1),
        ("Question|Model answer|Bot answer", 0, 1),  # a model answer is an exemplary one
        ("Question|Actual answer", 0, None),
        ("Question A|Question B", None, None),
    ],
)
def test_heads_are_understood_by_their_words(
    columns: str, question: int | None, reference: int | None
) -> None:
    names = columns.split("|")
    if question is None:
        with pytest.raises(EvalsetError, match="no column holds the questions"):
            heads.mapping(names)
        return
    understood = heads.mapping(names)
    assert understood["question"] == names[question]
    assert understood.get("reference") == (None if reference is None else names[reference])


def test_one_id_for_two_questions_loses_neither(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,question\n1,Who?\n1,Why?\n1,Who?\n")
    imported = imports.read(path)
    assert [row["id"] for row in imported.rows] == ["1", "1-2"] and len(imported.dropped) == 1


def test_expectations_of_a_promptfoo_table_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        "question,__expected\nA?,contains: yes\nB?,similar(0.8): it is so\nC?,llm-rubric: is kind\n"
    )
    imported = imports.read(path)
    assert [row.get("must_contain") for row in imported.rows] == [["yes"], None, None]
    assert imported.rows[1]["reference"] == "it is so"
    assert ("__expected", "a case has no such field") in imported.fields


def test_sheets_of_one_kind_are_one_set_and_others_are_named(tmp_path: Path) -> None:
    book = Workbook()
    for name, rows in {
        "Cover": [["Catalogue"], ["2026"]],
        "A": [["Question", "Expected", None], [None, "short", "long"], ["Who?", "me", "it is me"]],
        "B": [["Question", "Expected", None], [None, "short", "long"], ["Why?", "so", "because"]],
        "C": [["Question", "Owner"], ["How?", "x"]],
    }.items():
        for row in (sheet := book.create_sheet(name)) and rows:
            sheet.append(row)
    del book["Sheet"]
    book.save(path := tmp_path / "a.xlsx")
    imported = imports.read(path, mapped={"reference": "Expected long"})
    assert [row["reference"] for row in imported.rows] == ["it is me", "because"]
    assert [name for name, _ in imported.fields] == ["sheet 'C'", "Expected short"]
