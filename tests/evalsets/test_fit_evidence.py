"""The small statistics behind the evidence weights."""

from __future__ import annotations

import json

import numpy as np
import pytest

from evalsets.cases.cases import load
from evalsets.evidence_sets import evidence_of, lines
from evalsets.fit_evidence import MODELS, auc, f1, fit
from pipeline.extractive.evidence import WEIGHTS
from pipeline.extractive.rows import statements
from pipeline.text import sentences


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


def test_the_evidence_of_everyday_stands_in_its_documents() -> None:
    everyday = load("everyday")
    assert everyday.corpus is not None
    texts = {row["id"]: row["text"] for row in lines(everyday.corpus)}
    read = {page: [part for part, _, _ in statements(text, sentences(text))] for page, text in texts.items()}
    marks = evidence_of()
    for case in everyday.cases:
        assert (case.case_id in marks) == (case.answerability == "answerable")
        for mark in marks.get(case.case_id, ()):
            assert any(mark in part for page in case.relevant_ids or () for part in read[page]), mark
