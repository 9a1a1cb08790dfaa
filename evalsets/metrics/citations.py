"""Whether an answer is covered by its passages, and whether its citations are right and complete."""

from __future__ import annotations

import re
from functools import lru_cache

from evalsets.metrics.metric import ABSTAINED, Measured, Metric, skipped
from pipeline.citations import unmarked
from pipeline.guardrails.grounding import Grounding, ground
from traces.records import Case, Passage, Trace

SUPPORTED = 0.75  # a citation is right from here on; read off the labels of begin, 87 % agree
_LATE_MARKERS = re.compile(r"([.!?…]+)((?:\s*\[\d{1,3}\])+)")


def _states(case: Case) -> bool:
    return case.answerability != "conversational"


def _passages(trace: Trace) -> tuple[Passage, ...]:
    return tuple(row for row in trace.passages if row.n is not None)


def _grounding(case: Case, trace: Trace) -> Grounding:
    heard = tuple(message["text"] for message in case.history or ())
    return _ground(trace.turn.answer or "", _passages(trace), heard)


@lru_cache(maxsize=8)  # two metrics of one turn ask for the same
def _ground(answer: str, passages: tuple[Passage, ...], heard: tuple[str, ...]) -> Grounding:
    return ground(_LATE_MARKERS.sub(r"\2\1", answer), passages, heard)  # "Press it. [1]" cites "Press it."


def _groundedness(case: Case, trace: Trace) -> Measured:
    if trace.turn.outcome in ABSTAINED:
        return skipped("no answer was given")
    grounding = _grounding(case, trace)
    if grounding.score is None:
        return skipped("the answer states nothing")
    weakest = min(grounding.sentences, key=lambda sentence: sentence.score)
    return Measured(grounding.score, f"weakest: {weakest.score:.2f} {weakest.text!r}")


def _precision(case: Case, trace: Trace) -> Measured:
    """Return the share of (sentence, cited passage) pairs in which the passage supports the sentence.

    After "citation precision" in Gao et al. 2023 (ALCE), with lexical grounding as the judge and a
    citation counted by itself: a passage must support the sentence without the other citations.
    """
    if trace.turn.outcome in ABSTAINED:
        return skipped("no answer was given")
    by_number = {passage.n: passage for passage in _passages(trace)}
    right, wrong = 0, []
    for sentence in _grounding(case, trace).sentences:
        for n in sentence.numbers:
            score = _support(sentence.text, by_number[n]) if n in by_number else 0.0
            if score >= SUPPORTED:
                right += 1
            else:
                wrong.append(f"[{n}] {score:.2f} {sentence.text!r}")
    if not right and not wrong:
        return Measured(0.0, "an answer without any citation")
    return Measured(right / (right + len(wrong)), "; ".join(wrong[:3]) or "all supported")


def _support(sentence: str, passage: Passage) -> float:
    scores = [part.score for part in ground(unmarked(sentence), [passage]).sentences]
    return sum(scores) / len(scores) if scores else 0.0


def _recall(case: Case, trace: Trace) -> Measured:
    """Return the share of the case's relevant documents that the answer cites."""
    if trace.turn.outcome in ABSTAINED:
        return skipped("no answer was given")
    relevant = case.relevant_ids or []
    cited = {key for row in _passages(trace) if row.cited for key in (row.document_id, row.chunk_id)}
    missing = [key for key in relevant if key not in cited]
    reason = f"not cited: {', '.join(missing[:5])}" if missing else "all cited"
    return Measured(1 - len(missing) / len(relevant), reason)


METRICS = (
    Metric(
        name="citation_precision",
        title="Citation precision",
        what="share of citations whose passage supports the sentence",
        applies=_states,
        score=_precision,
        idle="small talk states nothing",
    ),
    Metric(
        name="citation_recall",
        title="Citation recall",
        what="share of the relevant documents that are cited",
        applies=lambda case: _states(case) and bool(case.relevant_ids),
        score=_recall,
        idle="small talk, or the case names no relevant document",
    ),
    Metric(
        name="groundedness",
        title="Groundedness",
        what="how well the answer is covered by the passages it was given",
        applies=_states,
        score=_groundedness,
        idle="small talk states nothing",
    ),
)
