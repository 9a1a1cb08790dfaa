"""A metric is one object: its reading, its cases, its score and its coverage all follow from it."""

from __future__ import annotations

import pytest

from evalsets.cases.cases import Evalset
from evalsets.metrics import table
from evalsets.metrics.columns import columns, summary
from evalsets.metrics.metric import BROKEN, Measured, Metric, skipped
from evalsets.metrics.table import FAMILIES, JUDGED, METRICS, find_metric, measure, metrics_of, ordered
from tests.factories import make_trace
from traces.queries.runs import RunScore
from traces.records import Case, Trace


def _words(case: Case, trace: Trace) -> Measured:
    answer = trace.turn.answer or ""
    return Measured(float(len(answer.split()))) if answer else skipped("no answer was given")


BRIEF = Metric(
    name="words",
    title="Words",
    what="how long the answer is",
    applies=lambda case: "brief" in (case.tags or ()),
    score=_words,
    better="lower",
)


def _case(number: int, *tags: str) -> Case:
    return Case("r", str(number), "How?", tags=list(tags))


def test_a_new_metric_is_one_object(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put into the table it is scored, ordered, titled, and its coverage counts whom it was meant for."""
    monkeypatch.setitem(table.METRICS, BRIEF.name, BRIEF)
    monkeypatch.setitem(table._PLACE, BRIEF.name, len(table._PLACE))
    turns = [
        (_case(1, "brief"), make_trace(answer="Press it now.")),
        (_case(2, "brief"), make_trace(answer="Press.")),
        (_case(3, "brief"), make_trace(outcome="failed", answer=None)),
        (_case(4, "brief"), make_trace(answer="")),
        (_case(5), make_trace(answer="Not for this one.")),
    ]
    metrics = metrics_of(Evalset("any", "", ()), "answer")
    rows = [
        RunScore(case.case_id, score.name, score.value, score.failed, score.reason)
        for case, trace in turns
        for score in measure(metrics, case, trace)
    ]
    column = columns(rows)["words"]
    assert column.values == {"1": 3.0, "2": 1.0}
    assert column.failed == {"3": "the turn was failed"}
    assert column.skipped == {"4": "not applicable: no answer was given"}
    assert column.coverage == pytest.approx(2 / 3)
    assert summary({"words": column})["words"].mean == 2.0
    assert find_metric("words").title == "Words"
    assert ordered(["zeta", "words", "seconds", "hit@5"]) == ["hit@5", "seconds", "words", "zeta"]


def test_the_table_holds_each_name_once_and_says_how_to_read_it() -> None:
    every = [metric for family in FAMILIES for metric in family]
    assert len(every) == len(METRICS)
    for metric in every:
        assert metric.title and metric.what
        assert (metric.score is None) == (metric.about == "judge")


def test_judged_metrics_stand_in_the_same_table() -> None:
    assert set(JUDGED) < set(METRICS)
    asked, small_talk = _case(1), Case("r", "2", "Hello", answerability="conversational", reference="Hi")
    assert JUDGED["faithfulness"].applies(asked) and not JUDGED["faithfulness"].applies(small_talk)
    assert not JUDGED["context_recall"].applies(asked) and JUDGED["context_recall"].applies(small_talk)


@pytest.mark.parametrize("outcome", BROKEN)
@pytest.mark.parametrize("name", [metric.name for metric in METRICS.values() if metric.about == "answer"])
def test_a_broken_turn_fails_whatever_it_was_meant_for(name: str, outcome: str) -> None:
    """Coverage is derived: a case is scored, failed or left out by the one condition of its metric."""
    case = Case(
        "r",
        "1",
        "How?",
        reference="So.",
        relevant_ids=["a"],
        answerability="answerable",
        must_contain=["So"],
        must_refuse=True,
    )
    score = METRICS[name].measure(case, make_trace(outcome=outcome, error_class="timeout"))
    if METRICS[name].applies(case):
        assert score is not None and score.failed and "timeout" in (score.reason or "")
    else:
        assert score is None or (score.value is None and not score.failed)


def test_an_unknown_metric_reads_as_a_share() -> None:
    metric = find_metric("my_own_score")
    assert (metric.title, metric.unit, metric.better) == ("My own score", "share", "higher")
    assert metric.measure(_case(1), make_trace()) is None
