"""Each score of a turn says what it is, why, and whether it failed or does not apply."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from evalsets.cases.cases import Evalset
from evalsets.metrics.metric import Measured
from evalsets.metrics.reference import token_f1
from evalsets.metrics.table import measure, metrics_of
from tests.factories import make_passage, make_trace
from traces.records import Case, Trace

ANY = Evalset("any", "", ())
TEXT = "Open Settings and press Keyboard. Set the Bounce Keys switch to on."


def _case(**columns: Any) -> Case:
    return Case("r", "c", "How do I turn on bounce keys?", **columns)


def _trace(**columns: Any) -> Trace:
    trace = make_trace(**{"answer": "Set the Bounce Keys switch to on [1].", "top_score": 0.7, **columns})
    key = trace.turn.turn_id
    rows = (
        make_passage(key, 1, document_id="keys", chunk_id="keys#0", text=TEXT, cited=True),
        make_passage(key, 2, document_id="mouse", chunk_id="mouse#0", text="Move the mouse.", cited=False),
    )
    return replace(trace, passages=rows)


def _answer(case: Case, trace: Trace) -> dict[str, Measured]:
    return {score.name: score for score in measure(metrics_of(ANY, "answer"), case, trace)}


def test_a_right_citation() -> None:
    found = _answer(_case(answerability="answerable", relevant_ids=["keys", "more"]), _trace())
    assert found["citation_precision"].value == 1.0
    assert found["citation_recall"].value == 0.5
    assert found["citation_recall"].reason == "not cited: more"
    groundedness = found["groundedness"].value
    assert groundedness is not None and groundedness > 0.9
    assert found["abstention_correct"].value == 1.0
    assert found["false_abstention"].value == 0.0
    assert "false_answer" not in found


@pytest.mark.parametrize(
    ("answer", "precision"),
    [
        ("Set the Bounce Keys switch to on. [1]", 1.0),
        ("Set the Bounce Keys switch to on.[1][2]", 0.5),
        ("Set the Bounce Keys switch to on [2].", 0.0),
        ("Paint the garden fence in yellow colours [1].", 0.0),
        ("Set the Bounce Keys switch to on [7].", 0.0),
        ("Set the Bounce Keys switch to on.", 0.0),
    ],
)
def test_citation_precision(answer: str, precision: float) -> None:
    found = _answer(_case(), _trace(answer=answer))["citation_precision"]
    assert found.value == precision
    assert found.reason


@pytest.mark.parametrize(
    ("answerability", "outcome", "right"),
    [
        ("answerable", "answered", 1.0),
        ("answerable", "no_context", 0.0),
        ("answerable", "refused", 0.0),
        ("unanswerable", "no_context", 1.0),
        ("off_topic", "answered", 0.0),
        ("partial", "answered", None),
        (None, "answered", None),
    ],
)
def test_abstention(answerability: str | None, outcome: str, right: float | None) -> None:
    found = _answer(_case(answerability=answerability), _trace(outcome=outcome))["abstention_correct"]
    assert found.value == right
    assert not found.failed


def test_a_broken_turn_fails_every_answer_metric_it_was_meant_for() -> None:
    case = _case(
        answerability="answerable", relevant_ids=["keys"], reference="Switch it.", must_contain=["on"]
    )
    found = _answer(case, _trace(outcome="degraded", error_class="overloaded"))
    assert {
        "groundedness",
        "citation_recall",
        "abstention_correct",
        "must_contain",
        "seconds",
    } <= found.keys()
    assert all(one.failed and one.value is None for one in found.values())
    assert found["groundedness"].reason == "the turn was degraded (overloaded)"


def test_refusals() -> None:
    assert _answer(_case(must_refuse=True), _trace(outcome="refused"))["refusal"].value == 1.0
    assert _answer(_case(must_refuse=True), _trace(outcome="answered"))["refusal"].value == 0.0
    assert _answer(_case(must_refuse=False), _trace(outcome="refused"))["over_refusal"].value == 1.0
    assert _answer(_case(must_refuse=False), _trace(outcome="no_context"))["over_refusal"].value == 0.0


def test_must_contain_folds_case_and_space() -> None:
    found = _answer(_case(must_contain=["bounce  KEYS", "off"]), _trace())["must_contain"]
    assert (found.value, found.reason) == (0.0, "missing: 'off'")
    assert _answer(_case(must_contain=["bounce  KEYS"]), _trace())["must_contain"].value == 1.0


def test_reference_f1() -> None:
    assert token_f1("Switch it on [1].", "switch it on") == 1.0
    assert token_f1("The cat", "a dog") == 0.0
    assert token_f1("press one key", "press two keys") == pytest.approx(1 / 3)
    case = _case(reference="Switch it on.", answerability="answerable")
    assert _answer(case, _trace(outcome="no_context"))["reference_f1"].value == 0.0


def test_an_unknown_price_is_a_failure_and_no_call_costs_nothing() -> None:
    unknown = _answer(_case(), _trace(cost_usd=None, attempts=1))["cost_usd"]
    assert (unknown.value, unknown.failed) == (None, True)
    nothing = _answer(_case(), _trace(cost_usd=None, attempts=None))["cost_usd"]
    assert (nothing.value, nothing.failed) == (0.0, False)


def _retrieval(case: Case, trace: Trace) -> Measured:
    return next(
        score for score in measure(metrics_of(ANY, "search"), case, trace) if score.name == "recall@5"
    )


def test_retrieval_is_scored_when_it_ran() -> None:
    case = _case(relevant_ids=["mouse"])
    assert _retrieval(case, _trace()).value == 1.0
    assert _retrieval(case, _trace()).reason == "first relevant at rank 2"
    assert _retrieval(_case(relevant_ids=["x"]), _trace()).value == 0.0
    none = _retrieval(_case(), _trace())
    assert (none.value, none.failed) == (None, False)


def test_retrieval_that_did_not_run_or_ran_in_part_is_no_zero() -> None:
    case = _case(relevant_ids=["keys"])
    refused = _retrieval(case, _trace(outcome="refused", hit=None))
    assert (refused.value, refused.failed) == (None, False)
    missing = _retrieval(case, _trace(outcome="degraded", hit=None, error_class="store_missing"))
    assert (missing.failed, missing.reason) == (True, "retrieval failed: store_missing")
    part = _trace()
    span = replace(part.spans[1], attributes={"degraded": "embed_failed"})
    found = _retrieval(case, replace(part, spans=(part.spans[0], span)))
    assert (found.failed, found.reason) == (True, "a part of the search failed: embed_failed")
