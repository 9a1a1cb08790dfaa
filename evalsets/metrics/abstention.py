"""Whether a turn abstained where it should, and only there."""

from __future__ import annotations

from evalsets.metrics.metric import ABSTAINED, Measured, Metric
from traces.records import Case, Trace

_UNANSWERABLE = ("unanswerable", "off_topic")


def _abstained(trace: Trace) -> bool:
    return trace.turn.outcome in ABSTAINED


def _reason(case: Case, abstained: bool) -> str:
    if case.answerability == "answerable":
        return "abstained although the documents have it" if abstained else "answered"
    return "abstained" if abstained else "answered although the documents do not have it"


def _right(case: Case, trace: Trace) -> Measured:
    abstained = _abstained(trace)
    return Measured(float(abstained != (case.answerability == "answerable")), _reason(case, abstained))


def _share_abstained(case: Case, trace: Trace) -> Measured:
    return Measured(float(_abstained(trace)), _reason(case, _abstained(trace)))


def _share_answered(case: Case, trace: Trace) -> Measured:
    return Measured(float(not _abstained(trace)), _reason(case, _abstained(trace)))


METRICS = (
    Metric(
        name="abstention_correct",
        title="Abstention right",
        what="answered what can be answered, abstained otherwise",
        applies=lambda case: case.answerability in ("answerable", *_UNANSWERABLE),
        score=_right,
        idle="its answerability does not say whether to answer",
    ),
    Metric(
        name="false_answer",
        title="False answers",
        what="answered although the documents do not have it",
        applies=lambda case: case.answerability in _UNANSWERABLE,
        score=_share_answered,
        better="lower",
        headline=False,
    ),
    Metric(
        name="false_abstention",
        title="False abstentions",
        what="abstained although the documents have it",
        applies=lambda case: case.answerability == "answerable",
        score=_share_abstained,
        better="lower",
        headline=False,
    ),
    Metric(
        name="off_topic",
        title="Off-topic",
        what="a question outside the documents' subject was not answered",
        applies=lambda case: case.answerability == "off_topic",
        score=_share_abstained,
    ),
)
