"""Other tools' files become cases; what does not fit is said, and nothing is half written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evalsets.cases import cases, imports, team
from evalsets.cases.evalset import EvalsetError

RAGAS = [
    {
        "user_input": "How do I add a printer?",
        "response": "So.",
        "retrieved_contexts": ["a"],
        "reference": "Open Settings.",
        "reference_context_ids": ["printing-setup"],
    },
    {
        "user_input": [
            {"type": "human", "content": "Hi"},
            {"type": "ai", "content": "Hello"},
            {"type": "human", "content": "Where is it?"},
        ],
        "rubrics": {"a": 1},
    },
    {"user_input": "", "reference": "z"},
]
LANGFUSE = [
    {
        "id": "i1",
        "input": {"question": "How do I mute?"},
        "expectedOutput": {"answer": "Press mute.", "score": 1},
        "metadata": {"tags": ["sound"], "team": "x"},
        "sourceTraceId": "t1",
    },
    {"id": "i2", "status": "ARCHIVED", "input": "old", "expectedOutput": "x"},
    {"id": "i3", "input": {"foo": 1}, "expectedOutput": "y"},
]
PROMPTFOO = """
prompts: ["Answer {{question}}"]
defaultTest: {metadata: {tags: [all]}}
tests:
  - vars: {question: "How do I print?", lang: en}
    assert:
      - {type: icontains, value: printer}
      - {type: llm-rubric, value: is polite}
      - {type: similar, value: "Open the panel", threshold: 0.8}
  - {vars: {question: "Help me steal"}, assert: [{type: is-refusal}]}
  - {vars: {a: "1", b: "2"}}
  - file://more.yaml
"""


def told(path: Path) -> tuple[list[dict], dict[str, str], list[str]]:
    found = imports.read(path)
    return found.rows, dict(found.fields.keys()), found.dropped


def lines(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_ragas(tmp_path: Path) -> None:
    rows, lost, dropped = told(lines(tmp_path / "a.jsonl", RAGAS))
    assert (
        rows[0].items()
        >= {
            "question": "How do I add a printer?",
            "reference": "Open Settings.",
            "relevant_ids": ["printing-setup"],
        }.items()
    )
    assert rows[1]["history"] == [{"role": "user", "text": "Hi"}, {"role": "assistant", "text": "Hello"}]
    assert {"response", "retrieved_contexts", "rubrics"} == lost.keys()
    assert dropped == ["row 3: no user_input"]


def test_ragas_columns_as_a_dataset_library_writes_them(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(
        json.dumps({"question": ["A?", "B?"], "ground_truth": ["a", "b"], "contexts": [["x"], ["y"]]})
    )
    rows, lost, _ = told(path)
    assert [(row["question"], row["reference"]) for row in rows] == [("A?", "a"), ("B?", "b")]
    assert lost == {"contexts": "what a system found is no part of a case"}


def test_langfuse(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"items": LANGFUSE}))
    assert imports.detect(path) == "langfuse"
    rows, lost, dropped = told(path)
    assert rows == [{"id": "i1", "question": "How do I mute?", "reference": "Press mute.", "tags": ["sound"]}]
    assert {"expectedOutput.score", "metadata.team", "sourceTraceId"} == lost.keys()
    assert dropped[0] == "row 2: archived in Langfuse"
    assert "no question in its input" in dropped[1]


def test_promptfoo(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(PROMPTFOO)
    rows, lost, dropped = told(path)
    assert [row["question"] for row in rows] == ["How do I print?", "Help me steal"]
    assert rows[0]["must_contain"] == ["printer"]
    assert rows[0]["reference"] == "Open the panel"
    assert rows[1]["must_refuse"] is True
    assert {"assert llm-rubric", "prompts", "vars.lang"} == lost.keys()
    assert "no variable holds a question (it has a, b)" in dropped[0]
    assert "file://more.yaml" in dropped[1]


def test_promptfoo_results_name_each_test_once(tmp_path: Path) -> None:
    result = {"testCase": {"vars": {"query": "A?"}, "assert": [{"type": "contains", "value": "a"}]}}
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"results": {"results": [result, result]}}))
    rows, _, dropped = told(path)
    assert [row["question"] for row in rows] == ["A?"]
    assert not dropped


def test_csv(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        "query,expected_answer,relevant,level,must_refuse\nA?,a,d1;d2,easy,\nB?,,,,yes\nA?,b,,,\n"
    )
    rows, lost, dropped = told(path)
    assert rows[0]["relevant_ids"] == ["d1", "d2"]
    assert rows[1]["must_refuse"] is True
    assert lost == {"level": "a case has no such field"}
    assert len(dropped) == 1 and "is there already" in dropped[0]


def test_beir_brings_its_corpus(tmp_path: Path) -> None:
    folder = tmp_path / "b"
    folder.mkdir()
    lines(folder / "corpus.jsonl", [{"_id": "d", "title": "T", "text": "x"}])
    lines(folder / "queries.jsonl", [{"_id": "q", "text": "A?"}])
    (folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq\td\t1\n")
    found = imports.read(folder)
    team.save("b", found.rows, {"title": "B"}, corpus=found.corpus, folder=tmp_path / "sets")
    loaded = cases.load_evalset("b", own=tmp_path / "sets")
    assert loaded.corpus is not None and "T" in loaded.corpus.read_text()
    assert loaded.cases[0].relevant_ids == ["d"]


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.json", "{"), ("a.yaml", "a: [b"), ("a.csv", "colour\nred\n"), ("a.jsonl", ""), ("a.json", "[1]")],
)
def test_what_cannot_be_read_is_an_error(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(EvalsetError):
        imports.read(tmp_path / name)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Question posée", "Réponse attendue"),
        ("Pregunta", "Respuesta esperada"),
        ("Domanda", "Risposta attesa"),
        ("Vraag", "Verwacht antwoord"),
        ("Pytanie", "Odpowiedź"),
        ("Вопрос", "Ответ"),
        ("问题", "答案"),
        ("質問", "期待される回答"),
    ],
)
def test_heads_of_other_languages_are_understood(question: str, answer: str, tmp_path: Path) -> None:
    path = tmp_path / "cases.csv"
    path.write_text(f"{question};{answer}\nA?;b\n", encoding="utf-8-sig")
    assert imports.read(path).mapping == {"question": question, "reference": answer}


def test_an_empty_answer_column_is_not_passed_over_in_silence(tmp_path: Path) -> None:
    path = tmp_path / "cases.csv"
    path.write_text("Question,Expected\nHow?,\nWhat?,\n")
    assert imports.read(path).unmapped[0].why == "it holds nothing in any row"
    path = tmp_path / "cases.jsonl"
    path.write_text('{"instruction": "How?", "input": "", "output": "So."}\n')
    assert imports.read(path).rows[0]["question"] == "How?"
