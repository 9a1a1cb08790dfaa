"""Correctness puts right answers before wrong ones, and no invented sentence raises it."""

from __future__ import annotations

from statistics import fmean

import pytest

from evalsets import fit_agreement
from evalsets.metrics import agreement
from evalsets.metrics.agreement import agree
from evalsets.metrics.table import METRICS
from tests.factories import make_turn
from traces.records import Case, Payload, Trace


def test_pairs_of_rows_left_out_are_ordered_rightly() -> None:
    rows = fit_agreement.rows()
    assert len(rows) * len(fit_agreement.PAIRS) == 400
    left_out = rows[1::2]
    shares = fit_agreement.ordered(left_out, fit_agreement.agreed)
    baseline = fit_agreement.ordered(left_out, fit_agreement.f1)
    assert fmean(shares.values()) >= 0.85
    assert min(shares.values()) >= 0.8
    assert fmean(baseline.values()) < 0.4


def test_an_invented_sentence_hardly_ever_raises_it() -> None:
    raised = 0
    for row in fit_agreement.rows():
        for kind in ("reference", "paraphrase", "half"):
            plain = agree(row["question"], row["reference"], row[kind])
            more = agree(row["question"], row["reference"], f"{row[kind]} {row['invented']}")
            raised += more.score > plain.score
            assert kind == "half" or more.score <= plain.score
    assert raised <= 2  # of 240


def test_the_weights_are_those_of_the_even_rows() -> None:
    weights, bias = fit_agreement.fit(fit_agreement.rows()[::2])
    assert weights == pytest.approx(agreement.WEIGHTS, abs=0.02)
    assert bias == pytest.approx(agreement.BIAS, abs=0.02)


@pytest.mark.parametrize(
    ("answer", "outcome", "least", "most", "why"),
    [
        ("Hold the button for ten seconds. [1]", "answered", 1.0, 1.0, "says what was expected"),
        ("Hold the button for five seconds. [1]", "answered", 0.0, 0.5, "says something else"),
        ("", "no_context", 0.0, 0.0, "no answer"),
        ("☃", "answered", 0.0, 0.2, ""),
        ("word " * 5000, "answered", 0.0, 0.5, ""),
    ],
)
def test_the_metric(answer: str, outcome: str, least: float, most: float, why: str) -> None:
    turn = make_turn(outcome=outcome, answer=answer)
    case = Case("r", "c", "How do I reset it?", reference="Hold the button for ten seconds.")
    score = METRICS["correctness"].measure(case, Trace(turn, Payload(turn.turn_id)))
    assert score is not None and score.value is not None
    assert least <= score.value <= most
    assert why in (score.reason or "")
    assert METRICS["correctness"].measure(Case("r", "c", "What?"), Trace(turn, Payload(turn.turn_id))) is None


def test_an_answer_about_something_else_says_nothing_of_the_reference() -> None:
    every = fit_agreement.rows()
    beside = [agree(row["question"], row["reference"], "Open the panel and press the key.") for row in every]
    assert fmean(one.score for one in beside) < 0.1
    turned = zip(every, every[7:] + every[:7], strict=True)
    others = [agree(row["question"], row["reference"], other["reference"]).score for row, other in turned]
    assert fmean(others) < 0.1
