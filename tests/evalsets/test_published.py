"""Labelled sets in the formats they are published in; the lines are our own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from evalsets.cases.evalset import EvalsetError
from evalsets.judges import labelled


def lines(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_begin_is_a_table_with_tabs(tmp_path: Path) -> None:
    path = tmp_path / "begin_dev_wow.tsv"
    heads = ("model", "message", "knowledge", "response", "begin_label")
    rows = [
        ("t5", "hi", 'cats "purr', "Cats purr.", "Fully attributable"),
        ("t5", "hi", "cats purr", "Nice.", "Generic"),
        ("t5", "hi", "cats purr", "Cats bark.", "Not fully attributable"),
    ]
    path.write_text("\n".join("\t".join(row) for row in (heads, *rows)) + "\n")
    found = labelled.load(str(path))
    assert (found.kind, found.about) == ("label", "answer")
    assert [one.truth for one in found.items] == [1.0, 0.0, 0.0]
    assert found.items[0].sample.retrieved_contexts == ('cats "purr',)


def test_ragtruth_joins_answers_and_sources(tmp_path: Path) -> None:
    lines(
        tmp_path / "source_info.jsonl",
        {"source_id": "1", "task_type": "QA", "source_info": {"question": "who?", "passages": "Cats purr."}},
        {"source_id": "2", "task_type": "Data2txt", "source_info": {"name": "Bar", "stars": 4}},
    )
    span = {"start": 0, "end": 4, "text": "Dogs", "label_type": "Evident Conflict"}
    answers = [
        {"id": "a", "source_id": "1", "response": "Cats do.", "labels": []},
        {"id": "b", "source_id": "1", "response": "Dogs do.", "labels": [span]},
        {"id": "c", "source_id": "2", "response": "A bar.", "labels": []},
    ]
    lines(tmp_path / "response.jsonl", *answers)
    found = labelled.load(str(tmp_path))
    assert [(one.truth, one.group) for one in found.items] == [(1.0, "1"), (0.0, "1"), (1.0, "2")]
    assert found.items[0].sample.user_input == "who?"
    assert '"stars": 4' in found.items[2].sample.retrieved_contexts[0]
    lines(tmp_path / "response.jsonl", {**answers[0], "source_id": "9"})
    with pytest.raises(EvalsetError, match="source '9' is not beside it"):
        labelled.load(str(tmp_path))


@pytest.mark.parametrize("camel", [False, True])
def test_the_human_ratings_of_mtrag(tmp_path: Path, camel: bool) -> None:
    task, answer = ("taskId", "modelResponse") if camel else ("task_id", "model_response")
    rating = {"ann": {"value": 4}, "ben": {"value": "2"}}
    whole = {
        "documents": [{"document_id": "d", "title": "Nodes", "text": "A node is a machine."}],
        "tasks": [
            {
                task: "t",
                "input": [{"speaker": "user", "text": "Pods?"}, {"speaker": "user", "text": "Nodes?"}],
                "contexts": [{"document_id": "d"}],
                "targets": [{"text": "A machine."}],
            }
        ],
        "evaluations": [{task: "t", answer: "Machines.", "annotations": {"faithfulness": rating}}],
    }
    path = tmp_path / "human.json"
    path.write_text(json.dumps(whole))
    found = labelled.load(str(path))
    (one,) = found.items
    assert (found.kind, one.truth, one.ratings, one.heard) == ("rating", 3.0, (4.0, 2.0), ("Pods?",))
    assert one.sample.retrieved_contexts == ("Nodes\nA node is a machine.",)
    path.write_text(json.dumps({**whole, "tasks": []}))
    with pytest.raises(EvalsetError, match="evaluation 1: not as published"):
        labelled.load(str(path))
    path.write_text("[]")
    with pytest.raises(EvalsetError, match="no evaluations of people"):
        labelled.load(str(path))


def test_clapnq_labels_questions(tmp_path: Path) -> None:
    passage = [{"title": "Cats", "text": "Cats purr.", "sentences": ["Cats purr."]}]
    path = lines(
        tmp_path / "dev.jsonl",
        {"id": "1", "input": "do cats purr", "passages": passage, "output": [{"answer": "Yes."}]},
        {"id": "2", "input": "do cats bark", "passages": passage, "output": [{"answer": ""}]},
    )
    found = labelled.load(str(path))
    assert (found.about, [one.truth for one in found.items]) == ("question", [1.0, 0.0])
