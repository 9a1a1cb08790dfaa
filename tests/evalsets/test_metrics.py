"""Our retrieval metrics against hand-made cases and against trec_eval."""

from __future__ import annotations

import time

import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st

from evalsets.metrics import retrieval
from tests.factories import make_passage

DOCUMENTS = [f"d{i}" for i in range(30)]
TREC = {
    "hit@1": "success_1",
    "hit@5": "success_5",
    "hit@10": "success_10",
    "recall@5": "recall_5",
    "recall@10": "recall_10",
    "precision@5": "P_5",
    "ndcg@5": "ndcg_cut_5",
    "ndcg@10": "ndcg_cut_10",
}


@pytest.mark.parametrize(
    ("ranked", "relevant", "expected"),
    [
        (["a", "b", "c"], ["a"], {"hit@1": 1, "recall@5": 1, "precision@5": 0.2, "mrr@10": 1, "ndcg@5": 1}),
        (["x", "a"], ["a", "b"], {"hit@1": 0, "hit@5": 1, "recall@5": 0.5, "mrr@10": 0.5}),
        ([], ["a"], {"hit@5": 0, "recall@5": 0, "precision@5": 0, "mrr@10": 0, "ndcg@5": 0}),
        (["a"], [], {"hit@5": None, "recall@5": None, "precision@5": None, "mrr@10": None, "ndcg@5": None}),
        (["x"] * 0 + [f"x{i}" for i in range(10)] + ["a"], ["a"], {"hit@10": 0, "mrr@10": 0, "ndcg@10": 0}),
    ],
)
def test_definitions(ranked: list[str], relevant: list[str], expected: dict[str, float | None]) -> None:
    found = retrieval.retrieval(ranked, relevant)
    assert {name: found[name] for name in expected} == expected


@settings(max_examples=150, deadline=None)
@given(
    ranked=st.lists(st.sampled_from(DOCUMENTS), unique=True, min_size=1, max_size=25),
    relevant=st.lists(st.sampled_from(DOCUMENTS), unique=True, min_size=1, max_size=15),
)
def test_agrees_with_trec_eval(ranked: list[str], relevant: list[str]) -> None:
    evaluator = pytrec_eval.RelevanceEvaluator(
        {"q": dict.fromkeys(relevant, 1)},
        {"success.1,5,10", "recall.5,10", "P.5", "ndcg_cut.5,10", "recip_rank"},
    )
    scores = {document: float(len(ranked) - place) for place, document in enumerate(ranked)}
    theirs = evaluator.evaluate({"q": scores})["q"]
    ours = retrieval.retrieval(ranked, relevant)
    assert {name: ours[name] for name in TREC} == pytest.approx(
        {name: theirs[key] for name, key in TREC.items()}
    )
    first_ten = {document: scores[document] for document in ranked[:10]}
    assert ours["mrr@10"] == pytest.approx(evaluator.evaluate({"q": first_ten})["q"]["recip_rank"])


def test_passages_of_one_document_collapse_to_the_first_rank() -> None:
    passages = [
        make_passage(rank=3, chunk_id="b#0", document_id="b"),
        make_passage(rank=1, chunk_id="a#0", document_id="a"),
        make_passage(rank=2, chunk_id="a#1", document_id="a"),
    ]
    assert retrieval.ranking(passages) == ["a", "b"]
    assert retrieval.ranking(passages, chunks=True) == ["a#0", "a#1", "b#0"]


@pytest.mark.slow
def test_scores_twenty_thousand_cases_a_second() -> None:
    ranked, relevant = DOCUMENTS[:20], ["d3", "d17", "zz"]
    began = time.process_time()
    for _ in range(20_000):
        retrieval.retrieval(ranked, relevant)
    assert time.process_time() - began < 1.0
