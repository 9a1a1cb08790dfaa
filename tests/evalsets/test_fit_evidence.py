"""The small statistics behind the evidence weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from evalsets.cases.cases import load_evalset
from evalsets.evidence_sets import Example, evidence_of, labels, lines
from evalsets.fit_evidence import HOME, MODELS, auc, f1, fit, fit_home
from pipeline.extractive.evidence import WEIGHTS
from pipeline.extractive.rows import statements
from pipeline.knowledge.found import Retrieved, RetrievedChunk
from pipeline.text.sentences import sentences
from tests.factories import make_passage


def test_fit_finds_the_feature_that_matters() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(400, 2))
    labels = (rows[:, 0] + 0.3 * rng.normal(size=400) > 0).astype(float)
    fitted = fit(rows, labels, np.ones(400), ("signal", "noise"))
    assert fitted.weights[0] > 10 * abs(fitted.weights[1])
    assert auc(fitted(rows), labels) > 0.95


def test_auc_counts_ties_half() -> None:
    assert auc(np.array([0.9, 0.5, 0.5, 0.1]), np.array([1.0, 1.0, 0.0, 0.0])) == pytest.approx(0.875)


def test_f1_charges_sentences_outside_the_gold_passage() -> None:
    gold = frozenset({0, 1})
    assert f1([frozenset({0}), frozenset({1})], gold) == 1
    assert f1([frozenset({0}), frozenset()], gold) == pytest.approx(0.5)
    assert f1([], gold) == 0


def test_the_shipped_weights_fit_the_models() -> None:
    shipped = json.loads(WEIGHTS.read_text("utf-8"))
    assert {name: tuple(shipped[name]["weights"]) for name in MODELS} == MODELS
    assert {name: tuple(shipped[name]["weights"]) for name in HOME} == HOME


def test_the_passage_that_answers_is_learnt_from_labelled_pages(capsys: pytest.CaptureFixture[str]) -> None:
    texts = ("The lid is red.", "The pump is green and needs oil each week.")
    found = tuple(
        RetrievedChunk(make_passage(n=n, rank=n, document_id=f"d{n}", title="", text=text), (), None)
        for n, text in enumerate(texts, 1)
    )
    retrieved = Retrieved("", None, found, "test", None, None)
    examples = [
        Example("how often does the pump need oil", retrieved, True, source=source, pages=frozenset({"d2"}))
        for source in ("demo", "everyday")
    ]
    weights = fit_home("home_lexical", examples)["weights"]
    assert weights["coverage"] > 0 > weights["first"]
    assert "everyday left out: right page 1.000 of 1, the first 0.000" in capsys.readouterr().out


def test_labels_of_queries_are_read(tmp_path: Path) -> None:
    file = tmp_path / "qrels.tsv"
    file.write_text("query-id\tcorpus-id\tscore\nq1\ta\t2\nq1\tb\t0\n", encoding="utf-8")
    assert labels(file) == {"q1": frozenset({"a"})}


def test_the_evidence_of_everyday_stands_in_its_documents() -> None:
    everyday = load_evalset("everyday")
    assert everyday.corpus is not None
    texts = {row["id"]: row["text"] for row in lines(everyday.corpus)}
    read = {page: [part for part, _, _ in statements(text, sentences(text))] for page, text in texts.items()}
    marks = evidence_of()
    for case in everyday.cases:
        assert (case.case_id in marks) == (case.answerability == "answerable")
        for mark in marks.get(case.case_id, ()):
            assert any(mark in part for page in case.relevant_ids or () for part in read[page]), mark
