"""Evalsets load strictly and say what is wrong where."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from evalsets.cases import cases
from pipeline.knowledge.ingest import sample


def _write(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n")
    return path


def _beir(folder: Path, qrels: str = "query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\td2\t0\n") -> Path:
    folder.mkdir()
    _write(folder / "corpus.jsonl", {"_id": "d1", "title": "One", "text": "a"}, {"_id": "d2", "text": "b"})
    _write(
        folder / "queries.jsonl",
        {"_id": "q1", "text": "what?", "user_turns": ["before?", "what?"]},
        {"_id": "q2", "text": "unjudged"},
        {"_id": "q3", "text": "lasagne?", "kind": "off_topic"},
    )
    (folder / "qrels.tsv").write_text(qrels)
    return folder


def test_the_shipped_demo() -> None:
    demo = cases.load_evalset("demo")
    assert len(demo.cases) == 150
    assert demo.sample
    pages = {page.document_id for page in sample()}
    for case in demo.cases:
        assert set(case.relevant_ids or ()) <= pages, case.case_id
        assert bool(case.relevant_ids and case.reference) == (case.answerability in ("answerable", "partial"))
    kinds = Counter(case.answerability for case in demo.cases)
    assert kinds == {"answerable": 116, "partial": 9, "unanswerable": 19, "off_topic": 6}
    assert sum(bool(case.history) for case in demo.cases) == 6


def test_the_shipped_conversations() -> None:
    turns = cases.load_evalset("demo_conversations").cases
    assert len(turns) == 20
    assert turns[1].history == [
        {"role": "user", "text": turns[0].question},
        {"role": "assistant", "text": turns[0].reference},
    ]


def test_the_list_of_sets() -> None:
    assert [(row.name, row.cases) for row in cases.list_sets()][:2] == [
        ("demo", 150),
        ("demo_conversations", 20),
    ]


def test_an_unknown_name_names_the_known_ones() -> None:
    with pytest.raises(cases.EvalsetError, match="there are .*demo, demo_conversations"):
        cases.load_evalset("dmeo")


def test_bad_lines_are_all_named(tmp_path: Path) -> None:
    path = _write(
        tmp_path / "bad.jsonl",
        {"id": "a", "question": "x"},
        "{not json",
        {"id": "a", "question": "again"},
        {"id": "b", "question": "y", "colour": "red"},
        ["no object"],
        {"id": "c", "question": " ", "answerability": "maybe"},
        '{"id": "d", "question": "z", "tags": [NaN]}',
        {"id": "e", "question": "z", "history": [{"role": "system", "text": "s"}]},
    )
    with pytest.raises(cases.EvalsetError) as caught:
        cases.load_evalset(path)
    text = "\n".join(caught.value.problems)
    for expected in (
        "line 2: not JSON",
        "line 3: id 'a' is already on line 1",
        "line 4: unknown field 'colour'",
        "line 5: expected an object",
        "line 6: question must be a text",
        "line 6: answerability must be one of",
        "line 7: not JSON",
        "line 8: history must hold",
    ):
        assert expected in text


def test_csv_and_jsonl_give_the_same_cases(tmp_path: Path) -> None:
    rows = _write(
        tmp_path / "a.jsonl",
        {"id": "1", "question": "How?", "relevant_ids": ["x", "y"], "must_refuse": False, "tags": ["t"]},
    )
    table = tmp_path / "b.csv"
    table.write_text("id,question,relevant_ids,must_refuse,tags,reference\n1,How?,x; y,no,t,\n")
    assert cases.load_evalset(table).cases == cases.load_evalset(rows).cases
    assert cases.load_evalset(table).fingerprint == cases.load_evalset(rows).fingerprint


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(cases.EvalsetError, match="holds no case"):
        cases.load_evalset(_write(tmp_path / "empty.jsonl"))


def test_the_head_is_checked(tmp_path: Path) -> None:
    path = _write(tmp_path / "s.jsonl", {"id": "1", "question": "q"})
    (tmp_path / "s.toml").write_text('title = "S"\nlicense = "MIT"\n')
    with pytest.raises(cases.EvalsetError, match="unknown key 'license'"):
        cases.load_evalset(path)


def test_a_beir_folder(tmp_path: Path) -> None:
    found = cases.load_evalset(_beir(tmp_path / "set"))
    assert [case.case_id for case in found.cases] == ["q1", "q3"]
    assert found.qrels == {"q1": ("d1",)}
    assert found.cases[0].history == [{"role": "user", "text": "before?"}]
    assert found.cases[1].answerability == "off_topic"
    assert found.corpus == tmp_path / "set" / "corpus.jsonl"
    assert found.warnings == ("1 queries without judgements were left out",)


def test_judgements_may_lie_in_a_folder_of_their_own(tmp_path: Path) -> None:
    folder = _beir(tmp_path / "set")
    (folder / "qrels").mkdir()
    (folder / "qrels.tsv").rename(folder / "qrels" / "test.tsv")
    assert cases.load_evalset(folder).qrels == {"q1": ("d1",)}


def test_judgements_of_unknown_documents_are_reported(tmp_path: Path) -> None:
    found = cases.load_evalset(_beir(tmp_path / "set", "query-id\tcorpus-id\tscore\nq1\td9\t1\nq8\td1\t1\n"))
    assert "name 1 documents that the corpus lacks, e.g. 'd9'" in found.warnings[0]
    assert "name 1 queries that do not exist, e.g. 'q8'" in found.warnings[1]


def test_bad_judgements_and_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(cases.EvalsetError, match=r"qrels.tsv line 2: expected query-id"):
        cases.load_evalset(_beir(tmp_path / "set", "query-id\tcorpus-id\tscore\nq1 d1 1\n"))
    (tmp_path / "set" / "corpus.jsonl").unlink()
    with pytest.raises(cases.EvalsetError, match=r"corpus.jsonl is missing"):
        cases.load_evalset(tmp_path / "set")


def test_a_limit_is_seeded_and_nested() -> None:
    demo = cases.load_evalset("demo")
    ten, twenty = demo.some(10), demo.some(20)
    assert len(ten.cases) == 10
    assert {c.case_id for c in ten.cases} <= {c.case_id for c in twenty.cases}
    assert demo.some(10) == ten
    assert demo.some(10, seed=1) != ten
    assert demo.some(None) is demo
